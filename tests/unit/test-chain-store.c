/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/chain-store.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

enum {
        MAX_BYTES = 256 * 1024,
        SPANS_A_TRACE = 3,
        SECOND_NS = 1000000000,
        A_SECOND = 5000, /* traces; many times what has room */
};

static Chains *chains;
static uint64_t now = UINT64_C(1700000000000000000);

static void setup(void) {
        ck_assert_int_eq(chains_new(&chains, MAX_BYTES, 7), 0);
        chains_set_time(chains, now);
}

static void teardown(void) {
        chains = chains_free(chains);
}

static ChainsUsage usage(void) {
        ChainsUsage out;

        chains_usage(chains, &out);
        return out;
}

static void say_span(ChainContext *context, uint64_t trace, uint64_t id) {
        uint64_t trace_id[2] = {trace, trace}, span_id = id;
        ValidateSummary summary = {
                .trace_id = (const uint8_t *)trace_id,
                .span_id = (const uint8_t *)&span_id,
                .name = {"work", 4},
                .start_unix_ns = now,
        };
        ChainSpan *handle = NULL;

        ck_assert_int_eq(chains_span_start(chains, &handle, context, &summary, "shop", 1), 0);
        chains_span_end(chains, &handle, now, NULL);
}

static void start_context(ChainContext **handle, const char *id) {
        ck_assert_int_eq(chains_context_start(chains, handle,
                                              &(ChainsContextStart){.context_id = id}),
                         0);
}

/* Traces without a context, for a second. */
static void say_a_second(uint64_t first) {
        for (uint64_t i = 0; i < A_SECOND; i++) {
                now += SECOND_NS / A_SECOND;
                chains_set_time(chains, now);
                for (unsigned k = 0; k < SPANS_A_TRACE; k++)
                        say_span(NULL, first + i, k + 1);
        }
}

START_TEST(of_more_than_anybody_can_look_at_a_sample_is_kept_whole) {
        size_t n = 0;

        for (unsigned second = 0; second < 20; second++)
                say_a_second(1 + second * A_SECOND);
        ck_assert_uint_gt(usage().one_of, 1);
        ck_assert_uint_gt(usage().n_left_out, 0);
        ck_assert_uint_le(usage().n_bytes, MAX_BYTES);
        for (const Chain *chain = chains_newest(chains); chain;
             chain = chains_before(chains, chain), n++)
                ck_assert_uint_eq(chain->n_spans, SPANS_A_TRACE);
        ck_assert_uint_gt(n, 64);
        /* It reaches back for longer than all of them would: a second's would not have room. */
        ck_assert_uint_lt(list_entry(list_first(&chains->chains), Chain, link)->added_unix_ns,
                          now - 5 * (uint64_t)SECOND_NS);
}
END_TEST

START_TEST(when_it_is_quiet_again_every_chain_is_kept) {
        say_a_second(1);
        ck_assert_uint_gt(usage().one_of, 1);
        for (unsigned minute = 0; minute < 5; minute++) {
                now += 60 * (uint64_t)SECOND_NS;
                chains_set_time(chains, now);
        }
        ck_assert_uint_eq(usage().one_of, 1);
        for (uint64_t trace = 1; trace <= 20; trace++)
                say_span(NULL, A_SECOND + trace, 1);
        ck_assert_uint_eq(chains_newest(chains)->n_spans, 1);
}
END_TEST

START_TEST(a_chain_at_work_is_seen_through) {
        static ChainContext *at_work[32];
        char ids[32][32];

        for (unsigned i = 0; i < 32; i++) {
                snprintf(ids[i], sizeof ids[i], "order %u", i);
                start_context(&at_work[i], ids[i]);
        }
        say_a_second(1);
        ck_assert_uint_gt(usage().one_of, 1);
        for (unsigned i = 0; i < 32; i++) {
                ck_assert_ptr_nonnull(at_work[i]);
                say_span(at_work[i], 1, 9);
                ck_assert_uint_eq(at_work[i]->chain->n_spans, 1);
        }
}
END_TEST

START_TEST(a_context_left_out_has_no_handle) {
        unsigned n_kept = 0;
        char id[32];

        say_a_second(1);
        for (unsigned i = 0; i < 256; i++) {
                ChainContext *context = NULL;

                snprintf(id, sizeof id, "order %u", i);
                start_context(&context, id);
                ck_assert_int_eq(!context, !chains_find(chains, id));
                n_kept += context != NULL;
                chains_context_end(chains, &context, now);
        }
        ck_assert_uint_gt(n_kept, 0);
        ck_assert_uint_lt(n_kept, 256);
}
END_TEST

START_TEST(a_large_chain_thins_nothing_out) {
        static ChainContext *large, *small;

        start_context(&small, "small");
        chains_context_end(chains, &small, now);
        start_context(&large, "large");
        for (uint64_t i = 0; i < A_SECOND; i++)
                say_span(large, 1, i + 1);
        ck_assert_uint_eq(usage().one_of, 1);
        ck_assert_ptr_nonnull(chains_find(chains, "small"));
        ck_assert_ptr_nonnull(large);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("chain-store");
        TCase *tcase = tcase_create("thinning");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, of_more_than_anybody_can_look_at_a_sample_is_kept_whole);
        tcase_add_test(tcase, when_it_is_quiet_again_every_chain_is_kept);
        tcase_add_test(tcase, a_chain_at_work_is_seen_through);
        tcase_add_test(tcase, a_context_left_out_has_no_handle);
        tcase_add_test(tcase, a_large_chain_thins_nothing_out);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

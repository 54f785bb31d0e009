/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/chains.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

enum { STATUS = 1 << 15 };

static Chains *chains;

/* Handles are static in all tests: chains_free() still writes to them. */

static void open_chains(void) {
        ck_assert_int_eq(chains_new(&chains, CHAINS_MAX_BYTES, 7), 0);
}

static void close_chains(void) {
        chains = chains_free(chains);
}

static int try_start(ChainContext **handle, const char *chain, const char *id, const char *cause,
                     uint64_t time) {
        ChainsContextStart start = {
                .context_id = id,
                .correlation_id = chain,
                .causation_ids = &cause,
                .n_causes = cause ? 1 : 0,
                .service = "shop",
                .pid = 42,
                .start_unix_ns = time,
        };

        return chains_context_start(chains, handle, &start);
}

static void start_caused(ChainContext **handle, const char *chain, const char *id,
                         const char *cause, uint64_t time) {
        ck_assert_int_eq(try_start(handle, chain, id, cause, time), 0);
}

static void start(ChainContext **handle, const char *chain, const char *id, uint64_t time) {
        start_caused(handle, chain, id, NULL, time);
}

/* A span whose ids are made of the two numbers. */
static void start_span(ChainSpan **handle, ChainContext *context, uint8_t trace, uint64_t span,
                       uint64_t time) {
        uint8_t trace_id[ID_TRACE_SIZE] = {trace}, span_id[ID_SPAN_SIZE];
        ValidateSummary summary = {
                .trace_id = trace_id,
                .span_id = span_id,
                .name = {"work", 4},
                .start_unix_ns = time,
                .kind = 3,
        };

        memcpy(span_id, &span, sizeof span_id);
        ck_assert_int_eq(chains_span_start(chains, handle, context, &summary, "shop", 42), 0);
}

static ChainsUsage usage(void) {
        ChainsUsage now;

        chains_usage(chains, &now);
        return now;
}

START_TEST(a_chain_is_found_by_any_id_in_it) {
        static ChainContext *root = NULL, *part = NULL, *other = NULL;
        static ChainSpan *span = NULL;
        Chain *chain;

        start(&root, "root", "root", 10);
        start(&part, "root", "part", 20);
        start(&other, "other", "elsewhere", 30);
        start_span(&span, part, 0xab, 0x11, 25);
        chain = chains_find(chains, "root");
        ck_assert_ptr_nonnull(chain);
        ck_assert_str_eq(chain->id, "root");
        ck_assert_uint_eq(chain->n_contexts, 2);
        ck_assert_uint_eq(chain->n_spans, 1);
        ck_assert_uint_eq(chain->n_open, 3);
        ck_assert_uint_eq(chain->start_unix_ns, 10);
        ck_assert_uint_eq(chain->end_unix_ns, 25);
        ck_assert_ptr_eq(chains_find(chains, "part"), chain);
        ck_assert_ptr_eq(chains_find(chains, "ab000000000000000000000000000000"), chain);
        ck_assert_ptr_eq(chains_find(chains, "1100000000000000"), chain);
        ck_assert_ptr_eq(chains_find(chains, "elsewhere"), other->chain);
        ck_assert_ptr_null(chains_find(chains, "ab"));
        ck_assert_ptr_null(chains_find(chains, ""));
        ck_assert_ptr_null(chains_find(chains, "AB000000000000000000000000000000"));
        ck_assert_ptr_eq(chains_newest(chains), other->chain);
        ck_assert_ptr_eq(chains_before(chains, other->chain), chain);
        ck_assert_ptr_null(chains_before(chains, chain));
}
END_TEST

START_TEST(ends_close_and_keep_what_they_end) {
        static ChainContext *context = NULL;
        static ChainSpan *span = NULL;
        Chain *chain;

        start(&context, NULL, "root", 10);
        start_span(&span, context, 1, 1, 11);
        chain = context->chain;
        ck_assert_int_eq(chains_context_checkpoint(chains, context, "validated", 9, 12), 0);
        chains_span_end(chains, &span, 15, "process exited");
        ck_assert_ptr_null(span);
        ck_assert_uint_eq(chain->n_open, 1);
        chains_context_end(chains, &context, 20);
        ck_assert_ptr_null(context);
        ck_assert_uint_eq(chain->n_open, 0);
        ck_assert_uint_eq(chain->end_unix_ns, 20);
        ck_assert_uint_eq(chain->n_errors, 1);
        chains_context_end(chains, &context, 99);
        chains_span_end(chains, &span, 99, NULL);
        ck_assert_int_eq(chains_context_checkpoint(chains, context, "late", 4, 99), 0);
        chains_forget(&context, &span);
        ck_assert_uint_eq(chain->end_unix_ns, 20);

        context = list_entry(list_first(&chain->contexts), ChainContext, link);
        ck_assert_uint_eq(context->end_unix_ns, 20);
        ck_assert_str_eq(list_entry(list_first(&context->checkpoints), ChainCheckpoint, link)->name,
                         "validated");
        span = list_entry(list_first(&chain->spans), ChainSpan, link);
        ck_assert_uint_eq(span->end_unix_ns, 15);
        ck_assert_uint_eq(span->kind, 3);
        ck_assert_str_eq(span->end_reason, "process exited");
        ck_assert_str_eq(span->name, "work");
}
END_TEST

START_TEST(a_span_without_a_context_goes_to_its_traces_chain) {
        static ChainContext *context = NULL;
        static ChainSpan *in = NULL, *out = NULL, *more = NULL;

        start(&context, "root", "root", 10);
        start_span(&in, context, 1, 1, 11);
        start_span(&out, NULL, 1, 2, 12);
        start_span(&more, NULL, 1, 3, 13);
        ck_assert_str_eq(in->chain->id, "root");
        ck_assert_str_eq(out->chain->id, "01000000000000000000000000000000");
        ck_assert_ptr_eq(more->chain, out->chain);
        ck_assert_ptr_eq(chains_find(chains, "01000000000000000000000000000000"), out->chain);
        ck_assert_uint_eq(usage().n_chains, 2);
}
END_TEST

START_TEST(a_context_announced_again_is_not_doubled) {
        const char *cause = "root";
        ChainsContextStart again = {
                .context_id = "part",
                .correlation_id = "root",
                .workflow_id = "order-1",
                .causation_ids = &cause,
                .n_causes = 1,
        };
        static ChainContext *root = NULL, *part = NULL;
        Chain *chain;

        start(&root, "root", "root", 10);
        start(&part, "root", "part", 20);
        chain = root->chain;
        for (unsigned i = 0; i < 3; i++)
                ck_assert_int_eq(chains_context_start(chains, &part, &again), 0);
        ck_assert_uint_eq(chain->n_contexts, 2);
        ck_assert_uint_eq(chain->n_open, 2);
        ck_assert_str_eq(part->workflow_id, "order-1");
        ck_assert_uint_eq(part->start_unix_ns, 20);
        ck_assert_ptr_eq(chains_cause(chains, part), root);
        ck_assert_ptr_null(chains_cause(chains, root));
        chains_context_end(chains, &part, 30);
        ck_assert_uint_eq(chain->n_open, 1);
}
END_TEST

static void checkpoint(ChainContext *context, const char *name, uint64_t time) {
        ck_assert_int_eq(chains_context_checkpoint(chains, context, name, strlen(name), time), 0);
}

static void has_checkpoints(const ChainContext *context, const char *names) {
        list_for_each (link, &context->checkpoints) {
                const ChainCheckpoint *at = list_entry(link, ChainCheckpoint, link);

                ck_assert_msg(!strncmp(names, at->name, strlen(at->name)), "%s, not %s", at->name,
                              names);
                names += strlen(at->name);
        }
        ck_assert_str_eq(names, "");
}

START_TEST(checkpoints_said_again_are_not_doubled) {
        static ChainContext *parent = NULL, *child = NULL;

        start(&parent, "root", "root", 10);
        checkpoint(parent, "a", 11);
        checkpoint(parent, "b", 12);
        checkpoint(parent, "b", 12);
        checkpoint(parent, "c", 13);
        start(&child, "root", "root", 10);
        checkpoint(child, "a", 11);
        checkpoint(child, "b", 12);
        checkpoint(parent, "d", 14);
        has_checkpoints(parent, "abbcd");
        start(&parent, "root", "root", 10);
        checkpoint(parent, "a", 11);
        checkpoint(parent, "b", 12);
        checkpoint(parent, "b", 12);
        checkpoint(parent, "c", 13);
        checkpoint(parent, "d", 14);
        checkpoint(parent, "e", 15);
        has_checkpoints(parent, "abbcde");
}
END_TEST

START_TEST(sessions_may_share_a_context) {
        static ChainContext *parent = NULL, *child = NULL, *late = NULL;
        static ChainSpan *span = NULL;
        Chain *chain;

        start(&parent, "root", "root", 10);
        start(&child, "root", "root", 10);
        chain = parent->chain;
        ck_assert_ptr_eq(child, parent);
        ck_assert_uint_eq(chain->n_contexts, 1);
        ck_assert_uint_eq(chain->n_open, 1);
        chains_context_end(chains, &parent, 20);
        ck_assert_ptr_null(parent);
        ck_assert_ptr_nonnull(child);
        ck_assert_uint_eq(chain->n_open, 0);
        start_span(&span, child, 1, 1, 25);
        ck_assert_ptr_eq(span->chain, chain);
        start(&late, "root", "root", 10);
        ck_assert_uint_eq(chain->n_open, 1);
        chains_span_end(chains, &span, 30, NULL);
        chains_forget(&child, NULL);
        ck_assert_ptr_null(child);
        ck_assert_ptr_nonnull(late);
        chains_forget(&late, NULL);
        ck_assert_uint_eq(chain->n_open, 0);
        ck_assert_uint_eq(list_entry(list_first(&chain->contexts), ChainContext, link)->end_unix_ns,
                          20);
}
END_TEST

START_TEST(a_handle_used_again_for_another_context_lets_the_first_go) {
        static ChainContext *context = NULL;
        Chain *first;

        start(&context, "one", "one", 10);
        first = context->chain;
        start(&context, "two", "two", 20);
        ck_assert_str_eq(context->context_id, "two");
        ck_assert_uint_eq(first->n_open, 0);
        ck_assert_uint_eq(context->chain->n_open, 1);
}
END_TEST

START_TEST(what_is_forgotten_is_open_no_more) {
        static ChainContext *context = NULL;
        static ChainSpan *span = NULL;
        Chain *chain;

        start(&context, "root", "root", 10);
        start_span(&span, context, 1, 1, 11);
        chain = context->chain;
        chains_forget(&context, &span);
        ck_assert_ptr_null(context);
        ck_assert_ptr_null(span);
        ck_assert_uint_eq(chain->n_open, 0);
        ck_assert_uint_eq(list_entry(list_first(&chain->spans), ChainSpan, link)->end_unix_ns, 0);
}
END_TEST

START_TEST(status_follows_otlp) {
        ValidateSummary error = {.seen = STATUS, .status_code = 2, .status_message = {"no", 2}};
        ValidateSummary ok = {.seen = STATUS, .status_code = 1}, renamed = {.name = {"new", 3}};
        ValidateSummary exception = {.exception_type = {"timeout", 7},
                                     .exception_message = {"3 s", 3}};
        static ChainSpan *span = NULL;

        start_span(&span, NULL, 1, 1, 11);
        ck_assert_int_eq(chains_span_update(chains, span, &error), 0);
        ck_assert_int_eq(chains_span_update(chains, span, &error), 0);
        ck_assert_uint_eq(span->chain->n_errors, 1);
        ck_assert_str_eq(span->status_message, "no");
        ck_assert_int_eq(chains_span_update(chains, span, &renamed), 0);
        ck_assert_int_eq(chains_span_update(chains, span, &exception), 0);
        ck_assert_str_eq(span->name, "new");
        ck_assert_str_eq(span->exception, "timeout: 3 s");
        ck_assert_uint_eq(span->status_code, 2);
        ck_assert_int_eq(chains_span_update(chains, span, &ok), 0);
        ck_assert_uint_eq(span->chain->n_errors, 0);
        ck_assert_ptr_null(span->status_message);
        ck_assert_int_eq(chains_span_update(chains, span, &error), 0);
        ck_assert_uint_eq(span->status_code, 1);
        ck_assert_int_eq(chains_span_update(chains, NULL, &error), 0);
}
END_TEST

START_TEST(texts_are_cut_between_characters) {
        char name[400];
        ValidateSummary summary = {.name = {name, sizeof name}};
        static ChainSpan *span = NULL;

        for (size_t i = 0; i + 1 < sizeof name; i += 3)
                memcpy(name + i, "\xe2\x82\xac", 3);
        start_span(&span, NULL, 1, 1, 11);
        ck_assert_int_eq(chains_span_update(chains, span, &summary), 0);
        ck_assert_uint_eq(strlen(span->name), CHAINS_TEXT_MAX / 3 * 3);
}
END_TEST

START_TEST(a_context_without_a_fitting_id_is_left_out) {
        char longest[CHAINS_TEXT_MAX + 2] = "";
        static ChainContext *context = NULL;

        memset(longest, 'x', CHAINS_TEXT_MAX + 1);
        ck_assert_int_eq(try_start(&context, "root", NULL, NULL, 10), CHAINS_E_NAMELESS);
        ck_assert_int_eq(try_start(&context, "root", "", NULL, 10), CHAINS_E_NAMELESS);
        ck_assert_int_eq(try_start(&context, "root", longest, NULL, 10), CHAINS_E_NAMELESS);
        ck_assert_int_eq(try_start(&context, longest, "root", NULL, 10), CHAINS_E_NAMELESS);
        ck_assert_ptr_null(context);
        ck_assert_uint_eq(usage().n_chains, 0);
        ck_assert_uint_eq(usage().n_left_out, 4);
        start_caused(&context, "root", "root", longest, 10);
        ck_assert_ptr_nonnull(context);
        ck_assert_uint_eq(context->n_causes, 0);
        longest[CHAINS_TEXT_MAX] = '\0';
        start(&context, "root", longest, 10);
        ck_assert_ptr_nonnull(context);
}
END_TEST

START_TEST(causes_in_a_circle_are_harmless) {
        static ChainContext *self = NULL, *a = NULL, *b = NULL, *stranger = NULL;

        start_caused(&self, "root", "self", "self", 1);
        start_caused(&a, "root", "a", "b", 2);
        start_caused(&b, "root", "b", "a", 3);
        start_caused(&stranger, "other", "c", "a", 4);
        ck_assert_ptr_null(chains_cause(chains, self));
        ck_assert_ptr_eq(chains_cause(chains, a), b);
        ck_assert_ptr_eq(chains_cause(chains, b), a);
        ck_assert_ptr_null(chains_cause(chains, stranger));
}
END_TEST

/* Random trees whose contexts arrive in random order, some twice. */
START_TEST(the_tree_that_comes_back_is_the_tree_that_was_made) {
        enum { N = 300, ROUNDS = 20 };
        unsigned state = 1 + (unsigned)_i;
        unsigned parent[N], order[N];
        static ChainContext *handles[ROUNDS][N];
        char id[32], cause[32], root[32];

        for (unsigned round = 0; round < ROUNDS; round++) {
                for (unsigned i = 0; i < N; i++) {
                        state = state * 1664525 + 1013904223;
                        parent[i] = i ? (state >> 8) % i : 0;
                        order[i] = i;
                }
                for (unsigned i = N - 1; i; i--) {
                        unsigned k = ((state = state * 1664525 + 1013904223) >> 8) % (i + 1);
                        unsigned swap = order[i];

                        order[i] = order[k];
                        order[k] = swap;
                }
                snprintf(root, sizeof root, "%u/0", round);
                for (unsigned i = 0; i < N + N / 10; i++) {
                        unsigned n = order[i % N];

                        snprintf(id, sizeof id, "%u/%u", round, n);
                        snprintf(cause, sizeof cause, "%u/%u", round, parent[n]);
                        start_caused(&handles[round][n], root, id, n ? cause : NULL, n + 1);
                }
                ck_assert_uint_eq(handles[round][0]->chain->n_contexts, N);
                for (unsigned i = 0; i < N; i++)
                        ck_assert_ptr_eq(chains_cause(chains, handles[round][i]),
                                         i ? handles[round][parent[i]] : NULL);
        }
        ck_assert_uint_eq(usage().n_chains, ROUNDS);
}
END_TEST

START_TEST(what_finished_first_leaves_first_then_the_oldest) {
        enum { N = 16 };
        static ChainContext *handles[N] = {0};
        char id[32];
        unsigned n_left = 0, i = 0;

        close_chains();
        ck_assert_int_eq(chains_new(&chains, 64 * 1024, 7), 0);
        for (i = 0; i < N; i++) {
                snprintf(id, sizeof id, "chain %u", i);
                start(&handles[i], id, id, i + 1);
        }
        chains_context_end(chains, &handles[5], 50);
        chains_context_end(chains, &handles[2], 60);
        ck_assert_uint_eq(usage().n_evicted, 0);
        while (usage().n_evicted < 4) {
                static ChainContext *more[2000];
                const char *leaves[] = {"chain 5", "chain 2", "chain 0", "chain 1"};

                snprintf(id, sizeof id, "chain %u", i);
                ck_assert_uint_lt(i, 2000);
                start(&more[i], id, id, i + 1);
                i++;
                ck_assert_uint_le(usage().n_bytes, 64 * 1024);
                for (; n_left < usage().n_evicted; n_left++)
                        ck_assert_ptr_null(chains_find(chains, leaves[n_left]));
                for (unsigned k = n_left; k < 4; k++)
                        ck_assert_ptr_nonnull(chains_find(chains, leaves[k]));
        }
        ck_assert_ptr_null(handles[0]);
        ck_assert_ptr_null(handles[1]);
        ck_assert_ptr_nonnull(handles[3]);
        close_chains();
        ck_assert_ptr_null(handles[3]);
        open_chains();
}
END_TEST

START_TEST(one_chain_alone_stays_within_half_of_the_cap) {
        enum { N = 1000000 };
        static ChainContext *context, *other = NULL;
        Chain *chain;
        char id[32];

        start(&other, "small", "small", 1);
        for (unsigned i = 0; i < N; i++) {
                snprintf(id, sizeof id, "%u", i);
                context = NULL;
                start(&context, "big", id, i + 1);
                chains_context_end(chains, &context, i + 2);
        }
        chain = chains_find(chains, "big");
        ck_assert_uint_le(chain->n_bytes, CHAINS_MAX_BYTES / 2);
        ck_assert_uint_le(usage().n_bytes, CHAINS_MAX_BYTES);
        ck_assert_uint_eq(chain->n_contexts + chain->n_left_out, N);
        ck_assert_uint_gt(chain->n_contexts, 5000);
        ck_assert_ptr_nonnull(other);
        ck_assert_uint_eq(usage().n_evicted, 0);
}
END_TEST

/* Random steps on few chains under a small cap: never over it, no handle left to what is gone. */
START_TEST(stays_within_its_cap_whatever_comes) {
        enum { MAX = 128 * 1024, CONTEXTS = 64, SPANS = 256, ROUNDS = 50000 };
        static ChainContext *contexts[CONTEXTS];
        static ChainSpan *spans[SPANS];
        ValidateSummary renamed = {.name = {"another name of some length", 27}};
        unsigned state = 1;
        char chain[32], id[32];

        close_chains();
        ck_assert_int_eq(chains_new(&chains, MAX, 7), 0);
        for (unsigned i = 0; i < ROUNDS; i++) {
                unsigned at = (state = state * 1664525 + 1013904223) >> 8;
                ChainContext **context = &contexts[at % CONTEXTS];
                ChainSpan **span = &spans[at % SPANS];

                switch ((at >> 8) % 8) {
                case 0:
                        snprintf(chain, sizeof chain, "chain %u", (at >> 12) % 100);
                        snprintf(id, sizeof id, "context %u", (at >> 4) % 1000);
                        start_caused(context, chain, id, "context 1", i + 1);
                        break;
                case 1:
                        chains_context_end(chains, context, i + 1);
                        break;
                case 2:
                case 3:
                        chains_forget(NULL, span);
                        start_span(span, *context, (uint8_t)at, i, i + 1);
                        break;
                case 4:
                        ck_assert_int_eq(chains_span_update(chains, *span, &renamed), 0);
                        break;
                case 5:
                        chains_span_end(chains, span, i + 1, NULL);
                        break;
                case 6:
                        ck_assert_int_eq(chains_context_checkpoint(chains, *context, "here", 4, i),
                                         0);
                        break;
                default:
                        if (at & 0x1000)
                                chains_forget(context, span);
                }
                ck_assert_uint_le(usage().n_bytes, MAX);
        }
        ck_assert_uint_gt(usage().n_evicted, 0);
        close_chains();
        for (unsigned i = 0; i < CONTEXTS; i++)
                ck_assert_ptr_null(contexts[i]);
        for (unsigned i = 0; i < SPANS; i++)
                ck_assert_ptr_null(spans[i]);
        open_chains();
}
END_TEST

START_TEST(without_chains_nothing_is_kept) {
        static ChainContext *context = NULL;
        static ChainSpan *span = NULL;

        close_chains();
        start(&context, "root", "root", 1);
        start_span(&span, context, 1, 1, 1);
        ck_assert_ptr_null(context);
        ck_assert_ptr_null(span);
        chains_span_end(chains, &span, 2, NULL);
        chains_context_end(chains, &context, 2);
        chains_forget(&context, &span);
}
END_TEST

START_TEST(a_cap_too_small_for_anything_keeps_nothing) {
        static ChainContext *context = NULL;
        static ChainSpan *span = NULL;

        close_chains();
        ck_assert_int_eq(chains_new(&chains, 1000, 7), 0);
        start(&context, "root", "root", 1);
        start_span(&span, context, 1, 1, 1);
        ck_assert_ptr_null(context);
        ck_assert_ptr_null(span);
        ck_assert_ptr_null(chains_newest(chains));
        ck_assert_uint_eq(usage().n_left_out, 2);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("chains");
        TCase *tcase = tcase_create("chains");

        tcase_add_checked_fixture(tcase, open_chains, close_chains);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, a_chain_is_found_by_any_id_in_it);
        tcase_add_test(tcase, ends_close_and_keep_what_they_end);
        tcase_add_test(tcase, a_span_without_a_context_goes_to_its_traces_chain);
        tcase_add_test(tcase, a_context_announced_again_is_not_doubled);
        tcase_add_test(tcase, checkpoints_said_again_are_not_doubled);
        tcase_add_test(tcase, sessions_may_share_a_context);
        tcase_add_test(tcase, a_handle_used_again_for_another_context_lets_the_first_go);
        tcase_add_test(tcase, what_is_forgotten_is_open_no_more);
        tcase_add_test(tcase, status_follows_otlp);
        tcase_add_test(tcase, texts_are_cut_between_characters);
        tcase_add_test(tcase, a_context_without_a_fitting_id_is_left_out);
        tcase_add_test(tcase, causes_in_a_circle_are_harmless);
        tcase_add_loop_test(tcase, the_tree_that_comes_back_is_the_tree_that_was_made, 0, 3);
        tcase_add_test(tcase, what_finished_first_leaves_first_then_the_oldest);
        tcase_add_test(tcase, one_chain_alone_stays_within_half_of_the_cap);
        tcase_add_test(tcase, stays_within_its_cap_whatever_comes);
        tcase_add_test(tcase, without_chains_nothing_is_kept);
        tcase_add_test(tcase, a_cap_too_small_for_anything_keeps_nothing);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

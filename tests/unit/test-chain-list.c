/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/chain-list.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

enum { NOW = 100000 };

static Chains *chains;
static ChainContext *contexts[4]; /* of the chains a, b, c, d: one each */
static ChainSpan *spans[5];       /* one each, and one without a context */

static void add(size_t i, const char *id, const char *workflow, const char *session,
                uint64_t start_unix_ns) {
        static const uint8_t trace_id[ID_TRACE_SIZE] = {0xee};
        uint8_t span_id[ID_SPAN_SIZE] = {(uint8_t)(i + 1)};
        ChainsContextStart start = {
                .context_id = id,
                .correlation_id = id,
                .workflow_id = workflow,
                .session_id = session,
                .service = "shop",
                .start_unix_ns = start_unix_ns,
        };
        ValidateSummary summary = {
                .trace_id = trace_id,
                .span_id = span_id,
                .name = {"pay", 3},
                .start_unix_ns = start_unix_ns,
                .seen = i == 1 ? 1 << 15 : 0,
                .status_code = i == 1 ? 2 : 0,
        };

        if (id)
                ck_assert_int_eq(chains_context_start(chains, &contexts[i], &start), 0);
        ck_assert_int_eq(chains_span_start(chains, &spans[i], id ? contexts[i] : NULL, &summary,
                                           id ? "shop" : "bank", 7),
                         0);
}

static void end(size_t i, uint64_t end_unix_ns) {
        chains_span_end(chains, &spans[i], end_unix_ns, NULL);
        if (i < 4)
                chains_context_end(chains, &contexts[i], end_unix_ns);
}

/* a took 500, b 9000 and failed, c runs, d took 10; the trace's own 20. */
static void make_chains(void) {
        memset(contexts, 0, sizeof contexts);
        memset(spans, 0, sizeof spans);
        ck_assert_int_eq(chains_new(&chains, CHAINS_MAX_BYTES, 1), 0);
        add(0, "a", "order", "s1", 1000);
        add(1, "b", "order", "s2", 2000);
        add(2, "c", "report", NULL, 99000);
        add(3, "d", NULL, NULL, 99500);
        add(4, NULL, NULL, NULL, 99600);
        end(0, 1500);
        end(1, 11000);
        end(3, 99510);
        end(4, 99620);
}

static void free_chains(void) {
        chains = chains_free(chains);
}

/* The first letters of the chains' ids; that of the trace's own is e. */
static void lists(const char *expected, Query query) {
        Buffer out = BUFFER_NULL;
        char ids[8] = "";
        const char *at;

        query.limit = query.limit ? query.limit : 10;
        ck_assert_int_eq(chain_list(&out, chains, &query, NOW), 0);
        ck_assert_int_eq(buffer_append(&out, "", 1), 0);
        for (at = (char *)out.data; (at = strstr(at, "\"id\":\"")); at++)
                strncat(ids, at + 6, 1);
        buffer_deinit(&out);
        ck_assert_str_eq(ids, expected);
}

START_TEST(the_newest_come_first) {
        lists("edcba", (Query){0});
        lists("ed", (Query){.limit = 2});
}
END_TEST

START_TEST(the_slowest_come_first_if_asked) {
        lists("bcaed", (Query){.slow = true});
        lists("bc", (Query){.slow = true, .limit = 2});
}
END_TEST

START_TEST(failed_running_long_and_recent_ones) {
        lists("b", (Query){.errors = true});
        lists("c", (Query){.running = true});
        lists("cba", (Query){.min_ns = 500});
        lists("cb", (Query){.min_ns = 501});
        lists("", (Query){.errors = true, .running = true});
        lists("ec", (Query){.since_ns = 400});
        lists("c", (Query){.since_ns = 10, .running = true});
}
END_TEST

START_TEST(by_workflow_session_and_service) {
        lists("ba", (Query){.workflow = "order"});
        lists("b", (Query){.workflow = "order", .session = "s2"});
        lists("", (Query){.workflow = "report", .session = "s2"});
        lists("dcba", (Query){.service = "shop"});
        lists("e", (Query){.service = "bank"});
        lists("", (Query){.service = "bank", .workflow = "order"});
        lists("", (Query){.service = "nobody"});
}
END_TEST

static void ended(const char *expected, Query query) {
        Buffer out = BUFFER_NULL;
        char ids[8] = "";
        const char *at;

        ck_assert_int_eq(chain_list_ended(&out, chains, &query, NOW), 0);
        ck_assert_int_eq(buffer_append(&out, "", 1), 0);
        for (at = (char *)out.data; (at = strstr(at, "{\"v\":1,\"traceId\":")); at++)
                strncat(ids, strstr(at, "\"spanId\":\"0") + 11, 1);
        buffer_deinit(&out);
        ck_assert_str_eq(ids, expected);
}

START_TEST(ended_spans_in_their_order) {
        ended("1245", (Query){0});
        ended("45", (Query){.since_ns = 500});
        ended("5", (Query){.since_ns = 385});
        ended("2", (Query){.errors = true});
        ended("5", (Query){.service = "bank"});
        ended("124", (Query){.service = "shop", .name = "pay"});
        ended("12", (Query){.min_ns = 500});
        ended("", (Query){.name = "none"});
}
END_TEST

int main(void) {
        Suite *suite = suite_create("chain-list");
        TCase *tcase = tcase_create("chain-list");

        tcase_add_checked_fixture(tcase, make_chains, free_chains);
        tcase_add_test(tcase, the_newest_come_first);
        tcase_add_test(tcase, the_slowest_come_first_if_asked);
        tcase_add_test(tcase, failed_running_long_and_recent_ones);
        tcase_add_test(tcase, by_workflow_session_and_service);
        tcase_add_test(tcase, ended_spans_in_their_order);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

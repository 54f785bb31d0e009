/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/chain-view.h"
#include "tests/unit/unit.h"

#include <string.h>

static Chains *chains;
static ChainContext *root, *part;
static ChainSpan *span;
static Buffer out;

static void make_chain(void) {
        static const uint8_t trace_id[ID_TRACE_SIZE] = {0xaa}, span_id[ID_SPAN_SIZE] = {0xbb};
        static const uint8_t parent_id[ID_SPAN_SIZE] = {0xcc};
        const char *causes[] = {"root", "other"};
        ChainsContextStart start = {
                .context_id = "root",
                .correlation_id = "root",
                .workflow_id = "order-4711",
                .session_id = "session-9",
                .service = "shop",
                .pid = 42,
                .start_unix_ns = 1000,
        };
        ValidateSummary summary = {
                .trace_id = trace_id,
                .span_id = span_id,
                .parent_span_id = parent_id,
                .name = {"pay", 3},
                .start_unix_ns = 2000,
                .kind = 3,
                .seen = 1 << 15,
                .status_code = 2,
                .status_message = {"no", 2},
        };

        root = part = NULL;
        span = NULL;
        ck_assert_int_eq(chains_new(&chains, CHAINS_MAX_BYTES, 1), 0);
        ck_assert_int_eq(chains_context_start(chains, &root, &start), 0);
        ck_assert_int_eq(chains_context_checkpoint(chains, root, "validated", 9, 1500), 0);
        start = (ChainsContextStart){
                .context_id = "part",
                .correlation_id = "root",
                .causation_ids = causes,
                .n_causes = 2,
                .start_unix_ns = 1200,
        };
        ck_assert_int_eq(chains_context_start(chains, &part, &start), 0);
        ck_assert_int_eq(chains_span_start(chains, &span, part, &summary, "shop", 42), 0);
}

static void free_chain(void) {
        chains = chains_free(chains);
        buffer_deinit(&out);
}

static void shows(const char *expected) {
        ck_assert_int_eq(buffer_append(&out, "", 1), 0);
        ck_assert_str_eq((const char *)out.data, expected);
        out.size = 0;
}

START_TEST(a_line_says_how_it_went) {
        const Chain *chain = root->chain;

        ck_assert_int_eq(chain_view_line(&out, chain), 0);
        shows("{\"v\":1,\"id\":\"root\",\"workflow_id\":\"order-4711\",\"session_id\":\"session-"
              "9\","
              "\"service\":\"shop\",\"start_time_unix_nano\":\"1000\","
              "\"end_time_unix_nano\":\"2000\",\"duration_nano\":\"1000\",\"open\":\"3\","
              "\"errors\":\"1\",\"left_out\":\"0\",\"state\":\"running\",\"contexts\":\"2\","
              "\"spans\":\"1\"}\n");
        chains_span_end(chains, &span, 3000, NULL);
        chains_context_end(chains, &part, 3100);
        chains_context_end(chains, &root, 3200);
        ck_assert_int_eq(chain_view_line(&out, chain), 0);
        ck_assert_int_eq(buffer_append(&out, "", 1), 0);
        ck_assert_ptr_nonnull(strstr((char *)out.data, "\"state\":\"failed\""));
        ck_assert_ptr_nonnull(strstr((char *)out.data, "\"duration_nano\":\"2200\""));
}
END_TEST

START_TEST(the_whole_holds_contexts_and_spans) {
        chains_span_end(chains, &span, 3000, "process exited");
        ck_assert_int_eq(chain_view_whole(&out, root->chain), 0);
        shows("{\"v\":1,\"chain\":{\"id\":\"root\",\"workflow_id\":\"order-4711\","
              "\"session_id\":\"session-9\",\"service\":\"shop\","
              "\"start_time_unix_nano\":\"1000\",\"end_time_unix_nano\":\"3000\","
              "\"duration_nano\":\"2000\",\"open\":\"2\",\"errors\":\"1\",\"left_out\":\"0\","
              "\"state\":\"running\",\"contexts\":["
              "{\"context_id\":\"root\",\"causation_ids\":[],\"workflow_id\":\"order-4711\","
              "\"session_id\":\"session-9\",\"service\":\"shop\",\"pid\":42,"
              "\"start_time_unix_nano\":\"1000\","
              "\"checkpoints\":[{\"name\":\"validated\",\"time_unix_nano\":\"1500\"}]},"
              "{\"context_id\":\"part\",\"causation_ids\":[\"root\",\"other\"],\"pid\":0,"
              "\"start_time_unix_nano\":\"1200\",\"checkpoints\":[]}],"
              "\"spans\":[{\"traceId\":\"aa000000000000000000000000000000\","
              "\"spanId\":\"bb00000000000000\",\"parentSpanId\":\"cc00000000000000\","
              "\"name\":\"pay\",\"kind\":3,\"startTimeUnixNano\":\"2000\","
              "\"endTimeUnixNano\":\"3000\",\"attributes\":[{\"key\":\"catena.end\","
              "\"value\":{\"stringValue\":\"process exited\"}}],"
              "\"status\":{\"message\":\"no\",\"code\":2},\"contextId\":\"part\","
              "\"service\":\"shop\",\"pid\":42}]}}\n");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("chain-view");
        TCase *tcase = tcase_create("chain-view");

        tcase_add_checked_fixture(tcase, make_chain, free_chain);
        tcase_add_test(tcase, a_line_says_how_it_went);
        tcase_add_test(tcase, the_whole_holds_contexts_and_spans);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

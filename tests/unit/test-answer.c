/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/answer.h"
#include "tests/unit/unit.h"

#include <string.h>

static int chain_of(AnswerChain **answerp, const char *json) {
        return answer_chain_new(answerp, json, strlen(json));
}

START_TEST(reads_a_chain) {
        static const char json[] =
                "{\"v\":1,\"chain\":{\"id\":\"c-1\",\"new_field\":[1],"
                "\"contexts\":[{\"context_id\":\"c-1\",\"causation_ids\":[\"a\",\"b\"],"
                "\"workflow_id\":\"w\",\"service\":\"shop\",\"pid\":42,"
                "\"start_time_unix_nano\":\"18446744073709551615\",\"end_time_unix_nano\":\"0\","
                "\"checkpoints\":[{\"name\":\"ready\",\"time_unix_nano\":\"5\"}]}],"
                "\"spans\":[{\"traceId\":\"t\",\"spanId\":\"s\",\"parentSpanId\":\"p\","
                "\"name\":\"pay\",\"contextId\":\"c-1\",\"startTimeUnixNano\":\"10\","
                "\"endTimeUnixNano\":\"20\",\"status\":{\"code\":2,\"message\":\"timeout\"}},"
                "{\"spanId\":\"s2\",\"startTimeUnixNano\":\"11\",\"status\":{\"code\":2},"
                "\"attributes\":[{\"key\":\"n\",\"value\":{\"intValue\":\"1\"}},{\"key\":"
                "\"catena.end\",\"value\":{\"stringValue\":\"process exited\"}}]}]}}";
        const TreeChain *chain;
        AnswerChain *answer;

        ck_assert_int_eq(chain_of(&answer, json), 0);
        chain = answer_chain_tree(answer);
        ck_assert_str_eq(chain->id, "c-1");
        ck_assert_uint_eq(chain->n_contexts, 1);
        ck_assert_str_eq(chain->contexts[0].causes[1], "b");
        ck_assert_str_eq(chain->contexts[0].workflow_id, "w");
        ck_assert_uint_eq(chain->contexts[0].pid, 42);
        ck_assert_uint_eq(chain->contexts[0].start_unix_ns, UINT64_MAX);
        ck_assert_str_eq(chain->contexts[0].checkpoints[0].name, "ready");
        ck_assert_uint_eq(chain->contexts[0].checkpoints[0].time_unix_ns, 5);
        ck_assert_uint_eq(chain->n_spans, 2);
        ck_assert_str_eq(chain->spans[0].parent_id, "p");
        ck_assert_uint_eq(chain->spans[0].end_unix_ns, 20);
        ck_assert(chain->spans[0].is_error);
        ck_assert_str_eq(chain->spans[0].message, "timeout");
        ck_assert_str_eq(chain->spans[1].message, "process exited");
        ck_assert_uint_eq(answer_chain_open(answer), 2);
        answer_chain_free(answer);
}
END_TEST

START_TEST(odd_answers_are_refused_or_read_as_unset) {
        static const char *const odd[] = {
                "{}",
                "{\"chain\":7}",
                "{\"chain\":{\"contexts\":{},\"spans\":\"x\"}}",
                "{\"chain\":{\"contexts\":[1,null,[]],\"spans\":[{\"status\":3,\"attributes\":"
                "[{},{\"key\":\"catena.end\",\"value\":4}]},\"x\"]}}",
                "{\"chain\":{\"contexts\":[{\"causation_ids\":[1,{}],\"checkpoints\":[0],"
                "\"pid\":-4,\"start_time_unix_nano\":\"x\"}]}}",
        };
        AnswerChain *answer = NULL;
        char *text;
        size_t size;

        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
                FILE *out = open_memstream(&text, &size);

                ck_assert_int_eq(chain_of(&answer, odd[i]), 0);
                ck_assert_int_eq(tree_draw(out, answer_chain_tree(answer), &(TreeStyle){80, 0}), 0);
                fclose(out);
                free(text);
                answer_chain_free(answer);
        }
        answer = NULL;
        ck_assert_int_eq(chain_of(&answer, ""), ANSWER_E_MALFORMED);
        ck_assert_int_eq(chain_of(&answer, "[]"), ANSWER_E_MALFORMED);
        ck_assert_int_eq(chain_of(&answer, "{\"v\":1"), ANSWER_E_MALFORMED);
        ck_assert_ptr_null(answer);
}
END_TEST

START_TEST(the_message_of_an_error_is_the_best_there_is) {
        static const char json[] =
                "{\"chain\":{\"left_out\":\"3\",\"spans\":["
                "{\"status\":{\"message\":\"timeout\"},\"exception\":\"e\",\"pid\":7},"
                "{\"status\":{\"message\":\"\"},\"exception\":\"e\",\"service\":\"shop\"},"
                "{\"status\":{}}]}}";
        const TreeChain *chain;
        AnswerChain *answer;

        ck_assert_int_eq(chain_of(&answer, json), 0);
        chain = answer_chain_tree(answer);
        ck_assert_uint_eq(chain->n_left_out, 3);
        ck_assert_str_eq(chain->spans[0].message, "timeout");
        ck_assert_uint_eq(chain->spans[0].pid, 7);
        ck_assert_str_eq(chain->spans[1].message, "e");
        ck_assert_str_eq(chain->spans[1].service, "shop");
        ck_assert_ptr_null(chain->spans[2].message);
        answer_chain_free(answer);
}
END_TEST

START_TEST(reads_a_list_of_chains) {
        static const char json[] =
                "{\"v\":1,\"id\":\"a\",\"workflow_id\":\"w\",\"service\":\"shop\","
                "\"start_time_unix_nano\":\"7\",\"duration_nano\":\"5\",\"open\":\"1\","
                "\"errors\":\"2\",\"state\":\"running\",\"contexts\":\"3\",\"spans\":\"4\"}\n"
                "{\"v\":1,\"id\":\"b\"}\n";
        AnswerList *list;
        AnswerLine line;

        ck_assert_int_eq(answer_list_new(&list, json, strlen(json)), 0);
        ck_assert_uint_eq(answer_list_size(list), 2);
        answer_list_line(list, 0, &line);
        ck_assert_str_eq(line.id, "a");
        ck_assert_str_eq(line.state, "running");
        ck_assert_uint_eq(line.duration_ns, 5);
        ck_assert_uint_eq(line.n_contexts, 3);
        ck_assert_uint_eq(line.n_spans, 4);
        ck_assert_uint_eq(line.n_errors, 2);
        answer_list_line(list, 1, &line);
        ck_assert_str_eq(line.id, "b");
        ck_assert_ptr_null(line.workflow_id);
        answer_list_free(list);
        ck_assert_int_eq(answer_list_new(&list, "", 0), 0);
        ck_assert_uint_eq(answer_list_size(list), 0);
        answer_list_free(list);
        ck_assert_int_eq(answer_list_new(&list, "{}\n{", 4), ANSWER_E_MALFORMED);
}
END_TEST

START_TEST(reads_a_list_of_spans) {
        static const char json[] =
                "{\"v\":1,\"spanId\":\"b7ad6b7169203331\",\"name\":\"pay\",\"pid\":7,"
                "\"startTimeUnixNano\":\"5\",\"endTimeUnixNano\":\"9\",\"service\":\"shop\","
                "\"status\":{\"code\":2,\"message\":\"no\"}}\n{}\n"
                "{\"events\":[{\"name\":\"exception\",\"attributes\":[{\"key\":"
                "\"exception.type\",\"value\":{\"stringValue\":\"timeout\"}}]},{}]}\n";
        AnswerList *list;
        TreeSpan span;

        ck_assert_int_eq(answer_list_new(&list, json, strlen(json)), 0);
        ck_assert_uint_eq(answer_list_size(list), 3);
        answer_list_span(list, 2, &span);
        ck_assert_str_eq(span.message, "timeout");
        answer_list_span(list, 0, &span);
        ck_assert_str_eq(span.id, "b7ad6b7169203331");
        ck_assert_str_eq(span.name, "pay");
        ck_assert_str_eq(span.service, "shop");
        ck_assert_str_eq(span.message, "no");
        ck_assert(span.is_error);
        ck_assert_uint_eq(span.end_unix_ns, 9);
        answer_list_span(list, 1, &span);
        ck_assert_ptr_null(span.name);
        ck_assert(!span.is_error);
        answer_list_free(list);
}
END_TEST

START_TEST(reads_a_status) {
        static const char json[] =
                "{\"v\":1,\"version\":\"0.1.0\",\"pid\":9,\"uptime_nano\":\"5\","
                "\"conservation\":{\"holds\":false,\"traces\":{\"accepted\":\"10\",\"damaged\":"
                "\"1\","
                "\"open\":\"2\",\"undecided\":\"7\",\"unsealed\":\"3\",\"sealed\":\"4\","
                "\"finished\":\"5\",\"unsampled\":\"8\","
                "\"no_exporter\":\"6\",\"exporters\":[{\"name\":\"default\",\"delivered\":\"20\","
                "\"in_memory\":\"2\",\"dropped\":{\"refused\":\"3\",\"expired\":\"0\"}},"
                "{\"name\":\"gone\",\"delivered\":\"9\"}]},"
                "\"logs\":{\"exporters\":[{\"name\":\"default\",\"delivered\":\"1\","
                "\"dropped\":{\"refused\":\"1\",\"too_large\":\"2\"}}]}},"
                "\"journal\":{\"max_bytes\":\"100\",\"used_bytes\":\"40\","
                "\"recovered\":{\"lost_bytes\":\"8\"}},"
                "\"counters\":{\"lost_starts\":\"2\",\"lost_logs\":\"1\"},"
                "\"refused\":{\"malformed\":\"4\",\"full\":\"0\"},"
                "\"clients\":[{\"service\":\"shop\",\"pid\":4,\"uid\":1000,\"state\":\"alive\","
                "\"accepted\":\"7\",\"open\":\"2\"}],"
                "\"exporters\":[{\"name\":\"default\",\"endpoint\":\"http://x\",\"state\":\"idle\","
                "\"misconfigured\":true,\"last_error\":\"404\"}],\"chains\":{\"chains\":\"3\"},"
                "\"tail\":{\"readers\":1,\"spans\":\"5\",\"refused\":\"0\",\"cut_off\":\"4\"}}";
        AnswerStatus status;

        ck_assert_int_eq(answer_status_init(&status, json, strlen(json)), 0);
        ck_assert_str_eq(status.version, "0.1.0");
        ck_assert_uint_eq(status.pid, 9);
        ck_assert(!status.holds);
        ck_assert_uint_eq(status.spans.n_accepted, 10);
        ck_assert_uint_eq(status.spans.n_in_memory, 14);
        ck_assert_uint_eq(status.spans.n_unsampled, 8);
        ck_assert_uint_eq(status.spans.n_without_exporter, 6);
        ck_assert_uint_eq(status.n_lost, 3);
        ck_assert_uint_eq(status.refused.n_counts, 1);
        ck_assert_uint_eq(status.refused.sum, 4);
        ck_assert_uint_eq(status.journal_lost_bytes, 8);
        ck_assert_uint_eq(status.n_chains, 3);
        ck_assert_uint_eq(status.n_tail_readers, 1);
        ck_assert_uint_eq(status.n_tail_cut_off, 4);
        ck_assert_uint_eq(status.n_exporters, 1);
        ck_assert(status.exporters[0].is_misconfigured);
        ck_assert_uint_eq(status.exporters[0].n_delivered, 21);
        ck_assert_uint_eq(status.exporters[0].n_in_memory, 2);
        ck_assert_uint_eq(status.exporters[0].dropped.n_counts, 2);
        ck_assert_uint_eq(status.exporters[0].dropped.counts[0].n, 4);
        ck_assert_uint_eq(status.exporters[0].dropped.sum, 6);
        ck_assert_uint_eq(status.n_clients, 1);
        ck_assert_uint_eq(status.clients[0].n_accepted, 7);
        answer_status_deinit(&status);
        ck_assert_int_eq(answer_status_init(&status, "{}", 2), 0);
        ck_assert(status.holds);
        answer_status_deinit(&status);
        ck_assert_int_eq(answer_status_init(&status, "7", 1), ANSWER_E_MALFORMED);
}
END_TEST

START_TEST(reads_a_flush) {
        static const char yes[] = "{\"v\":1,\"level\":\"delivered\",\"reached\":true}";
        static const char no[] = "{\"v\":1,\"level\":\"journaled\",\"reached\":false}";
        bool reached = false;

        ck_assert_int_eq(answer_read_flush(&reached, yes, strlen(yes)), 0);
        ck_assert(reached);
        ck_assert_int_eq(answer_read_flush(&reached, no, strlen(no)), 0);
        ck_assert(!reached);
        ck_assert_int_eq(answer_read_flush(&reached, "no", 2), ANSWER_E_MALFORMED);
}
END_TEST

START_TEST(reads_an_error) {
        static const char json[] = "{\"v\":1,\"error\":\"no such chain\"}";
        char text[ANSWER_TEXT_MAX];

        answer_read_error(text, json, strlen(json));
        ck_assert_str_eq(text, "no such chain");
        answer_read_error(text, "<html>", 6);
        ck_assert_str_eq(text, "");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("answer");
        TCase *tcase = tcase_create("answer");

        tcase_add_test(tcase, reads_a_chain);
        tcase_add_test(tcase, odd_answers_are_refused_or_read_as_unset);
        tcase_add_test(tcase, the_message_of_an_error_is_the_best_there_is);
        tcase_add_test(tcase, reads_a_list_of_chains);
        tcase_add_test(tcase, reads_a_list_of_spans);
        tcase_add_test(tcase, reads_a_status);
        tcase_add_test(tcase, reads_a_flush);
        tcase_add_test(tcase, reads_an_error);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

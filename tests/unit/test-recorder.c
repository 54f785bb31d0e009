/* SPDX-License-Identifier: Apache-2.0 */

#include "catena.pb-c.h"
#include "otlp/logs.pb-c.h"
#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static Script script;

static void setup(void) {
        script_init(&script);
        script_open(&script);
}

static void teardown(void) {
        script_assert_conservation(&script);
        script_deinit(&script);
}

static RecorderView view(void) {
        RecorderView out;

        recorder_view(script.recorder, &out);
        return out;
}

START_TEST(joins_fragments_with_the_context) {
        Session *session = script_session(&script, 1, "shop");

        script_context(&script, 5, "ctx-1", "corr-1", "cause-1");
        script_span_start(&script, 5, 77, "pay");
        script_span_attribute(&script, 77, "a", "1");
        script_span_end(&script, 77);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 77),
                         "shop pay status=0 a=1 workflow.id=unknown workflow.session_id=unknown "
                         "workflow.correlation_id=corr-1 workflow.causation_id=cause-1 "
                         "workflow.context_id=ctx-1");
        ck_assert_uint_eq(view().counters.spans_rebuilt, 0);
        ck_assert_uint_eq(view().counters.spans_without_context, 0);
}
END_TEST

START_TEST(a_key_set_twice_is_rebuilt_and_the_last_wins) {
        Session *session = script_session(&script, 1, "shop");

        script_span_start(&script, 0, 1, "twice");
        script_span_attribute(&script, 1, "k", "old");
        script_span_attribute(&script, 1, "other", "x");
        script_span_attribute(&script, 1, "k", "new");
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop twice status=0 k=new other=x");
        ck_assert_uint_eq(view().counters.spans_rebuilt, 1);
}
END_TEST

START_TEST(tags_that_repeat_a_key_or_know_more_are_rebuilt) {
        /* "tag" = "a", then "workflow.id" = "mine" with an unknown field 15. */
        static const char tags[] = "\x4a\x0a\x0a\x03tag\x12\x03\x0a\x01"
                                   "a"
                                   "\x4a\x17\x0a\x0bworkflow.id\x12\x06\x0a\x04mine\x78\x01";
        Session *session = script_session(&script, 1, "shop");

        script_say_raw(&script, RECORD_CONTEXT, RECORD_START, 5, 0, tags, sizeof tags - 1);
        script_span_start(&script, 5, 1, "tagged");
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1),
                         "shop tagged status=0 workflow.id=mine workflow.session_id=unknown tag=a");
        ck_assert_uint_eq(view().counters.unknown_fields, 1);
        ck_assert_uint_eq(view().counters.spans_rebuilt, 1);
}
END_TEST

START_TEST(the_same_id_in_two_sessions_is_two_spans) {
        Session *one = script_session(&script, 1, "one"), *two = script_session(&script, 2, "two");

        script_span_start(&script, 0, 1, "mine");
        ck_assert_int_eq(script_take(&script, one, JOURNAL_PASS_END), 0);
        script_span_attribute(&script, 1, "stolen", "yes");
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, two, JOURNAL_PASS_END), 0);
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, one, JOURNAL_PASS_END), 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "one mine status=0");
        ck_assert_uint_eq(view().counters.orphans, 2);
}
END_TEST

START_TEST(what_a_dead_process_left_open_ends_as_an_error) {
        Session *session = script_session(&script, 1, "shop");

        script_span_start(&script, 0, 1, "open");
        script_span_start(&script, 0, 2, "closed");
        script_span_end(&script, 2);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert_int_eq(
                recorder_session_end(script.recorder, &session, SESSION_EXITED, script.now++), 0);
        ck_assert_ptr_null(session);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1),
                         "shop open status=2 catena.end=process exited [exception]");
        ck_assert_str_eq(script_exported(&script, 2), "shop closed status=0");
        ck_assert_uint_eq(view().counters.spans_exited, 1);
        ck_assert(list_is_empty(view().sessions));
        ck_assert_uint_eq(view().journal.live_bytes, 0);
}
END_TEST

START_TEST(what_is_open_at_bye_is_abandoned) {
        Session *session = script_session(&script, 1, "shop");

        script_span_start(&script, 0, 1, "open");
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert_int_eq(
                recorder_session_end(script.recorder, &session, SESSION_SAID_BYE, script.now++), 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop open status=0 catena.end=abandoned");
}
END_TEST

START_TEST(a_session_that_lost_ends_blames_nobody) {
        Session *session = script_session(&script, 1, "shop");
        Catena__V1__Lost lost = CATENA__V1__LOST__INIT;

        lost.ends = 3;
        lost.starts = 2;
        script_span_start(&script, 0, 1, "open");
        script_say(&script, RECORD_LOST, 0, 0, 0, &lost);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert_uint_eq(view().counters.lost_ends, 3);
        ck_assert_uint_eq(view().counters.lost_starts, 2);
        ck_assert_int_eq(
                recorder_session_end(script.recorder, &session, SESSION_EXITED, script.now++), 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop open status=0 catena.end=end lost");
}
END_TEST

START_TEST(refused_records_are_counted_and_harm_no_neighbour) {
        Session *session = script_session(&script, 1, "shop");
        uint64_t id = 3;

        script_span_start(&script, 0, 1, "before");
        script_say_raw(&script, RECORD_SPAN, RECORD_START, 0, id, "\x0b", 1);
        script_say_raw(&script, RECORD_LOG, 0, 0, 0, "\xff\xff", 2);
        script_span_start(&script, 0, 1, "the same id");
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert_uint_eq(view().counters.refused_malformed, 2);
        ck_assert_uint_eq(view().counters.refused_duplicate, 1);
        ck_assert_uint_eq(view().counters.refused_spans, 2);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop before status=0");
}
END_TEST

START_TEST(logs_are_batched_beside_spans) {
        Session *session = script_session(&script, 1, "shop");
        Opentelemetry__Proto__Logs__V1__LogRecord log =
                OPENTELEMETRY__PROTO__LOGS__V1__LOG_RECORD__INIT;

        log.time_unix_nano = 7;
        log.severity_text = (char *)"INFO";
        for (unsigned i = 0; i < 3; i++)
                script_say(&script, RECORD_LOG, 0, 0, 0, &log);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        script_deliver(&script);
        ck_assert_uint_eq(script.n_logs, 3);
        ck_assert_uint_eq(view().counters.logs_finished, 3);
}
END_TEST

START_TEST(without_exporters_spans_are_dropped_and_counted) {
        Session *session;

        script_crash(&script);
        script.n_exporters = 0;
        script_open(&script);
        session = script_session(&script, 1, "shop");
        script_span_start(&script, 0, 1, "lonely");
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        script_deliver(&script);
        ck_assert_uint_eq(view().counters.spans_without_exporter, 1);
        ck_assert_uint_eq(view().counters.spans_finished, 1);
}
END_TEST

START_TEST(an_exporter_that_is_gone_owes_nothing) {
        Session *session = script_session(&script, 1, "shop");

        script_span_start(&script, 0, 1, "waits");
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert_int_eq(recorder_seal(script.recorder, script.now, true), 0);
        ck_assert_uint_eq(view().n_sealed[BATCH_TRACES], 1);
        script_crash(&script);
        script.exporters[0] = "another";
        script_open(&script);
        ck_assert_uint_eq(view().n_sealed[BATCH_TRACES], 0);
        ck_assert_uint_eq(view().exporters[0].of[BATCH_TRACES].n_dropped[BATCH_DROP_EXPORTER_GONE],
                          1);
}
END_TEST

START_TEST(exporters_that_are_gone_make_place_for_others) {
        char names[2 * BATCH_EXPORTERS_MAX][8];

        for (unsigned i = 0; i < 2 * BATCH_EXPORTERS_MAX; i++)
                snprintf(names[i], sizeof names[i], "e%u", i);
        for (unsigned i = 0; i < 2 * BATCH_EXPORTERS_MAX; i++) {
                Session *session = script_session(&script, i + 1, "shop");

                script_span_start(&script, 0, 1, "waits");
                script_span_end(&script, 1);
                ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
                ck_assert_int_eq(recorder_seal(script.recorder, script.now++, true), 0);
                script_crash(&script);
                script.exporters[0] = names[i];
                script_open(&script);
                ck_assert_uint_eq(view().n_sealed[BATCH_TRACES], 0);
        }
        ck_assert_uint_eq(view().n_exporters, BATCH_EXPORTERS_MAX);
}
END_TEST

START_TEST(every_exporter_answers_for_itself) {
        Session *session;

        script_crash(&script);
        script.exporters[1] = "second";
        script.n_exporters = 2;
        script_open(&script);
        session = script_session(&script, 1, "shop");
        script_span_start(&script, 0, 1, "twofold");
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        script.n_exporters = 1;
        script_deliver(&script);
        ck_assert_uint_eq(view().counters.spans_finished, 0);
        ck_assert_uint_eq(view().n_sealed[BATCH_TRACES], 1);
        script.exporters[0] = "second";
        script_forget(&script);
        script_deliver(&script);
        ck_assert_uint_eq(view().counters.spans_finished, 1);
}
END_TEST

START_TEST(one_user_may_hold_its_share_and_no_more) {
        Session *greedy, *other;
        char text[1001];

        memset(text, 'x', 1000);
        text[1000] = 0;
        script_crash(&script);
        script.uid_share_bytes = 100 * 1024;
        script_open(&script);
        greedy = script_session(&script, 1, "greedy");
        other = script_session(&script, 2, "other");
        for (uint64_t id = 1; id <= 200; id++)
                script_span_start(&script, 0, id, text);
        ck_assert_int_eq(script_take(&script, greedy, JOURNAL_PASS_END), 0);
        ck_assert_uint_gt(view().counters.refused_share, 100);
        ck_assert_uint_gt(view().counters.spans_accepted, 50);
        script_span_start(&script, 0, 1, "fits");
        ck_assert_int_eq(script_take(&script, other, JOURNAL_PASS_END), 0);
        ck_assert_uint_eq(other->n_accepted, 1);
        /* Ends are never refused. */
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, greedy, JOURNAL_PASS_END), 0);
        ck_assert_uint_eq(view().counters.spans_closed, 1);
}
END_TEST

START_TEST(a_full_journal_refuses_starts_and_takes_ends) {
        Session *session = script_session(&script, 1, "shop");
        char text[10001];
        uint64_t id = 0, n_open;

        memset(text, 'x', 10000);
        text[10000] = 0;
        while (!view().counters.refused_full) {
                for (unsigned i = 0; i < 20; i++)
                        script_span_start(&script, 0, ++id, text);
                ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        }
        n_open = view().n_spans_open;
        ck_assert_uint_ge(view().journal.live_bytes, script.max_bytes / 2 - 200 * 1024);
        for (uint64_t i = 1; i <= n_open; i++)
                script_span_end(&script, i);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert_uint_eq(view().n_spans_open, 0);
        script_deliver(&script);
        ck_assert_uint_eq(script.n_spans, n_open);
        ck_assert_int_eq(recorder_reclaim(script.recorder, script.now), 0);
        ck_assert_uint_lt(view().journal.live_bytes, 10000);
}
END_TEST

START_TEST(an_object_stops_growing_at_its_bound) {
        Session *session = script_session(&script, 1, "shop");
        char key[16], text[30001];

        memset(text, 'x', 30000);
        text[30000] = 0;
        script_span_start(&script, 0, 1, "large");
        for (unsigned i = 0; i < 20; i++) {
                snprintf(key, sizeof key, "k%u", i);
                script_span_attribute(&script, 1, key, text);
        }
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        ck_assert_uint_eq(view().counters.refused_too_large, 12);
        script_deliver(&script);
        ck_assert_ptr_nonnull(script_exported(&script, 1));
}
END_TEST

START_TEST(a_batch_over_the_limit_is_sent_in_requests_that_are_not) {
        Session *session = script_session(&script, 1, "shop");
        char text[60001];

        memset(text, 'x', 60000);
        text[60000] = 0;
        for (uint64_t id = 1; id <= 120; id++) {
                script_span_start(&script, 0, id, text);
                script_span_end(&script, id);
                if (id % 10 == 0)
                        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        }
        script_deliver(&script);
        ck_assert_uint_eq(script.n_spans, 120);
}
END_TEST

START_TEST(a_long_span_outlives_the_segment_it_began_in) {
        Session *session = script_session(&script, 1, "shop");
        char text[20001];
        uint64_t id = 100;

        memset(text, 'x', 20000);
        text[20000] = 0;
        script_context(&script, 3, "ctx", "corr", NULL);
        script_span_start(&script, 3, 1, "long");
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        for (unsigned round = 0; round < 60; round++) {
                char key[16];

                for (unsigned i = 0; i < 40; i++, id++) {
                        script_span_start(&script, 3, id, text);
                        script_span_end(&script, id);
                }
                snprintf(key, sizeof key, "r%u", round);
                script_span_attribute(&script, 1, key, "v");
                ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
                script_deliver(&script);
                ck_assert_int_eq(recorder_reclaim(script.recorder, script.now++), 0);
                ck_assert_uint_le(view().journal.n_segments, 7);
        }
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        script_forget(&script);
        script_deliver(&script);
        ck_assert_ptr_nonnull(strstr(script_exported(&script, 1), " r0=v r1=v"));
        ck_assert_ptr_nonnull(strstr(script_exported(&script, 1), " r59=v workflow.id=unknown"));
}
END_TEST

START_TEST(a_token_finds_its_session_for_its_user_alone) {
        Session *session = script_session(&script, 4, "shop");
        uint8_t token[RECORD_TOKEN_SIZE];

        memcpy(token, session->token, sizeof token);
        ck_assert_ptr_eq(recorder_session_by_token(script.recorder, token, 1), session);
        ck_assert_ptr_null(recorder_session_by_token(script.recorder, token, 2));
        script_crash(&script);
        script_open(&script);
        session = recorder_session_by_token(script.recorder, token, 1);
        ck_assert_ptr_nonnull(session);
        ck_assert_str_eq(session->service, "shop");
        ck_assert_uint_eq(session->credentials.pid, 1004);
}
END_TEST

START_TEST(refuses_a_hello_that_is_none) {
        SessionCredentials credentials = {0};
        uint8_t token[RECORD_TOKEN_SIZE] = {0};
        Session *session = NULL;

        ck_assert_int_eq(recorder_session_begin(script.recorder, &session, &credentials, token,
                                                (const uint8_t *)"\x08\x02", 2, script.now),
                         RECORDER_E_HELLO);
        ck_assert_int_eq(recorder_session_begin(script.recorder, &session, &credentials, token,
                                                (const uint8_t *)"\x0b", 1, script.now),
                         RECORDER_E_HELLO);
        ck_assert_ptr_null(session);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("recorder");
        TCase *tcase = tcase_create("recorder");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, joins_fragments_with_the_context);
        tcase_add_test(tcase, a_key_set_twice_is_rebuilt_and_the_last_wins);
        tcase_add_test(tcase, tags_that_repeat_a_key_or_know_more_are_rebuilt);
        tcase_add_test(tcase, the_same_id_in_two_sessions_is_two_spans);
        tcase_add_test(tcase, what_a_dead_process_left_open_ends_as_an_error);
        tcase_add_test(tcase, what_is_open_at_bye_is_abandoned);
        tcase_add_test(tcase, a_session_that_lost_ends_blames_nobody);
        tcase_add_test(tcase, refused_records_are_counted_and_harm_no_neighbour);
        tcase_add_test(tcase, logs_are_batched_beside_spans);
        tcase_add_test(tcase, without_exporters_spans_are_dropped_and_counted);
        tcase_add_test(tcase, an_exporter_that_is_gone_owes_nothing);
        tcase_add_test(tcase, exporters_that_are_gone_make_place_for_others);
        tcase_add_test(tcase, every_exporter_answers_for_itself);
        tcase_add_test(tcase, one_user_may_hold_its_share_and_no_more);
        tcase_add_test(tcase, a_full_journal_refuses_starts_and_takes_ends);
        tcase_add_test(tcase, an_object_stops_growing_at_its_bound);
        tcase_add_test(tcase, a_batch_over_the_limit_is_sent_in_requests_that_are_not);
        tcase_add_test(tcase, a_long_span_outlives_the_segment_it_began_in);
        tcase_add_test(tcase, a_token_finds_its_session_for_its_user_alone);
        tcase_add_test(tcase, refuses_a_hello_that_is_none);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

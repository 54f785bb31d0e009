/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/tail.h"
#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

#include <string.h>

static Script script;
static Session *session;
static Tail tail;
static TailReader readers[TAIL_READERS_MAX + 1];
static Buffer outs[TAIL_READERS_MAX + 1];

static void set_up(void) {
        memset(readers, 0, sizeof readers);
        memset(outs, 0, sizeof outs);
        script_init(&script);
        script_open(&script);
        session = script_session(&script, 1, "shop");
        script_context(&script, 1, "root", "root", NULL);
        tail_init(&tail, script.recorder);
}

static void tear_down(void) {
        for (size_t i = 0; i <= TAIL_READERS_MAX; i++) {
                tail_leave(&tail, &readers[i]);
                buffer_deinit(&outs[i]);
        }
        ck_assert_uint_eq(tail.counters.n_readers, 0);
        tail_deinit(&tail);
        script_deinit(&script);
}

static void join(size_t i, Query query) {
        ck_assert_int_eq(tail_join(&tail, &readers[i], &query, &outs[i]), 0);
}

static void span(uint64_t id, const char *name, bool ends) {
        script_span_start(&script, 1, id, name);
        script_span_attribute(&script, id, "colour", "red");
        if (ends)
                script_span_end(&script, id);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
}

static const char *said(size_t i) {
        ck_assert_int_eq(buffer_append(&outs[i], "", 1), 0);
        outs[i].size--;
        return (const char *)outs[i].data;
}

static void says(size_t i, const char *text) {
        ck_assert_msg(strstr(said(i), text), "no %s in %s", text, said(i));
}

START_TEST(a_span_is_told_when_it_ends) {
        join(0, (Query){0});
        span(0x11, "pay", false);
        ck_assert_uint_eq(outs[0].size, 0);
        script_span_end(&script, 0x11);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        says(0, "\r\n{\"v\":1,\"traceId\":");
        says(0, "\"spanId\":\"1100000000000000\",\"name\":\"pay\"");
        says(0, "\"endTimeUnixNano\":\"");
        says(0, "{\"key\":\"colour\",\"value\":{\"stringValue\":\"red\"}}");
        says(0, "{\"key\":\"workflow.correlation_id\",\"value\":{\"stringValue\":\"root\"}}");
        says(0, "\"contextId\":\"root\",\"service\":\"shop\",\"pid\":1001}\n\r\n");
        ck_assert_uint_eq(tail.counters.spans, 1);
}
END_TEST

START_TEST(what_the_daemon_ends_is_told_too) {
        join(0, (Query){.errors = true});
        span(0x11, "good", true);
        span(0x22, "cut short", false);
        ck_assert_int_eq(
                recorder_session_end(script.recorder, &session, SESSION_EXITED, script.now++), 0);
        says(0, "\"name\":\"cut short\"");
        says(0, "{\"key\":\"catena.end\",\"value\":{\"stringValue\":\"process exited\"}}");
        says(0, "\"name\":\"exception\"");
        ck_assert_ptr_null(strstr(said(0), "good"));
}
END_TEST

START_TEST(each_reader_gets_what_it_asked_for) {
        join(0, (Query){.name = "pay"});
        join(1, (Query){.service = "shop"});
        join(2, (Query){.service = "bank"});
        join(3, (Query){.min_ns = 1});
        join(4, (Query){.errors = true});
        span(0x11, "pay", true);
        span(0x22, "ship", true);
        says(0, "pay");
        ck_assert_ptr_null(strstr(said(0), "ship"));
        says(1, "pay");
        says(1, "ship");
        ck_assert_str_eq(said(2), "");
        says(3, "ship");
        ck_assert_str_eq(said(4), "");
        tail_leave(&tail, &readers[1]);
        outs[1].size = 0;
        span(0x33, "pay", true);
        ck_assert_uint_eq(outs[1].size, 0);
}
END_TEST

START_TEST(who_lets_too_much_wait_is_cut_off_and_others_are_not) {
        char name[3001];
        size_t sent = 0;

        memset(name, 'n', sizeof name - 1);
        name[sizeof name - 1] = '\0';
        join(0, (Query){0});
        join(1, (Query){0});
        for (uint64_t id = 1; !readers[0].cut_off; id++) {
                span(id, name, true);
                script_deliver(&script);
                ck_assert_uint_le(outs[0].size, TAIL_WAITING_MAX + 64);
                ck_assert_uint_le(id, TAIL_WAITING_MAX / 3000);
                sent += outs[1].size;
                outs[1].size = 0;
        }
        ck_assert(!readers[1].cut_off);
        ck_assert_uint_ge(sent, TAIL_WAITING_MAX);
        ck_assert_uint_eq(tail.counters.cut_off, 1);
        tail_cut_off(&tail, &readers[0]);
        ck_assert_uint_eq(tail.counters.cut_off, 1);
        outs[0].size = 0;
        span(UINT32_MAX, "later", true);
        ck_assert_uint_eq(outs[0].size, 0);
        says(1, "later");
}
END_TEST

START_TEST(there_are_so_many_readers_at_most) {
        Query query = {0};

        for (size_t i = 0; i < TAIL_READERS_MAX; i++)
                join(i, query);
        ck_assert_int_eq(
                tail_join(&tail, &readers[TAIL_READERS_MAX], &query, &outs[TAIL_READERS_MAX]),
                TAIL_E_READERS);
        ck_assert_uint_eq(tail.counters.refused, 1);
        tail_leave(&tail, &readers[0]);
        tail_leave(&tail, &readers[0]);
        ck_assert_uint_eq(tail.counters.n_readers, TAIL_READERS_MAX - 1);
        join(TAIL_READERS_MAX, query);
}
END_TEST

START_TEST(nobody_is_told_when_nobody_listens) {
        join(0, (Query){0});
        tail_leave(&tail, &readers[0]);
        span(0x11, "pay", true);
        ck_assert_uint_eq(outs[0].size, 0);
        ck_assert_uint_eq(tail.counters.spans, 0);
        ck_assert_ptr_null(tail.line.data);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("tail");
        TCase *tcase = tcase_create("tail");

        tcase_add_checked_fixture(tcase, set_up, tear_down);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, a_span_is_told_when_it_ends);
        tcase_add_test(tcase, what_the_daemon_ends_is_told_too);
        tcase_add_test(tcase, each_reader_gets_what_it_asked_for);
        tcase_add_test(tcase, who_lets_too_much_wait_is_cut_off_and_others_are_not);
        tcase_add_test(tcase, there_are_so_many_readers_at_most);
        tcase_add_test(tcase, nobody_is_told_when_nobody_listens);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Spans that outlive the process that started them, and that others of its user change and end. */

#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

#include <string.h>

static const uint64_t HOUR = UINT64_C(3600000000000);

/* Those of one number modulo 3 have one user. */
enum { SHOP = 1, OTHER_USER = 2, SHELL = 4, THIRD = 7 };

static Script script;
static char text[20001];

static void setup(void) {
        memset(text, 'x', sizeof text - 1);
        script_init(&script);
        script_open(&script);
        script.span_flags = RECORD_DETACHED;
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

static void take(Session *session) {
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
}

static void end(Session *session) {
        ck_assert_int_eq(
                recorder_session_end(script.recorder, &session, SESSION_SAID_BYE, script.now++), 0);
}

/* A process that starts a span, and is gone. */
static void start(unsigned number, uint64_t id, const char *name) {
        Session *session = script_session(&script, number, "shop");

        script_span_start(&script, 0, id, name);
        take(session);
        end(session);
}

/* One that says an attribute, and is gone. */
static void set(unsigned number, uint64_t id, const char *key, const char *value) {
        Session *session = script_session(&script, number, "shell");

        script_span_attribute(&script, id, key, value);
        take(session);
        end(session);
}

static void finish(unsigned number, uint64_t id) {
        Session *session = script_session(&script, number, "shell");

        script_span_end(&script, id);
        take(session);
        end(session);
}

static void crash(void) {
        script_crash(&script);
        script_open(&script);
        script_assert_conservation(&script);
}

static void expire(uint64_t hours) {
        script.now += hours * HOUR;
        ck_assert_int_eq(recorder_expire(script.recorder, script.now++), 0);
}

static JournalPosition oldest(void) {
        JournalPosition first = 0, last;
        size_t live_bytes;

        (void)journal_oldest(script.journal, &first, &last, &live_bytes);
        return first;
}

/* The oldest segments are gone, and what was held in them is written anew. */
static void live_on_until_moved(void) {
        Session *session = script_session(&script, THIRD, "busy");
        JournalPosition begun;
        static uint64_t id = 1000000;

        script.span_flags = 0;
        for (unsigned i = 0, n_moved = 0; n_moved < 2; i++) {
                begun = oldest();
                ck_assert_uint_lt(i, 400);
                for (unsigned k = 0; k < 50; k++) {
                        script_span_start(&script, 0, ++id, text);
                        script_span_end(&script, id);
                }
                take(session);
                script_deliver(&script);
                script_forget(&script);
                ck_assert_int_eq(recorder_reclaim(script.recorder, script.now++), 0);
                n_moved += begun && oldest() != begun;
        }
        end(session);
        script.span_flags = RECORD_DETACHED;
}

START_TEST(another_process_of_the_user_changes_and_ends_it) {
        start(SHOP, 1, "backup");
        ck_assert_uint_eq(view().n_spans_open, 1);
        ck_assert_uint_eq(view().n_sessions_alive, 0);
        ck_assert(!list_is_empty(view().sessions)); /* kept as a record */
        set(SHELL, 1, "a", "1");
        set(SHELL, 1, "b", "2");
        script_deliver(&script);
        ck_assert_ptr_null(script_exported(&script, 1));
        finish(SHELL, 1);
        ck_assert_uint_eq(view().n_spans_open, 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop backup status=0 a=1 b=2");
        ck_assert(list_is_empty(view().sessions));
        ck_assert_uint_eq(view().counters.spans_abandoned, 0);
        ck_assert_uint_eq(view().counters.orphans, 0);
}
END_TEST

START_TEST(it_is_in_the_context_it_was_started_in) {
        Session *session = script_session(&script, SHOP, "shop");

        script_context(&script, 5, "ctx-1", "corr-1", "cause-1");
        script_span_start(&script, 5, 1, "backup");
        take(session);
        end(session);
        finish(SHELL, 1);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1),
                         "shop backup status=0 workflow.id=unknown workflow.session_id=unknown "
                         "workflow.correlation_id=corr-1 workflow.causation_id=cause-1 "
                         "workflow.context_id=ctx-1");
        ck_assert_uint_eq(view().n_contexts, 0);
}
END_TEST

START_TEST(another_user_does_not_reach_it) {
        start(SHOP, 1, "backup");
        set(OTHER_USER, 1, "evil", "yes");
        finish(OTHER_USER, 1);
        ck_assert_uint_eq(view().counters.orphans, 2);
        ck_assert_uint_eq(view().n_spans_open, 1);
        start(OTHER_USER, 1, "the same id"); /* is another span */
        crash();
        set(OTHER_USER, 1, "own", "yes");
        finish(SHELL, 1);
        finish(OTHER_USER, 1);
        ck_assert_uint_eq(view().counters.orphans, 2);
        script_deliver(&script);
        ck_assert_uint_eq(script.n_spans, 2);
        ck_assert_str_eq(script.spans[0], "1: shop backup status=0");
        ck_assert_str_eq(script.spans[1], "1: shop the same id status=0 own=yes");
}
END_TEST

START_TEST(one_that_is_not_detached_is_not_reached) {
        Session *session = script_session(&script, SHOP, "shop");

        script.span_flags = 0;
        script_span_start(&script, 0, 1, "own");
        take(session);
        script.span_flags = RECORD_DETACHED;
        finish(SHELL, 1);
        ck_assert_uint_eq(view().counters.orphans, 1);
        end(session);
        ck_assert_uint_eq(view().counters.spans_abandoned, 1);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop own status=0 catena.end=abandoned");
}
END_TEST

/* Whoever has no uid here may be anybody. */
START_TEST(the_overflow_user_has_none) {
        Session *session;

        script.overflows = true;
        session = script_session(&script, SHOP, "shop");
        script_span_start(&script, 0, 1, "shared");
        script_span_end(&script, 1);
        take(session);
        ck_assert_uint_eq(view().counters.refused_unsupported, 2);
        ck_assert_uint_eq(view().counters.refused_spans, 1);
        ck_assert_uint_eq(view().n_spans_open, 0);
        crash();
        ck_assert_uint_eq(view().n_spans_open, 0);
}
END_TEST

START_TEST(what_is_said_before_its_start_or_after_its_end_is_counted) {
        Session *early = script_session(&script, SHELL, "shell");

        script_span_attribute(&script, 1, "early", "yes");
        ck_assert_int_eq(script_take(&script, early, 0), 0);
        start(SHOP, 1, "backup");
        ck_assert_uint_eq(view().counters.orphans, 1);
        script_span_attribute(&script, 1, "right", "yes");
        take(early);
        finish(SHELL, 1);
        set(SHELL, 1, "late", "yes");
        ck_assert_uint_eq(view().counters.late, 1);
        crash();
        ck_assert_uint_eq(view().counters.late, 1);
        start(SHOP, 1, "again"); /* it is still held */
        ck_assert_uint_eq(view().counters.refused_duplicate, 1);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop backup status=0 right=yes");
        finish(SHELL, 1);
        ck_assert_uint_eq(view().counters.orphans, 2);
}
END_TEST

/* The END waits for the pass of the session that said it. */
START_TEST(an_end_waits_for_its_pass) {
        Session *shell;

        start(SHOP, 1, "backup");
        shell = script_session(&script, SHELL, "shell");
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, shell, 0), 0);
        ck_assert_uint_eq(view().n_spans_open, 1);
        ck_assert(recorder_session_unsettled(shell));
        script_span_attribute(&script, 1, "late", "yes");
        ck_assert_int_eq(script_take(&script, shell, JOURNAL_CUT_2 | JOURNAL_PASS_END), 0);
        ck_assert_uint_eq(view().n_spans_open, 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop backup status=0 late=yes");
}
END_TEST

START_TEST(a_session_that_ends_in_its_pass_ends_the_wait) {
        Session *shell;

        start(SHOP, 1, "backup");
        shell = script_session(&script, SHELL, "shell");
        script_span_end(&script, 1);
        ck_assert_int_eq(script_take(&script, shell, 0), 0);
        end(shell);
        ck_assert_uint_eq(view().n_spans_open, 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop backup status=0");
}
END_TEST

START_TEST(a_crash_between_start_and_end_changes_nothing) {
        start(SHOP, 1, "backup");
        crash();
        ck_assert_uint_eq(view().n_spans_open, 1);
        set(SHELL, 1, "a", "1");
        crash();
        finish(SHELL, 1);
        crash();
        ck_assert_uint_eq(view().n_spans_open, 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop backup status=0 a=1");
        ck_assert_uint_eq(view().journal.live_bytes, 0);
}
END_TEST

/* Also where those who spoke of it are forgotten. */
START_TEST(it_is_written_anew_as_a_whole) {
        script_span_start(&script, 0, 1, "backup");
        take(script_session(&script, SHOP, "shop"));
        set(SHELL, 1, "a", "1");
        live_on_until_moved();
        set(SHELL, 1, "b", "2");
        crash();
        ck_assert_uint_eq(view().n_spans_open, 1);
        live_on_until_moved();
        crash();
        finish(SHELL, 1);
        live_on_until_moved();
        crash();
        ck_assert_uint_eq(view().n_spans_open, 0);
        ck_assert_uint_eq(view().counters.spans_finished, view().counters.spans_accepted);
        ck_assert_uint_eq(view().counters.orphans, 0);
}
END_TEST

START_TEST(it_expires) {
        ck_assert_uint_eq(recorder_expiry_due_unix_ns(script.recorder), UINT64_MAX);
        start(SHOP, 1, "forgotten");
        ck_assert_uint_gt(recorder_expiry_due_unix_ns(script.recorder), script.now + 23 * HOUR);
        expire(23);
        start(SHOP, 2, "younger");
        ck_assert_uint_eq(view().n_spans_open, 2);
        ck_assert_uint_lt(recorder_expiry_due_unix_ns(script.recorder), script.now + HOUR);
        expire(1);
        ck_assert_uint_eq(view().n_spans_open, 1);
        ck_assert_uint_eq(view().counters.spans_expired, 1);
        crash();
        ck_assert_uint_eq(view().n_spans_open, 1);
        ck_assert_uint_eq(view().counters.spans_expired, 1);
        finish(SHELL, 1);
        ck_assert_uint_eq(view().counters.late, 1);
        finish(SHELL, 2);
        expire(48);
        ck_assert_uint_eq(view().counters.spans_expired, 1);
        ck_assert_uint_eq(recorder_expiry_due_unix_ns(script.recorder), UINT64_MAX);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop forgotten status=0 catena.end=expired");
        ck_assert_str_eq(script_exported(&script, 2), "shop younger status=0");
}
END_TEST

/* Its age is that of its START, not of what was written anew. */
START_TEST(it_expires_in_time_when_it_was_moved) {
        start(SHOP, 1, "forgotten");
        script.now += 20 * HOUR;
        live_on_until_moved();
        crash();
        expire(3);
        ck_assert_uint_eq(view().counters.spans_expired, 0);
        expire(1);
        ck_assert_uint_eq(view().counters.spans_expired, 1);
        ck_assert_uint_eq(view().n_spans_open, 0);
}
END_TEST

/* They count like any open span: a user has a share, and a span a bound. */
START_TEST(they_are_bounded) {
        Session *session;
        uint64_t n_refused;

        script_crash(&script);
        script.uid_share_bytes = 256 * 1024;
        script_open(&script);
        for (uint64_t id = 1; id <= 40; id++) {
                session = script_session(&script, SHOP, "shop");
                script_span_start(&script, 0, id, text);
                take(session);
                end(session);
        }
        n_refused = view().counters.refused_share;
        ck_assert_uint_gt(n_refused, 0);
        ck_assert_uint_eq(view().n_spans_open + n_refused, 40);
        finish(SHELL, 1); /* an end has room */
        ck_assert_uint_eq(view().n_spans_open + n_refused, 39);
        expire(24);
        ck_assert_uint_eq(view().n_spans_open, 0);
        script_deliver(&script);
        ck_assert_uint_eq(view().journal.live_bytes, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("detached");
        TCase *tcase = tcase_create("detached");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, another_process_of_the_user_changes_and_ends_it);
        tcase_add_test(tcase, it_is_in_the_context_it_was_started_in);
        tcase_add_test(tcase, another_user_does_not_reach_it);
        tcase_add_test(tcase, one_that_is_not_detached_is_not_reached);
        tcase_add_test(tcase, the_overflow_user_has_none);
        tcase_add_test(tcase, what_is_said_before_its_start_or_after_its_end_is_counted);
        tcase_add_test(tcase, an_end_waits_for_its_pass);
        tcase_add_test(tcase, a_session_that_ends_in_its_pass_ends_the_wait);
        tcase_add_test(tcase, a_crash_between_start_and_end_changes_nothing);
        tcase_add_test(tcase, it_is_written_anew_as_a_whole);
        tcase_add_test(tcase, it_expires);
        tcase_add_test(tcase, it_expires_in_time_when_it_was_moved);
        tcase_add_test(tcase, they_are_bounded);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

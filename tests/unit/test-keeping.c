/* SPDX-License-Identifier: Apache-2.0 */

/* What becomes of traces that head sampling would drop, and that a crash changes nothing of it. */

#include "proto/sampling.h"
#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

static const uint64_t SECOND = 1000000000;
static const uint32_t UNSAMPLED = 0x100, SAMPLED = 0x101;

static Script script;
static Session *session;
static uint32_t flags;

static RecorderView view(void) {
        RecorderView now;

        recorder_view(script.recorder, &now);
        return now;
}

static void start(void) {
        script_init(&script);
        script.sampling = (RecorderSampling){
                .keep_errors = true,
                .keep_slower_than_ns = SECOND,
        };
        flags = UNSAMPLED;
        script.flags = &flags;
        script.trace = 7;
        script_open(&script);
        session = script_session(&script, 1, "shop");
}

static void stop(void) {
        script_assert_conservation(&script);
        script_deinit(&script);
}

static void take(void) {
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
}

static void say_span(uint64_t id, bool error) {
        script_span_start(&script, 0, id, "work");
        if (error)
                script_span_error(&script, id);
        script_span_end(&script, id);
}

/* The daemon dies and stands up; the client goes on. */
static void crash(void) {
        uint8_t token[RECORD_TOKEN_SIZE];

        memcpy(token, session->token, sizeof token);
        script_crash(&script);
        script_open(&script);
        session = recorder_session_by_token(script.recorder, token, 1);
        ck_assert_ptr_nonnull(session);
        script_assert_conservation(&script);
}

static void decide(void) {
        ck_assert_int_eq(recorder_seal(script.recorder, script.now++, false), 0);
}

static void is_decided(uint64_t n_kept, uint64_t n_unsampled, uint64_t n_undecided) {
        RecorderCounters counters = view().counters;

        ck_assert_uint_eq(counters.spans_kept, n_kept);
        ck_assert_uint_eq(counters.spans_unsampled, n_unsampled);
        ck_assert_uint_eq(counters.spans_given_up, n_undecided);
        ck_assert_uint_eq(view().n_spans_undecided, 0);
        script_assert_conservation(&script);
}

START_TEST(what_nobody_minds_is_dropped) {
        script_span_start(&script, 0, 1, "root");
        say_span(2, false);
        script_span_end(&script, 1);
        take();
        ck_assert_uint_eq(view().n_spans_undecided, 2);
        decide();
        is_decided(0, 2, 0);
        script_deliver(&script);
        ck_assert_uint_eq(script.n_spans, 0);
        ck_assert_uint_eq(view().counters.spans_closed, 2);
        ck_assert_uint_eq(view().n_spans_open, 0);
}
END_TEST

START_TEST(an_error_keeps_its_whole_trace) {
        script_span_start(&script, 0, 1, "root");
        say_span(2, false);
        take();
        decide(); /* the root is open: nothing is known yet */
        ck_assert_uint_eq(view().n_spans_undecided, 1);
        say_span(3, true);
        take();
        decide();
        is_decided(2, 0, 0); /* now it is, */
        script_span_end(&script, 1);
        take();
        decide();
        is_decided(3, 0, 0); /* and for what ends later, too */
        script.trace = 8;
        say_span(4, false);
        take();
        script_deliver(&script);
        is_decided(3, 1, 0);
        ck_assert_ptr_nonnull(script_exported(&script, 1));
        ck_assert_ptr_nonnull(script_exported(&script, 2));
        ck_assert_str_eq(script_exported(&script, 3), "shop work status=2");
        ck_assert_ptr_null(script_exported(&script, 4));
}
END_TEST

START_TEST(a_slow_span_keeps_its_whole_trace) {
        script_span_start(&script, 0, 1, "root");
        script_span_start(&script, 0, 2, "child");
        take();
        script.now += SECOND - 100;
        script_span_end(&script, 2);
        take();
        decide();
        ck_assert_uint_eq(view().n_spans_undecided, 1);
        script.now += 200;
        script_span_end(&script, 1);
        take();
        decide();
        is_decided(2, 0, 0);
}
END_TEST

START_TEST(what_head_sampling_keeps_does_not_wait) {
        flags = SAMPLED;
        say_span(1, false);
        script.flags = NULL; /* who says nothing of it is sampled */
        say_span(2, false);
        take();
        ck_assert_uint_eq(view().n_spans_undecided, 0);
        ck_assert_uint_eq(view().n_unsealed[BATCH_TRACES], 2);
        script_deliver(&script);
        is_decided(0, 0, 0);
        ck_assert_uint_eq(script.n_spans, 2);
}
END_TEST

START_TEST(ok_is_final_and_no_error) {
        static const uint8_t ok[] = {15 << 3 | 2, 2, 3 << 3, 1};

        script_span_start(&script, 0, 1, "root");
        script_say_raw(&script, RECORD_SPAN, 0, 0, 1, ok, sizeof ok);
        script_span_error(&script, 1);
        script_span_end(&script, 1);
        take();
        decide();
        is_decided(0, 1, 0);
}
END_TEST

START_TEST(a_process_that_dies_keeps_its_trace) {
        script_span_start(&script, 0, 1, "root");
        say_span(2, false);
        take();
        ck_assert_int_eq(
                recorder_session_end(script.recorder, &session, SESSION_EXITED, script.now++), 0);
        decide();
        is_decided(2, 0, 0);
        script_deliver(&script);
        ck_assert_ptr_nonnull(script_exported(&script, 1));
        ck_assert(list_is_empty(view().sessions));
}
END_TEST

START_TEST(a_slow_span_that_a_process_leaves_open_keeps_its_trace) {
        script_span_start(&script, 0, 1, "root");
        take();
        script.now += 2 * SECOND;
        ck_assert_int_eq(
                recorder_session_end(script.recorder, &session, SESSION_SAID_BYE, script.now++), 0);
        decide();
        is_decided(1, 0, 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop root status=0 catena.end=abandoned");
}
END_TEST

START_TEST(a_process_that_says_bye_and_is_dropped_leaves_nothing) {
        script_span_start(&script, 0, 1, "root");
        take();
        ck_assert_int_eq(
                recorder_session_end(script.recorder, &session, SESSION_SAID_BYE, script.now++), 0);
        ck_assert(!list_is_empty(view().sessions));
        decide();
        is_decided(0, 1, 0);
        ck_assert(list_is_empty(view().sessions));
        ck_assert_uint_eq(view().journal.live_bytes, 0);
}
END_TEST

/* ---- detached spans ---- */

/* What the session says is taken, and it is gone. */
static void take_and_leave(void) {
        take();
        ck_assert_int_eq(
                recorder_session_end(script.recorder, &session, SESSION_SAID_BYE, script.now++), 0);
}

static void crash_without_session(void) {
        script_crash(&script);
        script_open(&script);
        script_assert_conservation(&script);
}

static void start_detached(uint64_t id) {
        script.span_flags = RECORD_DETACHED;
        script_span_start(&script, 0, id, "backup");
        take_and_leave();
}

/* Another process of the user ends it, with or without an error. */
static void end_detached(uint64_t id, bool error) {
        session = script_session(&script, 4, "shell");
        if (error)
                script_span_error(&script, id);
        script_span_end(&script, id);
        take_and_leave();
}

START_TEST(a_detached_span_that_ends_as_an_error_is_kept) {
        start_detached(1);
        decide(); /* it is open, and its process gone */
        ck_assert_uint_eq(view().n_spans_open, 1);
        is_decided(0, 0, 0);
        end_detached(1, true);
        ck_assert_uint_eq(view().n_spans_undecided, 1);
        decide();
        is_decided(1, 0, 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop backup status=2");
        ck_assert(list_is_empty(view().sessions));
        ck_assert_uint_eq(view().journal.live_bytes, 0);
}
END_TEST

START_TEST(a_detached_span_that_nobody_minds_is_dropped) {
        start_detached(1);
        end_detached(1, false);
        decide();
        is_decided(0, 1, 0);
        script_deliver(&script);
        ck_assert_uint_eq(script.n_spans, 0);
        ck_assert(list_is_empty(view().sessions));
        ck_assert_uint_eq(view().journal.live_bytes, 0);
        end_detached(1, false); /* once more: nobody holds it */
        ck_assert_uint_eq(view().counters.orphans, 1);
}
END_TEST

/* Its trace is decided when it ends, for the spans of other processes, too. */
START_TEST(a_detached_span_keeps_what_ran_inside_it) {
        start_detached(1);
        script.span_flags = 0;
        session = script_session(&script, 7, "child");
        say_span(2, false);
        take_and_leave();
        decide();
        ck_assert_uint_eq(view().n_spans_undecided, 1);
        script.span_flags = RECORD_DETACHED;
        end_detached(1, true);
        decide();
        is_decided(2, 0, 0);
        script_deliver(&script);
        ck_assert_uint_eq(script.n_spans, 2);
}
END_TEST

START_TEST(a_crash_changes_nothing_for_a_detached_span) {
        start_detached(1);
        script.trace = 8;
        session = script_session(&script, 10, "shop");
        start_detached(2);
        crash_without_session();
        ck_assert_uint_eq(view().n_spans_open, 2);
        end_detached(1, true);
        end_detached(2, false);
        ck_assert_uint_eq(view().n_spans_undecided, 2);
        crash_without_session();
        ck_assert_uint_eq(view().n_spans_undecided, 2);
        decide();
        is_decided(1, 1, 0);
        crash_without_session();
        is_decided(1, 1, 0);
        script_deliver(&script);
        ck_assert_ptr_nonnull(script_exported(&script, 1));
        ck_assert_ptr_null(script_exported(&script, 2));
        ck_assert(list_is_empty(view().sessions));
        ck_assert_uint_eq(view().journal.live_bytes, 0);
}
END_TEST

START_TEST(a_detached_span_that_expires_is_slow) {
        start_detached(1);
        script.now += (RECORDER_DETACHED_HOURS * 3600 + 1) * SECOND;
        ck_assert_int_eq(recorder_expire(script.recorder, script.now++), 0);
        decide();
        is_decided(1, 0, 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop backup status=0 catena.end=expired");
}
END_TEST

/* ---- bounds ---- */

START_TEST(nobody_waits_longer_than_ten_seconds) {
        uint64_t held;

        script_span_start(&script, 0, 1, "root");
        say_span(2, false);
        held = script.now;
        take();
        decide();
        ck_assert_uint_eq(recorder_seal_due_unix_ns(script.recorder), held + 10 * SECOND);
        script.now = held + 10 * SECOND - 1;
        decide();
        ck_assert_uint_eq(view().n_spans_undecided, 1);
        decide();
        is_decided(0, 1, 1);
        ck_assert_uint_eq(recorder_seal_due_unix_ns(script.recorder), UINT64_MAX);
        script_span_end(&script, 1); /* it took long */
        take();
        decide();
        is_decided(1, 1, 1);
}
END_TEST

START_TEST(a_clock_that_is_set_back_makes_nobody_wait_longer) {
        script_span_start(&script, 0, 1, "root");
        say_span(2, false);
        take();
        script.now -= SECOND; /* as when it is corrected */
        decide();
        ck_assert_uint_eq(view().n_spans_undecided, 1);
        script.now -= 3600 * SECOND;
        decide();
        is_decided(0, 1, 1);
        script.now += 3601 * SECOND;
}
END_TEST

START_TEST(no_more_than_a_quarter_of_the_journal_waits) {
        static char filler[64 * 1024];
        size_t quarter = view().journal.max_bytes / 4, n = quarter / sizeof filler;

        memset(filler, 'x', sizeof filler - 1);
        for (uint64_t i = 1; i <= n + 8; i++) {
                script.trace = i; /* each with a root that stays open */
                script_span_start(&script, 0, 2 * i, "root");
                script_span_start(&script, 0, 2 * i + 1, "child");
                script_span_attribute(&script, 2 * i + 1, "a", filler);
                script_span_end(&script, 2 * i + 1);
                take();
                decide();
                ck_assert_uint_le(view().n_spans_undecided, n);
        }
        ck_assert_uint_ge(view().n_spans_undecided, n - 1);
        ck_assert_uint_eq(view().counters.spans_given_up, n + 8 - view().n_spans_undecided);
        ck_assert_uint_eq(view().counters.spans_unsampled, view().counters.spans_given_up);
        script_span_error(&script, 2); /* of the first: its child is gone */
        script_span_end(&script, 2);
        script_span_error(&script, 2 * n);
        script_span_end(&script, 2 * n);
        take();
        decide();
        ck_assert_uint_eq(view().counters.spans_kept, 1 + 2);
}
END_TEST

/* ---- the ceiling ---- */

START_TEST(a_trace_below_the_threshold_is_dropped) {
        uint64_t n_kept = 0;

        script.sampling = (RecorderSampling){.threshold = sampling_threshold(0.5)};
        recorder_set_sampling(script.recorder, &script.sampling);
        flags = SAMPLED; /* whatever a client thinks */
        for (uint64_t i = 1; i <= 64; i++) {
                uint8_t trace_id[16];

                script.trace = i;
                script.randomness = i << 50; /* of 56 bits */
                script_trace_id(&script, trace_id, 0);
                ck_assert_uint_eq(sampling_randomness(trace_id), (i << 50) % SAMPLING_NEVER);
                n_kept += i >= 32 && i < 64;
                say_span(i, true);
        }
        take();
        script_deliver(&script);
        ck_assert_uint_eq(n_kept, 32);
        is_decided(0, 32, 0);
        for (uint64_t i = 1; i <= 64; i++)
                ck_assert_int_eq(script_exported(&script, i) != NULL, i >= 32 && i < 64);
}
END_TEST

START_TEST(without_sampling_all_is_kept) {
        script.sampling = (RecorderSampling){0};
        recorder_set_sampling(script.recorder, &script.sampling);
        say_span(1, false);
        take();
        script_deliver(&script);
        ck_assert_uint_eq(script.n_spans, 1);
        is_decided(0, 0, 0);
}
END_TEST

/* ---- crashes ---- */

START_TEST(a_crash_before_the_decision_decides_the_same) {
        script_span_start(&script, 0, 1, "root");
        say_span(2, true);
        script.trace = 8;
        say_span(3, false);
        script_span_start(&script, 0, 4, "root");
        say_span(5, false);
        take();
        ck_assert_uint_eq(view().n_spans_undecided, 3);
        crash();
        ck_assert_uint_eq(view().n_spans_undecided, 3);
        decide();
        ck_assert_uint_eq(view().counters.spans_kept, 1);
        ck_assert_uint_eq(view().counters.spans_unsampled, 0);
        script_span_end(&script, 4);
        script_span_end(&script, 1);
        take();
        crash();
        decide();
        is_decided(2, 3, 0);
        script_deliver(&script);
        ck_assert_uint_eq(script.n_spans, 2);
}
END_TEST

START_TEST(what_was_decided_stands_whatever_the_configuration_says_later) {
        say_span(1, true);
        script.trace = 8;
        say_span(2, false);
        take();
        decide();
        is_decided(1, 1, 0);
        script.sampling = (RecorderSampling){0};
        crash();
        is_decided(1, 1, 0);
        ck_assert_uint_eq(view().n_unsealed[BATCH_TRACES], 1);
        script.sampling = (RecorderSampling){.threshold = SAMPLING_NEVER};
        crash();
        is_decided(1, 1, 0);
        script_deliver(&script);
        ck_assert_ptr_nonnull(script_exported(&script, 1));
        ck_assert_ptr_null(script_exported(&script, 2));
}
END_TEST

/* What waits is written anew, so that the oldest segments can go; then the daemon dies. */
START_TEST(what_waits_outlives_compaction) {
        static char filler[100 * 1024];
        RecorderCounters counters, after;

        memset(filler, 'x', sizeof filler - 1);
        script_span_start(&script, 0, 1, "root");
        say_span(2, false);
        script.trace = 8;
        script_span_start(&script, 0, 3, "root");
        say_span(4, true);
        take();
        decide(); /* trace 8 matters, and goes on */
        flags = SAMPLED;
        for (uint64_t i = 0; i < 400; i++) {
                script.trace = 100 + i;
                script_span_start(&script, 0, 1000 + i, filler);
                script_span_end(&script, 1000 + i);
                take();
                script_deliver(&script);
                script_forget(&script);
                ck_assert_int_eq(recorder_reclaim(script.recorder, script.now++), 0);
        }
        ck_assert_uint_eq(view().n_spans_undecided, 1);
        ck_assert_uint_eq(view().n_spans_open, 2);
        counters = view().counters;
        crash();
        after = view().counters;
        ck_assert_mem_eq(&after, &counters, sizeof counters);
        ck_assert_uint_eq(view().n_spans_undecided, 1);
        script_span_end(&script, 3); /* no error itself */
        script_span_end(&script, 1);
        take();
        decide();
        is_decided(2, 2, 0);
        script_deliver(&script);
        ck_assert_ptr_nonnull(script_exported(&script, 3));
        ck_assert_ptr_null(script_exported(&script, 1));
}
END_TEST

int main(void) {
        Suite *suite = suite_create("keeping");
        TCase *tcase = tcase_create("keeping");

        tcase_add_checked_fixture(tcase, start, stop);
        tcase_add_test(tcase, what_nobody_minds_is_dropped);
        tcase_add_test(tcase, an_error_keeps_its_whole_trace);
        tcase_add_test(tcase, a_slow_span_keeps_its_whole_trace);
        tcase_add_test(tcase, what_head_sampling_keeps_does_not_wait);
        tcase_add_test(tcase, ok_is_final_and_no_error);
        tcase_add_test(tcase, a_process_that_dies_keeps_its_trace);
        tcase_add_test(tcase, a_slow_span_that_a_process_leaves_open_keeps_its_trace);
        tcase_add_test(tcase, a_process_that_says_bye_and_is_dropped_leaves_nothing);
        tcase_add_test(tcase, a_detached_span_that_ends_as_an_error_is_kept);
        tcase_add_test(tcase, a_detached_span_that_nobody_minds_is_dropped);
        tcase_add_test(tcase, a_detached_span_keeps_what_ran_inside_it);
        tcase_add_test(tcase, a_crash_changes_nothing_for_a_detached_span);
        tcase_add_test(tcase, a_detached_span_that_expires_is_slow);
        tcase_add_test(tcase, nobody_waits_longer_than_ten_seconds);
        tcase_add_test(tcase, a_clock_that_is_set_back_makes_nobody_wait_longer);
        tcase_add_test(tcase, no_more_than_a_quarter_of_the_journal_waits);
        tcase_add_test(tcase, a_trace_below_the_threshold_is_dropped);
        tcase_add_test(tcase, without_sampling_all_is_kept);
        tcase_add_test(tcase, a_crash_before_the_decision_decides_the_same);
        tcase_add_test(tcase, what_was_decided_stands_whatever_the_configuration_says_later);
        tcase_add_test(tcase, what_waits_outlives_compaction);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

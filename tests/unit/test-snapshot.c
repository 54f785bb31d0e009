/* SPDX-License-Identifier: Apache-2.0 */

/* What the oldest segment still holds is written anew, so that it can go. */

#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static Script script;
static Session *session;
static char text[20001];
static uint64_t next_id;

static void setup(void) {
        memset(text, 'x', sizeof text - 1);
        next_id = 1000;
        script_init(&script);
}

static void teardown(void) {
        script_assert_conservation(&script);
        script_deinit(&script);
}

static void open_script(void) {
        script_open(&script);
        session = script_session(&script, 1, "shop");
}

static RecorderView view(void) {
        RecorderView out;

        recorder_view(script.recorder, &out);
        return out;
}

static void take(void) {
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
}

/* Answers for all that is sealed behind the batch. */
static void deliver_after(const Batch *first) {
        BatchOutcome outcome = {0};
        Batch *batch;

        ck_assert_int_eq(recorder_seal(script.recorder, script.now++, true), 0);
        while ((batch = recorder_next_batch(script.recorder, 0, BATCH_TRACES, first))) {
                outcome.n_delivered = batch->n_objects;
                ck_assert_int_eq(recorder_done(script.recorder, &batch, 0, &outcome, script.now++),
                                 0);
        }
        ck_assert_int_eq(recorder_reclaim(script.recorder, script.now++), 0);
        script_assert_conservation(&script);
}

/* Half a segment of spans that come, are delivered and go. */
static void live_on(const Batch *first) {
        for (unsigned i = 0; i < 50; i++) {
                script_span_start(&script, 0, ++next_id, text);
                script_span_end(&script, next_id);
        }
        take();
        deliver_after(first);
}

static void crash(void) {
        script_crash(&script);
        script_open(&script);
        ck_assert_uint_eq(script.report.n_lost_blocks, 0);
}

/* Sealed, and in no segment that was there before. */
static void live_on_until_moved(void) {
        const Batch *first;
        JournalPosition begun;

        ck_assert_int_eq(recorder_seal(script.recorder, script.now++, true), 0);
        first = recorder_next_batch(script.recorder, 0, BATCH_TRACES, NULL);
        begun = first->hold.position;
        for (unsigned i = 0; first->hold.position == begun; i++) {
                ck_assert_uint_lt(i, 100);
                live_on(first);
        }
}

START_TEST(what_the_limits_have_left_is_not_limited_again) {
        static const char expected[] = "shop many status=2 k0=v k1=v k2=v "
                                       "catena.end=process exited "
                                       "workflow.id=unknown workflow.session_id=unknown "
                                       "workflow.correlation_id=corr workflow.context_id=ctx "
                                       "[exception] dropped=2";

        script.limits.attributes = 3;
        open_script();
        script_context(&script, 5, "ctx", "corr", NULL);
        script_span_start(&script, 5, 1, "many");
        for (unsigned i = 0; i < 5; i++) {
                char key[8];
                snprintf(key, sizeof key, "k%u", i);
                script_span_attribute(&script, 1, key, "v");
        }
        take();
        ck_assert_int_eq(
                recorder_session_end(script.recorder, &session, SESSION_EXITED, script.now++), 0);
        session = script_session(&script, 2, "other");
        live_on_until_moved();
        if (_i)
                crash();
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), expected);
        ck_assert_uint_eq(view().counters.over_limit, 2);
}
END_TEST

/* A tag "k" that the context gets after a span with an attribute "k" was closed. */
START_TEST(a_tag_that_comes_late_doubles_no_key) {
        open_script();
        script_context(&script, 5, "ctx", "corr", NULL);
        script_span_start(&script, 5, 1, "closed");
        script_span_attribute(&script, 1, "k", "span");
        script_span_end(&script, 1);
        take();
        script_say_raw(&script, RECORD_CONTEXT, 0, 5, 0, "\x4a\x08\x0a\x01k\x12\x03\x0a\x01t", 10);
        take();
        if (_i)
                live_on_until_moved();
        if (_i == 2)
                crash();
        script_deliver(&script);
        ck_assert_ptr_nonnull(strstr(script_exported(&script, 1), " k=t workflow.id="));
        ck_assert_ptr_null(strstr(strstr(script_exported(&script, 1), " k=") + 1, " k="));
}
END_TEST

/* The oldest segment is full of spans that stay open; all behind it dies. */
START_TEST(a_segment_of_long_spans_holds_up_nothing) {
        uint64_t n_long = 0;

        open_script();
        while (view().journal.n_segments < 2) {
                script_span_start(&script, 0, ++n_long, text);
                take();
        }
        for (unsigned i = 0; i < 60; i++) {
                live_on(NULL);
                ck_assert_uint_eq(view().counters.refused_full, 0);
        }
        if (_i) {
                crash();
                session = recorder_session_by_token(script.recorder,
                                                    (const uint8_t[RECORD_TOKEN_SIZE]){1, 0, 1}, 1);
        }
        for (uint64_t id = 1; id <= n_long; id++)
                script_span_end(&script, id);
        take();
        script_deliver(&script);
        ck_assert_uint_eq(script.n_spans, n_long);
}
END_TEST

/* Contexts that are said of in another order than they began in, over more than a segment. */
START_TEST(contexts_leave_the_oldest_segment_in_any_order) {
        open_script();
        script_context(&script, 1, "one", "c", NULL);
        script_context(&script, 2, "early", "c", NULL);
        script_span_start(&script, 3, 3, "before its context");
        script_say_raw(&script, RECORD_CONTEXT, 0, 4, 0, "\x4a\x08\x0a\x01k\x12\x03\x0a\x01t", 10);
        while (view().journal.n_segments < 3) {
                script_span_start(&script, 0, ++next_id, text);
                script_span_end(&script, next_id);
                ck_assert_int_eq(script_take(&script, session, 0), 0);
        }
        script_context(&script, 2, "late", "c", NULL);
        script_context(&script, 3, "three", "c", NULL);
        script_context(&script, 4, "four", "c", NULL);
        take();
        for (unsigned i = 0; i < 60; i++) {
                live_on(NULL);
                ck_assert_uint_eq(view().counters.refused_full, 0);
        }
        ck_assert_uint_lt(view().journal.n_segments, 6);
        if (_i) {
                crash();
                session = recorder_session_by_token(script.recorder,
                                                    (const uint8_t[RECORD_TOKEN_SIZE]){1, 0, 1}, 1);
        }
        for (uint32_t number = 1; number <= 4; number++) {
                if (number != 3)
                        script_span_start(&script, number, number, "in it");
                script_span_end(&script, number);
        }
        take();
        script_deliver(&script);
        ck_assert_ptr_nonnull(strstr(script_exported(&script, 1), "workflow.context_id=one"));
        ck_assert_ptr_nonnull(strstr(script_exported(&script, 2), "workflow.context_id=late"));
        ck_assert_ptr_nonnull(strstr(script_exported(&script, 3), "workflow.context_id=three"));
        ck_assert_ptr_nonnull(strstr(script_exported(&script, 4), "workflow.context_id=four k=t"));
}
END_TEST

/* A little of each span lies in the oldest segment, and much behind: not all of it fits anew. */
START_TEST(what_does_not_fit_leaves_room_for_decisions) {
        enum { SPANS = 40 };
        char key[8];
        int full;

        open_script();
        for (uint64_t id = 1; id <= SPANS; id++)
                script_span_start(&script, 0, id, text);
        take();
        for (unsigned i = 0; i < 9; i++) {
                snprintf(key, sizeof key, "k%u", i);
                for (uint64_t id = 1; id <= SPANS; id++)
                        script_span_attribute(&script, id, key, text);
                take();
        }
        do {
                script.records.size = 0;
                script_span_start(&script, 0, ++next_id, text);
                script_span_end(&script, next_id);
                full = script_take(&script, session, JOURNAL_PASS_END);
                ck_assert_int_eq(recorder_reclaim(script.recorder, script.now++), 0);
                ck_assert_uint_ge(view().journal.n_segments_free, 1);
        } while (!full && !view().counters.refused_full);
        script.records.size = 0;
        for (unsigned i = 0; i < 1000; i++)
                ck_assert_int_eq(recorder_reclaim(script.recorder, script.now++), 0);
        ck_assert_uint_ge(view().journal.n_segments_free, 1);
        script_assert_conservation(&script);
        if (_i) {
                crash();
                session = recorder_session_by_token(script.recorder,
                                                    (const uint8_t[RECORD_TOKEN_SIZE]){1, 0, 1}, 1);
        }
        script_deliver(&script);
        for (unsigned i = 0; i < 10; i++)
                ck_assert_int_eq(recorder_reclaim(script.recorder, script.now++), 0);
        for (uint64_t id = 1; id <= SPANS; id++)
                script_span_end(&script, id);
        take();
        script_deliver(&script);
        ck_assert_uint_eq(script.n_spans, view().counters.spans_accepted);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("snapshot");
        TCase *tcase = tcase_create("snapshot");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, what_the_limits_have_left_is_not_limited_again, 0, 2);
        tcase_add_loop_test(tcase, a_tag_that_comes_late_doubles_no_key, 0, 3);
        tcase_add_loop_test(tcase, a_segment_of_long_spans_holds_up_nothing, 0, 2);
        tcase_add_loop_test(tcase, what_does_not_fit_leaves_room_for_decisions, 0, 2);
        tcase_add_loop_test(tcase, contexts_leave_the_oldest_segment_in_any_order, 0, 2);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

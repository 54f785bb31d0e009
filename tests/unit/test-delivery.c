/* SPDX-License-Identifier: Apache-2.0 */

/* Waiting until what has ended is answered for, also where sampling decides late. */

#include "daemon/trace/delivery.h"
#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

static const uint64_t SECOND = 1000000000;

static Script script;
static Session *session;
static Delivery delivery;
static uint32_t flags;

static void start(void) {
        script_init(&script);
        script_open(&script);
        session = script_session(&script, 1, "shop");
}

static void start_with_sampling(void) {
        script_init(&script);
        script.sampling = (RecorderSampling){.keep_errors = true};
        flags = 0x100;
        script.flags = &flags;
        script.trace = 7;
        script_open(&script);
        session = script_session(&script, 1, "shop");
}

static void stop(void) {
        script_deinit(&script);
}

static void take(void) {
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
}

static void say_span(uint64_t id) {
        script_span_start(&script, 0, id, "work");
        script_span_end(&script, id);
        take();
}

static void seal(bool force) {
        ck_assert_int_eq(recorder_seal(script.recorder, script.now++, force), 0);
}

static bool is_done(void) {
        return delivery_is_done(&delivery, script.recorder);
}

static void begin(void) {
        delivery_begin(&delivery, script.recorder);
}

START_TEST(where_there_is_nothing_it_is_done) {
        begin();
        ck_assert(is_done());
        script_span_start(&script, 0, 1, "open");
        take();
        begin();
        ck_assert(is_done()); /* nobody waits for what has not ended */
}
END_TEST

START_TEST(it_is_done_when_the_last_batch_is_answered) {
        say_span(1);
        seal(true);
        script_log(&script, "said");
        say_span(2);
        begin();
        ck_assert(!is_done());
        script_deliver_to(&script, "default");
        ck_assert(!is_done()); /* half of it is in no batch yet */
        seal(true);
        ck_assert(!is_done());
        script_deliver_to(&script, "default");
        ck_assert(is_done());
}
END_TEST

START_TEST(what_ends_later_is_another_matter) {
        say_span(1);
        begin();
        ck_assert(!is_done());
        seal(true);
        script_deliver_to(&script, "default");
        say_span(2);
        seal(true);
        ck_assert(is_done());
        begin();
        ck_assert(!is_done());
}
END_TEST

START_TEST(without_an_exporter_it_is_done_when_it_was_counted) {
        script_crash(&script);
        script.n_exporters = 0;
        script_open(&script);
        session = script_session(&script, 2, "shop");
        say_span(1);
        begin();
        ck_assert(!is_done());
        seal(true);
        ck_assert(is_done());
}
END_TEST

START_TEST(what_sampling_decides_is_waited_for) {
        script_span_start(&script, 0, 1, "root");
        take();
        say_span(2);
        begin();
        seal(true);
        ck_assert(!is_done());
        script_span_error(&script, 1);
        script_span_end(&script, 1);
        take();
        seal(true);
        ck_assert(!is_done()); /* it is kept, and sent */
        script_deliver_to(&script, "default");
        ck_assert(is_done());
}
END_TEST

START_TEST(what_sampling_drops_is_waited_for) {
        script_span_start(&script, 0, 1, "root");
        take();
        say_span(2);
        begin();
        script.trace = 8;
        script_span_start(&script, 0, 3, "root of another");
        take();
        script.now += 9 * SECOND;
        say_span(4); /* which nobody waits for */
        ck_assert(!is_done());
        script.now += SECOND; /* the first has waited for long enough */
        seal(false);
        ck_assert(is_done());
        begin();
        ck_assert(!is_done());
}
END_TEST

int main(void) {
        Suite *suite = suite_create("delivery");
        TCase *tcase = tcase_create("delivery"), *sampling = tcase_create("sampling");

        tcase_add_checked_fixture(tcase, start, stop);
        tcase_add_test(tcase, where_there_is_nothing_it_is_done);
        tcase_add_test(tcase, it_is_done_when_the_last_batch_is_answered);
        tcase_add_test(tcase, what_ends_later_is_another_matter);
        tcase_add_test(tcase, without_an_exporter_it_is_done_when_it_was_counted);
        suite_add_tcase(suite, tcase);
        tcase_add_checked_fixture(sampling, start_with_sampling, stop);
        tcase_add_test(sampling, what_sampling_decides_is_waited_for);
        tcase_add_test(sampling, what_sampling_drops_is_waited_for);
        suite_add_tcase(suite, sampling);
        return unit_run(suite);
}

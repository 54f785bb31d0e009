/* SPDX-License-Identifier: Apache-2.0 */

/* What a client says of limits in its HELLO, below the daemon's own. */

#include "otlp/logs.pb-c.h"
#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

static Script script;
static Catena__V1__SpanLimits limits;

static void start(void) {
        script_init(&script);
        script.limits.attributes = script.limits.log_attributes = 3;
        catena__v1__span_limits__init(&limits);
        script.hello_limits = &limits;
}

static void stop(void) {
        script_assert_conservation(&script);
        script_deinit(&script);
}

static uint64_t over_limit(void) {
        RecorderView view;

        recorder_view(script.recorder, &view);
        return view.counters.over_limit;
}

/* A span and a log record with attributes a, b, c, d. */
static void say_and_deliver(void) {
        static const uint8_t attributes[] = "\x32\x0a\x0a\x01"
                                            "a\x12\x05\x0a\x03one"
                                            "\x32\x03\x0a\x01"
                                            "b\x32\x03\x0a\x01"
                                            "c\x32\x03\x0a\x01"
                                            "d";
        Session *session;

        script_open(&script);
        session = script_session(&script, 1, "shop");
        script_span_start(&script, 0, 1, "s");
        script_span_attribute(&script, 1, "a", "one");
        script_span_attribute(&script, 1, "b", "two");
        script_span_attribute(&script, 1, "c", "three");
        script_span_attribute(&script, 1, "d", "four");
        script_span_end(&script, 1);
        script_say_raw(&script, RECORD_LOG, 0, 0, 0, attributes, sizeof attributes - 1);
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
        script_deliver(&script);
        ck_assert_uint_eq(script.n_logs, 1);
}

START_TEST(without_any_the_daemons_hold) {
        script.hello_limits = NULL;
        say_and_deliver();
        ck_assert_str_eq(script_exported(&script, 1),
                         "shop s status=0 a=one b=two c=three dropped=1");
        ck_assert_uint_eq(script.n_log_attributes_dropped, 1);
        ck_assert_uint_eq(over_limit(), 2); /* one of the span, one of the log */
}
END_TEST

START_TEST(a_client_may_have_less) {
        limits.has_attributes_case = CATENA__V1__SPAN_LIMITS__HAS_ATTRIBUTES_ATTRIBUTES;
        limits.attributes = 2;
        limits.has_value_length_case = CATENA__V1__SPAN_LIMITS__HAS_VALUE_LENGTH_VALUE_LENGTH;
        limits.value_length = 2;
        limits.has_log_attributes_case = CATENA__V1__SPAN_LIMITS__HAS_LOG_ATTRIBUTES_LOG_ATTRIBUTES;
        limits.log_attributes = 1;
        say_and_deliver();
        ck_assert_str_eq(script_exported(&script, 1), "shop s status=0 a=on b=tw dropped=2");
        ck_assert_uint_eq(script.n_log_attributes_dropped, 3);
}
END_TEST

START_TEST(none_at_all_is_a_limit_too) {
        limits.has_attributes_case = CATENA__V1__SPAN_LIMITS__HAS_ATTRIBUTES_ATTRIBUTES;
        limits.has_log_attributes_case = CATENA__V1__SPAN_LIMITS__HAS_LOG_ATTRIBUTES_LOG_ATTRIBUTES;
        say_and_deliver();
        ck_assert_str_eq(script_exported(&script, 1), "shop s status=0 dropped=4");
        ck_assert_uint_eq(script.n_log_attributes_dropped, 4);
}
END_TEST

START_TEST(more_than_the_daemons_is_not_had) {
        limits.has_attributes_case = CATENA__V1__SPAN_LIMITS__HAS_ATTRIBUTES_ATTRIBUTES;
        limits.attributes = UINT32_MAX;
        limits.has_log_attributes_case = CATENA__V1__SPAN_LIMITS__HAS_LOG_ATTRIBUTES_LOG_ATTRIBUTES;
        limits.log_attributes = 1000;
        say_and_deliver();
        ck_assert_str_eq(script_exported(&script, 1),
                         "shop s status=0 a=one b=two c=three dropped=1");
        ck_assert_uint_eq(script.n_log_attributes_dropped, 1);
}
END_TEST

/* They are the session's, and so are kept with it. */
START_TEST(a_crash_forgets_no_limits) {
        uint8_t token[RECORD_TOKEN_SIZE];
        Session *session;

        limits.has_attributes_case = CATENA__V1__SPAN_LIMITS__HAS_ATTRIBUTES_ATTRIBUTES;
        script_open(&script);
        session = script_session(&script, 1, "shop");
        memcpy(token, session->token, sizeof token);
        script_crash(&script);
        script_open(&script);
        session = recorder_session_by_token(script.recorder, token, 1);
        ck_assert_ptr_nonnull(session);
        ck_assert_uint_eq(session->limits.attributes, 0);
        ck_assert_uint_eq(session->limits.log_attributes, 3);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("limits");
        TCase *tcase = tcase_create("limits");

        tcase_add_checked_fixture(tcase, start, stop);
        tcase_add_test(tcase, without_any_the_daemons_hold);
        tcase_add_test(tcase, a_client_may_have_less);
        tcase_add_test(tcase, none_at_all_is_a_limit_too);
        tcase_add_test(tcase, more_than_the_daemons_is_not_had);
        tcase_add_test(tcase, a_crash_forgets_no_limits);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

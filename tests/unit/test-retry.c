/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/export/retry.h"
#include "otlp/logs_service.pb-c.h"
#include "otlp/trace_service.pb-c.h"
#include "proto/utf8.h"
#include "tests/unit/unit.h"

#include <string.h>

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse TraceResponse;
typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTracePartialSuccess TracePartial;
typedef Opentelemetry__Proto__Collector__Logs__V1__ExportLogsServiceResponse LogsResponse;
typedef Opentelemetry__Proto__Collector__Logs__V1__ExportLogsPartialSuccess LogsPartial;

enum { N_OBJECTS = 100 };

static const uint64_t second = 1000000000;
static const uint64_t now = 1700000000 * UINT64_C(1000000000); /* 2023-11-14 22:13:20 */

static void judge(RetryVerdict *verdict, unsigned status, const void *body, size_t size) {
        RetryResponse response = {.status = status, .reason = "Why", .body = body, .size = size};

        retry_judge(verdict, &response, N_OBJECTS, now);
}

static void check_outcome(const RetryVerdict *verdict, RetryResult result, uint64_t n_delivered,
                          uint64_t n_refused, uint64_t n_partial) {
        uint64_t sum = verdict->outcome.n_delivered;

        for (int i = 0; i < _BATCH_DROPS_N; i++)
                sum += verdict->outcome.n_dropped[i];
        ck_assert_int_eq(verdict->result, result);
        ck_assert_uint_eq(verdict->outcome.n_delivered, n_delivered);
        ck_assert_uint_eq(verdict->outcome.n_dropped[BATCH_DROP_REFUSED], n_refused);
        ck_assert_uint_eq(verdict->outcome.n_dropped[BATCH_DROP_PARTIAL], n_partial);
        ck_assert_uint_eq(sum, result == RETRY_LATER ? 0 : N_OBJECTS);
}

START_TEST(any_2xx_delivers) {
        static const unsigned statuses[] = {200, 202, 204};
        RetryVerdict verdict;

        judge(&verdict, statuses[_i], NULL, 0);
        check_outcome(&verdict, RETRY_DELIVERED, N_OBJECTS, 0, 0);
        ck_assert_str_eq(verdict.text, "");
}
END_TEST

static void judge_traces(RetryVerdict *verdict, int64_t rejected, const char *message) {
        TraceResponse response =
                OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_RESPONSE__INIT;
        TracePartial partial =
                OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_PARTIAL_SUCCESS__INIT;
        uint8_t body[1024];
        size_t size;

        response.partial_success = &partial;
        partial.rejected_spans = rejected;
        partial.error_message = (char *)message;
        size = opentelemetry__proto__collector__trace__v1__export_trace_service_response__pack(
                &response, body);
        judge(verdict, 200, body, size);
}

START_TEST(partial_success_is_counted) {
        RetryVerdict verdict;

        judge_traces(&verdict, 7, "too old");
        check_outcome(&verdict, RETRY_PARTIAL, N_OBJECTS - 7, 0, 7);
        ck_assert_str_eq(verdict.text, "7 of 100 rejected: too old");
        judge_traces(&verdict, 0, "deprecated");
        check_outcome(&verdict, RETRY_PARTIAL, N_OBJECTS, 0, 0);
        ck_assert_str_eq(verdict.text, "0 of 100 rejected: deprecated");
        judge_traces(&verdict, N_OBJECTS, "");
        check_outcome(&verdict, RETRY_PARTIAL, 0, 0, N_OBJECTS);
}
END_TEST

START_TEST(partial_success_of_logs_has_the_same_shape) {
        LogsResponse response =
                OPENTELEMETRY__PROTO__COLLECTOR__LOGS__V1__EXPORT_LOGS_SERVICE_RESPONSE__INIT;
        LogsPartial partial =
                OPENTELEMETRY__PROTO__COLLECTOR__LOGS__V1__EXPORT_LOGS_PARTIAL_SUCCESS__INIT;
        RetryVerdict verdict;
        uint8_t body[1024];
        size_t size;

        response.partial_success = &partial;
        partial.rejected_log_records = 3;
        size = opentelemetry__proto__collector__logs__v1__export_logs_service_response__pack(
                &response, body);
        judge(&verdict, 200, body, size);
        check_outcome(&verdict, RETRY_PARTIAL, N_OBJECTS - 3, 0, 3);
        ck_assert_str_eq(verdict.text, "3 of 100 rejected");
}
END_TEST

START_TEST(an_empty_partial_success_is_full_success) {
        RetryVerdict verdict;

        judge_traces(&verdict, 0, "");
        check_outcome(&verdict, RETRY_DELIVERED, N_OBJECTS, 0, 0);
}
END_TEST

START_TEST(senseless_counts_are_bounded) {
        RetryVerdict verdict;

        judge_traces(&verdict, INT64_MAX, "");
        check_outcome(&verdict, RETRY_PARTIAL, 0, 0, N_OBJECTS);
        judge_traces(&verdict, -5, "");
        check_outcome(&verdict, RETRY_DELIVERED, N_OBJECTS, 0, 0);
}
END_TEST

START_TEST(an_unreadable_2xx_is_a_refusal) {
        static const struct {
                const char *body;
                size_t size;
        } bodies[] = {
                {"<html>", 6},       /* an end of a group */
                {"{}", 2},           /* a group */
                {"\x0a\x05\x08", 3}, /* cut */
                {"\x08\x01", 2},     /* field 1 as a number */
                {"\x0a\x02\x12\x09", 4},
                {"\x0a\x02\x0a\x00", 4}, /* rejected as a string */
        };
        RetryVerdict verdict;

        judge(&verdict, 200, bodies[_i].body, bodies[_i].size);
        check_outcome(&verdict, RETRY_REFUSED, 0, N_OBJECTS, 0);
        ck_assert_str_eq(verdict.text, "200 Why: the answer is not OTLP");
}
END_TEST

START_TEST(unknown_fields_of_an_answer_are_fine) {
        RetryVerdict verdict;

        judge(&verdict, 200, "\x18\x01\x0a\x02\x18\x01", 6);
        check_outcome(&verdict, RETRY_DELIVERED, N_OBJECTS, 0, 0);
}
END_TEST

START_TEST(four_statuses_are_tried_again) {
        static const unsigned statuses[] = {429, 502, 503, 504};
        RetryVerdict verdict;

        judge(&verdict, statuses[_i], "busy\nmore", 9);
        check_outcome(&verdict, RETRY_LATER, 0, 0, 0);
        ck_assert_uint_eq(verdict.delay_ns, 0);
        ck_assert_str_eq(strchr(verdict.text, ' '), " Why: busy");
}
END_TEST

START_TEST(other_statuses_drop) {
        static const unsigned statuses[] = {301, 304, 400, 401, 404, 405, 408,
                                            413, 415, 500, 501, 505, 999};
        RetryVerdict verdict;

        judge(&verdict, statuses[_i], NULL, 0);
        check_outcome(&verdict, RETRY_REFUSED, 0, N_OBJECTS, 0);
        ck_assert_str_eq(verdict.text + 3, " Why");
}
END_TEST

START_TEST(retry_after_is_a_wish) {
        RetryResponse response = {.status = 429, .reason = "", .retry_after = "12"};
        RetryVerdict verdict;

        retry_judge(&verdict, &response, N_OBJECTS, now);
        ck_assert_uint_eq(verdict.delay_ns, 12 * second);
        response.retry_after = "Tue, 14 Nov 2023 22:13:50 GMT";
        retry_judge(&verdict, &response, N_OBJECTS, now);
        ck_assert_uint_eq(verdict.delay_ns, 30 * second);
        response.retry_after = "soon";
        retry_judge(&verdict, &response, N_OBJECTS, now);
        ck_assert_uint_eq(verdict.delay_ns, 0);
        ck_assert_int_eq(verdict.result, RETRY_LATER);
}
END_TEST

START_TEST(a_protobuf_error_tells_its_message) {
        static const char body[] = "\x08\x03\x12\x07"
                                   "no keys\x1a\x00";
        RetryResponse response = {
                .status = 400,
                .reason = "Bad Request",
                .content_type = "application/x-protobuf",
                .body = (const uint8_t *)body,
                .size = sizeof(body) - 1,
        };
        RetryVerdict verdict;

        retry_judge(&verdict, &response, N_OBJECTS, now);
        ck_assert_str_eq(verdict.text, "400 Bad Request: no keys");
        response.size = 3;
        retry_judge(&verdict, &response, N_OBJECTS, now);
        ck_assert_str_eq(verdict.text, "400 Bad Request");
}
END_TEST

START_TEST(what_a_collector_says_is_fit_for_a_log) {
        char body[5000];
        RetryVerdict verdict;

        judge(&verdict, 400, "a\x1b[31m\xff\tb\0c\r\nsecond", 19);
        ck_assert_str_eq(verdict.text, "400 Why: a [31m\xef\xbf\xbd b");
        memset(body, 0xe4, sizeof(body));
        judge(&verdict, 400, body, sizeof(body));
        ck_assert_uint_le(strlen(verdict.text), RETRY_TEXT_MAX);
        ck_assert(utf8_is_valid(verdict.text, strlen(verdict.text)));
        for (size_t i = 0; i + 1 < sizeof(body); i += 2)
                memcpy(body + i, "\xc3\xa4", 2);
        for (size_t size = 230; size < 270; size++) {
                judge(&verdict, 400, body, size);
                ck_assert_uint_le(strlen(verdict.text), RETRY_TEXT_MAX);
                ck_assert(utf8_is_valid(verdict.text, strlen(verdict.text)));
        }
}
END_TEST

START_TEST(failures_are_tried_again_and_refusals_are_not) {
        RetryVerdict verdict;

        retry_judge_failure(&verdict, "connection refused");
        check_outcome(&verdict, RETRY_LATER, 0, 0, 0);
        ck_assert_str_eq(verdict.text, "connection refused");
        retry_judge_refusal(&verdict, "an answer over 4 MiB", N_OBJECTS);
        check_outcome(&verdict, RETRY_REFUSED, 0, N_OBJECTS, 0);
}
END_TEST

START_TEST(backoff_doubles_up_to_its_end) {
        static const uint64_t backoffs[] = {1, 2, 4, 8, 10, 10};
        Retry retry = {.initial_ns = second, .max_ns = 10 * second};
        RetryVerdict verdict = {.result = RETRY_LATER};

        for (int round = 0; round < 2; round++) {
                for (size_t i = 0; i < 6; i++) {
                        uint64_t backoff = backoffs[i] * second, delay;
                        Retry before = retry;

                        delay = retry_delay(&retry, &verdict, 0);
                        ck_assert_uint_eq(delay, backoff / 2);
                        retry = before;
                        delay = retry_delay(&retry, &verdict, backoff / 2);
                        ck_assert_uint_eq(delay, backoff);
                        retry = before;
                        delay = retry_delay(&retry, &verdict, UINT64_C(0x9e3779b97f4a7c15) * i);
                        ck_assert_uint_ge(delay, backoff / 2);
                        ck_assert_uint_le(delay, backoff);
                }
                retry_reset(&retry);
        }
}
END_TEST

START_TEST(a_wish_is_never_undercut) {
        Retry retry = {.initial_ns = second, .max_ns = 10 * second};
        RetryVerdict verdict = {.result = RETRY_LATER, .delay_ns = 80 * second};

        ck_assert_uint_eq(retry_delay(&retry, &verdict, 0), 80 * second);
        ck_assert_uint_eq(retry_delay(&retry, &verdict, 10 * second), 90 * second);
        ck_assert_uint_le(retry_delay(&retry, &verdict, UINT64_MAX), 90 * second);
        verdict.delay_ns = 1000000 * second;
        ck_assert_uint_eq(retry_delay(&retry, &verdict, 0), RETRY_AFTER_MAX_NS);
}
END_TEST

START_TEST(extreme_backoffs_are_harmless) {
        RetryVerdict verdict = {.result = RETRY_LATER};
        Retry zero = {.initial_ns = 0, .max_ns = 0};
        Retry upside_down = {.initial_ns = 20, .max_ns = 10};
        Retry endless = {.initial_ns = UINT64_MAX, .max_ns = UINT64_MAX - 1};

        ck_assert_uint_eq(retry_delay(&zero, &verdict, UINT64_MAX), 0);
        ck_assert_uint_le(retry_delay(&upside_down, &verdict, UINT64_MAX), 10);
        for (int i = 0; i < 3; i++)
                ck_assert_uint_ge(retry_delay(&endless, &verdict, 0), UINT64_MAX / 2 - 1);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("retry");
        TCase *tcase = tcase_create("retry");

        tcase_add_loop_test(tcase, any_2xx_delivers, 0, 3);
        tcase_add_test(tcase, partial_success_is_counted);
        tcase_add_test(tcase, partial_success_of_logs_has_the_same_shape);
        tcase_add_test(tcase, an_empty_partial_success_is_full_success);
        tcase_add_test(tcase, senseless_counts_are_bounded);
        tcase_add_loop_test(tcase, an_unreadable_2xx_is_a_refusal, 0, 6);
        tcase_add_test(tcase, unknown_fields_of_an_answer_are_fine);
        tcase_add_loop_test(tcase, four_statuses_are_tried_again, 0, 4);
        tcase_add_loop_test(tcase, other_statuses_drop, 0, 13);
        tcase_add_test(tcase, retry_after_is_a_wish);
        tcase_add_test(tcase, a_protobuf_error_tells_its_message);
        tcase_add_test(tcase, what_a_collector_says_is_fit_for_a_log);
        tcase_add_test(tcase, failures_are_tried_again_and_refusals_are_not);
        tcase_add_test(tcase, backoff_doubles_up_to_its_end);
        tcase_add_test(tcase, a_wish_is_never_undercut);
        tcase_add_test(tcase, extreme_backoffs_are_harmless);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

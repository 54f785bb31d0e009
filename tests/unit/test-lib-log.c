/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/catena.h"
#include "otlp/logs.pb-c.h"
#include "proto/id.h"
#include "tests/unit/fake-client.h"
#include "tests/unit/unit.h"

#include <signal.h>

typedef Opentelemetry__Proto__Logs__V1__LogRecord FakeLog;

/* The n-th log that was said, from 0; to be freed by log_free(). */
static FakeLog *log_said(size_t n) {
        FakeRecord *record;
        FakeLog *log;

        fake_daemon_take(&fake);
        record = fake_daemon_record(&fake, RECORD_LOG, 0, n);
        log = opentelemetry__proto__logs__v1__log_record__unpack(NULL, record->size, record->body);
        ck_assert_ptr_nonnull(log);
        return log;
}

static void log_free(FakeLog *log) {
        opentelemetry__proto__logs__v1__log_record__free_unpacked(log, NULL);
}

static const char *correlation_of(const FakeLog *log) {
        return fake_attribute_string(log->attributes, log->n_attributes, "workflow.correlation_id");
}

/* ---- what is said ---- */

START_TEST(a_log_belongs_to_the_current_span) {
        catena_span outer = catena_span_start(context, "outer", 0);
        catena_span inner = catena_span_start(context, "inner", 0);
        catena_attribute attributes[] = {
                {.key = "amount", .type = CATENA_TYPE_INT, .value.integer = 7},
                {.key = "currency", .value.string = "EUR"},
        };
        FakeLog *log;

        catena_log(context, CATENA_SEVERITY_WARN, "paid late", attributes, 2);
        catena_span_end(inner);
        catena_log(context, CATENA_SEVERITY_INFO + 1, "done", NULL, 0);
        log = log_said(0);
        ck_assert_str_eq(log->body->string_value, "paid late");
        ck_assert_int_eq(log->severity_number, 13);
        ck_assert_str_eq(log->severity_text, "WARN");
        ck_assert_mem_eq(log->trace_id.data, inner.trace_id, 16);
        ck_assert_mem_eq(log->span_id.data, inner.span_id, 8);
        ck_assert_uint_eq(log->flags, 3);
        ck_assert_uint_eq(log->n_attributes, 3);
        ck_assert_int_eq(fake_attribute(log->attributes, 3, "amount")->int_value, 7);
        ck_assert_str_eq(fake_attribute_string(log->attributes, 3, "currency"), "EUR");
        ck_assert_str_eq(correlation_of(log), catena_context_correlation_id(context));
        ck_assert_uint_eq(log->time_unix_nano, log->observed_time_unix_nano);
        log_free(log);

        log = log_said(1);
        ck_assert_mem_eq(log->span_id.data, outer.span_id, 8);
        ck_assert_str_eq(log->severity_text, "INFO2");
        log_free(log);
        ck_assert_uint_eq(stats().logs, 2);
        ck_assert_uint_eq(stats().misuse, 0);
        catena_span_end(outer);
}
END_TEST

START_TEST(a_log_lies_between_start_and_end_of_its_span) {
        catena_span span = catena_span_start(context, "s", 0);
        FakeSpan *said;
        FakeLog *log;

        catena_log(context, CATENA_SEVERITY_INFO, "now", NULL, 0);
        catena_span_end(span);
        log = log_said(0);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_uint_ge(log->time_unix_nano, said->start_time_unix_nano);
        ck_assert_uint_le(log->time_unix_nano, said->end_time_unix_nano);
        fake_span_free(said);
        log_free(log);
}
END_TEST

START_TEST(without_a_span_there_is_the_trace) {
        FakeLog *log;
        char hex[ID_TRACE_HEX + 1];

        catena_log(context, CATENA_SEVERITY_DEBUG, "early", NULL, 0);
        log = log_said(0);
        id_to_hex(hex, log->trace_id.data, log->trace_id.len);
        ck_assert_str_eq(hex, catena_context_trace_id(context));
        ck_assert_uint_eq(log->span_id.len, 0);
        log_free(log);
        /* The context was announced before it. */
        ck_assert_uint_eq(fake.records[1].header.type, RECORD_CONTEXT);
        ck_assert_uint_eq(fake.records[2].header.type, RECORD_LOG);
        ck_assert_uint_eq(fake.records[2].header.context, fake.records[1].header.context);
}
END_TEST

START_TEST(every_severity_has_its_name) {
        static const char *const names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};

        for (uint32_t severity = 1; severity <= 24; severity++) {
                char name[16];
                FakeLog *log;

                catena_log(context, severity, "s", NULL, 0);
                log = log_said(severity - 1);
                snprintf(name, sizeof name, "%s%.0u", names[(severity - 1) / 4],
                         (severity - 1) % 4 ? (severity - 1) % 4 + 1 : 0);
                ck_assert_uint_eq(log->severity_number, severity);
                ck_assert_str_eq(log->severity_text, name);
                log_free(log);
        }
}
END_TEST

START_TEST(a_format_is_a_text) {
        char expected[2048];
        FakeLog *log;

        catena_logf(context, CATENA_SEVERITY_INFO, "%s paid %d", "alice", 12);
        catena_logf(context, CATENA_SEVERITY_INFO, "%3000d", 1);
        /* The cut does not go through a character. */
        catena_logf(context, CATENA_SEVERITY_INFO, "%2045d\xe2\x82\xac", 1);
        log = log_said(0);
        ck_assert_str_eq(log->body->string_value, "alice paid 12");
        log_free(log);
        log = log_said(1);
        ck_assert_uint_ge(strlen(log->body->string_value), 2046);
        log_free(log);
        log = log_said(2);
        snprintf(expected, sizeof expected, "%2045d", 1);
        ck_assert_str_eq(log->body->string_value, expected);
        log_free(log);
}
END_TEST

/* ---- spans ---- */

START_TEST(a_span_may_have_ended_and_its_context_be_freed) {
        catena_context *other = catena_context_new(NULL, NULL);
        catena_span span = catena_span_start(other, "s", 0);
        char correlation[64];
        FakeLog *log;

        snprintf(correlation, sizeof correlation, "%s", catena_context_correlation_id(other));
        catena_span_end(span);
        catena_span_log(span, CATENA_SEVERITY_ERROR, "after its end", NULL, 0);
        catena_context_free(other);
        catena_span_log(span, CATENA_SEVERITY_ERROR, "after all", NULL, 0);
        log = log_said(0);
        ck_assert_mem_eq(log->span_id.data, span.span_id, 8);
        ck_assert_str_eq(correlation_of(log), correlation);
        log_free(log);
        log = log_said(1);
        ck_assert_mem_eq(log->span_id.data, span.span_id, 8);
        ck_assert_ptr_null(correlation_of(log));
        log_free(log);
        ck_assert_uint_eq(stats().misuse, 0);
}
END_TEST

START_TEST(spans_of_others_can_be_logged_under) {
        catena_span theirs = {.trace_id = {1}, .span_id = {2}, .flags = 1};
        FakeLog *log;

        catena_span_log(theirs, CATENA_SEVERITY_INFO, "seen", NULL, 0);
        log = log_said(0);
        ck_assert_mem_eq(log->trace_id.data, theirs.trace_id, 16);
        ck_assert_mem_eq(log->span_id.data, theirs.span_id, 8);
        ck_assert_uint_eq(log->flags, 1);
        log_free(log);
}
END_TEST

START_TEST(logs_do_not_depend_on_sampling) {
        catena_context *unsampled;
        FakeLog *log;

        setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", 1);
        unsampled = catena_context_extract_environ(0);
        catena_log(unsampled, CATENA_SEVERITY_INFO, "said", NULL, 0);
        log = log_said(0);
        ck_assert_uint_eq(log->flags, 0);
        ck_assert_uint_eq(log->span_id.data[0], 0xb7);
        log_free(log);
        catena_context_free(unsampled);
}
END_TEST

static catena_span handled;

static void handler(int number) {
        (void)number;
        catena_span_log(handled, CATENA_SEVERITY_INFO, "signal", NULL, 0);
}

START_TEST(handlers_may_log) {
        enum { N = 200 };

        handled = catena_span_start(context, "s", 0);
        signal(SIGUSR1, handler);
        for (unsigned i = 0; i < N; i++) {
                catena_log(context, CATENA_SEVERITY_INFO, "between", NULL, 0);
                raise(SIGUSR1);
                fake_daemon_take(&fake);
        }
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_LOG, 0), 2 * N);
}
END_TEST

/* ---- bad input ---- */

START_TEST(what_belongs_nowhere_is_said_all_the_same) {
        catena_context *gone = catena_context_new(NULL, NULL);

        catena_context_free(gone);
        catena_log(NULL, CATENA_SEVERITY_INFO, "null", NULL, 0);
        ck_assert_uint_eq(stats().misuse, 0);
        catena_log(gone, CATENA_SEVERITY_INFO, "gone", NULL, 0);
        catena_span_log((catena_span){0}, CATENA_SEVERITY_INFO, "none", NULL, 0);
        ck_assert_uint_eq(stats().misuse, 2);
        for (size_t i = 0; i < 3; i++) {
                FakeLog *log = log_said(i);

                ck_assert_uint_eq(log->trace_id.len, 0);
                ck_assert_uint_eq(log->span_id.len, 0);
                ck_assert_uint_eq(log->n_attributes, 0);
                log_free(log);
        }
}
END_TEST

START_TEST(nulls_and_nonsense_are_counted) {
        catena_attribute attributes[] = {{.key = "no value"}, {.key = "k", .value.string = "v"}};
        FakeLog *log;

        catena_log(context, 25, "a\xff", attributes, 2);
        catena_log(context, CATENA_SEVERITY_INFO, NULL, NULL, 3);
        catena_logf(context, CATENA_SEVERITY_INFO, NULL);
        ck_assert_uint_eq(stats().misuse, 5);
        log = log_said(0);
        ck_assert_int_eq(log->severity_number, 0);
        ck_assert_str_eq(log->severity_text, "");
        ck_assert_str_eq(log->body->string_value, "a\xef\xbf\xbd");
        ck_assert_uint_eq(log->n_attributes, 2);
        log_free(log);
        log = log_said(1);
        ck_assert_str_eq(log->body->string_value, "");
        log_free(log);
}
END_TEST

START_TEST(a_long_text_goes_and_a_too_long_one_is_counted) {
        enum { LONG = 200 * 1024, TOO_LONG = 300 * 1024 };
        char *text = malloc(TOO_LONG + 1);
        FakeLog *log;

        memset(text, 'x', TOO_LONG);
        text[TOO_LONG] = 0;
        catena_log(context, CATENA_SEVERITY_INFO, text, NULL, 0);
        ck_assert_uint_eq(stats().dropped_too_large, 1);
        ck_assert_uint_eq(stats().dropped_logs, 1);
        text[LONG] = 0;
        catena_log(context, CATENA_SEVERITY_INFO, text, NULL, 0);
        fake_daemon_take(&fake);
        /* What the kernel did not take at once goes with what comes next. */
        for (unsigned i = 0; i < 10; i++) {
                catena_log(context, CATENA_SEVERITY_INFO, "next", NULL, 0);
                fake_daemon_take(&fake);
        }
        log = log_said(0);
        ck_assert_uint_eq(strlen(log->body->string_value), LONG);
        log_free(log);
        free(text);
}
END_TEST

/* ---- nobody there ---- */

START_TEST(what_is_lost_is_told) {
        catena_context *here;
        FakeRecord *lost;
        Catena__V1__Lost *told;

        fake_daemon_name(&fake);
        here = catena_context_new(NULL, NULL);
        catena_log(here, CATENA_SEVERITY_INFO, "nobody hears", NULL, 0);
        catena_log(here, CATENA_SEVERITY_INFO, "nobody hears", NULL, 0);
        ck_assert_uint_eq(stats().logs, 2);
        ck_assert_uint_eq(stats().dropped_logs, 2);
        ck_assert_uint_eq(stats().dropped_not_connected, 2);
        ck_assert(!catena_flush(0));
        fake_daemon_listen(&fake);
        while (!stats().connections)
                catena_log(here, CATENA_SEVERITY_INFO, "somebody does", NULL, 0);
        fake_daemon_take(&fake);
        lost = fake_daemon_record(&fake, RECORD_LOST, 0, 0);
        told = catena__v1__lost__unpack(NULL, lost->size, lost->body);
        ck_assert_uint_eq(told->logs, stats().dropped_logs);
        ck_assert_uint_eq(told->starts + told->updates + told->ends, 0);
        ck_assert_int_eq(told->reason, CATENA__V1__LOST_REASON__LOST_NOT_CONNECTED);
        catena__v1__lost__free_unpacked(told, NULL);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_LOG, 0) + stats().dropped_logs,
                          stats().logs);
        catena_context_free(here);
        fake_daemon_close(&fake);
}
END_TEST

START_TEST(a_full_arena_says_what_it_lost) {
        fake_daemon_open(&fake);
        fake_daemon_open_arena(&fake, 1);
        context = catena_context_new(NULL, NULL);
        while (!stats().dropped_logs)
                catena_log(context, CATENA_SEVERITY_INFO, "again and again", NULL, 0);
        ck_assert_uint_eq(stats().dropped_arena_full, 1);
        ck_assert_uint_eq(atomic_load(&fake.arenas[0].header->lost[ARENA_LOST_LOGS]), 1);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_LOG, 0) + 1, stats().logs);
        stop();
}
END_TEST

START_TEST(disabled_says_nothing) {
        fake_daemon_open(&fake);
        setenv("OTEL_SDK_DISABLED", "true", 1);
        context = catena_context_new(NULL, NULL);
        catena_log(context, CATENA_SEVERITY_INFO, "s", NULL, 0);
        catena_logf(context, CATENA_SEVERITY_INFO, "%d", 1);
        catena_span_log((catena_span){0}, CATENA_SEVERITY_INFO, "s", NULL, 0);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake.n_connections, 0);
        ck_assert_uint_eq(stats().logs, 0);
        stop();
}
END_TEST

/* What holds whatever carries the records. */
static void add_tests(Suite *suite, const char *name, void (*begin)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, begin, stop);
        tcase_add_test(tcase, a_log_belongs_to_the_current_span);
        tcase_add_test(tcase, a_log_lies_between_start_and_end_of_its_span);
        tcase_add_test(tcase, without_a_span_there_is_the_trace);
        tcase_add_test(tcase, every_severity_has_its_name);
        tcase_add_test(tcase, a_format_is_a_text);
        tcase_add_test(tcase, a_span_may_have_ended_and_its_context_be_freed);
        tcase_add_test(tcase, spans_of_others_can_be_logged_under);
        tcase_add_test(tcase, logs_do_not_depend_on_sampling);
        tcase_add_test(tcase, handlers_may_log);
        tcase_add_test(tcase, what_belongs_nowhere_is_said_all_the_same);
        tcase_add_test(tcase, nulls_and_nonsense_are_counted);
        tcase_add_test(tcase, a_long_text_goes_and_a_too_long_one_is_counted);
        suite_add_tcase(suite, tcase);
}

int main(void) {
        Suite *suite = suite_create("lib-log");
        TCase *nobody = tcase_create("nobody there");

        add_tests(suite, "stream", start);
        add_tests(suite, "arena", start_with_arena);
        tcase_add_test(nobody, what_is_lost_is_told);
        tcase_add_test(nobody, a_full_arena_says_what_it_lost);
        tcase_add_test(nobody, disabled_says_nothing);
        suite_add_tcase(suite, nobody);
        return unit_run(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/metrics.h"
#include "otlp/trace.pb-c.h"
#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef Opentelemetry__Proto__Trace__V1__Span OtlpSpan;
typedef Opentelemetry__Proto__Trace__V1__Status OtlpStatus;
typedef Opentelemetry__Proto__Common__V1__KeyValue OtlpKeyValue;
typedef Opentelemetry__Proto__Common__V1__AnyValue OtlpAnyValue;

#define VALUE(kind) OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_##kind##_VALUE
#define MS          UINT64_C(1000000)

static Script script;

static void setup(void) {
        script_init(&script);
        ck_assert_int_eq(metrics_new(&script.metrics, 7), 0);
        metrics_start(script.metrics, script.now);
        script_open(&script);
}

static void teardown(void) {
        script_assert_conservation(&script);
        script_deinit(&script);
        script.metrics = metrics_free(script.metrics);
}

/* ---- what is said ---- */

typedef struct Said {
        const char *name;
        unsigned kind, status; /* status 0: none */
        uint64_t duration_ns;
        const OtlpAnyValue *name_of, *type_of, *status_of, *duration_of; /* of a primitive */
} Said;

static uint64_t last_id;

static OtlpAnyValue text(const char *string) {
        OtlpAnyValue value = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__INIT;

        value.value_case = VALUE(STRING);
        value.string_value = (char *)string;
        return value;
}

static OtlpAnyValue real(double number) {
        OtlpAnyValue value = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__INIT;

        value.value_case = VALUE(DOUBLE);
        value.double_value = number;
        return value;
}

static OtlpAnyValue whole(int64_t number) {
        OtlpAnyValue value = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__INIT;

        value.value_case = VALUE(INT);
        value.int_value = number;
        return value;
}

/* A START with name, type and kind, and an END with the rest. */
static void say(const Said *said) {
        const OtlpAnyValue *const values[] = {said->name_of, said->type_of, said->status_of,
                                              said->duration_of};
        const char *const keys[] = {"primitive.name", "primitive.type", "primitive.status",
                                    "primitive.duration_ms"};
        OtlpSpan start = OPENTELEMETRY__PROTO__TRACE__V1__SPAN__INIT, end = start;
        OtlpStatus status = OPENTELEMETRY__PROTO__TRACE__V1__STATUS__INIT;
        OtlpKeyValue pairs[4], *of_start[2], *of_end[2];
        uint64_t id = ++last_id;
        uint8_t trace_id[16] = {1};

        for (unsigned i = 0; i < 4; i++) {
                OtlpSpan *span = i < 2 ? &start : &end;

                if (!values[i])
                        continue;
                pairs[i] = (OtlpKeyValue)OPENTELEMETRY__PROTO__COMMON__V1__KEY_VALUE__INIT;
                pairs[i].key = (char *)keys[i];
                pairs[i].value = (OtlpAnyValue *)values[i];
                span->attributes = i < 2 ? of_start : of_end;
                span->attributes[span->n_attributes++] = &pairs[i];
        }
        start.trace_id = (ProtobufCBinaryData){sizeof trace_id, trace_id};
        start.span_id = (ProtobufCBinaryData){sizeof id, (uint8_t *)&id};
        start.name = (char *)said->name;
        start.kind = said->kind;
        start.start_time_unix_nano = script.now;
        end.end_time_unix_nano = script.now + said->duration_ns;
        status.code = said->status;
        end.status = said->status ? &status : NULL;
        script_say(&script, RECORD_SPAN, RECORD_START, 0, id, &start);
        script_say(&script, RECORD_SPAN, RECORD_END, 0, id, &end);
}

static void take(Session *session) {
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
}

/* ---- what is counted ---- */

static size_t n_series(MetricsKind kind) {
        size_t n = 0;

        list_for_each (link, metrics_series(script.metrics, kind))
                n++;
        return n;
}

/* "shop|pay|SPAN_KIND_CLIENT|STATUS_CODE_OK", or NULL; "": the overflow */
static const MetricsSeries *series(MetricsKind kind, const char *known_as) {
        list_for_each (link, metrics_series(script.metrics, kind)) {
                const MetricsSeries *found = list_entry(link, MetricsSeries, link);
                MetricsLabel labels[METRICS_LABELS_MAX];
                char name[1024] = "";
                unsigned n = metrics_labels(found, labels);

                for (unsigned i = 0; i < n; i++)
                        snprintf(name + strlen(name), sizeof name - strlen(name), "%s%.*s",
                                 i ? "|" : "", (int)labels[i].size, labels[i].text);
                ck_assert_int_eq(found->overflow, n == 0);
                if (!strcmp(name, known_as))
                        return found;
        }
        return NULL;
}

static uint64_t count(MetricsKind kind, const char *known_as) {
        const MetricsSeries *found = series(kind, known_as);

        return found ? found->count : 0;
}

START_TEST(spans_are_counted_by_service_name_kind_and_status) {
        Session *shop = script_session(&script, 1, "shop"), *bank = script_session(&script, 2, "b");

        say(&(Said){.name = "pay", .kind = 3, .status = 1});
        say(&(Said){.name = "pay", .kind = 3, .status = 1});
        say(&(Said){.name = "pay", .kind = 3, .status = 2});
        say(&(Said){.name = "pay", .kind = 2});
        say(&(Said){.name = "ship", .kind = 1});
        take(shop);
        say(&(Said){.name = "pay", .kind = 3, .status = 1});
        say(&(Said){.name = "", .kind = 77, .status = 77});
        take(bank);
        ck_assert_uint_eq(n_series(METRICS_SPANS), 6);
        ck_assert_uint_eq(n_series(METRICS_PRIMITIVES), 0);
        ck_assert_uint_eq(count(METRICS_SPANS, "shop|pay|SPAN_KIND_CLIENT|STATUS_CODE_OK"), 2);
        ck_assert_uint_eq(count(METRICS_SPANS, "shop|pay|SPAN_KIND_CLIENT|STATUS_CODE_ERROR"), 1);
        ck_assert_uint_eq(count(METRICS_SPANS, "shop|pay|SPAN_KIND_SERVER|STATUS_CODE_UNSET"), 1);
        ck_assert_uint_eq(count(METRICS_SPANS, "shop|ship|SPAN_KIND_INTERNAL|STATUS_CODE_UNSET"),
                          1);
        ck_assert_uint_eq(count(METRICS_SPANS, "b|pay|SPAN_KIND_CLIENT|STATUS_CODE_OK"), 1);
        ck_assert_uint_eq(count(METRICS_SPANS, "b||SPAN_KIND_UNSPECIFIED|STATUS_CODE_UNSET"), 1);
}
END_TEST

START_TEST(durations_fall_into_buckets_up_to_and_with_their_bound) {
        static const uint64_t durations[] = {0, 2 * MS, 2 * MS + 1, 15000 * MS, 15000 * MS + 1};
        Session *session = script_session(&script, 1, "shop");
        const MetricsSeries *found;
        size_t n_bounds;

        for (unsigned i = 0; i < 5; i++)
                say(&(Said){.name = "pay", .duration_ns = durations[i]});
        take(session);
        found = series(METRICS_SPANS, "shop|pay|SPAN_KIND_UNSPECIFIED|STATUS_CODE_UNSET");
        ck_assert_ptr_nonnull(found);
        metrics_bounds(METRICS_SPANS, &n_bounds);
        ck_assert_uint_eq(n_bounds, 16);
        ck_assert_uint_eq(found->buckets[0], 2);
        ck_assert_uint_eq(found->buckets[1], 1);
        ck_assert_uint_eq(found->buckets[15], 1);
        ck_assert_uint_eq(found->buckets[16], 1);
        ck_assert_double_eq_tol(found->sum_ms, 30004, 0.01);
}
END_TEST

/* What a session remembers of its last spans is never taken for another's. */
START_TEST(spans_of_many_kinds_are_told_apart) {
        static const char *const names[] = {"pay", "shi", "get", "payment", "shipped", "p", ""};
        Session *sessions[] = {script_session(&script, 1, "a"), script_session(&script, 2, "b")};
        const size_t n = sizeof names / sizeof *names;
        char known_as[64];

        for (unsigned round = 0; round < 3; round++)
                for (size_t i = 0; i < n; i++)
                        for (unsigned kind = 1; kind <= 2; kind++)
                                for (unsigned k = 0; k < 2; k++) {
                                        say(&(Said){.name = names[i], .kind = kind});
                                        say(&(Said){.name = names[i], .kind = kind, .status = 2});
                                        take(sessions[k]);
                                }
        ck_assert_uint_eq(n_series(METRICS_SPANS), n * 8);
        for (size_t i = 0; i < n; i++) {
                snprintf(known_as, sizeof known_as, "b|%s|SPAN_KIND_SERVER|STATUS_CODE_ERROR",
                         names[i]);
                ck_assert_uint_eq(count(METRICS_SPANS, known_as), 3);
                snprintf(known_as, sizeof known_as, "a|%s|SPAN_KIND_INTERNAL|STATUS_CODE_UNSET",
                         names[i]);
                ck_assert_uint_eq(count(METRICS_SPANS, known_as), 3);
        }
}
END_TEST

/* A clock set back, an end or a start without a time. */
START_TEST(durations_that_cannot_be_are_none) {
        Session *session = script_session(&script, 1, "shop");
        const MetricsSeries *found;

        say(&(Said){.name = "pay", .duration_ns = (uint64_t)-5});
        say(&(Said){.name = "pay", .duration_ns = -script.now});
        take(session);
        script.now = 0;
        say(&(Said){.name = "pay", .duration_ns = UINT64_MAX});
        script.now = 1700000000 * UINT64_C(1000000000) + 100;
        take(session);
        found = series(METRICS_SPANS, "shop|pay|SPAN_KIND_UNSPECIFIED|STATUS_CODE_UNSET");
        ck_assert_ptr_nonnull(found);
        ck_assert_uint_eq(found->count, 3);
        ck_assert_double_eq(found->sum_ms, 0);
}
END_TEST

START_TEST(primitives_are_counted_by_name_type_and_status) {
        Session *session = script_session(&script, 1, "shop");
        OtlpAnyValue name = text("charge"), type = text("ChargeCard"), success = text("success"),
                     error = text("error"), took = real(10.5), took_whole = whole(10000);
        const MetricsSeries *found;
        size_t n_bounds;

        say(&(Said){"charge.execute", 1, 0, 7, &name, &type, &success, &took});
        say(&(Said){"charge.execute", 1, 0, 7, &name, &type, &success, &took_whole});
        say(&(Said){"charge.execute", 1, 0, 30 * MS, &name, &type, &success, NULL});
        say(&(Said){"charge.execute", 1, 2, 7, &name, &type, &error, &took});
        take(session);
        ck_assert_uint_eq(n_series(METRICS_PRIMITIVES), 2);
        ck_assert_uint_eq(count(METRICS_PRIMITIVES, "charge|ChargeCard|error"), 1);
        found = series(METRICS_PRIMITIVES, "charge|ChargeCard|success");
        ck_assert_ptr_nonnull(found);
        metrics_bounds(METRICS_PRIMITIVES, &n_bounds);
        ck_assert_uint_eq(n_bounds, 10);
        ck_assert_uint_eq(found->count, 3);
        ck_assert_uint_eq(found->buckets[1], 1);
        ck_assert_uint_eq(found->buckets[2], 1);
        ck_assert_uint_eq(found->buckets[9], 1);
        ck_assert_double_eq_tol(found->sum_ms, 10040.5, 0.001);
        ck_assert_uint_eq(n_series(METRICS_SPANS), 2);
}
END_TEST

START_TEST(a_primitive_without_a_name_a_type_or_a_status_is_a_span_only) {
        Session *session = script_session(&script, 1, "shop");
        OtlpAnyValue name = text("charge"), type = text("ChargeCard"), success = text("success"),
                     number = whole(4), none = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__INIT;

        say(&(Said){"p", 1, 0, 7, NULL, &type, &success, NULL});
        say(&(Said){"p", 1, 0, 7, &name, NULL, &success, NULL});
        say(&(Said){"p", 1, 0, 7, &name, &type, NULL, NULL});
        say(&(Said){"p", 1, 0, 7, &number, &type, &success, NULL});
        say(&(Said){"p", 1, 0, 7, &name, &none, &success, NULL});
        take(session);
        ck_assert_uint_eq(n_series(METRICS_PRIMITIVES), 0);
        ck_assert_uint_eq(count(METRICS_SPANS, "shop|p|SPAN_KIND_INTERNAL|STATUS_CODE_UNSET"), 5);
}
END_TEST

START_TEST(a_duration_that_is_none_is_the_span_s_own) {
        const OtlpAnyValue wrong[] = {real(NAN), real(INFINITY), real(-1), whole(-1), text("7")};
        Session *session = script_session(&script, 1, "shop");
        OtlpAnyValue name = text("charge"), type = text("ChargeCard"), success = text("success");
        const MetricsSeries *found;

        for (unsigned i = 0; i < 5; i++)
                say(&(Said){"p", 1, 0, 20 * MS, &name, &type, &success, &wrong[i]});
        take(session);
        found = series(METRICS_PRIMITIVES, "charge|ChargeCard|success");
        ck_assert_ptr_nonnull(found);
        ck_assert_double_eq_tol(found->sum_ms, 100, 0.001);
}
END_TEST

/* METRICS_NAMES of them. */
START_TEST(endless_names_end_in_one_series) {
        enum { GROWTH_MAX = 4 * 1024 * 1024 }; /* of the view of chains */
        unsigned long n_names = unit_amount("METRICS_NAMES", 30000);
        Session *session = script_session(&script, 1, "shop");
        OtlpAnyValue type = text("T"), success = text("success");
        size_t n_bytes = 0;
        uint64_t sum = 0;
        char name[32];

        for (unsigned long i = 0; i < n_names; i++) {
                OtlpAnyValue value = text(name);

                snprintf(name, sizeof name, "GET /%lu", i);
                say(&(Said){name, 1, 0, 7, &value, &type, &success, NULL});
                if (i % 500 == 499) {
                        take(session);
                        script_deliver(&script);
                        script_forget(&script);
                        ck_assert_int_eq(recorder_reclaim(script.recorder, script.now), 0);
                        if (!n_bytes && i >= n_names / 2)
                                n_bytes = mallinfo2().uordblks;
                }
        }
        printf("# %lu names: %zu bytes allocated after half of them and %zu at the end\n", n_names,
               n_bytes, mallinfo2().uordblks);
        ck_assert_uint_le(mallinfo2().uordblks, n_bytes + GROWTH_MAX);
        ck_assert_uint_eq(n_series(METRICS_SPANS), METRICS_SPANS_MAX + 1);
        ck_assert_uint_eq(n_series(METRICS_PRIMITIVES), METRICS_PRIMITIVES_MAX + 1);
        ck_assert_uint_eq(count(METRICS_SPANS, ""), n_names - METRICS_SPANS_MAX);
        ck_assert_uint_eq(count(METRICS_PRIMITIVES, ""), n_names - METRICS_PRIMITIVES_MAX);
        list_for_each (link, metrics_series(script.metrics, METRICS_SPANS))
                sum += list_entry(link, MetricsSeries, link)->count;
        ck_assert_uint_eq(sum, n_names);
        /* What has a series keeps it. */
        say(&(Said){.name = "GET /0", .kind = 1});
        take(session);
        ck_assert_uint_eq(count(METRICS_SPANS, "shop|GET /0|SPAN_KIND_INTERNAL|STATUS_CODE_UNSET"),
                          2);
}
END_TEST

START_TEST(a_long_text_is_cut_between_characters) {
        Session *session = script_session(&script, 1, "shop");
        char name[4 * METRICS_TEXT_MAX + 1] = "", expected[256];

        for (unsigned i = 0; i < METRICS_TEXT_MAX; i++)
                strcat(name, "\xe2\x82\xac"); /* three bytes */
        say(&(Said){.name = name});
        strcat(name, "x");
        say(&(Said){.name = name});
        take(session);
        snprintf(expected, sizeof expected, "shop|%.126s|SPAN_KIND_UNSPECIFIED|STATUS_CODE_UNSET",
                 name);
        ck_assert_uint_eq(n_series(METRICS_SPANS), 1);
        ck_assert_uint_eq(count(METRICS_SPANS, expected), 2);
}
END_TEST

/* As the span is exported, so it is counted. */
START_TEST(fragments_merge_as_they_are_joined) {
        Session *session = script_session(&script, 1, "shop");
        OtlpSpan span = OPENTELEMETRY__PROTO__TRACE__V1__SPAN__INIT;
        OtlpStatus status = OPENTELEMETRY__PROTO__TRACE__V1__STATUS__INIT;

        span.name = (char *)"renamed";
        span.kind = 4;
        status.code = 1;
        span.status = &status;
        script_say(&script, RECORD_SPAN, 0, 0, 1, &span);
        status.code = 2;
        span.name = (char *)"";
        span.kind = 0;
        script_say(&script, RECORD_SPAN, 0, 0, 1, &span);
        script_span_end(&script, 1);
        script_span_start(&script, 0, 1, "first");
        take(session);
        ck_assert_uint_eq(n_series(METRICS_SPANS), 1);
        ck_assert_uint_eq(
                count(METRICS_SPANS, "shop|renamed|SPAN_KIND_PRODUCER|STATUS_CODE_OK"), 1);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 1), "shop renamed status=1");
}
END_TEST

START_TEST(a_span_that_the_daemon_ends_is_an_error) {
        Session *session = script_session(&script, 1, "shop");

        script_span_start(&script, 0, 1, "cut off");
        take(session);
        ck_assert_int_eq(
                recorder_session_end(script.recorder, &session, SESSION_EXITED, script.now), 0);
        ck_assert_uint_eq(
                count(METRICS_SPANS, "shop|cut off|SPAN_KIND_UNSPECIFIED|STATUS_CODE_ERROR"), 1);
}
END_TEST

START_TEST(a_replay_counts_nothing_and_what_was_open_is_counted_at_its_end) {
        Session *session = script_session(&script, 1, "shop");
        uint8_t token[RECORD_TOKEN_SIZE] = {1, 0, 1};

        say(&(Said){.name = "before"});
        script_span_start(&script, 0, 1000, "open");
        take(session);
        ck_assert_uint_eq(n_series(METRICS_SPANS), 1);
        script_crash(&script);
        metrics_free(script.metrics);
        ck_assert_int_eq(metrics_new(&script.metrics, 8), 0);
        metrics_start(script.metrics, script.now);
        script_open(&script);
        ck_assert_uint_eq(n_series(METRICS_SPANS), 0);
        session = recorder_session_by_token(script.recorder, token, 1);
        ck_assert_ptr_nonnull(session);
        script_span_end(&script, 1000);
        take(session);
        ck_assert_uint_eq(n_series(METRICS_SPANS), 1);
        ck_assert_uint_eq(
                count(METRICS_SPANS, "shop|open|SPAN_KIND_UNSPECIFIED|STATUS_CODE_UNSET"), 1);
}
END_TEST

/* Its journal segment goes; the name has moved with the span. */
START_TEST(a_span_that_is_written_anew_keeps_its_name) {
        enum { FILLER = 60000, ROUNDS = 400 };
        Session *session = script_session(&script, 1, "shop");
        static char filler[FILLER + 1];

        memset(filler, 'x', FILLER);
        script_span_start(&script, 0, 1000000, "long open");
        take(session);
        for (unsigned i = 0; i < ROUNDS; i++) {
                script_span_start(&script, 0, 2000000 + i, filler);
                script_span_end(&script, 2000000 + i);
                take(session);
                script_deliver(&script);
                script_forget(&script);
                ck_assert_int_eq(recorder_reclaim(script.recorder, script.now), 0);
        }
        script_span_end(&script, 1000000);
        take(session);
        ck_assert_uint_eq(
                count(METRICS_SPANS, "shop|long open|SPAN_KIND_UNSPECIFIED|STATUS_CODE_UNSET"), 1);
}
END_TEST

START_TEST(what_nobody_asks_for_is_not_counted) {
        Session *session;

        script_crash(&script);
        metrics_free(script.metrics);
        ck_assert_int_eq(metrics_new(&script.metrics, 8), 0);
        script_open(&script);
        ck_assert_uint_eq(metrics_start_unix_ns(script.metrics), 0);
        session = script_session(&script, 1, "shop");
        say(&(Said){.name = "pay"});
        take(session);
        ck_assert_uint_eq(n_series(METRICS_SPANS), 0);
        metrics_start(script.metrics, 5);
        metrics_start(script.metrics, 6);
        ck_assert_uint_eq(metrics_start_unix_ns(script.metrics), 5);
        say(&(Said){.name = "pay"});
        take(session);
        ck_assert_uint_eq(n_series(METRICS_SPANS), 1);
}
END_TEST

int main(void) {
        const TTest *const tests[] = {
                spans_are_counted_by_service_name_kind_and_status,
                spans_of_many_kinds_are_told_apart,
                durations_fall_into_buckets_up_to_and_with_their_bound,
                durations_that_cannot_be_are_none,
                primitives_are_counted_by_name_type_and_status,
                a_primitive_without_a_name_a_type_or_a_status_is_a_span_only,
                a_duration_that_is_none_is_the_span_s_own,
                endless_names_end_in_one_series,
                a_long_text_is_cut_between_characters,
                fragments_merge_as_they_are_joined,
                a_span_that_the_daemon_ends_is_an_error,
                a_replay_counts_nothing_and_what_was_open_is_counted_at_its_end,
                a_span_that_is_written_anew_keeps_its_name,
                what_nobody_asks_for_is_not_counted,
        };
        Suite *suite = suite_create("metrics");
        TCase *tcase = tcase_create("metrics");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, getenv("METRICS_NAMES") ? 0 : 60);
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
                tcase_add_test(tcase, tests[i]);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

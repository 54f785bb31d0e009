/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/metric-writer.h"
#include "daemon/control/metrics-view.h"
#include "otlp/metrics_service.pb-c.h"
#include "otlp/trace.pb-c.h"
#include "tests/unit/fragment.h"
#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MANUAL UNIT_GOLDEN "/../../daemon/catenad.8"

typedef Opentelemetry__Proto__Metrics__V1__Metric OtlpMetric;
typedef Opentelemetry__Proto__Metrics__V1__NumberDataPoint OtlpPoint;
typedef Opentelemetry__Proto__Metrics__V1__HistogramDataPoint OtlpHistogramPoint;
typedef Opentelemetry__Proto__Common__V1__KeyValue OtlpKeyValue;
typedef Opentelemetry__Proto__Collector__Metrics__V1__ExportMetricsServiceRequest OtlpRequest;

#define REQUEST                                                                                    \
        opentelemetry__proto__collector__metrics__v1__export_metrics_service_request__descriptor
#define DATA(kind)  OPENTELEMETRY__PROTO__METRICS__V1__METRIC__DATA_##kind
#define VALUE(kind) OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_##kind##_VALUE
enum { NOW = 2000, START = 1000, CUMULATIVE = 2 };

static Script script;
static uv_loop_t loop;
static Listener *listener;
static TailCounters tail;
static Exporter *exporter;
static size_t n_exporters = 1;
static Buffer resource, text, encoded;
static OtlpRequest *request;
static MetricsView view;

/* ---- all that there is to show ---- */

static void failed(void *user, int r) {
        (void)user;
        ck_abort_msg("failed: %s", strerror(-r));
}

static int nothing(void *user, Buffer *out, size_t *n_pointsp) {
        (void)user;
        (void)out;
        *n_pointsp = 0;
        return 0;
}

static void open_view(void) {
        static char path[sizeof script.path + 16];
        PbWriter writer;
        uint8_t *room;
        ExporterOptions exporter_options = {
                .name = "default",
                .endpoint = "http://127.0.0.1:1",
                .user_agent = "test",
                .metrics_interval_ns = UINT64_C(3600000000000),
                .metrics = nothing,
                .sink = {.fail = failed},
        };
        ListenerOptions listener_options = {
                .socket = path,
                .mode = 0600,
                .max_clients = 8,
                .clients_per_uid = 8,
                .sink = {.fail = failed},
        };

        script_init(&script);
        ck_assert_int_eq(metrics_new(&script.metrics, 7), 0);
        metrics_start(script.metrics, START);
        script_open(&script);
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        snprintf(path, sizeof path, "%s/listener", script.path);
        ck_assert_int_eq(listener_open(&listener, &loop, script.recorder, &listener_options), 0);
        ck_assert_int_eq(exporter_open(&exporter, &loop, script.recorder, &exporter_options), 0);
        ck_assert_int_eq(buffer_reserve(&resource, &room, 256), 0);
        writer = pb_writer(room, 256);
        put_attribute(&writer, 1, "service.name", "catenad");
        resource.size = (size_t)(writer.at - room);
        view = (MetricsView){
                .metrics = script.metrics,
                .recorder = script.recorder,
                .chains = script.chains,
                .listener = listener,
                .tail = &tail,
                .exporters = &exporter,
                .n_exporters = &n_exporters,
                .resource = &resource,
                .start_unix_ns = START,
        };
        metrics_view_begin(&view);
}

static void count(void *user) {
        ++*(unsigned *)user;
}

static void close_view(void) {
        unsigned n_closed = 0;

        listener_close(listener, count, &n_closed);
        exporter_close(exporter, count, &n_closed);
        while (uv_run(&loop, UV_RUN_ONCE))
                ;
        ck_assert_uint_eq(n_closed, 2);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        script_deinit(&script);
        script.metrics = metrics_free(script.metrics);
        buffer_deinit(&resource);
        buffer_deinit(&text);
        buffer_deinit(&encoded);
        if (request)
                protobuf_c_message_free_unpacked(&request->base, NULL);
        request = NULL;
}

/* A span of that name; with `type`, a primitive's. */
static void say(Session *session, const void *name, size_t size, const char *type) {
        static uint64_t id;
        static uint8_t body[4096];
        PbWriter writer = pb_writer(body, sizeof body);
        uint8_t trace_id[16] = {1};

        id++;
        pb_put_bytes(&writer, 1, trace_id, sizeof trace_id);
        pb_put_bytes(&writer, 2, &id, sizeof id);
        pb_put_bytes(&writer, 5, name, size);
        pb_put_fixed64(&writer, 7, 1000000);
        pb_put_fixed64(&writer, 8, 4000000);
        if (type) {
                put_attribute(&writer, 9, "primitive.name", type);
                put_attribute(&writer, 9, "primitive.type", type);
                put_attribute(&writer, 9, "primitive.status", type);
        }
        ck_assert(!writer.failed);
        script_say_raw(&script, RECORD_SPAN, RECORD_START | RECORD_END, 0, id, body,
                       (size_t)(writer.at - body));
        ck_assert_int_eq(script_take(&script, session, JOURNAL_PASS_END), 0);
}

/* ---- how it is told ---- */

static void tell_text(void) {
        text.size = 0;
        ck_assert_int_eq(metrics_view_text(&view, &text, NOW), 0);
        ck_assert_int_eq(buffer_append(&text, "", 1), 0);
}

static void has(const char *line) {
        ck_assert_msg(strstr((char *)text.data, line) != NULL, "no %s in %s", line, text.data);
}

/* Each metric stands once, with points of its kind, each with the times it should have. */
static void check_metric(const OtlpMetric *metric, size_t *n_pointsp) {
        ck_assert_str_ne(metric->name, "");
        ck_assert_str_ne(metric->description, "");
        if (metric->data_case == DATA(HISTOGRAM)) {
                ck_assert_int_eq(metric->histogram->aggregation_temporality, CUMULATIVE);
                for (size_t i = 0; i < metric->histogram->n_data_points; i++) {
                        const OtlpHistogramPoint *point = metric->histogram->data_points[i];
                        uint64_t sum = 0;

                        ck_assert_uint_eq(point->start_time_unix_nano, START);
                        ck_assert_uint_eq(point->time_unix_nano, NOW);
                        ck_assert_uint_eq(point->n_bucket_counts, point->n_explicit_bounds + 1);
                        for (size_t k = 0; k < point->n_bucket_counts; k++)
                                sum += point->bucket_counts[k];
                        ck_assert_uint_eq(point->count, sum);
                        ++*n_pointsp;
                }
                return;
        }
        ck_assert(metric->data_case == DATA(SUM) || metric->data_case == DATA(GAUGE));
        if (metric->data_case == DATA(SUM)) {
                ck_assert_int_eq(metric->sum->aggregation_temporality, CUMULATIVE);
                ck_assert(metric->sum->is_monotonic);
                for (size_t i = 0; i < metric->sum->n_data_points; i++) {
                        const OtlpPoint *point = metric->sum->data_points[i];

                        ck_assert_uint_eq(point->start_time_unix_nano, START);
                        ck_assert_uint_eq(point->time_unix_nano, NOW);
                        ++*n_pointsp;
                }
        } else {
                *n_pointsp += metric->gauge->n_data_points;
        }
}

static OtlpMetric **tell_otlp(size_t *np) {
        size_t n_points, n_found = 0;
        Opentelemetry__Proto__Metrics__V1__ScopeMetrics *scope;

        encoded.size = 0;
        if (request)
                protobuf_c_message_free_unpacked(&request->base, NULL);
        ck_assert_int_eq(metrics_view_otlp(&view, &encoded, &n_points, NOW), 0);
        request = (OtlpRequest *)protobuf_c_message_unpack(&REQUEST, NULL, encoded.size,
                                                           encoded.data);
        ck_assert_ptr_nonnull(request);
        ck_assert_uint_eq(request->n_resource_metrics, 1);
        ck_assert_uint_eq(request->resource_metrics[0]->resource->n_attributes, 1);
        ck_assert_uint_eq(request->resource_metrics[0]->n_scope_metrics, 1);
        scope = request->resource_metrics[0]->scope_metrics[0];
        ck_assert_str_eq(scope->scope->name, "catenad");
        ck_assert_str_eq(scope->scope->version, CATENA_VERSION);
        for (size_t i = 0; i < scope->n_metrics; i++) {
                check_metric(scope->metrics[i], &n_found);
                for (size_t k = 0; k < i; k++)
                        ck_assert_str_ne(scope->metrics[i]->name, scope->metrics[k]->name);
        }
        ck_assert_uint_eq(n_found, n_points);
        *np = scope->n_metrics;
        return scope->metrics;
}

static const OtlpMetric *find(const char *name) {
        size_t n;
        OtlpMetric **metrics = tell_otlp(&n);

        for (size_t i = 0; i < n; i++)
                if (!strcmp(metrics[i]->name, name))
                        return metrics[i];
        return NULL;
}

static const char *attribute(OtlpKeyValue *const *attributes, size_t n, const char *key) {
        for (size_t i = 0; i < n; i++)
                if (!strcmp(attributes[i]->key, key)) {
                        ck_assert_int_eq(attributes[i]->value->value_case, VALUE(STRING));
                        return attributes[i]->value->string_value;
                }
        return NULL;
}

/* ---- counters ---- */

#define COUNTERS(X)                                                                                \
        RECORDER_COUNTERS(X##_RECORDER)                                                            \
        LISTENER_COUNTERS(X##_LISTENER)                                                            \
        TAIL_COUNTERS(X##_TAIL)                                                                    \
        EXPORTER_COUNTERS(X##_EXPORTER)

START_TEST(every_counter_is_exported) {
        static const char *const counters[][2] = {
#define COUNTER_RECORDER(name, meaning) {"catena.", #name "\0" meaning},
#define COUNTER_LISTENER(name, meaning) {"catena.listener.", #name "\0" meaning},
#define COUNTER_TAIL(name, meaning)     {"catena.tail.", #name "\0" meaning},
#define COUNTER_EXPORTER(name, meaning) {"catena.exporter.", #name "\0" meaning},
                COUNTERS(COUNTER)};
        char name[128], head[512];

        tell_text();
        for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
                const char *meaning = counters[i][1] + strlen(counters[i][1]) + 1;
                const OtlpMetric *metric;

                snprintf(name, sizeof name, "%s%s", counters[i][0], counters[i][1]);
                metric = find(name);
                ck_assert_msg(metric != NULL, "%s", name);
                ck_assert_str_eq(metric->description, meaning);
                ck_assert_int_eq(metric->data_case, DATA(SUM));
                ck_assert_uint_eq(metric->sum->n_data_points, 1);
                for (char *dot = name; (dot = strchr(dot, '.'));)
                        *dot = '_';
                snprintf(head, sizeof head, "# HELP %s_total %s\n# TYPE %s_total counter\n%s_total",
                         name, meaning, name, name);
                has(head);
        }
}
END_TEST

START_TEST(every_metric_is_in_the_manual) {
        static char manual[128 * 1024];
        FILE *file = fopen(MANUAL, "re");
        Session *session = script_session(&script, 1, "shop");
        OtlpMetric **metrics;
        size_t n;

        ck_assert_ptr_nonnull(file);
        manual[fread(manual, 1, sizeof manual - 1, file)] = '\0';
        fclose(file);
        say(session, "pay", 3, "charge");
        metrics = tell_otlp(&n);
        ck_assert_uint_gt(n, 50);
        for (size_t i = 0; i < n; i++) {
                char entry[512];

                snprintf(entry, sizeof entry, "\n.It Sy %s\n%s\n", metrics[i]->name,
                         metrics[i]->description);
                ck_assert_msg(strstr(manual, entry) != NULL, "not in daemon/catenad.8:%s", entry);
        }
}
END_TEST

START_TEST(exporters_tell_what_became_of_each_signal) {
        Session *session = script_session(&script, 1, "shop");
        const OtlpMetric *metric;

        say(session, "pay", 3, NULL);
        script_deliver(&script);
        tell_text();
        has("catena_exporter_delivered_total{exporter=\"default\",signal=\"traces\"} 1\n");
        has("catena_exporter_delivered_total{exporter=\"default\",signal=\"logs\"} 0\n");
        has("catena_exporter_delivered_total{exporter=\"default\",signal=\"metrics\"} 0\n");
        has("catena_exporter_requests_total{exporter=\"default\"} 0\n");
        for (unsigned drop = 0; drop < _BATCH_DROPS_N; drop++) {
                char line[256];

                snprintf(line, sizeof line,
                         "catena_exporter_dropped_total{exporter=\"default\",signal=\"traces\","
                         "reason=\"%s\"} 0\n",
                         batch_drop_name((BatchDrop)drop));
                has(line);
        }
        metric = find("catena.exporter.dropped");
        ck_assert_ptr_nonnull(metric);
        ck_assert_uint_eq(metric->sum->n_data_points, 3 * _BATCH_DROPS_N);
}
END_TEST

/* They start at zero with a new start time, whatever the journal remembers. */
START_TEST(what_was_counted_before_the_start_is_not_told) {
        Session *session = script_session(&script, 1, "shop");
        const OtlpMetric *metric;

        say(session, "pay", 3, NULL);
        script_deliver(&script);
        metrics_view_begin(&view);
        tell_text();
        has("\ncatena_spans_accepted_total 0\n");
        has("catena_exporter_delivered_total{exporter=\"default\",signal=\"traces\"} 0\n");
        say(session, "pay", 3, NULL);
        tell_text();
        has("\ncatena_spans_accepted_total 1\n");
        metric = find("catena.spans_accepted");
        ck_assert_ptr_nonnull(metric);
        ck_assert_int_eq(metric->sum->data_points[0]->as_int, 1);
}
END_TEST

START_TEST(a_listener_that_is_gone_tells_no_more) {
        view.listener = NULL;
        ck_assert_ptr_null(find("catena.listener.connections"));
        ck_assert_ptr_nonnull(find("catena.spans_accepted"));
}
END_TEST

/* ---- spans ---- */

START_TEST(spans_and_primitives_are_told_in_otlp) {
        Session *session = script_session(&script, 1, "shop");
        const OtlpMetric *metric;
        const OtlpHistogramPoint *bars;
        const OtlpPoint *point;

        say(session, "pay", 3, NULL);
        say(session, "pay", 3, "charge");
        metric = find("traces.span.metrics.calls");
        ck_assert_ptr_nonnull(metric);
        ck_assert_uint_eq(metric->sum->n_data_points, 1);
        point = metric->sum->data_points[0];
        ck_assert_int_eq(point->as_int, 2);
        ck_assert_uint_eq(point->n_attributes, 4);
        ck_assert_str_eq(attribute(point->attributes, 4, "service.name"), "shop");
        ck_assert_str_eq(attribute(point->attributes, 4, "span.name"), "pay");
        ck_assert_str_eq(attribute(point->attributes, 4, "span.kind"), "SPAN_KIND_UNSPECIFIED");
        ck_assert_str_eq(attribute(point->attributes, 4, "status.code"), "STATUS_CODE_UNSET");
        metric = find("traces.span.metrics.duration");
        ck_assert_ptr_nonnull(metric);
        ck_assert_str_eq(metric->unit, "ms");
        bars = metric->histogram->data_points[0];
        ck_assert_uint_eq(bars->count, 2);
        ck_assert_double_eq_tol(bars->sum, 6, 0.001);
        ck_assert_uint_eq(bars->n_explicit_bounds, 16);
        ck_assert_uint_eq(bars->bucket_counts[1], 2);
        metric = find("primitive.execution.count");
        ck_assert_ptr_nonnull(metric);
        point = metric->sum->data_points[0];
        ck_assert_int_eq(point->as_int, 1);
        ck_assert_str_eq(attribute(point->attributes, 3, "primitive.name"), "charge");
        metric = find("primitive.execution.duration");
        ck_assert_ptr_nonnull(metric);
        bars = metric->histogram->data_points[0];
        ck_assert_uint_eq(bars->n_explicit_bounds, 10);
        ck_assert_double_eq(bars->explicit_bounds[0], 10);
        ck_assert_double_eq(bars->explicit_bounds[9], 10000);
        ck_assert_uint_eq(bars->bucket_counts[0], 1);
}
END_TEST

START_TEST(spans_and_primitives_are_told_as_text) {
        static const char labels[] = "service_name=\"shop\",span_name=\"pay\","
                                     "span_kind=\"SPAN_KIND_UNSPECIFIED\","
                                     "status_code=\"STATUS_CODE_UNSET\"";
        Session *session = script_session(&script, 1, "shop");
        char line[512];

        tell_text();
        ck_assert_ptr_null(strstr((char *)text.data, "traces_span"));
        say(session, "pay", 3, "charge");
        tell_text();
        snprintf(line, sizeof line,
                 "# HELP traces_span_metrics_calls_total spans that have ended\n"
                 "# TYPE traces_span_metrics_calls_total counter\n"
                 "traces_span_metrics_calls_total{%s} 1\n",
                 labels);
        has(line);
        snprintf(line, sizeof line,
                 "# TYPE traces_span_metrics_duration_milliseconds histogram\n"
                 "traces_span_metrics_duration_milliseconds_bucket{%s,le=\"2\"} 0\n"
                 "traces_span_metrics_duration_milliseconds_bucket{%s,le=\"4\"} 1\n",
                 labels, labels);
        has(line);
        snprintf(line, sizeof line,
                 "traces_span_metrics_duration_milliseconds_bucket{%s,le=\"15000\"} 1\n", labels);
        has(line);
        snprintf(line, sizeof line,
                 "_bucket{%s,le=\"+Inf\"} 1\n"
                 "traces_span_metrics_duration_milliseconds_sum{%s} 3\n"
                 "traces_span_metrics_duration_milliseconds_count{%s} 1\n",
                 labels, labels, labels);
        has(line);
        has("primitive_execution_count_total{primitive_name=\"charge\",primitive_type=\"charge\","
            "primitive_status=\"charge\"} 1\n");
        has("# TYPE primitive_execution_duration_milliseconds histogram\n");
        has("# TYPE catena_journal_used_bytes gauge\ncatena_journal_used_bytes ");
        has("# TYPE catena_exporter_bytes_total counter\n");
}
END_TEST

START_TEST(names_are_escaped_in_text) {
        static const char name[] = "a\"b\\c\nd\0e\x7f\tf \xe2\x82\xac {}=,";
        Session *session = script_session(&script, 1, "sh\"op");

        say(session, name, sizeof name - 1, NULL);
        tell_text();
        has("{service_name=\"sh\\\"op\",span_name=\"a\\\"b\\\\c\\nd\\\\x00e\\\\x7f\\\\x09f "
            "\xe2\x82\xac {}=,\",");
        ck_assert_uint_eq(strlen((char *)text.data), text.size - 1);
}
END_TEST

/* name{labels} value, or a comment: as a scraper reads it. */
static bool is_line(const char *line) {
        const char *at = line + strspn(line, "abcdefghijklmnopqrstuvwxyz_");
        char *end;

        if (!strncmp(line, "# HELP ", 7) || !strncmp(line, "# TYPE ", 7))
                return true;
        if (at == line)
                return false;
        if (*at == '{') {
                do {
                        at++;
                        at += strspn(at, "abcdefghijklmnopqrstuvwxyz_");
                        if (strncmp(at, "=\"", 2))
                                return false;
                        for (at += 2; *at && *at != '"'; at++)
                                if (*at == '\\' && !*++at)
                                        return false;
                        if (*at++ != '"')
                                return false;
                } while (*at == ',');
                if (*at++ != '}')
                        return false;
        }
        if (*at != ' ')
                return false;
        (void)strtod(at + 1, &end);
        return end > at + 1 && !*end;
}

/* The worst that clients can do: every series there can be, each of the longest texts. */
static void fill(void) {
        Session *session = script_session(&script, 1, "shop");
        char name[METRICS_TEXT_MAX + 16];

        memset(name, '"', sizeof name);
        for (unsigned i = 0; i < METRICS_SPANS_MAX + 10; i++) {
                char type[METRICS_TEXT_MAX + 1];

                snprintf(type, sizeof type, "%0*u", METRICS_TEXT_MAX, i);
                memcpy(name, type + METRICS_TEXT_MAX - 8, 8);
                say(session, name, sizeof name, type);
                if (i % 500)
                        continue;
                script_deliver(&script);
                script_forget(&script);
                ck_assert_int_eq(recorder_reclaim(script.recorder, script.now), 0);
        }
}

START_TEST(all_series_fit_into_one_request_and_one_answer) {
        const OtlpMetric *metric;
        const OtlpPoint *last;
        size_t n;

        fill();
        tell_otlp(&n);
        ck_assert_uint_le(encoded.size, BATCH_REQUEST_MAX);
        metric = find("traces.span.metrics.calls");
        ck_assert_ptr_nonnull(metric);
        ck_assert_uint_eq(metric->sum->n_data_points, METRICS_SPANS_MAX + 1);
        last = metric->sum->data_points[METRICS_SPANS_MAX];
        ck_assert_int_eq(last->as_int, 10);
        ck_assert_uint_eq(last->n_attributes, 1);
        ck_assert_str_eq(last->attributes[0]->key, "otel.metric.overflow");
        ck_assert_int_eq(last->attributes[0]->value->value_case, VALUE(BOOL));
        ck_assert(last->attributes[0]->value->bool_value);
        tell_text();
        has("traces_span_metrics_calls_total{otel_metric_overflow=\"true\"} 10\n");
        for (char *rest = (char *)text.data, *line; (line = strsep(&rest, "\n"));)
                if (rest || *line)
                        ck_assert_msg(is_line(line), "%s", line);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("metrics-view");
        TCase *tcase = tcase_create("metrics-view");

        tcase_add_checked_fixture(tcase, open_view, close_view);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, every_counter_is_exported);
        tcase_add_test(tcase, every_metric_is_in_the_manual);
        tcase_add_test(tcase, exporters_tell_what_became_of_each_signal);
        tcase_add_test(tcase, what_was_counted_before_the_start_is_not_told);
        tcase_add_test(tcase, a_listener_that_is_gone_tells_no_more);
        tcase_add_test(tcase, spans_and_primitives_are_told_in_otlp);
        tcase_add_test(tcase, spans_and_primitives_are_told_as_text);
        tcase_add_test(tcase, names_are_escaped_in_text);
        tcase_add_test(tcase, all_series_fit_into_one_request_and_one_answer);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

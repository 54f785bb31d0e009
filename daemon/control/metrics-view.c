/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/metrics-view.h"

#include "daemon/base/error.h"
#include "daemon/control/metric-writer.h"

#include <string.h>

void metrics_view_begin(MetricsView *view) {
        RecorderView now;

        recorder_view(view->recorder, &now);
        view->before = now.counters;
        for (unsigned i = 0; i < now.n_exporters; i++)
                view->before_of[i] = now.exporters[i];
}

/* One telling of them all; after a failure the rest does nothing. */
typedef struct MetricsRun {
        const MetricsView *view;
        MetricWriter *writer;
        RecorderView now;
        int r;
} MetricsRun;

static void metrics_run_begin(MetricsRun *run, const Metric *metric) {
        if (!run->r)
                run->r = error_trace(run->writer->begin(run->writer, metric));
}

static void metrics_run_end(MetricsRun *run) {
        if (!run->r)
                run->r = error_trace(run->writer->end(run->writer));
}

static void metrics_run_point(MetricsRun *run, const MetricsLabel *labels, size_t n,
                              uint64_t value) {
        MetricPoint point = {
                .labels = labels,
                .n_labels = n,
                .start_unix_ns = run->view->start_unix_ns,
                .value = value,
        };

        if (!run->r)
                run->r = error_trace(run->writer->point(run->writer, &point));
}

static MetricsLabel metrics_label(const char *key, const char *text) {
        return (MetricsLabel){key, text, strlen(text)};
}

/* ---- spans and primitives ---- */

static void metrics_run_one_series(MetricsRun *run, const MetricsSeries *series) {
        MetricsLabel labels[METRICS_LABELS_MAX];
        MetricPoint point = {
                .labels = labels,
                .n_labels = metrics_labels(series, labels),
                .start_unix_ns = metrics_start_unix_ns(run->view->metrics),
                .value = series->count,
                .sum = series->sum_ms,
                .buckets = series->buckets,
        };

        if (series->overflow)
                labels[point.n_labels++] = (MetricsLabel){.key = "otel.metric.overflow"};
        if (!run->r)
                run->r = error_trace(run->writer->point(run->writer, &point));
}

static void metrics_run_series(MetricsRun *run, MetricsKind kind, const Metric *metric) {
        metrics_run_begin(run, metric);
        list_for_each (link, metrics_series(run->view->metrics, kind))
                metrics_run_one_series(run, list_entry(link, MetricsSeries, link));
        metrics_run_end(run);
}

static void metrics_run_kinds(MetricsRun *run) {
        static const Metric counts[_METRICS_KINDS_N] = {
                [METRICS_SPANS] = {"traces.span.metrics.calls", "spans that have ended", "",
                                   METRIC_COUNTER},
                [METRICS_PRIMITIVES] = {"primitive.execution.count",
                                        "executions of primitives that have ended", "",
                                        METRIC_COUNTER},
        };
        static const Metric durations[_METRICS_KINDS_N] = {
                [METRICS_SPANS] = {"traces.span.metrics.duration",
                                   "how long spans lasted that have ended", "ms",
                                   METRIC_HISTOGRAM},
                [METRICS_PRIMITIVES] = {"primitive.execution.duration",
                                        "how long executions of primitives lasted", "ms",
                                        METRIC_HISTOGRAM},
        };

        for (unsigned kind = 0; kind < _METRICS_KINDS_N; kind++) {
                Metric duration = durations[kind];

                duration.bounds = metrics_bounds((MetricsKind)kind, &duration.n_bounds);
                metrics_run_series(run, (MetricsKind)kind, &counts[kind]);
                metrics_run_series(run, (MetricsKind)kind, &duration);
        }
}

/* ---- counters in a struct ---- */

typedef struct MetricsField {
        Metric metric;
        size_t offset; /* of a uint64_t */
} MetricsField;

#define METRICS_FIELD(type, prefix, name, member, meaning)                                         \
        {{prefix #name, meaning, "", METRIC_COUNTER, NULL, 0}, offsetof(type, member)},
#define METRICS_RECORDER_X(name, meaning)                                                          \
        METRICS_FIELD(RecorderCounters, "catena.", name, name, meaning)
#define METRICS_LISTENER_X(name, meaning)                                                          \
        METRICS_FIELD(ListenerCounters, "catena.listener.", name, name, meaning)
#define METRICS_TAIL_X(name, meaning)                                                              \
        METRICS_FIELD(TailCounters, "catena.tail.", name, name, meaning)
#define METRICS_EXPORTER_X(name, meaning)                                                          \
        METRICS_FIELD(ExporterStatus, "catena.exporter.", name, n_##name, meaning)
static const MetricsField metrics_of_recorder[] = {RECORDER_COUNTERS(METRICS_RECORDER_X)};
static const MetricsField metrics_of_listener[] = {LISTENER_COUNTERS(METRICS_LISTENER_X)};
static const MetricsField metrics_of_tail[] = {TAIL_COUNTERS(METRICS_TAIL_X)};
static const MetricsField metrics_of_exporter[] = {EXPORTER_COUNTERS(METRICS_EXPORTER_X)};

static uint64_t metrics_field(const MetricsField *field, const void *values) {
        return *(const uint64_t *)((const char *)values + field->offset);
}

/* What came on top; a counter that is less than before belongs to somebody else by now. */
static uint64_t metrics_since(uint64_t before, uint64_t now) {
        return now < before ? now : now - before;
}

static void metrics_run_recorder(MetricsRun *run) {
        for (size_t i = 0; i < sizeof metrics_of_recorder / sizeof *metrics_of_recorder; i++) {
                const MetricsField *field = &metrics_of_recorder[i];

                metrics_run_begin(run, &field->metric);
                metrics_run_point(run, NULL, 0,
                                  metrics_since(metrics_field(field, &run->view->before),
                                                metrics_field(field, &run->now.counters)));
                metrics_run_end(run);
        }
}

static void metrics_run_listener(MetricsRun *run) {
        static const Metric clients = {"catena.listener.clients", "connections now", "",
                                       METRIC_GAUGE};
        const ListenerCounters *counters;

        if (!run->view->listener)
                return;
        counters = listener_counters(run->view->listener);
        for (size_t i = 0; i < sizeof metrics_of_listener / sizeof *metrics_of_listener; i++) {
                metrics_run_begin(run, &metrics_of_listener[i].metric);
                metrics_run_point(run, NULL, 0, metrics_field(&metrics_of_listener[i], counters));
                metrics_run_end(run);
        }
        metrics_run_begin(run, &clients);
        metrics_run_point(run, NULL, 0, counters->n_clients);
        metrics_run_end(run);
}

static void metrics_run_tail(MetricsRun *run) {
        const TailCounters *counters = run->view->tail;

        for (size_t i = 0; counters && i < sizeof metrics_of_tail / sizeof *metrics_of_tail; i++) {
                metrics_run_begin(run, &metrics_of_tail[i].metric);
                metrics_run_point(run, NULL, 0, metrics_field(&metrics_of_tail[i], counters));
                metrics_run_end(run);
        }
}

/* ---- exporters ---- */

static void metrics_run_requests(MetricsRun *run) {
        ExporterStatus status;

        for (size_t i = 0; i < sizeof metrics_of_exporter / sizeof *metrics_of_exporter; i++) {
                const MetricsField *field = &metrics_of_exporter[i];

                metrics_run_begin(run, &field->metric);
                for (size_t k = 0; k < *run->view->n_exporters; k++) {
                        MetricsLabel label;

                        exporter_status(run->view->exporters[k], &status);
                        label = metrics_label("exporter", status.name);
                        metrics_run_point(run, &label, 1, metrics_field(field, &status));
                }
                metrics_run_end(run);
        }
}

/* What became of the objects of a signal: since the start. */
typedef struct MetricsFate {
        MetricsLabel labels[3]; /* exporter, signal; the third is the caller's */
        BatchOutcome outcome;
} MetricsFate;

static void metrics_run_fate(MetricsRun *run, MetricsFate *fate, bool dropped) {
        if (!dropped) {
                metrics_run_point(run, fate->labels, 2, fate->outcome.n_delivered);
                return;
        }
        for (unsigned drop = 0; drop < _BATCH_DROPS_N; drop++) {
                fate->labels[2] = metrics_label("reason", batch_drop_name((BatchDrop)drop));
                metrics_run_point(run, fate->labels, 3, fate->outcome.n_dropped[drop]);
        }
}

static void metrics_run_batches(MetricsRun *run, bool dropped) {
        for (unsigned i = 0; i < run->now.n_exporters; i++) {
                const RecorderExporter *now = &run->now.exporters[i];
                const RecorderExporter *before = &run->view->before_of[i];

                for (unsigned k = 0; k < _BATCH_SIGNALS_N; k++) {
                        MetricsFate fate = {{metrics_label("exporter", now->name)}};

                        if (!(now->signals & 1u << k))
                                continue;
                        fate.labels[1] =
                                metrics_label("signal", batch_signal_name((BatchSignal)k));
                        fate.outcome.n_delivered = metrics_since(before->of[k].n_delivered,
                                                                 now->of[k].n_delivered);
                        for (unsigned drop = 0; drop < _BATCH_DROPS_N; drop++)
                                fate.outcome.n_dropped[drop] =
                                        metrics_since(before->of[k].n_dropped[drop],
                                                      now->of[k].n_dropped[drop]);
                        metrics_run_fate(run, &fate, dropped);
                }
        }
}

static void metrics_run_points(MetricsRun *run, bool dropped) {
        for (size_t i = 0; i < *run->view->n_exporters; i++) {
                ExporterStatus status;
                MetricsFate fate;

                exporter_status(run->view->exporters[i], &status);
                if (!status.sends_metrics)
                        continue;
                fate = (MetricsFate){{metrics_label("exporter", status.name),
                                      metrics_label("signal", "metrics")},
                                     status.points};
                metrics_run_fate(run, &fate, dropped);
        }
}

static void metrics_run_exporters(MetricsRun *run) {
        static const Metric delivered = {
                "catena.exporter.delivered",
                "spans, log records and data points that the collector took", "", METRIC_COUNTER};
        static const Metric dropped = {
                "catena.exporter.dropped",
                "spans, log records and data points that were dropped, and why", "",
                METRIC_COUNTER};

        metrics_run_begin(run, &delivered);
        metrics_run_batches(run, false);
        metrics_run_points(run, false);
        metrics_run_end(run);
        metrics_run_begin(run, &dropped);
        metrics_run_batches(run, true);
        metrics_run_points(run, true);
        metrics_run_end(run);
        metrics_run_requests(run);
}

/* ---- what is now ---- */

/* X(name, meaning, unit, type, value) */
#define METRICS_STATES(X)                                                                          \
        X("catena.spans_open", "spans that have started and not ended", "", METRIC_GAUGE,          \
          run->now.n_spans_open)                                                                   \
        X("catena.contexts", "contexts that have not ended, or have spans that have not", "",      \
          METRIC_GAUGE, run->now.n_contexts)                                                       \
        X("catena.sessions_alive", "client sessions that have not ended", "", METRIC_GAUGE,        \
          run->now.n_sessions_alive)                                                               \
        X("catena.journal.limit", "what the journal may hold", "By", METRIC_GAUGE,                 \
          run->now.journal.max_bytes)                                                              \
        X("catena.journal.used", "what the journal holds", "By", METRIC_GAUGE,                     \
          run->now.journal.used_bytes)                                                             \
        X("catena.journal.live", "what the journal holds that something still needs", "By",        \
          METRIC_GAUGE, run->now.journal.live_bytes)                                               \
        X("catena.chains.held", "chains that can be asked for", "", METRIC_GAUGE, usage.n_chains)  \
        X("catena.chains.used", "memory of chains that can be asked for", "By", METRIC_GAUGE,      \
          usage.n_bytes)                                                                           \
        X("catena.chains.evicted", "chains that made room for newer ones", "", METRIC_COUNTER,     \
          usage.n_evicted)                                                                         \
        X("catena.chains.left_out", "contexts, spans and texts that a chain had no room for", "",  \
          METRIC_COUNTER, usage.n_left_out)

static void metrics_run_states(MetricsRun *run) {
#define METRICS_STATE_X(name, meaning, unit, type, value) {name, meaning, unit, type, NULL, 0},
        static const Metric metrics[] = {METRICS_STATES(METRICS_STATE_X)};
#undef METRICS_STATE_X
        ChainsUsage usage;

        chains_usage(run->view->chains, &usage);
#define METRICS_STATE_X(name, meaning, unit, type, value) value,
        const uint64_t values[] = {METRICS_STATES(METRICS_STATE_X)};
#undef METRICS_STATE_X
        for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
                metrics_run_begin(run, &metrics[i]);
                metrics_run_point(run, NULL, 0, values[i]);
                metrics_run_end(run);
        }
}

/* ---- all of it ---- */

static int metrics_view_write(const MetricsView *view, MetricWriter *writer) {
        MetricsRun run = {.view = view, .writer = writer};

        recorder_view(view->recorder, &run.now);
        metrics_run_kinds(&run);
        metrics_run_recorder(&run);
        metrics_run_listener(&run);
        metrics_run_tail(&run);
        metrics_run_exporters(&run);
        metrics_run_states(&run);
        return error_trace(run.r);
}

int metrics_view_text(const MetricsView *view, Buffer *out, uint64_t now_unix_ns) {
        MetricWriter writer;
        int r;

        metrics_start(view->metrics, now_unix_ns);
        metric_text_init(&writer);
        writer.out = *out; /* lent: it is large */
        r = metrics_view_write(view, &writer);
        *out = writer.out;
        writer.out = BUFFER_NULL;
        metric_writer_deinit(&writer);
        return error_trace(r);
}

int metrics_view_otlp(const MetricsView *view, Buffer *out, size_t *n_pointsp,
                      uint64_t now_unix_ns) {
        MetricWriter writer;
        int r;

        metric_otlp_init(&writer, now_unix_ns);
        r = metrics_view_write(view, &writer);
        if (!r)
                r = metric_otlp_finish(&writer, view->resource, out);
        *n_pointsp = writer.n_points;
        metric_writer_deinit(&writer);
        return error_trace(r);
}

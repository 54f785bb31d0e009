#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Writing metrics
 *
 * A metric is begun, its points are written one after the other, it is ended; then the next. Who
 * tells what there is need not know in which format it goes out: OTLP or Prometheus's text.
 *
 * I/O: none.
 */

#include "daemon/base/buffer.h"
#include "daemon/trace/metrics.h"

#include <stddef.h>
#include <stdint.h>

enum { METRIC_NAME_MAX = 128 };

typedef enum MetricType {
        METRIC_COUNTER, /* only grows, from 0 at the start */
        METRIC_GAUGE,
        METRIC_HISTOGRAM,
} MetricType;

typedef struct Metric {
        const char *name; /* as OpenTelemetry has it: "catena.spans_accepted" */
        const char *text; /* what it counts */
        const char *unit; /* "ms", "By", "": a number of things */
        MetricType type;
        const double *bounds; /* [n_bounds], of a histogram */
        size_t n_bounds;
} Metric;

typedef struct MetricPoint {
        const MetricsLabel *labels; /* a text that is NULL stands for `true` */
        size_t n_labels;            /* at most METRICS_LABELS_MAX */
        uint64_t start_unix_ns;
        uint64_t value; /* of a histogram: how many */
        double sum;
        const uint64_t *buckets; /* [n_bounds + 1], of a histogram */
} MetricPoint;

typedef struct MetricWriter MetricWriter;
struct MetricWriter {
        int (*begin)(MetricWriter *writer, const Metric *metric);
        int (*point)(MetricWriter *writer, const MetricPoint *point);
        int (*end)(MetricWriter *writer);
        const Metric *metric; /* that was begun */
        size_t n_points;
        Buffer out;
        Buffer points;        /* OTLP: of the metric; text: the labels of one */
        uint64_t now_unix_ns; /* OTLP */
        /* Text, of the metric: whether its head is written, its name and bounds. */
        bool begun;
        char name[METRIC_NAME_MAX];
        char bounds[METRICS_BOUNDS_MAX][32];
};

/* ---- OTLP ---- */

void metric_otlp_init(MetricWriter *writer, uint64_t now_unix_ns);
/* Appends an ExportMetricsServiceRequest of all that was written; `resource` is a Resource. */
int metric_otlp_finish(MetricWriter *writer, const Buffer *resource, Buffer *out);

/* ---- Prometheus's text format, version 0.0.4 ---- */

#define METRIC_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* What was written is writer->out. */
void metric_text_init(MetricWriter *writer);

void metric_writer_deinit(MetricWriter *writer);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Metrics of spans
 *
 * Each span that closes is counted, and its duration put into a histogram, by service, name, kind
 * and status; one of a primitive also by the primitive's name, type and status. A series is made
 * when the first span of its kind closes; once there are too many, all that is new is counted in
 * one series that stands for the rest.
 *
 * Cumulative since they were started, in this process: they are not in the journal, and a replay
 * counts nothing.
 *
 * Owns: its series. Sessions point to some, so it outlives them.  Bound: METRICS_SPANS_MAX and
 * METRICS_PRIMITIVES_MAX series, each with texts of METRICS_TEXT_MAX.  I/O: none.  Clock: passed
 * in.
 */

#include "daemon/trace/id-index.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        METRICS_TEXT_MAX = 128, /* bytes of a text; it is cut between characters */
        METRICS_SPANS_MAX = 2000,
        METRICS_PRIMITIVES_MAX = 1000,
        METRICS_BOUNDS_MAX = 16,
        METRICS_LABELS_MAX = 4,
};

typedef enum MetricsKind {
        METRICS_SPANS,
        METRICS_PRIMITIVES,
        _METRICS_KINDS_N,
} MetricsKind;

typedef struct MetricsLabel {
        const char *key; /* "service.name" */
        const char *text;
        size_t size;
} MetricsLabel;

typedef struct MetricsSeries {
        List link; /* metrics.series, in the order in which they were made */
        IdIndexEntry by_key;
        MetricsKind kind;
        bool overflow; /* stands for all that came after there were too many */
        uint64_t count;
        double sum_ms;
        uint64_t buckets[METRICS_BOUNDS_MAX + 1]; /* up to and with bound i; the last: over all */
        size_t key_size;
        uint8_t key[]; /* each text behind its size, a byte; numbers are in the entry's scope */
} MetricsSeries;

typedef struct Metrics Metrics;
typedef struct ObjectPieces ObjectPieces;
typedef struct Span Span;

int metrics_new(Metrics **metricsp, uint64_t seed);
Metrics *metrics_free(Metrics *metrics);

/* Somebody will ask: from now on spans are counted. Once is enough. */
void metrics_start(Metrics *metrics, uint64_t now_unix_ns);
/* 0: not started, and so nothing is counted. */
uint64_t metrics_start_unix_ns(const Metrics *metrics);

/*
 * A span has closed: its pieces are read only where it may be a primitive's. Does nothing where
 * `metrics` is NULL.
 */
int metrics_close_span(Metrics *metrics, const Span *span, uint64_t end_unix_ns,
                       ObjectPieces *pieces);

/* MetricsSeries.link */
const List *metrics_series(const Metrics *metrics, MetricsKind kind);
/* Upper bounds of the buckets in milliseconds, ascending. */
const double *metrics_bounds(MetricsKind kind, size_t *np);
/* How many; of the overflow none. The texts lie in the series. */
unsigned metrics_labels(const MetricsSeries *series, MetricsLabel labels[METRICS_LABELS_MAX]);

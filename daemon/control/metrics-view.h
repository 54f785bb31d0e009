#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * All metrics there are
 *
 * Of spans and primitives, and the daemon's own counters: each with the text that stands beside it
 * where it is counted. Counters that the journal keeps are told as what they grew by since the
 * start of this process, like all others.
 *
 * Borrows: all it shows.  I/O: none.  Clock: passed in.
 */

#include "daemon/base/buffer.h"
#include "daemon/control/tail.h"
#include "daemon/export/exporter.h"
#include "daemon/ingest/listener.h"
#include "daemon/trace/chains.h"
#include "daemon/trace/metrics.h"
#include "daemon/trace/recorder.h"

typedef struct MetricsView {
        Metrics *metrics;
        Recorder *recorder;
        const Chains *chains;
        const Listener *listener; /* or NULL: closed */
        const TailCounters *tail; /* the same */
        Exporter *const *exporters;
        const size_t *n_exporters; /* of these that are open */
        const Buffer *resource;    /* a Resource: who tells it */
        uint64_t start_unix_ns;
        RecorderCounters before;                       /* the counters at the start … */
        RecorderExporter before_of[BATCH_EXPORTERS_MAX]; /* … and of each exporter */
} MetricsView;

/* Notes what was counted before: once, after recovery and when all its exporters are named. */
void metrics_view_begin(MetricsView *view);

/* Appends them in Prometheus's text format; from now on spans are counted. */
int metrics_view_text(const MetricsView *view, Buffer *out, uint64_t now_unix_ns);
/* Appends an ExportMetricsServiceRequest. */
int metrics_view_otlp(const MetricsView *view, Buffer *out, size_t *n_pointsp,
                      uint64_t now_unix_ns);

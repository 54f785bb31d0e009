#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Status as JSON
 *
 * What came in, went out, is held, was dropped and why; and whether it adds up: per signal, what
 * was accepted is open, unsealed, sealed or finished, and what an exporter owed it has delivered,
 * dropped, or still owes. The sums are made of counters that are kept apart from each other.
 *
 * I/O: none.  Clock: passed in.
 */

#include "daemon/base/buffer.h"
#include "daemon/control/tail.h"
#include "daemon/export/exporter.h"
#include "daemon/ingest/listener.h"
#include "daemon/trace/chains.h"
#include "daemon/trace/recorder.h"

typedef struct Status {
        uint32_t pid;
        uint64_t start_unix_ns, now_unix_ns;
        RecorderView view;
        uint64_t n_pending[BATCH_EXPORTERS_MAX][_BATCH_SIGNALS_N]; /* in batches still owed */
        const JournalReport *report;
        const ListenerCounters *listener;
        ChainsUsage chains;
        const TailCounters *tail;
        const ExporterStatus *exporters; /* [n_exporters] */
        size_t n_exporters;
} Status;

int status_render(Buffer *out, const Status *status);

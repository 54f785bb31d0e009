#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Inside the daemon
 *
 *   daemon.c        the loop: turns, signals, the end
 *   daemon-start.c  opens all parts, in order
 */

#include "daemon/control/control.h"
#include "daemon/control/metrics-view.h"
#include "daemon/daemon.h"
#include "daemon/export/exporter.h"
#include "daemon/ingest/listener.h"
#include "daemon/journal/journal.h"
#include "daemon/notify.h"
#include "daemon/trace/chains.h"
#include "daemon/trace/recorder.h"

#include <uv.h>

enum { DAEMON_SIGNALS_N = 3 };

typedef enum DaemonState {
        DAEMON_RUNNING,
        DAEMON_STOPPING, /* control and listener close: the last records are read */
        DAEMON_DRAINING, /* what was read is sent, until the deadline */
        DAEMON_LEAVING,  /* all the rest closes */
} DaemonState;

typedef struct Daemon {
        const Config *config;
        DaemonState state;
        int failure; /* the first that a part could not go on after */
        uint64_t start_unix_ns;

        uv_loop_t loop;
        uv_prepare_t turn; /* once a turn, before the loop sleeps */
        uv_timer_t wake;   /* when a batch is due, or there may be room again */
        uint64_t wake_unix_ns;
        uv_timer_t rest; /* runs from when all is delivered */
        bool rested;     /* since then */
        uv_timer_t deadline;
        uv_signal_t signals[DAEMON_SIGNALS_N];

        uint64_t seed;
        Chains *chains;
        Journal *journal;
        JournalReport journal_report;
        Buffer resource, own_resource;
        Metrics *metrics;
        MetricsView metrics_view;
        bool measured; /* the last metrics have gone, or are on their way */
        Recorder *recorder;
        Exporter *exporters[CONFIG_EXPORTERS_MAX];
        size_t n_exporters;
        NotifyKept kept; /* arenas, until the listener has taken what is its */
        Listener *listener;
        Control *control, *prometheus;
} Daemon;

uint64_t daemon_now_unix_ns(void);
/* What went wrong in a part, negative: the loop ends. An ErrorSink's; user: the Daemon. */
void daemon_fail(void *user, int r);

RecorderSampling daemon_sampling(const Config *config);
/* Journal, recorder, exporters, listener, control; the loop runs already. */
int daemon_open_parts(Daemon *daemon);

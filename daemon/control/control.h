#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Control
 *
 * The second socket: HTTP and JSON, as curl speaks it.
 *
 *   GET  /v1/status           what came in, went out, is held, was dropped and why
 *   GET  /v1/chains           recent chains, newest first, one JSON object a line
 *   GET  /v1/chains/ID        one chain, by any id that is in it
 *   GET  /v1/spans?open       open spans, longest first, one a line
 *   GET  /v1/tail             a stream: spans as they end, one a line, until either side hangs up;
 *                             with since=5m first those that ended since
 *   GET  /metrics             all metrics, as Prometheus's text
 *   POST /v1/flush            ?level=journaled|delivered&timeout_ms=N: waits, then says the level
 *
 * Lists and stream are narrowed by ?service=S&errors&min=100ms, lists by since=5m&limit=N;
 * chains also by workflow=W, session=S, running, and slow, which puts the slowest first; spans by
 * name=N. What a path does not know is refused with status 400, which tells what is allowed.
 *
 * Every object has "v": 1; within it fields are only added and never change type. 64-bit integers
 * are strings, spans are OTLP/JSON.
 *
 * On a TCP port there is /metrics and nothing else.
 *
 * Owns: its socket and connections.  Borrows: all it shows, until it is closed.
 */

#include "daemon/base/error.h"
#include "daemon/control/metrics-view.h"
#include "daemon/export/exporter.h"
#include "daemon/ingest/listener.h"
#include "daemon/trace/chains.h"
#include "daemon/trace/recorder.h"

#include <uv.h>

enum {
        _CONTROL_E_SUCCESS,

        CONTROL_E_IN_USE, /* another daemon answers on this socket; somebody has the port */
        CONTROL_E_PATH,   /* the socket cannot be made there; errno tells why */
        CONTROL_E_GROUP,  /* no such group */
};

typedef struct Control Control;

typedef struct ControlOptions {
        const char *tcp; /* "127.0.0.1:9465": there, for /metrics alone; NULL: at … */
        const char *socket;
        mode_t mode;
        const char *group; /* or NULL */
        const MetricsView *metrics;
        Recorder *recorder;
        Chains *chains;
        Listener *listener;
        Exporter *const *exporters;
        size_t n_exporters;
        const JournalReport *journal_report;
        const struct TailCounters *tail; /* set by control_open() */
        uint64_t start_unix_ns;
        ErrorSink sink;
} ControlOptions;

int control_open(Control **controlp, uv_loop_t *loop, const ControlOptions *options);
/* How its tail fares: until it is closed. */
const TailCounters *control_tail(const Control *control);
/* Answers the flushes whose time has come, and sends what tails are told. Once a turn. */
void control_turn(Control *control);
void control_close(Control *control, void (*closed)(void *user), void *user);

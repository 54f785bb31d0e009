/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/status.h"

#include "daemon/base/error.h"
#include "daemon/control/render.h"

/* ---- conservation ---- */

typedef struct StatusSums {
        uint64_t n_accepted, n_damaged, n_open, n_undecided, n_unsealed, n_sealed, n_finished,
                n_unsampled, n_without_exporter;
} StatusSums;

static StatusSums status_sums(const RecorderView *view, BatchSignal signal) {
        const RecorderCounters *counters = &view->counters;
        bool traces = signal == BATCH_TRACES;

        return (StatusSums){
                .n_accepted = traces ? counters->spans_accepted : counters->logs_accepted,
                .n_damaged = traces ? counters->spans_damaged : counters->logs_damaged,
                .n_open = traces ? view->n_spans_open : 0,
                .n_undecided = traces ? view->n_spans_undecided : 0,
                .n_unsealed = view->n_unsealed[signal],
                .n_sealed = view->n_sealed[signal],
                .n_finished = traces ? counters->spans_finished : counters->logs_finished,
                .n_unsampled = traces ? counters->spans_unsampled : 0,
                .n_without_exporter =
                        traces ? counters->spans_without_exporter : counters->logs_without_exporter,
        };
}

static bool status_sums_hold(const StatusSums *sums) {
        return sums->n_accepted == sums->n_damaged + sums->n_open + sums->n_undecided +
                                           sums->n_unsealed + sums->n_sealed + sums->n_finished +
                                           sums->n_unsampled;
}

static bool status_exporter_holds(const Status *status, unsigned i, BatchSignal signal) {
        const RecorderExporter *exporter = &status->view.exporters[i];
        uint64_t sum = exporter->of[signal].n_delivered + status->n_pending[i][signal];

        for (unsigned drop = 0; drop < _BATCH_DROPS_N; drop++)
                sum += exporter->of[signal].n_dropped[drop];
        return exporter->of[signal].n_owed == sum;
}

static bool status_holds(const Status *status, BatchSignal signal) {
        StatusSums sums = status_sums(&status->view, signal);
        bool holds = status_sums_hold(&sums);

        for (unsigned i = 0; i < status->view.n_exporters; i++)
                holds = holds && status_exporter_holds(status, i, signal);
        return holds;
}

static void status_dropped(Render *render, const uint64_t n_dropped[_BATCH_DROPS_N]) {
        render_open_object(render, "dropped");
        for (unsigned drop = 0; drop < _BATCH_DROPS_N; drop++)
                render_u64(render, batch_drop_name((BatchDrop)drop), n_dropped[drop]);
        render_close(render);
}

static void status_exporter_sums(Render *render, const Status *status, unsigned i,
                                 BatchSignal signal) {
        const RecorderExporter *exporter = &status->view.exporters[i];

        render_open_object(render, NULL);
        render_text(render, "name", exporter->name);
        render_bool(render, "configured", exporter->signals & (1u << signal));
        render_bool(render, "holds", status_exporter_holds(status, i, signal));
        render_u64(render, "owed", exporter->of[signal].n_owed);
        render_u64(render, "delivered", exporter->of[signal].n_delivered);
        render_u64(render, "in_memory", status->n_pending[i][signal]);
        status_dropped(render, exporter->of[signal].n_dropped);
        render_close(render);
}

static void status_conservation(Render *render, const Status *status) {
        render_open_object(render, "conservation");
        render_bool(render, "holds",
                    status_holds(status, BATCH_TRACES) && status_holds(status, BATCH_LOGS));
        for (unsigned i = 0; i < _BATCH_SIGNALS_N; i++) {
                BatchSignal signal = (BatchSignal)i;
                StatusSums sums = status_sums(&status->view, signal);

                render_open_object(render, batch_signal_name(signal));
                render_bool(render, "holds", status_holds(status, signal));
                render_u64(render, "accepted", sums.n_accepted);
                render_u64(render, "damaged", sums.n_damaged);
                render_u64(render, "open", sums.n_open);
                render_u64(render, "undecided", sums.n_undecided);
                render_u64(render, "unsealed", sums.n_unsealed);
                render_u64(render, "sealed", sums.n_sealed);
                render_u64(render, "finished", sums.n_finished);
                render_u64(render, "unsampled", sums.n_unsampled);
                render_u64(render, "no_exporter", sums.n_without_exporter);
                render_open_array(render, "exporters");
                for (unsigned k = 0; k < status->view.n_exporters; k++)
                        status_exporter_sums(render, status, k, signal);
                render_close(render);
                render_close(render);
        }
        render_close(render);
}

/* ---- the rest ---- */

static void status_journal(Render *render, const JournalUsage *usage, const JournalReport *report) {
        render_open_object(render, "journal");
        render_u64(render, "max_bytes", usage->max_bytes);
        render_u64(render, "used_bytes", usage->used_bytes);
        render_u64(render, "live_bytes", usage->live_bytes);
        render_number(render, "segments", usage->n_segments);
        render_number(render, "segments_max", usage->n_segments_max);
        render_number(render, "segments_free", usage->n_segments_free);
        render_bool(render, "on_tmpfs", report->on_tmpfs);
        render_open_object(render, "recovered");
        render_u64(render, "segments", report->n_segments);
        render_u64(render, "blocks", report->n_blocks);
        render_u64(render, "lost_segments", report->n_lost_segments);
        render_u64(render, "lost_blocks", report->n_lost_blocks);
        render_u64(render, "lost_bytes", report->lost_bytes);
        render_number(render, "newer_version", report->newer_version);
        render_close(render);
        render_close(render);
}

static void status_counters(Render *render, const RecorderCounters *counters) {
        render_open_object(render, "counters");
#define STATUS_COUNTER_X(name, meaning) render_u64(render, #name, counters->name);
        RECORDER_COUNTERS(STATUS_COUNTER_X)
#undef STATUS_COUNTER_X
        render_close(render);
}

/* Records, under the names of their verdicts. */
static void status_refused(Render *render, const RecorderCounters *counters) {
        const uint64_t n_refused[RECORD_VERDICTS_N] = {
                [RECORD_VERDICT_MALFORMED] = counters->refused_malformed,
                [RECORD_VERDICT_FULL] = counters->refused_full,
                [RECORD_VERDICT_SHARE] = counters->refused_share,
                [RECORD_VERDICT_DUPLICATE] = counters->refused_duplicate,
                [RECORD_VERDICT_TOO_LARGE] = counters->refused_too_large,
                [RECORD_VERDICT_UNSUPPORTED] = counters->refused_unsupported,
        };

        render_open_object(render, "refused");
        for (unsigned i = RECORD_VERDICT_ACCEPTED + 1; i < RECORD_VERDICTS_N; i++)
                render_u64(render, record_verdict_name((RecordVerdict)i), n_refused[i]);
        render_close(render);
}

static void status_listener(Render *render, const ListenerCounters *counters) {
        render_open_object(render, "listener");
        render_number(render, "clients", counters->n_clients);
#define STATUS_COUNTER_X(name, meaning) render_u64(render, #name, counters->name);
        LISTENER_COUNTERS(STATUS_COUNTER_X)
#undef STATUS_COUNTER_X
        render_close(render);
}

static const char *status_session_state(SessionState state) {
        switch (state) {
        case SESSION_ALIVE:
                return "alive";
        case SESSION_SAID_BYE:
                return "bye";
        case SESSION_EXITED:
                return "exited";
        }
        return NULL;
}

static void status_clients(Render *render, const List *sessions) {
        render_open_array(render, "clients");
        list_for_each (link, sessions) {
                const Session *session = list_entry(link, Session, link);

                render_open_object(render, NULL);
                render_number(render, "number", session->number);
                render_number(render, "pid", session->credentials.pid);
                render_number(render, "uid", session->credentials.uid);
                render_text(render, "service", session->service);
                render_text(render, "state", status_session_state(session->state));
                render_bool(render, "connected", listener_is_connected(session));
                render_bool(render, "arena", session->arena);
                render_u64(render, "accepted", session->n_accepted);
                render_u64(render, "refused", session->n_refused);
                render_u64(render, "lost", session->n_lost);
                render_u64(render, "open", session->n_open);
                render_close(render);
        }
        render_close(render);
}

static const char *status_exporter_state(ExporterState state) {
        switch (state) {
        case EXPORTER_IDLE:
                return "idle";
        case EXPORTER_SENDING:
                return "sending";
        case EXPORTER_WAITING:
                return "waiting";
        }
        return NULL;
}

static void status_exporter_metrics(Render *render, const ExporterStatus *exporter) {
        render_open_object(render, "metrics");
        render_u64(render, "delivered", exporter->points.n_delivered);
        status_dropped(render, exporter->points.n_dropped);
        render_text(render, "last_error", exporter->metrics_error);
        render_close(render);
}

static void status_exporters(Render *render, const Status *status) {
        render_open_array(render, "exporters");
        for (size_t i = 0; i < status->n_exporters; i++) {
                const ExporterStatus *exporter = &status->exporters[i];

                render_open_object(render, NULL);
                render_text(render, "name", exporter->name);
                render_text(render, "endpoint", exporter->endpoint);
                render_text(render, "state", status_exporter_state(exporter->state));
                render_bool(render, "misconfigured", exporter->misconfigured);
                render_u64(render, "requests", exporter->n_requests);
                render_u64(render, "retries", exporter->n_retries);
                render_u64(render, "bytes", exporter->n_bytes);
                if (exporter->state == EXPORTER_WAITING)
                        render_u64(render, "next_try_unix_nano", exporter->next_try_unix_ns);
                render_text(render, "last_error", exporter->last_error);
                if (exporter->sends_metrics)
                        status_exporter_metrics(render, exporter);
                render_close(render);
        }
        render_close(render);
}

static void status_chains(Render *render, const ChainsUsage *usage) {
        render_open_object(render, "chains");
        render_u64(render, "chains", usage->n_chains);
        render_u64(render, "bytes", usage->n_bytes);
        render_u64(render, "max_bytes", usage->max_bytes);
        render_u64(render, "evicted", usage->n_evicted);
        render_u64(render, "left_out", usage->n_left_out);
        render_u64(render, "one_of", usage->one_of);
        render_close(render);
}

static void status_tail(Render *render, const TailCounters *counters) {
        render_open_object(render, "tail");
        render_number(render, "readers", counters->n_readers);
#define STATUS_COUNTER_X(name, meaning) render_u64(render, #name, counters->name);
        TAIL_COUNTERS(STATUS_COUNTER_X)
#undef STATUS_COUNTER_X
        render_close(render);
}

int status_render(Buffer *out, const Status *status) {
        Render render;

        render_init(&render);
        render_text(&render, "version", CATENA_VERSION);
        render_number(&render, "pid", status->pid);
        render_u64(&render, "start_time_unix_nano", status->start_unix_ns);
        render_u64(&render, "uptime_nano", status->now_unix_ns - status->start_unix_ns);
        status_conservation(&render, status);
        status_journal(&render, &status->view.journal, status->report);
        status_counters(&render, &status->view.counters);
        status_refused(&render, &status->view.counters);
        status_listener(&render, status->listener);
        status_clients(&render, status->view.sessions);
        status_exporters(&render, status);
        status_chains(&render, &status->chains);
        status_tail(&render, status->tail);
        return error_trace(render_finish(&render, out));
}

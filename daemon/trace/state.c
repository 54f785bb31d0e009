/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/trace/recorder-internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_COUNTERS_N = sizeof(RecorderCounters) / sizeof(uint64_t) };

/* The message's parts, in arrays of their own. */
typedef struct State {
        Catena__V1__JournalState message;
        uint64_t open_batch[_BATCH_SIGNALS_N];
        Catena__V1__ExporterState *exporter_list[BATCH_EXPORTERS_MAX];
        Catena__V1__ExporterState exporters[BATCH_EXPORTERS_MAX];
        Catena__V1__SignalState *signal_list[BATCH_EXPORTERS_MAX][_BATCH_SIGNALS_N];
        Catena__V1__SignalState signals[BATCH_EXPORTERS_MAX][_BATCH_SIGNALS_N];
        Catena__V1__DropCount *drop_list[BATCH_EXPORTERS_MAX][_BATCH_SIGNALS_N][_BATCH_DROPS_N];
        Catena__V1__DropCount drops[BATCH_EXPORTERS_MAX][_BATCH_SIGNALS_N][_BATCH_DROPS_N];
        Catena__V1__SessionState **session_list;
        Catena__V1__SessionState *sessions;
} State;

static void state_add_signal(State *state, unsigned i, unsigned kind,
                             const RecorderExporter *exporter) {
        Catena__V1__SignalState *signal = &state->signals[i][kind];

        catena__v1__signal_state__init(signal);
        signal->owed = exporter->of[kind].n_owed;
        signal->delivered = exporter->of[kind].n_delivered;
        signal->dropped = state->drop_list[i][kind];
        for (unsigned drop = 0; drop < _BATCH_DROPS_N; drop++) {
                Catena__V1__DropCount *count = &state->drops[i][kind][drop];
                if (!exporter->of[kind].n_dropped[drop])
                        continue;
                catena__v1__drop_count__init(count);
                count->reason = drop;
                count->count = exporter->of[kind].n_dropped[drop];
                signal->dropped[signal->n_dropped++] = count;
        }
        state->signal_list[i][kind] = signal;
}

static void state_add_exporters(State *state, const Recorder *recorder) {
        for (unsigned i = 0; i < recorder->n_exporters; i++) {
                catena__v1__exporter_state__init(&state->exporters[i]);
                state->exporters[i].name = recorder->exporters[i].name;
                state->exporters[i].signals = state->signal_list[i];
                state->exporters[i].n_signals = _BATCH_SIGNALS_N;
                for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++)
                        state_add_signal(state, i, kind, &recorder->exporters[i]);
                state->exporter_list[i] = &state->exporters[i];
        }
        state->message.exporters = state->exporter_list;
        state->message.n_exporters = recorder->n_exporters;
}

static int state_add_sessions(State *state, const Recorder *recorder) {
        size_t n = recorder->sessions.n_entries, i = 0;

        if (!n)
                return 0;
        state->sessions = calloc(n, sizeof *state->sessions);
        state->session_list = calloc(n, sizeof *state->session_list);
        if (!state->sessions || !state->session_list)
                return error_origin(-ENOMEM);
        list_for_each (link, &recorder->all_sessions) {
                const Session *session = list_entry(link, Session, link);
                catena__v1__session_state__init(&state->sessions[i]);
                state->sessions[i].number = session->number;
                state->sessions[i].accepted = session->n_accepted;
                state->sessions[i].refused = session->n_refused;
                state->sessions[i].lost = session->n_lost;
                state->session_list[i] = &state->sessions[i];
                i++;
        }
        state->message.sessions = state->session_list;
        state->message.n_sessions = i;
        return 0;
}

static int state_init(State *state, const Recorder *recorder) {
        int r;

        memset(state, 0, sizeof *state);
        catena__v1__journal_state__init(&state->message);
        state->message.counters = (uint64_t *)&recorder->counters;
        state->message.n_counters = STATE_COUNTERS_N;
        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N; kind++)
                state->open_batch[kind] = recorder->signals[kind].open->number;
        state->message.open_batch = state->open_batch;
        state->message.n_open_batch = _BATCH_SIGNALS_N;
        state->message.next_session = recorder->next_session;
        state_add_exporters(state, recorder);
        r = state_add_sessions(state, recorder);
        return r ? error_trace(r) : 0;
}

static void state_deinit(State *state) {
        free(state->sessions);
        free(state->session_list);
}

/* Within `size`: sessions' own counters are what goes first. */
static void state_fit(State *state, size_t size) {
        if (catena__v1__journal_state__get_packed_size(&state->message) > size)
                state->message.n_sessions = 0;
}

size_t recorder_checkpoint(void *user, uint8_t *data, size_t size) {
        State *state = malloc(sizeof *state);
        size_t packed = 0;

        /* Without it the newest older one serves, and counters move on from there. */
        if (state && !state_init(state, user)) {
                state_fit(state, size);
                packed = catena__v1__journal_state__pack(&state->message, data);
        }
        if (state)
                state_deinit(state);
        free(state);
        return packed;
}

int recorder_decide_state(Recorder *recorder, uint64_t now_unix_ns) {
        State *state = malloc(sizeof *state);
        int r;

        if (!state)
                return error_origin(-ENOMEM);
        r = state_init(state, recorder);
        if (!r) {
                state_fit(state, RECORDER_STATE_MAX);
                r = recorder_decide(recorder, RECORD_STATE, 0, &state->message.base, now_unix_ns);
        }
        state_deinit(state);
        free(state);
        return r < 0 ? error_trace(r) : r;
}

static int state_read_exporter(Recorder *recorder, const Catena__V1__ExporterState *state) {
        unsigned i;
        int r;

        r = recorder_add_exporter(recorder, state->name, &i);
        if (r)
                return r < 0 ? error_trace(r) : 0;
        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N && kind < state->n_signals; kind++) {
                const Catena__V1__SignalState *signal = state->signals[kind];
                recorder->exporters[i].of[kind].n_owed = signal->owed;
                recorder->exporters[i].of[kind].n_delivered = signal->delivered;
                for (unsigned drop = 0; drop < _BATCH_DROPS_N; drop++)
                        recorder->exporters[i].of[kind].n_dropped[drop] = 0;
                for (size_t k = 0; k < signal->n_dropped; k++)
                        if (signal->dropped[k]->reason < _BATCH_DROPS_N)
                                recorder->exporters[i]
                                        .of[kind]
                                        .n_dropped[signal->dropped[k]->reason] =
                                        signal->dropped[k]->count;
        }
        return 0;
}

static void state_read_session(Recorder *recorder, const Catena__V1__SessionState *state) {
        Session *session = recorder_find_session(recorder, state->number);

        if (!session)
                return;
        session->n_accepted = state->accepted;
        session->n_refused = state->refused;
        session->n_lost = state->lost;
}

int recorder_read_state(Recorder *recorder, const uint8_t *data, size_t size) {
        Catena__V1__JournalState *message;
        int r = 0;

        message = catena__v1__journal_state__unpack(NULL, size, data);
        if (!message)
                return 0;
        memset(&recorder->counters, 0, sizeof recorder->counters);
        for (size_t i = 0; i < message->n_counters && i < STATE_COUNTERS_N; i++)
                ((uint64_t *)&recorder->counters)[i] = message->counters[i];
        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N && kind < message->n_open_batch; kind++)
                recorder->signals[kind].open_number = message->open_batch[kind];
        if (message->next_session > recorder->next_session)
                recorder->next_session = message->next_session;
        for (size_t i = 0; i < message->n_exporters && !r; i++)
                r = state_read_exporter(recorder, message->exporters[i]);
        for (size_t i = 0; i < message->n_sessions; i++)
                state_read_session(recorder, message->sessions[i]);
        catena__v1__journal_state__free_unpacked(message, NULL);
        return r ? error_trace(r) : 0;
}

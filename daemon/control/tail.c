/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/tail.h"

#include "daemon/base/error.h"
#include "daemon/control/span-view.h"
#include "daemon/http/http-server.h"

void tail_init(Tail *tail, Recorder *recorder) {
        *tail = (Tail){.recorder = recorder};
        list_init(&tail->readers);
}

void tail_deinit(Tail *tail) {
        buffer_deinit(&tail->line);
}

void tail_cut_off(Tail *tail, TailReader *reader) {
        tail->counters.cut_off += !reader->cut_off;
        reader->cut_off = true;
}

static int tail_say(Tail *tail, TailReader *reader, const RecorderEnded *ended) {
        int r = 0;

        if (!tail->line.size)
                r = span_view_ended(&tail->line, ended);
        if (r)
                return error_trace(r);
        if (reader->out->size + tail->line.size > TAIL_WAITING_MAX) {
                tail_cut_off(tail, reader);
                return 0;
        }
        tail->counters.spans++;
        return error_trace(http_server_write_chunk(reader->out, tail->line.data, tail->line.size));
}

static int tail_on_ended(void *user, const RecorderEnded *ended) {
        const ValidateSummary *summary = ended->summary;
        const QuerySpan span = {
                .name = summary->name,
                .service = ended->session->service,
                .is_error = span_view_is_error(summary),
                .start_unix_ns = summary->start_unix_ns,
                .end_unix_ns = summary->end_unix_ns,
        };
        Tail *tail = user;
        int r = 0;

        tail->line.size = 0;
        list_for_each (link, &tail->readers) {
                TailReader *reader = list_entry(link, TailReader, link);

                if (!r && !reader->cut_off && query_wants_span(&reader->query, &span, 0))
                        r = tail_say(tail, reader, ended);
        }
        return error_trace(r);
}

int tail_join(Tail *tail, TailReader *reader, const Query *query, Buffer *out) {
        if (tail->counters.n_readers == TAIL_READERS_MAX) {
                tail->counters.refused++;
                return TAIL_E_READERS;
        }
        *reader = (TailReader){.query = *query, .out = out};
        list_append(&tail->readers, &reader->link);
        if (!tail->counters.n_readers++)
                recorder_watch(tail->recorder, tail_on_ended, tail);
        return 0;
}

void tail_leave(Tail *tail, TailReader *reader) {
        if (!reader->out)
                return;
        list_unlink(&reader->link);
        reader->out = NULL;
        if (!--tail->counters.n_readers) {
                recorder_watch(tail->recorder, NULL, NULL);
                buffer_deinit(&tail->line);
        }
}

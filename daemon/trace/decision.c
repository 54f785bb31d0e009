/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/trace/recorder-internal.h"
#include "proto/pb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- deciding ---- */

int recorder_decide(Recorder *recorder, RecordType type, uint32_t session_number,
                    const ProtobufCMessage *message, uint64_t now_unix_ns) {
        size_t size = RECORD_HEADER_SIZE + protobuf_c_message_get_packed_size(message);
        RecordHeader header = {
                .size = (uint32_t)size, .type = (uint16_t)type, .context = session_number};
        JournalBlock block = {0};
        RecorderRecord record;
        int r;

        assert(size <= RECORD_SIZE_MAX);
        r = journal_reserve(recorder->journal, &block, record_stride(size), JOURNAL_ROOM_DECISION);
        if (r)
                return r < 0 ? error_trace(r) : RECORDER_E_FULL;
        block.source = JOURNAL_SOURCE_DAEMON;
        block.time_unix_ns = now_unix_ns;
        block.size = record_stride(size);
        memset(block.records + size, 0, block.size - size);
        record_header_write(block.records, &header);
        protobuf_c_message_pack(message, block.records + RECORD_HEADER_SIZE);
        journal_commit(recorder->journal, &block);
        record = recorder_record(&block, 0, &header);
        r = recorder_read_decision(recorder, &record);
        return r ? error_trace(r) : 0;
}

/* ---- sessions ---- */

Session *recorder_find_session(const Recorder *recorder, uint32_t number) {
        return map_find(&recorder->sessions, number);
}

static void recorder_settle_user(Recorder *recorder, SessionUser *user) {
        if (user->n_sessions)
                return;
        map_remove(&recorder->users, user->uid);
        map_deinit(&user->detached);
        free(user);
}

static int recorder_user(Recorder *recorder, SessionUser **userp, uint32_t uid) {
        SessionUser *user = map_find(&recorder->users, uid);
        int r;

        if (!user) {
                user = calloc(1, sizeof *user);
                if (!user)
                        return error_origin(-ENOMEM);
                user->uid = uid;
                map_init(&user->detached, recorder->options.seed);
                r = map_put(&recorder->users, uid, user);
                if (r) {
                        free(user);
                        return error_trace(r);
                }
        }
        *userp = user;
        return 0;
}

SessionOptions recorder_session_options(Recorder *recorder, SessionUser *user) {
        return (SessionOptions){
                .journal = recorder->journal,
                .user = user,
                .span_pool = &recorder->span_pool,
                .context_pool = &recorder->context_pool,
                .seed = recorder->options.seed,
                .limits = &recorder->options.limits,
                .resource = recorder->options.resource,
                .resource_size = recorder->options.resource_size,
        };
}

void recorder_settle_session(Recorder *recorder, Session *session) {
        SessionUser *user = session->user;

        if (session->state == SESSION_ALIVE || session->replayed || session->n_closed ||
            session->n_open || session->spans.n_entries || session->contexts.n_entries)
                return;
        map_remove(&recorder->sessions, session->number);
        session_free(session);
        recorder_settle_user(recorder, user);
}

static int recorder_read_session(Recorder *recorder, const RecorderRecord *record) {
        uint32_t number = record->header.context, uid = 0;
        Session *session = recorder_find_session(recorder, number);
        PbReader reader = pb_reader(record->body, record->size);
        SessionUser *user = NULL;
        SessionOptions options;
        PbField field;
        int r;

        if (session) {
                options = recorder_session_options(recorder, session->user);
                r = session_restore(session, &options, record->position, record->body,
                                    record->size);
                return r < 0 ? error_trace(r) : 0;
        }
        while (pb_next(&reader, &field))
                if (field.number == 2)
                        uid = (uint32_t)field.value;
        r = recorder_user(recorder, &user, uid);
        if (r)
                return error_trace(r);
        options = recorder_session_options(recorder, user);
        r = session_new(&session, &options, record->position, record->body, record->size);
        if (r) {
                recorder_settle_user(recorder, user);
                return r < 0 ? error_trace(r) : RECORDER_E_HELLO;
        }
        session->number = number;
        session->replayed = recorder->replaying;
        r = map_put(&recorder->sessions, number, session);
        if (r)
                return error_trace(r);
        list_append(&recorder->all_sessions, &session->link);
        if (number >= recorder->next_session)
                recorder->next_session = number + 1;
        if (!(record->header.flags & RECORD_SNAPSHOT))
                recorder->counters.sessions++;
        return 0;
}

int recorder_close_for(Recorder *recorder, Span *span, const RecorderClosing *closing,
                       uint64_t time_unix_ns) {
        const SessionHold *hold = &closing->fragment.hold;
        ValidateSummary summary;
        int r;

        if (validate_span(&summary, journal_at(recorder->journal, hold->position), hold->size,
                          false, NULL))
                return 0; /* not ours: a damaged journal; the span stays open */
        r = chains_span_update(recorder->chains, span->chain, &summary);
        if (!r)
                r = span_add(span, &closing->fragment, &summary);
        if (r)
                return error_trace(r);
        recorder->open_bytes += hold->size;
        span->end_unix_ns = summary.end_unix_ns;
        (*closing->counter)++;
        r = recorder_close_span(recorder, span, summary.end_unix_ns, closing->reason, time_unix_ns);
        return r ? error_trace(r) : 0;
}

/* Its state, and the END of what is open. */
static void recorder_read_closing(Recorder *recorder, Session *session, RecorderClosing *closing,
                                  const RecorderRecord *record) {
        PbReader reader = pb_reader(record->body, record->size);
        bool exited = false;
        PbField field;

        *closing = (RecorderClosing){.fragment.flags = FRAGMENT_END | FRAGMENT_CLOSES};
        while (pb_next(&reader, &field)) {
                if (field.number == 1 && field.value)
                        exited = true;
                if (field.number == 2 && field.wire == PB_BYTES)
                        /* Shared by all spans it closes, so each charges next to nothing. */
                        closing->fragment.hold = (SessionHold){
                                record->position + (uint64_t)(field.data - record->body),
                                (uint32_t)field.size, 1};
        }
        session->state = exited ? SESSION_EXITED : SESSION_SAID_BYE;
        closing->reason = session->n_lost_ends ? "end lost"
                          : exited             ? "process exited"
                                               : "abandoned";
        closing->counter =
                exited ? &recorder->counters.spans_exited : &recorder->counters.spans_abandoned;
}

/* Those that wait for a pass of the session, which has no more of them. */
static int recorder_end_pending_spans(Recorder *recorder, Session *session, uint64_t time_unix_ns) {
        int r;

        list_for_each_safe (link, &session->pending) {
                Span *span = list_entry(link, Span, pending_link);

                if (!span->started) {
                        recorder_drop_orphan(recorder, span);
                        continue;
                }
                r = recorder_close_span(recorder, span, span->end_unix_ns, NULL, time_unix_ns);
                if (r)
                        return error_trace(r);
        }
        return 0;
}

static int recorder_end_open_spans(Recorder *recorder, Session *session,
                                   const RecorderClosing *closing, uint64_t time_unix_ns) {
        int r;

        list_for_each_safe (link, &session->open) {
                Span *span = list_entry(link, Span, object.link);

                r = span->detached ? recorder_show_late(recorder, span)
                                   : recorder_close_for(recorder, span, closing, time_unix_ns);
                if (r)
                        return error_trace(r);
        }
        return 0;
}

static int recorder_read_session_end(Recorder *recorder, const RecorderRecord *record) {
        Session *session = recorder_find_session(recorder, record->header.context);
        RecorderClosing closing;
        int r;

        if (!session)
                return error_trace(recorder_read_stray_end(recorder, record->header.context, true,
                                                           record->time_unix_ns));
        if (session->state != SESSION_ALIVE)
                return 0;
        recorder_read_closing(recorder, session, &closing, record);
        r = recorder_end_pending_spans(recorder, session, record->time_unix_ns);
        if (!r)
                r = recorder_end_open_spans(recorder, session, &closing, record->time_unix_ns);
        if (r)
                return error_trace(r);
        list_for_each_safe (link, &session->all_contexts) {
                Context *context = list_entry(link, Context, link);
                list_unlink(&context->pending_link);
                if (!context->ended)
                        context_end(context, recorder->chains,
                                    context->end_unix_ns ? context->end_unix_ns
                                                         : record->time_unix_ns);
                context_settle(context);
        }
        recorder_settle_session(recorder, session);
        return 0;
}

int recorder_read_decision(Recorder *recorder, const RecorderRecord *record) {
        int r = 0;

        switch (record->header.type) {
        case RECORD_SESSION:
                r = recorder_read_session(recorder, record);
                break;
        case RECORD_SESSION_END:
                r = recorder_read_session_end(recorder, record);
                break;
        case RECORD_EXPIRED:
                r = recorder_read_expired(recorder, record);
                break;
        case RECORD_STATE:
                r = recorder_read_state(recorder, record->body, record->size);
                break;
        case RECORD_BATCH:
                r = recorder_read_batch(recorder, record);
                break;
        case RECORD_DONE:
                r = recorder_read_done(recorder, record);
                break;
        case RECORD_KEEP:
                r = recorder_read_keep(recorder, record);
                break;
        case RECORD_DROP:
                r = recorder_read_drop(recorder, record);
                break;
        case RECORD_SPAN:
        case RECORD_LOG:
        case RECORD_CONTEXT:
                r = recorder_read_snapshot(recorder, record);
                break;
        }
        return r < 0 ? error_trace(r) : r;
}

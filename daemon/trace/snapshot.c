/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/trace/recorder-internal.h"
#include "proto/pb.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
        SNAPSHOT_BLOCK_SIZE = 512 * 1024, /* what is reserved at once; more than any record */
        SNAPSHOT_HEAD_MAX = 64,
        SNAPSHOT_BLOCK_HEAD = 64,   /* what a block takes beside its records, or more */
        SNAPSHOT_BATCH_SIZE = 4096, /* of a BATCH, or more */
        SNAPSHOT_SEGMENT_SIZE = JOURNAL_SEGMENT_SIZE / 4 * 3, /* of a segment, or less */
};

/* ---- writing ---- */

/* Records are put one behind the other into a block, which is committed when it is full. */
typedef struct SnapshotRun {
        Recorder *recorder;
        JournalPosition first, end; /* what is written anew: all that lies in here */
        uint64_t now_unix_ns;
        bool measures; /* writes nothing: looks whether all of it has room */
        size_t room_bytes;
        JournalBlock block;
        size_t reserved_bytes; /* of the block; 0: there is none */
} SnapshotRun;

static void snapshot_commit(SnapshotRun *run) {
        if (run->reserved_bytes && run->block.size)
                journal_commit(run->recorder->journal, &run->block);
        run->reserved_bytes = 0;
}

/* What is left of the segment is used up before another is opened. */
static int snapshot_reserve(SnapshotRun *run, uint32_t session, size_t stride) {
        Journal *journal = run->recorder->journal;
        size_t room = journal_room(journal), size = SNAPSHOT_BLOCK_SIZE;
        int r;

        if (room >= stride && room < size)
                size = room;
        run->block = (JournalBlock){0};
        r = journal_reserve(journal, &run->block, size, JOURNAL_ROOM_SNAPSHOT);
        if (r)
                return r < 0 ? error_trace(r) : RECORDER_E_FULL;
        run->block.session = session;
        run->block.source = JOURNAL_SOURCE_DAEMON;
        run->block.time_unix_ns = run->now_unix_ns;
        run->block.size = 0;
        run->reserved_bytes = size;
        return 0;
}

/* What is written must fit, or it would take the room without making any. */
static int snapshot_measure(SnapshotRun *run, size_t size) {
        size_t most =
                SNAPSHOT_BLOCK_HEAD + SNAPSHOT_HEAD_MAX + record_stride(RECORD_HEADER_SIZE + size);

        if (most > run->room_bytes)
                return RECORDER_E_FULL;
        run->room_bytes -= most;
        return 0;
}

/* A record of a session (0: the daemon's own) with `size` bytes of body to be written. */
static int snapshot_begin(SnapshotRun *run, uint32_t session, RecordHeader *header, size_t size,
                          PbWriter *body, JournalPosition *positionp) {
        size_t stride = record_stride(RECORD_HEADER_SIZE + size);
        uint8_t *at;
        int r;

        header->size = (uint32_t)(RECORD_HEADER_SIZE + size);
        header->flags |= RECORD_SNAPSHOT;
        assert(header->size <= RECORD_SIZE_MAX);
        if (run->reserved_bytes &&
            (run->block.session != session || run->block.size + stride > run->reserved_bytes))
                snapshot_commit(run);
        if (!run->reserved_bytes) {
                r = snapshot_reserve(run, session, stride);
                if (r)
                        return r < 0 ? error_trace(r) : r;
        }
        at = run->block.records + run->block.size;
        memset(at + stride - RECORD_ALIGNMENT, 0, RECORD_ALIGNMENT);
        record_header_write(at, header);
        *body = pb_writer(at + RECORD_HEADER_SIZE, size);
        *positionp = run->block.position + run->block.size + RECORD_HEADER_SIZE;
        run->block.size += stride;
        return 0;
}

static SessionHold snapshot_hold(const RecordHeader *header, JournalPosition position,
                                 size_t head_size) {
        return (SessionHold){position + head_size,
                             (uint32_t)(header->size - RECORD_HEADER_SIZE - head_size),
                             (uint32_t)record_stride(header->size)};
}

static bool snapshot_lies_in(const SnapshotRun *run, const SessionHold *hold) {
        return hold->position >= run->first && hold->position < run->end;
}

/* The head with its size before it; the bytes that it takes. */
static size_t snapshot_pack_head(uint8_t data[SNAPSHOT_HEAD_MAX],
                                 const Catena__V1__SnapshotHead *head) {
        size_t size = catena__v1__snapshot_head__pack(head, data + 1);

        assert(size < 0x80 && size < SNAPSHOT_HEAD_MAX); /* one byte holds the varint */
        data[0] = (uint8_t)size;
        return size + 1;
}

/* An object's head and bytes; *fragment is where they are now. */
static int snapshot_put_object(SnapshotRun *run, Object *object, RecordHeader *header,
                               const Catena__V1__SnapshotHead *head, Fragment *fragment) {
        Recorder *recorder = run->recorder;
        uint8_t head_data[SNAPSHOT_HEAD_MAX];
        size_t head_size = snapshot_pack_head(head_data, head);
        JournalPosition position;
        JoinReport report = {0};
        PbWriter body;
        int r;

        recorder->scratch.size = 0;
        r = object_pieces(object, &recorder->pieces);
        /* Conflicts of a span that still grows are resolved at its end. */
        if (!r && object->signal == BATCH_TRACES && head->closed)
                r = object_join(object, &recorder->pieces, &recorder->scratch, &report);
        else if (!r)
                r = join_copy(&recorder->scratch, recorder->pieces.list, recorder->pieces.n_pieces);
        if (r)
                return error_trace(r);
        r = snapshot_begin(run, object->session->number, header, head_size + recorder->scratch.size,
                           &body, &position);
        if (r)
                return r < 0 ? error_trace(r) : r;
        pb_put_raw(&body, head_data, head_size);
        pb_put_raw(&body, recorder->scratch.data, recorder->scratch.size);
        fragment->hold = snapshot_hold(header, position, head_size);
        return 0;
}

static uint32_t snapshot_fragment_flags(const RecordHeader *header,
                                        const Catena__V1__SnapshotHead *head) {
        return (header->flags & (FRAGMENT_START | FRAGMENT_END)) |
               (head->settled ? FRAGMENT_SETTLED : 0);
}

static int snapshot_span(SnapshotRun *run, Span *span) {
        Object *object = &span->object;
        Catena__V1__SnapshotHead head = CATENA__V1__SNAPSHOT_HEAD__INIT;
        RecordHeader header = {.type = RECORD_SPAN, .scope = object->scope, .id = span->key};
        size_t n_bytes = object->fragments.n_bytes;
        ValidateSummary summary;
        Fragment fragment = {0};
        int r;

        if (run->measures)
                return snapshot_measure(run, n_bytes);
        header.context = object->context ? object->context->number : 0;
        header.flags = (span->started ? RECORD_START : 0) | (span->ended ? RECORD_END : 0) |
                       (span->detached ? RECORD_DETACHED : 0);
        header.flags |= span->trace ? RECORD_UNSAMPLED : 0;
        head.closed = head.settled = span->closed;
        head.batch = object->batch ? object->batch->number : 0;
        head.kept = span->trace && span->trace->keep;
        head.second_cut = span->second_cut;
        if (span->detached)
                head.since = span->since_unix_ns;
        if (span->detached && !list_is_empty(&span->pending_link))
                head.awaits = span->awaits;
        r = snapshot_put_object(run, object, &header, &head, &fragment);
        if (r)
                return r < 0 ? error_trace(r) : r;
        fragment.flags = snapshot_fragment_flags(&header, &head);
        r = validate_span(&summary, journal_at(run->recorder->journal, fragment.hold.position),
                          fragment.hold.size, span->started, (const uint8_t *)&span->key);
        assert(!r);
        r = span_replace(span, &fragment, &summary);
        if (!r && span->closed)
                r = span_settle(span, &run->recorder->pieces);
        if (r)
                return error_trace(r);
        if (object->batch)
                object->batch->n_bytes += object->fragments.n_bytes - n_bytes;
        else if (span->closed)
                run->recorder->undecided_bytes += object->fragments.n_bytes - n_bytes;
        else
                run->recorder->open_bytes += object->fragments.n_bytes - n_bytes;
        return 0;
}

static int snapshot_log(SnapshotRun *run, Object *log) {
        Catena__V1__SnapshotHead head = CATENA__V1__SNAPSHOT_HEAD__INIT;
        RecordHeader header = {.type = RECORD_LOG, .scope = log->scope, .id = log->identity};
        Fragment fragment = {.flags = FRAGMENT_START};
        int r;

        if (!snapshot_lies_in(run, &log->fragments.list[0].hold)) /* a log is one fragment */
                return 0;
        if (run->measures)
                return snapshot_measure(run, log->fragments.n_bytes);
        head.closed = true;
        head.batch = log->batch->number;
        head.position = log->identity;
        r = snapshot_put_object(run, log, &header, &head, &fragment);
        if (r)
                return r < 0 ? error_trace(r) : r;
        fragments_deinit(&log->fragments, log->session);
        r = fragments_add(&log->fragments, log->session, &fragment);
        return r ? error_trace(r) : 0;
}

static int snapshot_context(SnapshotRun *run, Context *context) {
        RecordHeader header = {.type = RECORD_CONTEXT, .context = context->number};
        const Fragments *fragments = &context->fragments;
        JournalPosition position;
        Fragment fragment = {0};
        PbWriter body;
        int r;

        if (!context->known)
                return 0; /* what waits for a START is dropped soon without one */
        if (run->measures)
                return snapshot_measure(run, fragments->n_bytes);
        header.flags = RECORD_START | (context->end_unix_ns ? RECORD_END : 0);
        r = snapshot_begin(run, context->session->number, &header, fragments->n_bytes, &body,
                           &position);
        if (r)
                return r < 0 ? error_trace(r) : r;
        for (uint32_t i = 0; i < fragments->n_fragments; i++) {
                const SessionHold *hold = &fragments->list[i].hold;
                pb_put_raw(&body, journal_at(run->recorder->journal, hold->position), hold->size);
        }
        fragment.hold = snapshot_hold(&header, position, 0);
        r = context_move(context, &fragment);
        return r ? error_trace(r) : 0;
}

static bool snapshot_session_lies_in(const SnapshotRun *run, const Session *session) {
        if (snapshot_lies_in(run, &session->hold))
                return true;
        map_for_each (slot, &session->scopes) {
                const SessionScope *scope = slot->value;
                if (snapshot_lies_in(run, &scope->hold))
                        return true;
        }
        return false;
}

static int snapshot_session(SnapshotRun *run, Session *session) {
        RecordHeader header = {.type = RECORD_SESSION, .context = session->number};
        SessionUser *user = session->user;
        SessionOptions options = recorder_session_options(run->recorder, user);
        Buffer *scratch = &run->recorder->scratch;
        JournalPosition position;
        PbWriter body;
        int r;

        if (!snapshot_session_lies_in(run, session))
                return 0;
        if (run->measures)
                return snapshot_measure(run, session_snapshot_size(session));
        scratch->size = 0;
        r = session_snapshot(session, scratch);
        if (r)
                return error_trace(r);
        r = snapshot_begin(run, 0, &header, scratch->size, &body, &position);
        if (r)
                return r < 0 ? error_trace(r) : r;
        pb_put_raw(&body, scratch->data, scratch->size);
        r = session_restore(session, &options, position,
                            journal_at(run->recorder->journal, position), scratch->size);
        assert(r <= 0);
        return r ? error_trace(r) : 0;
}

static int snapshot_batch(SnapshotRun *run, Batch *batch) {
        RecordHeader header = {.type = RECORD_BATCH};
        Catena__V1__Batch message = CATENA__V1__BATCH__INIT;
        char *names[BATCH_EXPORTERS_MAX];
        JournalPosition position;
        PbWriter body;
        int r;

        if (!batch->sealed || !snapshot_lies_in(run, &batch->hold))
                return 0;
        if (run->measures)
                return snapshot_measure(run, SNAPSHOT_BATCH_SIZE);
        message.signal = (Catena__V1__Signal)batch->signal;
        message.number = batch->number;
        message.exporters = names;
        for (unsigned i = 0; i < run->recorder->n_exporters; i++)
                if (batch->owing & (1u << i))
                        names[message.n_exporters++] = run->recorder->exporters[i].name;
        r = snapshot_begin(run, 0, &header, catena__v1__batch__get_packed_size(&message), &body,
                           &position);
        if (r)
                return r < 0 ? error_trace(r) : r;
        catena__v1__batch__pack(&message, body.at);
        journal_release(run->recorder->journal, batch->hold.position, batch->hold.charge);
        batch->hold = snapshot_hold(&header, position, 0);
        journal_hold(run->recorder->journal, batch->hold.position, batch->hold.charge);
        return 0;
}

static int snapshot_batches(SnapshotRun *run) {
        int r = 0;

        for (unsigned kind = 0; kind < _BATCH_SIGNALS_N && !r; kind++)
                list_for_each (link, &run->recorder->signals[kind].sealed) {
                        r = snapshot_batch(run, list_entry(link, Batch, link));
                        if (r)
                                break;
                }
        return r < 0 ? error_trace(r) : r;
}

static int snapshot_logs_of(SnapshotRun *run, Batch *batch) {
        int r = 0;

        for (size_t i = 0; i < batch->n_objects && !r; i++)
                r = snapshot_log(run, batch->objects[i]);
        return r < 0 ? error_trace(r) : r;
}

static int snapshot_logs(SnapshotRun *run) {
        RecorderSignal *signal = &run->recorder->signals[BATCH_LOGS];
        int r;

        r = snapshot_logs_of(run, signal->open);
        list_for_each (link, &signal->sealed) {
                if (r)
                        break;
                r = snapshot_logs_of(run, list_entry(link, Batch, link));
        }
        return r < 0 ? error_trace(r) : r;
}

static int snapshot_objects_of(SnapshotRun *run, Session *session) {
        int r;

        r = snapshot_session(run, session);
        /* What is written anew comes to stand behind all others. */
        list_for_each_safe (link, &session->all_contexts) {
                Context *context = list_entry(link, Context, link);

                if (r || fragments_begin(&context->fragments) >= run->end)
                        break;
                r = snapshot_context(run, context);
        }
        list_for_each_safe (link, &session->held) {
                Span *span = list_entry(link, Span, held_link);

                if (r || span->object.fragments.list[0].hold.position >= run->end)
                        break;
                r = snapshot_span(run, span);
        }
        return r < 0 ? error_trace(r) : r;
}

static int snapshot_all(SnapshotRun *run) {
        int r;

        r = snapshot_batches(run);
        list_for_each (link, &run->recorder->all_sessions) {
                if (r)
                        break;
                r = snapshot_objects_of(run, list_entry(link, Session, link));
        }
        if (!r)
                r = snapshot_logs(run);
        snapshot_commit(run);
        return r < 0 ? error_trace(r) : r;
}

int recorder_compact(Recorder *recorder, JournalPosition first, JournalPosition end,
                     uint64_t now_unix_ns) {
        SnapshotRun run = {
                .recorder = recorder, .first = first, .end = end, .now_unix_ns = now_unix_ns};
        JournalUsage usage;
        int r;

        journal_usage(recorder->journal, &usage);
        run.measures = true;
        run.room_bytes = (usage.n_segments_free - 1) * SNAPSHOT_SEGMENT_SIZE;
        r = snapshot_all(&run);
        run.measures = false;
        /* First: what is superseded below lies before it, and counters move only from it on. */
        if (!r)
                r = recorder_decide_state(recorder, now_unix_ns);
        if (!r)
                r = snapshot_all(&run);
        return r < 0 ? error_trace(r) : r;
}

/* ---- reading ---- */

/* Where the object's own bytes begin; false for a head that cannot be read. */
static bool snapshot_read_head(const RecorderRecord *record, Catena__V1__SnapshotHead *out,
                               size_t *head_sizep) {
        Catena__V1__SnapshotHead *head;
        size_t size = record->size ? record->body[0] : 0;

        if (size + 1 > record->size || size >= SNAPSHOT_HEAD_MAX)
                return false;
        head = catena__v1__snapshot_head__unpack(NULL, size, record->body + 1);
        if (!head)
                return false;
        *out = *head;
        catena__v1__snapshot_head__free_unpacked(head, NULL);
        *head_sizep = size + 1;
        return true;
}

/* The batch that a closed object was in: the open one, or a sealed one. */
static int snapshot_place(Recorder *recorder, Object *object, uint64_t number,
                          uint64_t time_unix_ns) {
        RecorderSignal *signal = &recorder->signals[object->signal];
        Batch *batch;
        int r;

        if (signal->open->number == number) {
                r = recorder_close_object(recorder, object, time_unix_ns);
                return error_trace(r);
        }
        r = recorder_batch_numbered(recorder, &batch, object->signal, number);
        if (r)
                return error_trace(r);
        signal->n_sealed++;
        object->session->n_closed++;
        return error_trace(recorder_batch_add(batch, object));
}

static int snapshot_read_span(Recorder *recorder, Session *session, const RecorderRecord *record,
                              const Catena__V1__SnapshotHead *head, const Fragment *fragment) {
        bool start = record->header.flags & RECORD_START;
        bool detached = record->header.flags & RECORD_DETACHED;
        Span *span = map_find(span_map(session, detached), record->header.id);
        ValidateSummary summary;
        int r;

        if (validate_span(&summary, journal_at(recorder->journal, fragment->hold.position),
                          fragment->hold.size, start, (const uint8_t *)&record->header.id))
                return 0;
        if (span && (span->closed || span->started)) /* the same again: a damaged journal */
                return 0;
        if (!span || span->object.session != session) {
                r = recorder_add_span(recorder, session, &span, record->header.id, detached);
                if (r)
                        return error_trace(r);
        }
        r = span_add(span, fragment, &summary);
        if (r)
                return error_trace(r);
        recorder->open_bytes += fragment->hold.size;
        span->ended = record->header.flags & RECORD_END;
        span->end_unix_ns = summary.end_unix_ns;
        if (start) {
                span->since_unix_ns = head->since;
                r = recorder_start_span(recorder, span, record, &summary);
                if (!r && span->trace)
                        span->trace->keep |= head->kept;
                if (!r)
                        r = chains_span_update(recorder->chains, span->chain, &summary);
                if (r)
                        return error_trace(r);
        }
        if (!start || !head->closed) {
                recorder_set_pending(recorder, span, head->awaits ? head->awaits : session->number,
                                     head->second_cut);
                return 0;
        }
        r = recorder_show_late(recorder, span);
        if (!r)
                r = span_settle(span, &recorder->pieces);
        if (r)
                return error_trace(r);
        recorder_leave_open(recorder, span);
        chains_span_end(recorder->chains, &span->chain, span->end_unix_ns, NULL);
        if (span->trace)
                recorder_defer_span(recorder, span, record->time_unix_ns);
        else
                r = snapshot_place(recorder, &span->object, head->batch, record->time_unix_ns);
        return r ? error_trace(r) : 0;
}

static int snapshot_read_log(Recorder *recorder, Session *session, const RecorderRecord *record,
                             const Catena__V1__SnapshotHead *head, const Fragment *fragment) {
        ValidateSummary summary;
        Object *log;
        int r;

        if (validate_log(&summary, journal_at(recorder->journal, fragment->hold.position),
                         fragment->hold.size))
                return 0;
        r = recorder_log_new(recorder, session, &log, record, fragment, &summary);
        if (r)
                return error_trace(r);
        log->identity = head->position;
        r = snapshot_place(recorder, log, head->batch, record->time_unix_ns);
        return r ? error_trace(r) : 0;
}

int recorder_read_snapshot(Recorder *recorder, const RecorderRecord *record) {
        Session *session = recorder_find_session(recorder, record->session);
        Catena__V1__SnapshotHead head;
        Fragment fragment = {0};
        size_t head_size;
        int r;

        if (!session)
                return 0;
        if (record->header.type == RECORD_CONTEXT) {
                if (context_validate(record->body, record->size))
                        return 0;
                r = recorder_read_record(recorder, session, record, NULL);
                return r ? error_trace(r) : 0;
        }
        if (!snapshot_read_head(record, &head, &head_size))
                return 0;
        fragment.hold = snapshot_hold(&record->header, record->position, head_size);
        fragment.flags = snapshot_fragment_flags(&record->header, &head);
        if (record->header.type == RECORD_SPAN)
                r = snapshot_read_span(recorder, session, record, &head, &fragment);
        else
                r = snapshot_read_log(recorder, session, record, &head, &fragment);
        return r ? error_trace(r) : 0;
}

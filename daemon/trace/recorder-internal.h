#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Inside the recorder
 *
 *   admission.c  judges what a client sent
 *   reading.c    what a client's record does, live or replayed
 *   decision.c   what the daemon decides, written down and read; sessions
 *   expiry.c     detached spans that nobody has ended
 *   sealing.c    batches: what closes, what is sealed, what is answered
 *   state.c      counters, as checkpoints and STATE records keep them
 *   snapshot.c   writes what stays long anew, so that the oldest segment can go
 *   replay.c     reads the journal after a start
 *   keeping.c    traces that head sampling would drop, and what is decided of them
 *   delivery.c   waits until what has ended is answered for
 *   recorder.c   lifetime, taking, looking in
 */

#include "catena.pb-c.h"
#include "daemon/base/buffer.h"
#include "daemon/trace/context.h"
#include "daemon/trace/metrics.h"
#include "daemon/trace/recorder.h"
#include "daemon/trace/span.h"
#include "proto/id.h"
#include "proto/validate.h"

enum {
        /* An object stays under this, joined; what an END may add comes on top of it. */
        RECORDER_OBJECT_MAX = RECORD_SIZE_MAX - 16 * 1024,
        RECORDER_END_MAX = RECORD_SIZE_MAX - 1024,
        RECORDER_END_SMALL = 1024, /* one that is never refused for want of room */
        /* A context is read whole at each update, and joined to each of its spans. */
        RECORDER_CONTEXT_MAX = 32 * 1024,
        RECORDER_REST_MIN = 64 * 1024, /* of a segment, worth a block of its own */
        RECORDER_SPANS_KEPT = 4096,    /* to be used again: 1 MiB */
        RECORDER_CONTEXTS_KEPT = 1024, /* the same: 256 KiB */
        RECORDER_AHEAD = 4, /* records between a look at one, the next look, and its turn */
        RECORDER_STATE_MAX = RECORD_SIZE_MAX - RECORD_HEADER_SIZE,
        RECORDER_OVERFLOW_UID = 65534, /* whoever has no uid here: they are not one user */
};

typedef struct RecorderSignal {
        Batch *open;             /* takes what closes */
        uint64_t oldest_unix_ns; /* when its first object came; 0: it is empty */
        uint64_t open_number;    /* as the state last read has it; 0: none was */
        Map batches;             /* number -> Batch: all but the open one */
        List sealed;             /* Batch.link: the same, by number */
        size_t n_sealed;         /* objects */
} RecorderSignal;

/* A trace that head sampling would drop, while spans of it are open, or wait for a decision. */
struct Trace {
        uint8_t trace_id[ID_TRACE_SIZE];
        size_t n_open;
        List undecided; /* Span.object.link: closed */
        size_t n_undecided;
        uint64_t since_unix_ns; /* when the first of them began to wait */
        uint64_t first_deferred; /* which of all that ever waited it was */
        bool keep;              /* a span of it mattered */
        List link;              /* recorder.due_traces or .waiting_traces; or none */
};

struct Recorder {
        RecorderOptions options;
        Journal *journal;
        Chains *chains;
        Map users;         /* uid -> SessionUser */
        Map sessions;      /* number -> Session */
        List all_sessions; /* Session.link */
        uint32_t next_session;
        RecorderCounters counters;
        RecorderExporter exporters[BATCH_EXPORTERS_MAX];
        unsigned n_exporters;
        RecorderSignal signals[_BATCH_SIGNALS_N];
        size_t n_open;     /* spans started, not closed */
        size_t open_bytes; /* of the journal, held by spans that are not closed */
        size_t n_objects;  /* spans and logs of any state */
        List strays;       /* Span.pending_link: in a replay, of sessions that are not remembered */
        uint64_t expiry_unix_ns; /* when to look at detached spans: before the first expires */
        Pool span_pool, context_pool;

        bool samples; /* a START may be flagged */
        Map traces;   /* -> Trace */
        uint64_t n_deferred; /* spans that ever waited for a KEEP */
        size_t n_undecided;  /* spans that wait for one */
        size_t undecided_bytes;
        List due_traces;     /* Trace.link: decided, and not written down */
        List waiting_traces; /* Trace.link: the rest of those with spans that wait, oldest first */

        bool replaying;
        uint64_t replayed_unix_ns; /* the time of the last block of the replay */

        RecorderWatch watch; /* or NULL */
        void *watch_user;

        ObjectPieces pieces; /* reused by whoever joins, and so is the next */
        Buffer scratch;
};

/* A record in a block that is being read. */
typedef struct RecorderRecord {
        RecordHeader header;
        const uint8_t *body;
        size_t size;              /* of the body */
        JournalPosition position; /* of the body */
        Span *span;               /* of a SPAN: that of its id so far, looked up once; or NULL */
        uint32_t session;         /* of the block; 0: the daemon's */
        uint64_t time_unix_ns;
        uint16_t block_flags;
} RecorderRecord;

static inline RecorderRecord recorder_record(const JournalBlock *block, size_t offset,
                                             const RecordHeader *header) {
        return (RecorderRecord){
                .header = *header,
                .body = block->records + offset + RECORD_HEADER_SIZE,
                .size = header->size - RECORD_HEADER_SIZE,
                .position = block->position + offset + RECORD_HEADER_SIZE,
                .session = block->session,
                .time_unix_ns = block->time_unix_ns,
                .block_flags = block->flags,
        };
}

/* Before a client's record is judged and read. A detached span is found by whoever is its user. */
static inline void recorder_look_up(RecorderRecord *record, const Session *session) {
        if (record->header.type != RECORD_SPAN)
                return;
        record->span = record->header.flags & RECORD_DETACHED
                               ? map_find(&session->user->detached, record->header.id)
                               : map_find(&session->spans, record->header.id);
}

static inline SessionHold recorder_hold(const RecorderRecord *record) {
        return (SessionHold){record->position, (uint32_t)record->size,
                             (uint32_t)record_stride(record->header.size)};
}

/* ---- admission.c ---- */

/* How much room there is, asked once a block. */
typedef struct RecorderRoom {
        bool only_ends;   /* the last eighth of the journal */
        bool no_starts;   /* open spans hold half of it */
        size_t max_bytes; /* what objects may take of our memory beside the journal */
} RecorderRoom;

RecorderRoom recorder_room(const Recorder *recorder);
/* Fills the summary of a SPAN or LOG that is accepted. */
RecordVerdict recorder_judge(const Recorder *recorder, const Session *session,
                             const RecorderRoom *room, const RecorderRecord *record,
                             ValidateSummary *summary);
/* Only what a body's bytes decide; all that a replay needs to ask again. */
RecordVerdict recorder_validate(const RecorderRecord *record, ValidateSummary *summary);

/* ---- reading.c ---- */

/*
 * A client's record that is accepted. `session` NULL: all that is remembered of it is what it said
 * of a detached span, which is there.
 */
int recorder_read_record(Recorder *recorder, Session *session, const RecorderRecord *record,
                         const ValidateSummary *summary);
void recorder_read_refused(Recorder *recorder, Session *session, const RecordHeader *header);
/* What a client's block says of the chunk it was read from. */
int recorder_read_cursor(Session *session, const JournalBlock *block);
/* The end of a pass: spans whose END came before its first cut are closed. */
int recorder_read_pass_end(Recorder *recorder, Session *session, uint64_t time_unix_ns);
/* The end of a pass, or of the last one, of a session that is not remembered. */
int recorder_read_stray_end(Recorder *recorder, uint32_t number, bool last, uint64_t time_unix_ns);

int recorder_log_new(Recorder *recorder, Session *session, Object **logp,
                     const RecorderRecord *record, const Fragment *fragment,
                     const ValidateSummary *summary);
/*
 * A new span; *spanp is what was looked up. Where that is another session's, a detached one, it is
 * added to, unless it still has no START.
 */
int recorder_add_span(Recorder *recorder, Session *session, Span **spanp, uint64_t key,
                      bool detached);
int recorder_start_span(Recorder *recorder, Span *span, const RecorderRecord *record,
                        const ValidateSummary *summary);
/* Tells the chains of a span that they were not told of when it started; else does nothing. */
int recorder_show_late(Recorder *recorder, Span *span);
/*
 * Without a START, or with an END whose pass has not ended: both wait for the pass of the session
 * that said so, by its number.
 */
void recorder_set_pending(Recorder *recorder, Span *span, uint32_t sayer, bool second_cut);
/* `end_reason`: why the daemon ended it; NULL: it ended itself. */
int recorder_close_span(Recorder *recorder, Span *span, uint64_t end_unix_ns,
                        const char *end_reason, uint64_t time_unix_ns);
void recorder_leave_open(Recorder *recorder, Span *span);
void recorder_drop_orphan(Recorder *recorder, Span *span);

/* ---- telling.c ---- */

int recorder_tell_watch(Recorder *recorder, Span *span);

/* A span is closed: whoever watches is told. */
static inline int recorder_tell(Recorder *recorder, Span *span) {
        return recorder->watch ? recorder_tell_watch(recorder, span) : 0;
}

/* ---- decision.c ---- */

/* The END that the daemon gives to spans, and which counter tells of them. */
typedef struct RecorderClosing {
        Fragment fragment;
        const char *reason; /* as catena.end says it */
        uint64_t *counter;
} RecorderClosing;

/* Writes a daemon's record and has it read. RECORDER_E_FULL: nothing happened. */
int recorder_decide(Recorder *recorder, RecordType type, uint32_t session_number,
                    const ProtobufCMessage *message, uint64_t now_unix_ns);
/* The END that the daemon gives a span; its size. */
size_t recorder_write_closing(uint8_t *data, size_t size, const char *reason, bool error,
                              uint64_t now_unix_ns);
/* Ends a span that has no END. */
int recorder_close_for(Recorder *recorder, Span *span, const RecorderClosing *closing,
                       uint64_t time_unix_ns);
SessionOptions recorder_session_options(Recorder *recorder, SessionUser *user);
/* Has a record of the daemon's own read, SNAPSHOTs included. */
int recorder_read_decision(Recorder *recorder, const RecorderRecord *record);

Session *recorder_find_session(const Recorder *recorder, uint32_t number);
/* Frees it if it is over and nothing of it is left. */
void recorder_settle_session(Recorder *recorder, Session *session);

/* ---- expiry.c ---- */

/* A detached span is there from now on, for a while. */
void recorder_expect_expiry(Recorder *recorder, const Span *span);
int recorder_read_expired(Recorder *recorder, const RecorderRecord *record);

/* ---- keeping.c ---- */

/* Of a client's record that is accepted: whether sampling says no to it. */
bool recorder_is_unsampled(const Recorder *recorder, const RecorderRecord *record,
                           const ValidateSummary *summary);
/* The span's START is flagged. */
int recorder_watch_trace(Recorder *recorder, Span *span, const uint8_t *trace_id);
/* It is closed, and waits for a KEEP. */
void recorder_defer_span(Recorder *recorder, Span *span, uint64_t time_unix_ns);
int recorder_read_keep(Recorder *recorder, const RecorderRecord *record);
/* Writes down what is decided, and decides what may wait no longer. RECORDER_E_FULL. */
int recorder_decide_traces(Recorder *recorder, uint64_t now_unix_ns);
/* Whether one of the first n spans that ever waited still does. */
bool recorder_is_undecided(const Recorder *recorder, uint64_t n_deferred);
uint64_t recorder_traces_due_unix_ns(const Recorder *recorder);
void recorder_free_traces(Recorder *recorder);

/* ---- sealing.c ---- */

int recorder_read_batch(Recorder *recorder, const RecorderRecord *record);
int recorder_read_done(Recorder *recorder, const RecorderRecord *record);
int recorder_read_drop(Recorder *recorder, const RecorderRecord *record);
/* What a DONE says, and a DROP: done without the record where there is no room for it. */
void recorder_answered(Recorder *recorder, const Catena__V1__Done *message);
void recorder_dropped(Recorder *recorder, const char *name);

int recorder_batch_new(Batch **batchp, BatchSignal signal, uint64_t number);
Batch *recorder_batch_free(Batch *batch);
int recorder_batch_add(Batch *batch, Object *object);
int recorder_batch_move(Batch *to, Batch *from);
/* The batch of that number, where what closes as its SNAPSHOT says belongs; made if need be. */
int recorder_batch_numbered(Recorder *recorder, Batch **batchp, BatchSignal kind, uint64_t number);
/* Something is closed: it joins the open batch. */
int recorder_close_object(Recorder *recorder, Object *object, uint64_t time_unix_ns);
/* Every exporter has answered: the batch and all in it is gone. */
void recorder_finish_batch(Recorder *recorder, Batch *batch);
/* The same, uncounted. */
void recorder_drop_batch(Recorder *recorder, Batch *batch);
bool recorder_exporter_owes(const Recorder *recorder, unsigned i);
/* The index of a name, added if it is new; RECORDER_E_EXPORTERS. */
int recorder_add_exporter(Recorder *recorder, const char *name, unsigned *indexp);

/* ---- state.c ---- */

/* What cannot be counted again from the records that follow, written down and read. */
int recorder_decide_state(Recorder *recorder, uint64_t now_unix_ns);
int recorder_read_state(Recorder *recorder, const uint8_t *data, size_t size);

/* ---- snapshot.c ---- */

/* Writes everything of [first, end) anew, if all of it has room. Not the last free segment is used.
 */
int recorder_compact(Recorder *recorder, JournalPosition first, JournalPosition end,
                     uint64_t now_unix_ns);
int recorder_read_snapshot(Recorder *recorder, const RecorderRecord *record);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Recorder
 *
 * The one door into the domain. Records come in blocks, from clients or out of the journal after a
 * crash, and move sessions, contexts, spans and batches the same way; what is decided (a session
 * begins, a batch is sealed, an exporter answered) is written to the journal as a record and takes
 * effect by being read like any other. So a replay of the journal stands where the daemon stood.
 *
 * Owns: sessions, contexts, spans, logs, batches.  Borrows: the Journal, the Chains, the Metrics.
 * Bound: the journal's.  I/O: none of its own.  Clock: passed in; records take the time of their
 * block.
 */

#include "daemon/base/list.h"
#include "daemon/base/map.h"
#include "daemon/journal/journal.h"
#include "daemon/trace/batch.h"
#include "daemon/trace/chains.h"
#include "daemon/trace/join.h"
#include "daemon/trace/session.h"
#include "proto/record.h"

typedef struct Metrics Metrics;
typedef struct Recorder Recorder;

enum {
        _RECORDER_E_SUCCESS,

        RECORDER_E_FULL, /* no room in the journal: read nothing more until something is freed */
        RECORDER_E_EXPORTERS, /* more than BATCH_EXPORTERS_MAX */
        RECORDER_E_HELLO,     /* not a Hello of a version we speak, or one that breaks a rule */
};

/*
 * Counters that the journal keeps: they move only when a block is read, live or replayed.
 * X(name, meaning). Kept in this order in checkpoints: add at the end, never remove.
 */
#define RECORDER_COUNTERS(X)                                                                       \
        X(spans_accepted, "spans whose START was accepted")                                        \
        X(logs_accepted, "log records accepted")                                                   \
        X(spans_closed, "spans that ended or were ended, and joined a batch")                      \
        X(spans_finished, "spans that every exporter has answered for")                            \
        X(logs_finished, "log records that every exporter has answered for")                       \
        X(spans_without_exporter, "spans dropped: no exporter is configured for traces")           \
        X(logs_without_exporter, "log records dropped: no exporter is configured for logs")        \
        X(spans_exited, "spans ended because their process was gone")                              \
        X(spans_abandoned, "spans ended because their process said BYE")                           \
        X(spans_rebuilt, "spans whose pieces could not be joined by copying")                      \
        X(spans_without_context, "spans closed whose context was never announced")                 \
        X(orphans, "fragments of spans whose START never came")                                    \
        X(late, "fragments of spans that had ended already")                                       \
        X(refused_malformed, "records refused: the body breaks a rule of the format")              \
        X(refused_full, "records refused: the journal was full")                                   \
        X(refused_share, "records refused: the client's user held its whole share")                \
        X(refused_duplicate, "spans refused: their id is still held")                              \
        X(refused_too_large, "records refused: their span or context would pass its bound")        \
        X(refused_unsupported, "records refused: detached spans of the overflow user")             \
        X(refused_spans, "spans among the records refused (their START)")                          \
        X(lost_starts, "spans that clients say they dropped themselves")                           \
        X(lost_updates, "updates that clients say they dropped themselves")                        \
        X(lost_ends, "ends that clients say they dropped themselves")                              \
        X(lost_logs, "logs that clients say they dropped themselves")                              \
        X(unknown_fields, "fields unknown to this OTLP version, removed")                          \
        X(over_limit, "attributes, events and links dropped over a limit")                         \
        X(spans_damaged, "spans accepted whose bytes the journal has lost")                        \
        X(logs_damaged, "logs accepted whose bytes the journal has lost")                          \
        X(sessions, "client sessions begun")                                                       \
        X(spans_expired, "detached spans ended because nobody had ended them in 24 hours")         \
        X(spans_unsampled, "spans dropped by sampling")                                            \
        X(spans_given_up, "of these, spans that waited too long or took too much room")           \
        X(spans_kept, "spans kept for an error or slowness, which head sampling would have dropped")

enum { RECORDER_DETACHED_HOURS = 24 };

typedef struct RecorderCounters {
#define RECORDER_COUNTER_X(name, meaning) uint64_t name;
        RECORDER_COUNTERS(RECORDER_COUNTER_X)
#undef RECORDER_COUNTER_X
} RecorderCounters;

/* What becomes of traces that a client's sampler says no to, or that are below the threshold. */
typedef struct RecorderSampling {
        uint64_t threshold;           /* proto/sampling.h; 0: none is below it */
        bool keep_errors;             /* all of it is kept if a span of it ends as an error, … */
        uint64_t keep_slower_than_ns; /* … or takes this long; 0: never */
} RecorderSampling;

/* Whether the recorder has to see what samplers say no to. */
static inline bool recorder_decides(const RecorderSampling *sampling) {
        return sampling->keep_errors || sampling->keep_slower_than_ns;
}

typedef struct RecorderOptions {
        Journal *journal;
        Chains *chains;   /* or NULL */
        Metrics *metrics; /* or NULL: what closes is counted there */
        JoinLimits limits;
        size_t uid_share_bytes;  /* what one user's objects may hold of the journal */
        uint64_t seed;           /* random: of the hash maps */
        uint64_t batch_delay_ns; /* a batch is sealed when its oldest object is this old, or … */
        size_t batch_spans_max;
        size_t batch_bytes_max;
        RecorderSampling sampling;
        const uint8_t *resource; /* encoded attributes of a Resource, added to every client's */
        size_t resource_size;
} RecorderOptions;

int recorder_new(Recorder **recorderp, const RecorderOptions *options);
Recorder *recorder_free(Recorder *recorder); /* what is open stays in the journal */

/* Reads the journal; to be called once, before anything else. */
int recorder_recover(Recorder *recorder);
/* From now on; what was flagged before stays so. */
void recorder_set_sampling(Recorder *recorder, const RecorderSampling *sampling);
/* For JournalOptions.checkpoint; user: the Recorder. */
size_t recorder_checkpoint(void *user, uint8_t *data, size_t size);

/* ---- exporters ---- */

typedef struct RecorderExporter {
        char *name;
        uint32_t signals; /* bit BatchSignal: configured for it now; 0: gone */
        struct {
                uint64_t n_owed;      /* objects of the batches it was named for */
                uint64_t n_delivered; /* owed = delivered + dropped + still in its batches */
                uint64_t n_dropped[_BATCH_DROPS_N];
        } of[_BATCH_SIGNALS_N];
} RecorderExporter;

/*
 * Names the exporters configured, after recovery. Those that the journal knows and that are gone
 * get a DROP. Exporter i of `names` is recorder_exporter_index(recorder, names[i]) from then on.
 */
int recorder_set_exporters(Recorder *recorder, const char *const *names, const uint32_t *signals,
                           size_t n, uint64_t now_unix_ns);
unsigned recorder_exporter_index(const Recorder *recorder, const char *name);

/* ---- sessions ---- */

/*
 * Begins a session from the body of a HELLO; the token is 16 random bytes. RECORDER_E_FULL also
 * while there is only room for ends.
 */
int recorder_session_begin(Recorder *recorder, Session **sessionp,
                           const SessionCredentials *credentials, const uint8_t *token,
                           const uint8_t *hello, size_t hello_size, uint64_t now_unix_ns);
/* The session that a token names, if it is alive and its uid is the same; else NULL. */
Session *recorder_session_by_token(const Recorder *recorder, const uint8_t *token, uint32_t uid);
/* Ends it, and the spans it left open. The session may be freed in here or later. */
int recorder_session_end(Recorder *recorder, Session **sessionp, SessionState how,
                         uint64_t now_unix_ns);

/* ---- records ---- */

/*
 * Room for up to `size` bytes of a client's records, to be received into block->records.
 * RECORDER_E_FULL: leave them in the socket.
 */
int recorder_reserve(Recorder *recorder, JournalBlock *block, size_t size);
/* How much of `size` to reserve now, so that the rest of a segment is not left unused. */
size_t recorder_fitting(const Recorder *recorder, size_t size);
/*
 * Takes the reserved block, of `block->size` bytes: whole records, each passed by record_frame().
 * Judges each, strips those it refuses down to their header, and commits. block->session,
 * source, flags and time are the caller's. Records of HELLO, FLUSH, WAKE and BYE are passed over.
 * Of an arena's chunk, the session remembers how far it was read.
 */
int recorder_take(Recorder *recorder, Session *session, JournalBlock *block);
/* Whether the session has ENDs that wait for the end of a pass, and so needs an empty one. */
bool recorder_session_unsettled(const Session *session);

/* ---- detached spans ---- */

/* Ends those that have been open for RECORDER_DETACHED_HOURS; RECORDER_E_FULL: not all of them. */
int recorder_expire(Recorder *recorder, uint64_t now_unix_ns);
/* When it should next be called; UINT64_MAX: there are none. */
uint64_t recorder_expiry_due_unix_ns(const Recorder *recorder);

/* ---- batches ---- */

/* Decides on traces, then seals what is due: by age, count or bytes; all with `force`. */
int recorder_seal(Recorder *recorder, uint64_t now_unix_ns, bool force);
/* When recorder_seal() should next be called; UINT64_MAX: nothing is open. */
uint64_t recorder_seal_due_unix_ns(const Recorder *recorder);
/* The oldest sealed batch after `after` (or of all, NULL) that the exporter owes an answer for. */
Batch *recorder_next_batch(const Recorder *recorder, unsigned exporter, BatchSignal signal,
                           const Batch *after);
/* The exporter's answer. The batch dies in here when it was the last. Frees journal segments. */
int recorder_done(Recorder *recorder, Batch **batchp, unsigned exporter,
                  const BatchOutcome *outcome, uint64_t now_unix_ns);

/* Whether all that was closed has been answered for. */
bool recorder_is_drained(const Recorder *recorder);

/* ---- the journal's room ---- */

/* Frees and compacts what it can; called once a turn of the loop. */
int recorder_reclaim(Recorder *recorder, uint64_t now_unix_ns);
/* Gives back the memory that it keeps to be used again. */
void recorder_rest(Recorder *recorder);

/* ---- watching ---- */

/* A span that has ended, as it will be exported. All of it lives until the call returns. */
typedef struct RecorderEnded {
        const Session *session;
        const ChainContext *context; /* or NULL */
        const ValidateSummary *summary;
        const uint8_t *data; /* an encoded Span */
        size_t size;
} RecorderEnded;

typedef int (*RecorderWatch)(void *user, const RecorderEnded *ended);

/* From now on `watch` is told of each span that ends. NULL: nobody is, which costs nothing. */
void recorder_watch(Recorder *recorder, RecorderWatch watch, void *user);

/* ---- looking in ---- */

typedef struct RecorderView {
        RecorderCounters counters;
        const RecorderExporter *exporters; /* [n_exporters]; also those that are gone */
        unsigned n_exporters;
        List *sessions; /* Session.link */
        size_t n_sessions_alive;
        size_t n_spans_open; /* accepted, not closed */
        size_t n_spans_undecided; /* closed, and waiting for sampling to decide */
        size_t n_contexts;
        size_t n_unsealed[_BATCH_SIGNALS_N];
        size_t n_sealed[_BATCH_SIGNALS_N]; /* objects of sealed batches, each once */
        JournalUsage journal;
} RecorderView;

void recorder_view(Recorder *recorder, RecorderView *view);

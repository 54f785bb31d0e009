#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Session
 *
 * One client process: who it is (from the kernel, never from the client), its resource, its scopes,
 * its spans and contexts. A session outlives its connections; it lives until its process is gone or
 * has said BYE, and the last of its spans and logs is delivered.
 *
 * Owned by the recorder.  I/O: none.
 */

#include "daemon/base/buffer.h"
#include "daemon/base/list.h"
#include "daemon/base/map.h"
#include "daemon/base/pool.h"
#include "daemon/journal/journal.h"
#include "daemon/trace/join.h"
#include "proto/arena.h"
#include "proto/record.h"

enum {
        _SESSION_E_SUCCESS,

        SESSION_E_HELLO, /* not a Hello of a version we speak, or one that breaks a rule */
};

enum {
        SESSION_HELLO_MAX = 64 * 1024, /* bytes */
        SESSION_SCOPES_MAX = 1024,
        SESSION_SCOPE_MAX = 4 * 1024,         /* bytes of one */
        SESSION_SCOPES_SIZE_MAX = 128 * 1024, /* bytes of all */
        SESSION_SERIES_N = 8,
};

typedef struct SessionCredentials {
        uint32_t pid; /* 0: not visible from here */
        uint32_t uid;
        uint32_t gid;
        uint64_t process_start; /* clock ticks since boot; 0: unknown */
} SessionCredentials;

typedef enum SessionState {
        SESSION_ALIVE,
        SESSION_SAID_BYE,
        SESSION_EXITED,
} SessionState;

/* What the objects of one user hold of the journal, and of our memory beside it. */
typedef struct SessionUser {
        uint32_t uid;
        size_t n_sessions;
        size_t n_bytes;
        Map detached; /* span key -> Span: those that any of its sessions may change and end */
} SessionUser;

/* Bytes of the journal that an object holds. */
typedef struct SessionHold {
        JournalPosition position;
        uint32_t size;   /* bytes of use from there on */
        uint32_t charge; /* bytes that are live because of it */
} SessionHold;

typedef struct SessionScope {
        uint64_t number;
        SessionHold hold; /* of an InstrumentationScope */
} SessionScope;

/* How far a chunk of its arena has been read. */
typedef struct SessionCursor {
        uint32_t generation;
        uint32_t offset;
} SessionCursor;

typedef struct Session {
        Journal *journal;
        SessionUser *user;
        Pool *span_pool, *context_pool; /* the recorder's: of Span, of Context */
        uint32_t number;
        SessionCredentials credentials;
        uint8_t token[RECORD_TOKEN_SIZE];
        SessionState state;
        bool replayed; /* in a replay: what needs it may stand further on, so all of it is kept */
        JoinLimits limits;

        SessionHold hold;  /* of its SESSION record's body, a catena.v1.Session */
        uint8_t *resource; /* an encoded Resource with the daemon's attributes added */
        size_t resource_size;
        char *service; /* its service.name; NULL: it names none */

        Map scopes;         /* number -> SessionScope */
        size_t scopes_size; /* bytes of all */
        Map contexts;       /* number -> Context */
        List all_contexts;  /* Context.link: by where the first fragment lies, if there is one */
        Map spans; /* span key -> Span, from the first fragment to the delivery; not detached */
        List held; /* Span.held_link: these and the detached, by where their first fragment lies */
        List open; /* Span.object.link: not closed, oldest first */
        List pending; /* Span.pending_link: without a START, or with an END to be settled */
        List pending_contexts; /* Context.pending_link: the same of contexts */
        size_t n_open;         /* started, not closed */
        size_t n_unshown;      /* of these, spans that the chains are not told of yet */
        size_t n_closed;       /* spans and logs that are not delivered yet */

        uint64_t n_accepted; /* spans */
        uint64_t n_refused;  /* records */
        uint64_t n_refused_told; /* of these, its client knows of; ingest's */
        uint64_t n_orphans_untold; /* fragments of spans that are not there: to be told; live */
        uint64_t n_lost;     /* spans, updates, ends and logs that the client says it dropped */
        uint64_t n_lost_ends;
        struct MetricsSeries *series[SESSION_SERIES_N]; /* some that count its spans; metrics' */
        SessionCursor *cursors; /* [ARENA_CHUNKS], as the journal knows them; NULL: never any */
        void *peer;             /* the connection that speaks for it now, or NULL; ingest's */
        void *arena; /* the ArenaReader of what its client writes to, or NULL; ingest's */

        List link; /* recorder.sessions */
} Session;

typedef struct SessionOptions {
        Journal *journal;
        SessionUser *user;
        Pool *span_pool, *context_pool;
        uint64_t seed;
        const JoinLimits *limits;
        const uint8_t *resource; /* encoded attributes of a Resource, to be added */
        size_t resource_size;
} SessionOptions;

/* Whether a Hello's bytes can begin a session: 0 or SESSION_E_HELLO. */
int session_check_hello(const uint8_t *hello, size_t size);
/* From the body of a SESSION record at `position`, which it holds from then on. */
int session_new(Session **sessionp, const SessionOptions *options, JournalPosition position,
                const uint8_t *body, size_t size);
/* It must hold no spans and contexts any more. */
Session *session_free(Session *session);
/* The same session from a newer SESSION record, its SNAPSHOT: state, limits, scopes. */
int session_restore(Session *session, const SessionOptions *options, JournalPosition position,
                    const uint8_t *body, size_t size);

/* Appends the body of a SESSION record that says all there is to say of it now. */
int session_snapshot(const Session *session, Buffer *out);
size_t session_snapshot_size(const Session *session); /* of that body, or a little more */

/* Keeps bytes live, in the journal and on the user's account. */
void session_hold(Session *session, const SessionHold *hold);
void session_release(Session *session, const SessionHold *hold);
/* Memory of ours that an object takes beside the journal. */
void session_charge(Session *session, size_t size);
void session_discharge(Session *session, size_t size);

/* Sets a scope's bytes, replacing what the number meant before. */
int session_set_scope(Session *session, uint64_t number, const SessionHold *hold);
/* Passes over a chunk that no arena has. */
int session_set_cursor(Session *session, uint32_t chunk, SessionCursor cursor);
/* The bytes of an InstrumentationScope; NULL and 0 for a number that was never announced. */
const uint8_t *session_scope(const Session *session, uint64_t number, size_t *sizep);

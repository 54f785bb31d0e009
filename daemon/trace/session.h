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

#include "daemon/base/list.h"
#include "daemon/base/map.h"
#include "daemon/journal/journal.h"
#include "daemon/trace/join.h"
#include "proto/record.h"

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

typedef struct Session {
        uint32_t number;
        SessionCredentials credentials;
        uint8_t token[RECORD_TOKEN_SIZE];
        SessionState state;
        JoinLimits limits;

        JournalPosition position; /* of the body of its SESSION record, a catena.v1.Session */
        size_t size;
        uint8_t *resource;        /* an encoded Resource, the daemon's attributes added; owned */
        size_t resource_size;

        Map scopes;   /* number -> Scope */
        Map contexts; /* number -> Context */
        Map spans;    /* span key -> Span, from the first fragment to the delivery */
        List open;    /* Span.link: not closed, oldest first */
        List ending;  /* Span.pending_link: their END has come, their pass has not ended */
        List strays;  /* Span.pending_link: without their START */
        size_t n_open;
        size_t n_undelivered; /* spans and logs that are closed */

        uint64_t n_accepted; /* spans */
        uint64_t n_refused;  /* records */
        uint64_t n_lost;     /* spans, updates, ends and logs, as the client says */
        uint64_t n_lost_ends;
        void *peer; /* the connection that speaks for it now, or NULL; ingest's */

        List link; /* recorder.sessions */
} Session;

/*
 * The string value of a resource attribute such as "service.name"; false where there is none.
 * The text lives as long as the session.
 */
bool session_resource_string(const Session *session, const char *key, const char **textp,
                             size_t *sizep);

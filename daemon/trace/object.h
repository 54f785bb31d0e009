#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Objects
 *
 * What a batch carries, a span or a log: the pieces of it that lie in the journal, and where they
 * belong. A log is one piece and nothing more; a span (span.h) grows until it is closed.
 *
 * Owned by the recorder.  I/O: none.
 */

#include "daemon/base/list.h"
#include "daemon/journal/journal.h"
#include "daemon/trace/batch.h"
#include "daemon/trace/join.h"
#include "daemon/trace/session.h"

typedef struct Context Context;

enum {
        FRAGMENT_START = 0x0001,
        FRAGMENT_END = 0x0002,
        FRAGMENT_CLOSES = 0x0004,  /* an END that the daemon wrote */
        FRAGMENT_SETTLED = 0x0008, /* a closed span, written anew: the limits have been applied */
};

typedef struct Fragment {
        SessionHold hold;
        uint32_t flags;
} Fragment;

/* The pieces of a span, a log or a context, in the order in which they came. */
typedef struct Fragments {
        Fragment *list; /* the two below, or allocated */
        uint32_t n_fragments, n_allocated;
        size_t n_bytes;
        Fragment first[2];
} Fragments;

void fragments_init(Fragments *fragments);
void fragments_deinit(Fragments *fragments, Session *session); /* releases what they hold */
int fragments_add(Fragments *fragments, Session *session, const Fragment *fragment);
/* Where the first of them lies; 0: there are none. */
JournalPosition fragments_begin(const Fragments *fragments);

struct Object {
        BatchSignal signal;
        bool rebuild; /* its pieces conflict: they cannot be joined by copying */
        bool trim;    /* something in them is unknown, or over a limit: they are rebuilt */
        uint32_t scope;
        Session *session;
        Context *context;         /* or NULL */
        Batch *batch;             /* once it is closed */
        JournalPosition identity; /* of a log: where it was first written */
        Fragments fragments;
        List link; /* of a span: session.open */
};

enum { OBJECT_AHEAD = 4 }; /* objects that a walk has fetched before it is their turn */

/* Has the processor fetch what a walk will look at soon. */
static inline void object_prefetch(const Object *object) {
        __builtin_prefetch(object);
        __builtin_prefetch((const char *)object + 64);
        __builtin_prefetch((const char *)object + 128);
}

/* An array that grows to the most pieces an object had; used again and again. */
typedef struct ObjectPieces {
        JoinPiece *list;
        size_t n_pieces, n_allocated;
} ObjectPieces;

void object_pieces_deinit(ObjectPieces *pieces);
/* Its own pieces as they are joined: START, the others in order, END. */
int object_pieces(const Object *object, ObjectPieces *pieces);
/* And the attributes of its context behind them. */
int object_pieces_in_context(const Object *object, ObjectPieces *pieces);
/* Appends the pieces collected, copied or rebuilt. */
int object_join(const Object *object, const ObjectPieces *pieces, Buffer *out, JoinReport *report);

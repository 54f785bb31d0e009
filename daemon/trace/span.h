#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Span
 *
 * A span from its first fragment to its delivery. What its fragments were found to hold is summed
 * up here, so that at its end it is known whether they can be joined by copying.
 *
 * Owned by the recorder.  I/O: none.
 */

#include "daemon/trace/chains.h"
#include "daemon/trace/object.h"
#include "proto/validate.h"

typedef struct Trace Trace;

typedef struct Span {
        Object object; /* first: a batch knows it as this */
        uint64_t key;
        uint64_t start_unix_ns, end_unix_ns;
        ValidateBloom keys;
        uint32_t n_attributes, n_events, n_links, seen;
        JournalPosition name; /* where it lies, of name_size bytes; 0: it has none */
        uint32_t name_size;
        uint32_t kind, status_code; /* as its fragments merge so far */
        bool started, ended, closed;
        bool second_cut; /* what made it pending came after the first cut */
        bool keys_meet;  /* two fragments may set the same key */
        bool unshown;    /* the chains are told of it when its pass ends */
        bool detached;   /* any process of its user may change and end it */
        uint32_t awaits; /* of a pending one: the number of the session whose pass ends that */
        uint64_t since_unix_ns; /* of a detached one: when its START was received */
        ChainSpan *chain;       /* or NULL */
        List pending_link;      /* session.pending */
        List held_link;         /* session.held */
        Trace *trace;           /* which sampling watches; or NULL */
} Span;

static inline Span *span_of(Object *object) {
        return (Span *)object;
}

int span_new(Span **spanp, Session *session, uint64_t key, bool detached);
/* Where a session's spans are found by their keys. */
Map *span_map(Session *session, bool detached);

/* Has the processor fetch where its session knows it, before it is freed. */
static inline void span_prefetch_slot(const Span *span) {
        map_prefetch(&span->object.session->spans, span->key);
}

/* Leaves its session, its context and its list, and releases what it holds. */
Span *span_free(Span *span);

/* A validated fragment. */
int span_add(Span *span, const Fragment *fragment, const ValidateSummary *summary);
/* All its fragments, joined into one elsewhere: that one takes their place. */
int span_replace(Span *span, const Fragment *fragment, const ValidateSummary *summary);
/* Decides between copying and rebuilding, once all pieces are there; its context may still grow. */
int span_settle(Span *span, ObjectPieces *pieces);

/* What one of its fragments says; false: its bytes are damaged. */
bool span_fragment_summary(const Span *span, const Fragment *fragment, ValidateSummary *summary);
/* The same of its START; false without one. */
bool span_summary(const Span *span, ValidateSummary *summary);

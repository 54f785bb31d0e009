#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Context
 *
 * One unit of work that can cause others, as a client announced it. It lives until it has ended and
 * the last of its spans is delivered. A number that a span names before it is announced has a
 * context too: one that is not known yet.
 *
 * Owned by the recorder.  I/O: none.
 */

#include "daemon/base/list.h"
#include "daemon/trace/chains.h"
#include "daemon/trace/object.h"
#include "proto/validate.h"

struct Context {
        /* What a span needs of it comes first, on two lines of the cache. */
        Session *session;
        uint32_t number;
        bool known; /* its START has been seen */
        bool ended;
        bool second_cut;  /* what made it pending came after the first cut */
        bool conflict;    /* its attributes cannot be copied: two may share a key, or know more */
        bool nameless;    /* the chains show its spans by their traces */
        size_t n_objects; /* spans and logs that name it */
        ChainContext *chain; /* or NULL */
        /* What its spans carry of it: encoded attributes of a Span, made when it is announced. */
        uint8_t *attributes;
        size_t n_bytes;
        ValidateBloom keys;
        uint32_t n_left_out; /* tags over the session's limit of attributes */

        uint64_t end_unix_ns; /* its END has been read; 0: not yet */
        Fragments fragments;
        List link;         /* session.all_contexts */
        List pending_link; /* session.pending_contexts */
};

/* Has the processor fetch what a span needs of it, if it has one. */
static inline void context_prefetch(const Context *context) {
        if (!context)
                return;
        __builtin_prefetch(context);
        __builtin_prefetch((const char *)context + 64);
}

/* The same for a walk over objects that is at `i`: of those ahead, and then of their contexts. */
static inline void context_prefetch_walk(Object *const *objects, size_t n, size_t i) {
        if (i + 2 * OBJECT_AHEAD < n)
                object_prefetch(objects[i + 2 * OBJECT_AHEAD]);
        if (i + OBJECT_AHEAD < n)
                context_prefetch(objects[i + OBJECT_AHEAD]->context);
}

/* Whether a Context's bytes may be taken: strings, ids, tags. 0 or VALIDATE_E_*. */
int context_validate(const uint8_t *data, size_t size);

/* The context of that number, made if there is none. */
int context_get(Context **contextp, Session *session, uint32_t number);
/* Frees it when nothing needs it: over (or its session is), not pending, and no objects. */
void context_settle(Context *context);

/* A START: replaces what it was, but not what was read of it before, while it was not known. */
int context_start(Context *context, Chains *chains, const Fragment *fragment);
int context_update(Context *context, Chains *chains, const Fragment *fragment);
/* It waits for the end of its pass: with an END, or for a START. */
void context_set_pending(Context *context, bool second_cut);
/* That is there: it is ended; or there is no START, and what was read of it is dropped. */
void context_pass_end(Context *context, Chains *chains);
void context_end(Context *context, Chains *chains, uint64_t end_unix_ns);
/* The context's fragments, merged into one elsewhere: takes that one's place. */
int context_move(Context *context, const Fragment *fragment);

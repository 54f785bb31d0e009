#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Contexts
 *
 * What a context is: its ids, its causes, its trace, what it carries. Any thread may announce it:
 * what it announces stands from the beginning, or is only added to (checkpoints), or is put in the
 * place of what was there (its trace, its tags) and announced anew. The rule of cause: a child
 * copies the correlation id and is caused by its parent; a fresh root's id is its correlation id; a
 * correlation id from outside names an unseen root, the cause.
 *
 * Bound: about 20 KiB, announced; each list has its own.  Clock: monotonic.
 */

#include "lib/client-shared.h"
#include "lib/client-slot.h"
#include "proto/id.h"
#include "proto/pb.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
        CONTEXT_TEXT_MAX = 256, /* bytes of an id */
        CONTEXT_CAUSES_MAX = 32,
        CONTEXT_CHECKPOINTS_MAX = 4096, /* encoded bytes of those a new connection is told again */
};

typedef struct ContextCheckpoint ContextCheckpoint;

struct ContextCheckpoint {
        _Atomic(ContextCheckpoint *) next;
        uint64_t unix_ns;
        size_t size;
        char name[];
};

/* Why the work that runs in a context failed; its owner's. */
typedef struct ContextFailure {
        char *type, *message; /* owned; NULL: none */
        int result;           /* what was returned for it; 0: nothing yet */
} ContextFailure;

/* What it carries, by lists of keys and values. */
typedef enum ContextList {
        CONTEXT_LIST_TAGS,
        CONTEXT_LIST_METADATA,
        CONTEXT_LIST_STATE,
        CONTEXT_LIST_BAGGAGE, /* of others: its own is made of its ids */
        _CONTEXT_LISTS_N,
} ContextList;

struct ContextBody {
        Grave grave;
        uint32_t epoch; /* of the process that made it */
        char id[ID_UUID_TEXT + 1];
        char *correlation_id;           /* owned, unless it is the id */
        char *workflow_id, *session_id; /* owned; NULL: none */
        char *causes[CONTEXT_CAUSES_MAX];
        unsigned n_causes;

        _Atomic uint64_t trace_id[2]; /* its bytes as they stand */
        uint8_t flags;
        uint64_t parent_span; /* as Slot.span: the current span when it was made */
        bool remote;          /* that span is another process's */
        catena_span sender;   /* which roots of a trace link to; zero: none */
        _Atomic(Shared *) tracestate;
        _Atomic(Shared *) lists[_CONTEXT_LISTS_N];

        uint64_t start_ns, start_unix_ns;
        _Atomic(ContextCheckpoint *) checkpoints;
        ContextCheckpoint *last;  /* its owner's */
        size_t checkpoints_bytes; /* its owner's */
        ContextFailure failure;
        _Atomic uint32_t announced; /* the epoch of the process that announced it last; 0: none */

        char trace_hex[ID_TRACE_HEX + 1], parent_hex[ID_SPAN_HEX + 1];
        char span_hex[ID_SPAN_HEX + 1]; /* written when asked for */
};

/* The trace as a context has it. */
static inline void context_trace_id(const ContextBody *body, uint8_t trace_id[ID_TRACE_SIZE]) {
        uint64_t words[2] = {
                atomic_load_explicit(&body->trace_id[0], memory_order_relaxed),
                atomic_load_explicit(&body->trace_id[1], memory_order_relaxed),
        };

        memcpy(trace_id, words, sizeof words);
}

/* What it continues; all NULL and zero: a root. Text is copied, what is shared gets a reference. */
typedef struct ContextOrigin {
        const char *workflow_id, *session_id, *correlation_id;
        const char *const *causes;
        size_t n_causes;
        const uint8_t *trace_id; /* NULL: a new trace */
        uint64_t span;
        uint8_t flags;
        bool remote;
        catena_span sender;
        Shared *tracestate;
        Shared *lists[_CONTEXT_LISTS_N];
} ContextOrigin;

/* Whether it may be taken as an id of a chain: not empty, not too long, plain text. */
bool catena__context_id_is_valid(const char *id);
/* NULL: out of memory. */
catena_context *catena__context_make(const ContextOrigin *origin);
void catena__failure_free(ContextFailure *failure);
/* The slot for calls that are given a context; NULL counts as misuse. */
Slot *catena__context_slot(SlotHandle *handlep, const catena_context *context);
/* The body for calls that are given a context; NULL counts as misuse. */
ContextBody *catena__context_body(const catena_context *context, SlotHandle *handlep);

/* What it announces has changed: the daemon is told, if it knows of it. */
void catena__context_changed(SlotHandle handle, const ContextBody *body);
/* The fields of a CONTEXT|START. */
void catena__context_write(PbWriter *writer, const ContextBody *body);

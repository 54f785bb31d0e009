#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Contexts
 *
 * What a context is: its ids, its causes, its trace, what it passes on. All of it stands from the
 * beginning but the checkpoints, which are only added to, so any thread may announce it. The rule
 * of cause: a child copies the correlation id and is caused by its parent; a fresh root's id is its
 * correlation id; a correlation id from outside names an unseen root, the cause.
 *
 * Bound: about 14 KiB, announced; tracestate and baggage as they came.  Clock: monotonic.
 */

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

struct ContextBody {
        char id[ID_UUID_TEXT + 1];
        char *correlation_id; /* all owned; NULL: none */
        char *workflow_id, *session_id;
        char *causes[CONTEXT_CAUSES_MAX];
        unsigned n_causes;

        uint8_t trace_id[ID_TRACE_SIZE];
        uint8_t flags;
        uint64_t parent_span; /* as Slot.span: the current span when it was made */
        bool remote;          /* that span is another process's */
        char *tracestate;     /* as it came, and the sampler's word; NULL: none */
        char *baggage;        /* of others, as it came; NULL: none */

        uint64_t start_ns, start_unix_ns;
        _Atomic(ContextCheckpoint *) checkpoints;
        ContextCheckpoint *last;  /* its owner's */
        size_t checkpoints_bytes; /* its owner's */
        ContextFailure failure;
        _Atomic uint32_t announced; /* the epoch of the process that announced it last; 0: none */

        char trace_hex[ID_TRACE_HEX + 1], parent_hex[ID_SPAN_HEX + 1];
        char span_hex[ID_SPAN_HEX + 1]; /* written when asked for */
        ContextBody *next_dead;
};

/* What it continues; all NULL and zero: a root. Text is copied. */
typedef struct ContextOrigin {
        const char *workflow_id, *session_id, *correlation_id;
        const char *const *causes;
        size_t n_causes;
        const uint8_t *trace_id; /* NULL: a new trace */
        uint64_t span;
        uint8_t flags;
        bool remote;
        const char *tracestate, *baggage;
} ContextOrigin;

/* NULL: out of memory. */
catena_context *catena__context_make(const ContextOrigin *origin);
void catena__context_body_free(ContextBody *body);
void catena__failure_free(ContextFailure *failure);
/* The slot for calls that are given a context; NULL counts as misuse. */
Slot *catena__context_slot(SlotHandle *handlep, const catena_context *context);
/* The body for calls that are given a context; NULL counts as misuse. */
ContextBody *catena__context_body(const catena_context *context, SlotHandle *handlep);

/* The fields of a CONTEXT|START. */
void catena__context_write(PbWriter *writer, const ContextBody *body);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Chains
 *
 * A chain is all contexts that share a correlation id, as a tree by cause, with their spans: a view
 * for people, fed by the recorder, live or in a replay. It copies what it shows and never points
 * into the journal. When the cap is reached the chain that finished first leaves first, then, if
 * none has finished, the oldest of all. One chain may hold half of the cap; what would come on top
 * is left out of it and counted, as is a context without an id or with one over CHAINS_TEXT_MAX.
 * Where chains come so fast that they leave within seconds, only one of 2, 4 … 1024 is kept, whole:
 * a sample that lasts, and costs the others' spans next to nothing.
 *
 * Spans that belong to no context form one chain a trace, under the trace's id.
 *
 * The caller keeps a handle, a pointer, for each context and span that may still change, and says
 * when it ends or is forgotten. Several sessions may hold the same context (a forked child
 * announces its parent's). Handles become NULL when their chain is evicted.
 *
 * Owns: its chains.  Bound: max_bytes.  I/O: none.  Clock: passed in.
 */

#include "daemon/base/list.h"
#include "daemon/trace/id-index.h"
#include "proto/id.h"
#include "proto/validate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        CHAINS_TEXT_MAX = 256,     /* bytes kept of a name or message; never splits a character */
        CHAINS_CAUSES_MAX = 32,    /* causes kept of a context */
        CHAINS_HANDLES_MAX = 4096, /* of one context; with more, the newest stay NULL */
        CHAINS_MAX_BYTES = 8 * 1024 * 1024,
};

typedef struct Chain Chain;
typedef struct ChainContext ChainContext;
typedef struct ChainSpan ChainSpan;
typedef struct Chains Chains;

struct Chain {
        Chains *chains;
        uint64_t start_unix_ns, end_unix_ns; /* of what it holds; end: the last seen */
        uint64_t added_unix_ns;              /* by the daemon's clock */
        size_t n_contexts, n_spans;
        size_t n_open; /* spans and contexts that have not ended and may still */
        size_t n_errors;
        size_t n_left_out; /* spans, contexts, texts that it had no room for */
        size_t n_bytes;
        List contexts;      /* ChainContext.link, in the order of arrival */
        List spans;         /* ChainSpan.link, in the order of arrival */
        List link;          /* chains.chains: oldest first */
        List finished_link; /* chains.finished, while n_open is 0: in the order they finished */
        IdIndexEntry by_id;
        uint8_t trace_id[ID_TRACE_SIZE]; /* of a trace's own chain */
        char id[]; /* the correlation id, or the trace id in hex; NUL-terminated */
};

struct ChainContext {
        Chain *chain;
        char *context_id, *workflow_id, *session_id, *service; /* NULL: unset */
        char **causation_ids;                                  /* [n_causes] */
        size_t n_causes;
        uint32_t pid;
        uint64_t start_unix_ns, end_unix_ns; /* end 0: it has not ended */
        List checkpoints;                    /* ChainCheckpoint.link */
        List *repeated; /* of these, what a START that was said again may repeat next */
        List handles;   /* ChainHandle.link, newest first */
        size_t n_handles;
        List link; /* chain.contexts */
        IdIndexEntry by_id, in_chain;
};

typedef struct ChainHandle {
        List link; /* context.handles */
        ChainContext **place;
} ChainHandle;

typedef struct ChainCheckpoint {
        List link; /* context.checkpoints */
        uint64_t time_unix_ns;
        char name[];
} ChainCheckpoint;

struct ChainSpan {
        Chain *chain;
        ChainContext *context; /* or NULL */
        uint8_t trace_id[ID_TRACE_SIZE], span_id[ID_SPAN_SIZE], parent_span_id[ID_SPAN_SIZE];
        char *name; /* `texts`, until it gets another; NULL: unset, as below */
        char *status_message;
        char *exception;        /* "type: message" of the last one */
        const char *service;    /* in `texts` */
        const char *end_reason; /* "process exited", "abandoned", "end lost"; NULL: its own END */
        uint32_t kind, status_code, pid;
        uint64_t start_unix_ns, end_unix_ns; /* end 0: it has not ended */
        ChainSpan **handle;                  /* or NULL: it changes no more */
        List link;                           /* chain.spans */
        size_t n_text_bytes;
        char texts[]; /* [n_text_bytes]: the name it began with, the service */
};

enum {
        _CHAINS_E_SUCCESS,

        CHAINS_E_NAMELESS, /* a context has no id to be shown under; its spans have their trace */
};

int chains_new(Chains **chainsp, size_t max_bytes, uint64_t seed);
Chains *chains_free(Chains *chains);

/* ---- fed by the recorder; without Chains (NULL) nothing is kept ---- */

typedef struct ChainsContextStart {
        const char *context_id, *correlation_id; /* NUL-terminated, as all here; NULL: unset */
        const char *workflow_id, *session_id, *service;
        const char *const *causation_ids;
        size_t n_causes;
        uint32_t pid;
        uint64_t start_unix_ns;
} ChainsContextStart;

/* What time it is for what follows. Without it, chains are not thinned out. */
void chains_set_time(Chains *chains, uint64_t now_unix_ns);

/*
 * *handle is where the caller keeps it, NULL at first: set here, and to NULL when it is evicted. It
 * stays NULL where the context is left out. A context that the chain has already is brought up to
 * date, and the checkpoints that follow may repeat those it has. 0 or CHAINS_E_NAMELESS.
 */
int chains_context_start(Chains *chains, ChainContext **handle, const ChainsContextStart *start);
/* The rest does nothing for a handle that is NULL. */
int chains_context_checkpoint(Chains *chains, ChainContext *context, const char *name, size_t size,
                              uint64_t time_unix_ns);
void chains_context_end(Chains *chains, ChainContext **handle, uint64_t end_unix_ns);

/* A span is not shown: its context is left out. */
void chains_leave_out(Chains *chains);
/* From a START's summary. Without a context the span goes to its trace's chain. As above. */
int chains_span_start(Chains *chains, ChainSpan **handle, ChainContext *context,
                      const ValidateSummary *summary, const char *service, uint32_t pid);
/* A later fragment: a new name, a status, an exception. */
int chains_span_update(Chains *chains, ChainSpan *span, const ValidateSummary *summary);
/* It is closed: the handle is forgotten, the span stays. The reason, or NULL, is a literal. */
void chains_span_end(Chains *chains, ChainSpan **handle, uint64_t end_unix_ns,
                     const char *end_reason);
/*
 * The caller forgets the handles, either of which may be NULL; the nodes stay as they are (their
 * objects are gone without an end).
 */
void chains_forget(ChainContext **context, ChainSpan **span);

/* ---- asked by the control socket ---- */

/* Newest first; NULL starts, NULL ends. */
Chain *chains_newest(const Chains *chains);
Chain *chains_before(const Chains *chains, const Chain *chain);
/*
 * By any id that is in it: correlation, context, trace (32 hex digits), span (16). Or NULL. Those
 * of traces and spans are looked for from the newest chain on: an index of them would be paid for
 * by every span, and only people ask.
 */
Chain *chains_find(const Chains *chains, const char *id);
/*
 * The context whose id is the first cause, if it is another one in this chain; else NULL: a root.
 * Ids are the clients' word: causes may go in a circle.
 */
ChainContext *chains_cause(const Chains *chains, const ChainContext *context);

typedef struct ChainsUsage {
        size_t n_chains, n_bytes, max_bytes;
        uint64_t n_evicted;  /* chains */
        uint64_t n_left_out; /* contexts, spans, texts */
        unsigned one_of;     /* so many chains is kept; 1: all */
} ChainsUsage;

void chains_usage(const Chains *chains, ChainsUsage *usage);

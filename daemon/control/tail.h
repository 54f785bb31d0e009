#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The live tail
 *
 * Spans as they end, one JSON object a line, to each reader that wants them. What is said waits in
 * the reader's own buffer, as chunks of HTTP. Who lets too much wait is cut off: neither the spans
 * nor other readers wait for it. While nobody reads, spans are not looked at.
 *
 * Borrows: the Recorder, the readers and their buffers.  Bound: TAIL_READERS_MAX times
 * TAIL_WAITING_MAX.  I/O: none.
 */

#include "daemon/base/buffer.h"
#include "daemon/base/list.h"
#include "daemon/control/query.h"
#include "daemon/trace/recorder.h"

enum {
        _TAIL_E_SUCCESS,

        TAIL_E_READERS, /* there are TAIL_READERS_MAX already */
};

enum {
        TAIL_READERS_MAX = 8,
        TAIL_WAITING_MAX = 2 * 1024 * 1024, /* bytes, of each reader */
};

/* X(name, meaning) */
#define TAIL_COUNTERS(X)                                                                           \
        X(spans, "spans told, to each reader that wanted them")                                    \
        X(refused, "readers refused: there were as many as there may be")                          \
        X(cut_off, "readers cut off: they read too slowly")

typedef struct TailCounters {
#define TAIL_COUNTER_X(name, meaning) uint64_t name;
        TAIL_COUNTERS(TAIL_COUNTER_X)
#undef TAIL_COUNTER_X
        uint32_t n_readers; /* now */
} TailCounters;

typedef struct TailReader {
        Query query;
        Buffer *out;  /* what waits; the caller sends and consumes it */
        bool cut_off; /* nothing more is said: to be closed */
        List link;    /* tail.readers */
} TailReader;

typedef struct Tail {
        Recorder *recorder;
        List readers; /* TailReader.link */
        TailCounters counters;
        Buffer line;
} Tail;

void tail_init(Tail *tail, Recorder *recorder);
void tail_deinit(Tail *tail); /* without readers */

int tail_join(Tail *tail, TailReader *reader, const Query *query, Buffer *out);
/* Does nothing for who has not joined. */
void tail_leave(Tail *tail, TailReader *reader);
/* It reads too slowly. */
void tail_cut_off(Tail *tail, TailReader *reader);

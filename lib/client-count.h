#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is counted
 *
 * The counters behind catena_stats_get(), what LOST will tell the daemon, and each kind of misuse,
 * which is told once where CATENA_DEBUG says. Threads count in lanes of their own, which are summed
 * up when somebody asks.
 *
 * I/O: a line for each kind of misuse.  Threads: any, and signal handlers.
 */

#include "lib/catena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What goes over in one go. */
typedef struct CountSaid {
        uint32_t records;
        uint32_t starts, ends; /* of spans */
        uint32_t logs;
        size_t bytes;
} CountSaid;

/* By the stream. */
void catena__count_sent(const CountSaid *said);
/* Through a chunk of the arena, by the one that has it: so it needs no atomic addition. */
void catena__count_published(unsigned chunk, const CountSaid *said);
void catena__count_connection(void);

bool catena__count_has_said(void);
/* By the daemon, as it says. */
void catena__count_refused(uint64_t n);
void catena__count_orphans(uint64_t n); /* records that it has no span for */
/* All the records that were dropped, and those that the daemon refused. */
uint64_t catena__count_dropped(void);
/* A forked child starts at zero. */
void catena__count_reset(void);

/* ---- misuse ---- */

/* X(symbol, text) */
#define MISUSES(X)                                                                                 \
        X(CONTEXT, "a context that is NULL or was freed")                                          \
        X(SPAN, "a span that is all zero or was started by another process")                       \
        X(NAME, "NULL where a name is due")                                                        \
        X(ATTRIBUTE, "an attribute without key or value, of an unknown type, or nested too deep")  \
        X(LINK, "a link to a span that is all zero")                                               \
        X(FLAGS, "flags or an enumerator that this version does not know")                         \
        X(RESOURCE, "OTEL_RESOURCE_ATTRIBUTES is malformed, or the resource is too large")         \
        X(SAMPLER, "OTEL_TRACES_SAMPLER or its argument is not valid: the default is taken")       \
        X(LIMIT, "a limit in an OTEL_*_LIMIT variable is no whole number: it is ignored")          \
        X(ID, "an id of a chain that is too long, or no plain text")                               \
        X(ENTRY, "a tag, metadata, state or baggage with a bad key, or more than a context holds") \
        X(CHECKPOINT, "more checkpoints than a context keeps")                                     \
        X(HEADER, "a header that came in is malformed or over a limit")                            \
        X(PROPAGATORS, "OTEL_PROPAGATORS names one that this version does not know")               \
        X(SOCKET, "the path of the socket is too long")                                            \
        X(DAEMON, "the socket belongs to a user who is not trusted")                               \
        X(PRIMITIVE, "a primitive that is NULL, or has nothing to run")

typedef enum Misuse {
#define MISUSE_X(symbol, text) MISUSE_##symbol,
        MISUSES(MISUSE_X)
#undef MISUSE_X
                _MISUSE_N,
} Misuse;

/* MISUSE_HEADER, which is not the program's own, counts apart. */
void catena__misuse(Misuse misuse);
/* Where to tell: "stderr" or a path, copied; NULL: nowhere. Before any thread may ask. */
void catena__misuse_tell(const char *where);

/* ---- lost ---- */

typedef enum Lost {
        LOST_SOCKET_FULL, /* as catena.v1.LostReason has them */
        LOST_NOT_CONNECTED,
        LOST_TOO_LARGE,
        LOST_ARENA_FULL, /* which the arena tells by itself */
        _LOST_N,
} Lost;

typedef enum LostKind {
        LOST_STARTS, /* as the fields of catena.v1.Lost, less 1 */
        LOST_UPDATES,
        LOST_ENDS,
        LOST_LOGS,
        _LOST_KINDS_N,
} LostKind;

typedef struct LostCounts {
        uint64_t n[_LOST_N][_LOST_KINDS_N];
} LostCounts;

void catena__lost(Lost reason, LostKind kind);
/* Whether there may be something to tell. */
bool catena__lost_any(void);
/* Takes what is to be told; false: nothing. What could not be told is given back. */
bool catena__lost_take(LostCounts *counts);
void catena__lost_give_back(const LostCounts *counts);

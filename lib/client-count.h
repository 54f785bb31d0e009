#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What is counted
 *
 * The counters behind catena_stats_get(), what LOST will tell the daemon, and each kind of misuse,
 * which is told once where CATENA_DEBUG says.
 *
 * I/O: a line for each kind of misuse.  Threads: any, and signal handlers.
 */

#include "lib/catena.h"

#include <stddef.h>
#include <stdint.h>

/* The place of a counter: catena__count(COUNT(records), 1). */
#define COUNT(name) (offsetof(catena_stats, name) / sizeof(uint64_t))

void catena__count(size_t counter, uint64_t n);
uint64_t catena__counted(size_t counter);
/* All the records that were dropped. */
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
        X(SOCKET, "the path of the socket is too long")                                            \
        X(DAEMON, "the socket belongs to a user who is not trusted")

typedef enum Misuse {
#define MISUSE_X(symbol, text) MISUSE_##symbol,
        MISUSES(MISUSE_X)
#undef MISUSE_X
                _MISUSE_N,
} Misuse;

void catena__misuse(Misuse misuse);
/* Where to tell: "stderr" or a path, copied; NULL: nowhere. Before any thread may ask. */
void catena__misuse_tell(const char *where);

/* ---- lost ---- */

typedef enum Lost {
        LOST_SOCKET_FULL, /* as catena.v1.LostReason has them */
        LOST_NOT_CONNECTED,
        LOST_TOO_LARGE,
        _LOST_N,
} Lost;

typedef enum LostKind {
        LOST_STARTS, /* as the fields of catena.v1.Lost, less 1 */
        LOST_UPDATES,
        LOST_ENDS,
        _LOST_KINDS_N,
} LostKind;

typedef struct LostCounts {
        uint64_t n[_LOST_N][_LOST_KINDS_N];
} LostCounts;

void catena__lost(Lost reason, LostKind kind);
/* Takes what is to be told; false: nothing. What could not be told is given back. */
bool catena__lost_take(LostCounts *counts);
void catena__lost_give_back(const LostCounts *counts);

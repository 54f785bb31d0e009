#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Slots
 *
 * Where contexts stand. A slot holds a context's number (0: free), the id of its current span, and
 * its body. A handle is the slot and the number, so one that is kept too long finds a free slot or
 * another number. Slots are never given back to the system; a body, and what it let go of, is freed
 * when no thread looks at one.
 *
 * Threads: any. Signal handlers: find, hold and release.
 */

#include "lib/catena.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct ContextBody ContextBody;

typedef struct Slot {
        _Alignas(64) _Atomic uint32_t number; /* no two threads' contexts on one cache line */
        _Atomic uint32_t next_free;           /* index + 1 */
        _Atomic uint64_t span; /* the current span's id, its bytes as they stand; 0: none */
        _Atomic(ContextBody *) body;
        _Atomic uint64_t announced; /* a connection's number (its low half) and the context's; */
                                    /* 0 and a count of changes: it is to be announced anew */
        atomic_bool has_tracestate;
} Slot;

/* A slot's index + 1 and the number, as in catena_span.context: 0 is none. */
typedef uint64_t SlotHandle;

static inline uint32_t slot_number(SlotHandle handle) {
        return (uint32_t)handle;
}

/* Whether the connection knows the context: without a look at its body. */
static inline bool slot_is_announced(const Slot *slot, SlotHandle handle, uint64_t connection) {
        return atomic_load_explicit(&slot->announced, memory_order_acquire) ==
               (connection << 32 | slot_number(handle));
}

/* Only if nothing has changed since `seen`, so that what was told is what stands. */
static inline void slot_announce(Slot *slot, SlotHandle handle, uint64_t connection,
                                 uint64_t seen) {
        (void)atomic_compare_exchange_strong(&slot->announced, &seen,
                                             connection << 32 | slot_number(handle));
}

/* What it says has changed: it goes before the next record. */
void catena__slot_unannounce(Slot *slot);

/* Owns the body from then on; 0: out of memory, or of handles. */
SlotHandle catena__slot_new(ContextBody *body, uint64_t span);
/* The body is freed as soon as nobody looks at it. */
void catena__slot_free(SlotHandle handle);

/* NULL: freed. The slot stays readable whatever becomes of its context. */
Slot *catena__slot_find(SlotHandle handle);
/* The same of a handle as a program has it. */
Slot *catena__slot_of(SlotHandle *handlep, const catena_context *context);
catena_context *catena__slot_context(SlotHandle handle);

/* The body, kept until it is released; NULL (and nothing to release): freed. */
ContextBody *catena__slot_hold(SlotHandle handle);
void catena__slot_release(void);

/* What a thread that holds a body may still look at, and nobody can find any more. */
typedef struct Grave Grave;

struct Grave {
        Grave *next;
        void (*free)(Grave *grave);
};

/* Freed as soon as nobody holds a body. */
void catena__slot_bury(Grave *grave);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Text that contexts share
 *
 * A tracestate, or a list of keys and values. It is never changed: who wants it otherwise makes
 * another. So a child takes over its parent's by reference, and other threads may read while its
 * owner puts another one in its place.
 *
 * Threads: a reference is taken by who has one.  Signal handlers: reading, under a slot's hold.
 */

#include "lib/client-slot.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Shared {
        Grave grave;
        _Atomic uint32_t n_references;
        uint32_t n_entries; /* of a list */
        size_t n_bytes;     /* of a list: the keys and what stands for the values */
        size_t size;        /* of text */
        char text[];        /* of a list: for each entry key, value and raw, each with its NUL */
} Shared;

typedef struct SharedEntry {
        const char *key;
        const char *value; /* NULL: there is to be none */
        const char *raw;   /* the value as it is passed on, where that is not the value; or NULL */
} SharedEntry;

/* Room for `size` bytes and a NUL; NULL: out of memory. */
Shared *catena__shared_new(size_t size);
/* Of what may be let go of meanwhile, under a slot's hold. NULL: of NULL, or out of memory. */
Shared *catena__shared_copy(const Shared *shared);
/* NULL is fine for both. */
Shared *catena__shared_ref(Shared *shared);
void catena__shared_unref(Shared *shared);

/* The entry at the offset, which moves on; false at the end. Any offset is harmless. */
bool catena__shared_next(const Shared *list, size_t *offset, SharedEntry *entry);
/* The value of a key; NULL: none. */
const char *catena__shared_get(const Shared *list, const char *key);
/*
 * The list with the entry in the place of that key's, or behind all; without it where it has no
 * value. Of no entries: NULL. False: out of memory.
 */
bool catena__shared_set(Shared **changedp, const Shared *list, const SharedEntry *entry);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Index of things by their ids
 *
 * An id is any bytes, looked up within a scope, which is a number of the caller's. Several things
 * may have the same id; the one put last is found. Ids come from clients: they are hashed with a
 * secret seed, and compared in full.
 *
 * Owns: its slots.  Borrows: its entries and the ids that they point to.
 */

#include "daemon/base/list.h"
#include "daemon/base/map.h"

#include <stddef.h>
#include <stdint.h>

typedef struct IdIndexEntry {
        List link; /* a ring, without a head, of the entries whose hash is the same: newest first */
        uint64_t hash;
        uint64_t scope;
        const void *id; /* NULL: in no index */
        size_t size;
} IdIndexEntry;

typedef struct IdIndex {
        Map newest; /* hash -> IdIndexEntry */
        uint64_t seed;
} IdIndex;

void id_index_init(IdIndex *index, uint64_t seed);
void id_index_deinit(IdIndex *index);

/* The id must stay where it is, and as it is, until the entry is removed. */
int id_index_put(IdIndex *index, IdIndexEntry *entry, uint64_t scope, const void *id, size_t size);
/* Does nothing for an entry, all zeros at first, that is in no index. */
void id_index_remove(IdIndex *index, IdIndexEntry *entry);
IdIndexEntry *id_index_find(const IdIndex *index, uint64_t scope, const void *id, size_t size);

/* What stands in an entry's `hash`. */
uint64_t id_index_hash(const IdIndex *index, uint64_t scope, const void *id, size_t size);

size_t id_index_bytes(const IdIndex *index);
/* What putting `n` more entries may allocate, at most. */
size_t id_index_growth(const IdIndex *index, size_t n);

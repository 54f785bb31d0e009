/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/id-index.h"

#include "daemon/base/error.h"

#include <string.h>

void id_index_init(IdIndex *index, uint64_t seed) {
        map_init(&index->newest, ~seed);
        index->seed = seed;
}

void id_index_deinit(IdIndex *index) {
        map_deinit(&index->newest);
}

/* The finalizer of SplitMix64. */
static uint64_t id_index_mix(uint64_t x) {
        x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
        return x ^ (x >> 31);
}

uint64_t id_index_hash(const IdIndex *index, uint64_t scope, const void *id, size_t size) {
        const uint8_t *at = id;
        uint64_t hash = id_index_mix(index->seed ^ scope ^ (uint64_t)size << 48), word = 0;

        for (; size >= sizeof word; at += sizeof word, size -= sizeof word) {
                memcpy(&word, at, sizeof word);
                hash = id_index_mix(hash ^ word);
        }
        if (!size)
                return hash;
        memcpy(&word, at, size);
        return id_index_mix(hash ^ word);
}

static IdIndexEntry *id_index_older(const IdIndexEntry *entry) {
        return list_entry(entry->link.next, IdIndexEntry, link);
}

int id_index_put(IdIndex *index, IdIndexEntry *entry, uint64_t scope, const void *id, size_t size) {
        uint64_t hash = id_index_hash(index, scope, id, size);
        IdIndexEntry *before;
        void *value;
        int r;

        r = map_exchange(&index->newest, &value, hash, entry);
        if (r)
                return error_trace(r);
        before = value;
        *entry = (IdIndexEntry){.hash = hash, .scope = scope, .id = id, .size = size};
        list_init(&entry->link);
        if (before)
                list_append(&before->link, &entry->link);
        return 0;
}

void id_index_remove(IdIndex *index, IdIndexEntry *entry) {
        IdIndexEntry *newest;

        if (!entry->id)
                return;
        newest = map_remove(&index->newest, entry->hash);
        if (newest == entry)
                newest = id_index_older(entry);
        if (newest != entry) /* cannot fail: a slot has just become free */
                (void)map_put(&index->newest, entry->hash, newest);
        list_unlink(&entry->link);
        entry->id = NULL;
}

IdIndexEntry *id_index_find(const IdIndex *index, uint64_t scope, const void *id, size_t size) {
        IdIndexEntry *newest = map_find(&index->newest, id_index_hash(index, scope, id, size));

        for (IdIndexEntry *entry = newest; entry; entry = id_index_older(entry)) {
                if (entry->scope == scope && entry->size == size && !memcmp(entry->id, id, size))
                        return entry;
                if (id_index_older(entry) == newest)
                        break;
        }
        return NULL;
}

size_t id_index_bytes(const IdIndex *index) {
        return index->newest.n_slots * sizeof(MapSlot);
}

size_t id_index_growth(const IdIndex *index, size_t n) {
        size_t n_slots = index->newest.n_slots ? index->newest.n_slots : 8;

        while ((index->newest.n_entries + n) * 2 > n_slots)
                n_slots *= 2;
        return n_slots == index->newest.n_slots ? 0 : n_slots * sizeof(MapSlot);
}

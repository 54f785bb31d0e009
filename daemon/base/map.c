/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/map.h"

#include "daemon/base/error.h"

#include <errno.h>
#include <stdlib.h>

enum { MAP_SLOTS_MIN = 8 };

void map_init(Map *map, uint64_t seed) {
        *map = (Map){.seed = seed};
}

void map_deinit(Map *map) {
        free(map->slots);
        *map = (Map){0};
}

/* The finalizer of MurmurHash3 over the seeded key. */
static size_t map_home(const Map *map, uint64_t key) {
        key ^= map->seed;
        key ^= key >> 33;
        key *= UINT64_C(0xff51afd7ed558ccd);
        key ^= key >> 33;
        key *= UINT64_C(0xc4ceb9fe1a85ec53);
        key ^= key >> 33;
        return (size_t)key & (map->n_slots - 1);
}

/* The slot that holds the key, or the free one where it would stand. */
static size_t map_probe(const Map *map, uint64_t key) {
        size_t i = map_home(map, key);

        while (map->slots[i].value && map->slots[i].key != key)
                i = (i + 1) & (map->n_slots - 1);
        return i;
}

static int map_resize(Map *map, size_t n_slots) {
        Map resized = {.n_slots = n_slots, .n_entries = map->n_entries, .seed = map->seed};

        resized.slots = calloc(n_slots, sizeof *resized.slots);
        if (!resized.slots)
                return error_origin(-ENOMEM);
        map_for_each (slot, map)
                resized.slots[map_probe(&resized, slot->key)] = *slot;
        free(map->slots);
        *map = resized;
        return 0;
}

void map_prefetch(const Map *map, uint64_t key) {
        if (map->n_slots)
                __builtin_prefetch(&map->slots[map_home(map, key)]);
}

void *map_find(const Map *map, uint64_t key) {
        return map->n_slots ? map->slots[map_probe(map, key)].value : NULL;
}

int map_exchange(Map *map, void **beforep, uint64_t key, void *value) {
        size_t i;

        /* At most half full: a probe soon meets a free slot. */
        if ((map->n_entries + 1) * 2 > map->n_slots) {
                int r = map_resize(map, map->n_slots ? map->n_slots * 2 : MAP_SLOTS_MIN);
                if (r)
                        return error_trace(r);
        }
        i = map_probe(map, key);
        *beforep = map->slots[i].value;
        if (!*beforep)
                map->n_entries++;
        map->slots[i] = (MapSlot){key, value};
        return 0;
}

int map_put(Map *map, uint64_t key, void *value) {
        void *before;

        return map_exchange(map, &before, key, value);
}

void *map_remove(Map *map, uint64_t key) {
        size_t mask = map->n_slots - 1, hole, i;
        void *value;

        if (!map->n_slots)
                return NULL;
        hole = map_probe(map, key);
        value = map->slots[hole].value;
        if (!value)
                return NULL;
        for (i = (hole + 1) & mask; map->slots[i].value; i = (i + 1) & mask) {
                size_t home = map_home(map, map->slots[i].key);

                /* An entry may move back into the hole unless its home lies between the two. */
                if (((i - home) & mask) >= ((i - hole) & mask)) {
                        map->slots[hole] = map->slots[i];
                        hole = i;
                }
        }
        map->slots[hole].value = NULL;
        map->n_entries--;
        if (map->n_slots > MAP_SLOTS_MIN * 16 && map->n_entries * 8 < map->n_slots)
                (void)map_resize(map, map->n_slots / 2); /* it may as well stay large */
        return value;
}

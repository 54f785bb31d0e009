#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Hash map from a 64-bit key to a pointer
 *
 * Open addressing with linear probing; removal shifts back, so there are no tombstones. Keys may
 * come from a client: they are mixed with the map's secret seed, so that nobody can choose keys
 * that collide. NULL cannot be stored.
 *
 * Owns: its slots, never the values.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct MapSlot {
        uint64_t key;
        void *value; /* NULL: free */
} MapSlot;

typedef struct Map {
        MapSlot *slots;
        size_t n_slots; /* 0 or a power of two */
        size_t n_entries;
        uint64_t seed;
} Map;

/* In any order; the map must not change meanwhile. */
#define map_for_each(slot, map)                                                                    \
        for (MapSlot *slot = (map)->slots; slot != (map)->slots + (map)->n_slots; slot++)          \
                if (!slot->value) {                                                                \
                } else

void map_init(Map *map, uint64_t seed);
void map_deinit(Map *map);

/* Has the processor fetch where a key stands, for a find, put or remove that comes soon. */
void map_prefetch(const Map *map, uint64_t key);
/* NULL where there is none. */
void *map_find(const Map *map, uint64_t key);
/* Puts the value in the key's place, replacing what was there. Negative: -ENOMEM, map unchanged. */
int map_put(Map *map, uint64_t key, void *value);
/* The same; *beforep: what was there, or NULL. */
int map_exchange(Map *map, void **beforep, uint64_t key, void *value);
/* Returns what was there, or NULL. */
void *map_remove(Map *map, uint64_t key);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The arena, from the writer's side
 *
 * Where the daemon gives one (proto/arena.h), records are written in place: a chunk is taken by one
 * compare-and-swap, and what was written behind its end is published by one store.
 *
 *     arena_take() -> write into ticket.room -> arena_publish() or arena_release()
 *
 * An arena is written to while one connection stands: arena_open() names it, arena_close() sends
 * the writers away, and one who took a chunk looks again. It stays mapped for the life of the
 * process; the next one takes its place where no writer is at work in it. A forked child has other
 * memory there, so a writer that a fork interrupted ends its work on nobody's bytes.
 *
 * Nothing the daemon writes there is trusted but for which records it gets.
 *
 * I/O: maps.  Threads: any, and signal handlers.
 */

#include "lib/client-count.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ArenaHeader ArenaHeader;

enum {
        _ARENA_E_SUCCESS,

        ARENA_E_NONE, /* there is no arena now: the stream it is */
        ARENA_E_FULL, /* no chunk has the room */
};

typedef struct ArenaTicket {
        uint8_t *room; /* aligned to 8 */
        size_t capacity;
        uint64_t connection; /* its number, as the link's tickets have it */
        ArenaHeader *header;
        uint64_t word; /* as it was */
        uint64_t chunk;
} ArenaTicket;

/* Whether this process could write to one, and whether it does now. */
bool catena__arena_is_possible(void);
bool catena__arena_is_open(void);

/* A chunk with over `over` bytes of room. */
int catena__arena_take(ArenaTicket *ticket, size_t over);
/* Publishes the first `size` bytes: whole records. True: the daemon waits to be woken. */
bool catena__arena_publish(const ArenaTicket *ticket, size_t size, const CountSaid *said);
void catena__arena_release(const ArenaTicket *ticket);
/* Tells the daemon, in the arena, of a record that found no room. */
void catena__arena_lost(LostKind kind);

/* ---- for the link, by one at a time ---- */

/* Maps what came with WELCOME in the place of the last one; false: it is none, or must not be. */
bool catena__arena_map(int fd);
/* Whether there is one of this process, to go on with. */
bool catena__arena_is_mapped(void);
/*
 * The daemon goes on without the one there is. What it may not have read of it counts as lost, as
 * it does where another is mapped in its place.
 */
void catena__arena_abandon(void);
void catena__arena_open(uint64_t connection);
void catena__arena_close(void);

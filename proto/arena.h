#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The arena: records through shared memory
 *
 * A memfd that the daemon makes, seals (SHRINK, GROW, SEAL) and hands over with WELCOME to a client
 * that asked for one. First comes a header page, then chunks of equal size. Each chunk has one word
 * in the header page:
 *
 *     bit 63..32  generation: one more with each time that the chunk is recycled
 *     bit 31..1   end: bytes published, from the chunk's start; always a multiple of 8
 *     bit 0       busy: a writer is at work behind the end
 *
 * A writer takes any chunk that is not busy by compare-and-swap, writes records behind the end, and
 * stores the new end without busy (release): then they are published, whatever becomes of it. The
 * daemon recycles what it has read whole: {generation, end, 0} -> {generation + 1, 0, 0}. Nobody
 * owns a chunk, so threads that die, forks and signal handlers need no code: a handler that
 * interrupts a writer takes another chunk, and a chunk left busy by a dead writer stays so.
 *
 * The daemon maps the header page alone and reads chunks by pread. Neither side trusts an offset it
 * finds here; the daemon keeps its cursors for itself.
 *
 * I/O: none.  Threads: any.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        ARENA_VERSION = 1,
        ARENA_HEADER_SIZE = 4096,
        ARENA_CHUNK_SIZE = 64 * 1024,
        ARENA_CHUNKS = 32,
        ARENA_SIZE = ARENA_HEADER_SIZE + ARENA_CHUNKS * ARENA_CHUNK_SIZE,
        ARENA_LINE = 64, /* bytes that processors pass around as one */
};

#define ARENA_MAGIC UINT32_C(0x6e657261) /* "aren" */

/*
 * What a client could not say, as catena.v1.Lost has it: it adds, and the daemon takes off what it
 * has written down.
 */
typedef enum ArenaLost {
        ARENA_LOST_STARTS,
        ARENA_LOST_UPDATES,
        ARENA_LOST_ENDS,
        ARENA_LOST_LOGS,
        _ARENA_LOST_N,
} ArenaLost;

typedef struct ArenaWord {
        _Alignas(ARENA_LINE) _Atomic uint64_t value;
} ArenaWord;

typedef struct ArenaHeader {
        uint32_t magic; /* this and the next three are written by the daemon before it hands over */
        uint32_t version;
        uint32_t n_chunks;
        uint32_t chunk_size;
        /*
         * The doorbell: 1 while the daemon sleeps, or reads this arena no more; a writer that
         * exchanges it to 0 sends WAKE, and connects anew where that cannot be sent.
         */
        _Alignas(ARENA_LINE) _Atomic uint32_t waiting;
        _Alignas(ARENA_LINE) _Atomic uint64_t lost[_ARENA_LOST_N];
        ArenaWord words[ARENA_CHUNKS];
} ArenaHeader;

static_assert(sizeof(ArenaHeader) <= ARENA_HEADER_SIZE, "the header is one page");

static inline uint64_t arena_word(uint32_t generation, uint32_t end, bool busy) {
        return (uint64_t)generation << 32 | end | busy;
}

static inline uint32_t arena_word_generation(uint64_t word) {
        return (uint32_t)(word >> 32);
}

/* Not to be trusted: at most the chunk's size only if both sides are honest. */
static inline uint32_t arena_word_end(uint64_t word) {
        return (uint32_t)word & ~UINT32_C(7);
}

static inline bool arena_word_is_busy(uint64_t word) {
        return word & 1;
}

static inline uint64_t arena_chunk_offset(uint32_t chunk) {
        return ARENA_HEADER_SIZE + (uint64_t)chunk * ARENA_CHUNK_SIZE;
}

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The daemon's end of an arena
 *
 * Makes the memfd of proto/arena.h and reads what the client publishes in it. Only the header page
 * is mapped; chunks are read by pread, so that nothing changes after it was judged and no page is
 * made for us. Nothing that stands in an arena is trusted: a word that no honest client leaves is a
 * fault. How far each chunk is read is kept here, and by the session for a daemon that comes after.
 *
 * Owns: the memfd, the map.  Bound: ARENA_SIZE.  I/O: the memfd.  Clock: none.
 */

#include "daemon/trace/session.h"
#include "proto/arena.h"

enum {
        _ARENA_READER_E_SUCCESS,

        ARENA_READER_E_REFUSED, /* the system gives none, or this is none of ours; errno tells */
        ARENA_READER_E_WORD,    /* a word that no honest client leaves */
};

typedef struct ArenaReader {
        int fd;
        ArenaHeader *header; /* shared with the client */
        SessionCursor cursors[ARENA_CHUNKS];
        uint32_t used;   /* bit by chunk: it was read since its memory was last given back */
        uint32_t recent; /* the same, since it was last tidied */
        unsigned n_tidied;
        bool kept; /* a daemon that comes after has it from the store */
} ArenaReader;

/* Whether a daemon may sleep beside clients that do not fence; else it offers no arenas. */
bool arena_reader_is_possible(void);

/* A new one; no chunk is at a generation that the journal knows of the one before. */
int arena_reader_new(ArenaReader **readerp, const Session *session);
/* One that a daemon before this one made, to be read on from the session's cursors. */
int arena_reader_adopt(ArenaReader **readerp, int fd, const Session *session);
/* The client is told by the doorbell that nobody reads it any more. */
ArenaReader *arena_reader_free(ArenaReader *reader);

/* Whether something was published that is not read. */
bool arena_reader_has_news(const ArenaReader *reader);
/* Whether there is anything to do: that, a chunk to recycle, or something the client lost. */
bool arena_reader_has_work(const ArenaReader *reader);
/*
 * Up to where each chunk is to be read, 0 where nothing is new, and how many bytes that is in all.
 * Chunks left over from before are recycled.
 */
int arena_reader_look(ArenaReader *reader, uint32_t ends[ARENA_CHUNKS], size_t *sizep);
/* Copies what is unread of a chunk, up to `end` as it was looked at, and moves its cursor. */
int arena_reader_read(ArenaReader *reader, uint32_t chunk, uint32_t end, uint8_t *data);
/* What was read of the chunk is safe: it is free again, if it is read whole and nobody writes. */
void arena_reader_recycle(ArenaReader *reader, uint32_t chunk);

/* What the client could not say; false: nothing. When it is written down it is taken off. */
bool arena_reader_lost(const ArenaReader *reader, uint64_t lost[_ARENA_LOST_N]);
void arena_reader_counted(ArenaReader *reader, const uint64_t lost[_ARENA_LOST_N]);

/*
 * The doorbell: set it, have it seen by every writer with one barrier for all arenas, and look once
 * more before sleeping.
 */
void arena_reader_set_waiting(ArenaReader *reader, bool waiting);
void arena_reader_barrier(void);

/* Gives the memory of chunks that were not read since the last call back to the system. */
void arena_reader_tidy(ArenaReader *reader);

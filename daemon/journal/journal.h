#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Journal
 *
 * The daemon's memory: an append-only row of blocks in segments of 2 MiB, mapped files in a folder
 * that outlives the process (tmpfs). What arrives is copied here once and stays until nothing needs
 * it; after a crash the blocks are read again. The journal knows blocks, positions and how many
 * live bytes each segment holds; what the records in them mean is the recorder's affair.
 *
 * A position names a byte for as long as it is held: segment number * segment size + offset. Only
 * the oldest segment is ever freed, so what the journal holds is one unbroken suffix of its past.
 *
 * Owns: its folder (locked), its maps.  Bound: max_bytes.  I/O: files and maps.  Clock: none.
 * Threads: the event loop's only.
 */

#include "daemon/base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        JOURNAL_SEGMENT_SIZE = 2 * 1024 * 1024,
        JOURNAL_BLOCK_MAX = 1024 * 1024, /* bytes of records in one block */
        JOURNAL_SEGMENTS_MIN = 8,
        JOURNAL_CHECKPOINT_MAX = 512 * 1024,
        JOURNAL_FORMAT = 1,
};

enum {
        _JOURNAL_E_SUCCESS,

        JOURNAL_E_FULL,   /* no room for a block of that kind; free something first */
        JOURNAL_E_SPACE,  /* the file system has none, or refuses; counted, try again later */
        JOURNAL_E_LOCKED, /* another daemon holds this folder */
        JOURNAL_E_PATH,   /* the folder cannot be made or used; errno tells why */
};

typedef struct Journal Journal;
typedef uint64_t JournalPosition; /* 0: none; no record ever stands there */

typedef enum JournalSource {
        JOURNAL_SOURCE_STREAM = UINT32_MAX,     /* the session's socket */
        JOURNAL_SOURCE_DAEMON = UINT32_MAX - 1, /* decisions; session is 0 */
        /* below: the chunk of an arena */
} JournalSource;

enum {
        JOURNAL_CUT_2 = 0x0001,    /* read between the pass's first and second cut */
        JOURNAL_PASS_END = 0x0002, /* the pass is complete with this block */
};

typedef struct JournalBlock {
        uint32_t session;
        uint32_t source;     /* JournalSource, or a chunk */
        uint32_t generation; /* of the chunk */
        uint32_t offset;     /* in the chunk, of what comes behind the records of this block */
        uint16_t flags;
        uint64_t time_unix_ns;    /* when it was received */
        uint8_t *records;         /* in the map, at a multiple of 8 */
        size_t size;              /* bytes, a multiple of 8; 0 is allowed */
        JournalPosition position; /* of records[0] */
} JournalBlock;

/* Who may still write when room is short. */
typedef enum JournalRoom {
        JOURNAL_ROOM_CLIENT,   /* not the last two free segments */
        JOURNAL_ROOM_SNAPSHOT, /* not the last one */
        JOURNAL_ROOM_DECISION, /* all there is */
} JournalRoom;

typedef struct JournalOptions {
        const char *path;
        size_t max_bytes; /* in whole segments, JOURNAL_SEGMENTS_MIN or more */
        uint8_t key[8];   /* random; used only where the folder holds no journal yet */
        /* Writes the state at this moment, for the checkpoint of a segment that opens. */
        size_t (*checkpoint)(void *user, uint8_t *data, size_t size);
        void *user;
} JournalOptions;

/* What opening found. A lost part was torn, flipped or of a version that cannot be read. */
typedef struct JournalReport {
        uint64_t n_segments, n_blocks;
        uint64_t n_lost_segments, n_lost_blocks;
        uint64_t lost_bytes;    /* as far as it can be known */
        uint32_t newer_version; /* of segments set aside as FILE.version-N; 0: none */
        bool on_tmpfs;
} JournalReport;

/*
 * Opens the folder, made if it is missing (0700), takes its lock and reads what it holds. Damage is
 * never an error: it is left out and reported.
 */
int journal_open(Journal **journalp, const JournalOptions *options, JournalReport *report);
Journal *journal_free(Journal *journal); /* unmaps and unlocks; what it holds stays on the folder */

/* Each block that is whole, oldest first; a nonzero result of `each` ends it and is returned. */
int journal_each_block(Journal *journal, int (*each)(void *user, JournalBlock *block), void *user);
/* The newest checkpoint that is whole and not empty, and the position of the first block behind. */
void journal_checkpoint(const Journal *journal, const uint8_t **datap, size_t *sizep,
                        JournalPosition *positionp);

/*
 * Room for one block of up to `size` bytes of records, of which block->records and ->position are
 * set; may open a segment. Until the commit nothing of it survives a crash. One reservation at a
 * time: a new one forgets the last.
 */
int journal_reserve(Journal *journal, JournalBlock *block, size_t size, JournalRoom room);
/* Bytes of records that the segment being written still takes. */
size_t journal_room(const Journal *journal);
/* Commits the reserved block with the size, session, source, flags and time now in `block`. */
void journal_commit(Journal *journal, const JournalBlock *block);

/* The byte at a position that is held. */
uint8_t *journal_at(const Journal *journal, JournalPosition position);

/*
 * Live bytes: a segment is freed when it is the oldest, full, and nothing in it is held. They are
 * not stored: all are 0 when the journal opens.
 */
void journal_hold(Journal *journal, JournalPosition position, size_t size);
void journal_release(Journal *journal, JournalPosition position, size_t size);
/* Frees what may be freed, oldest first. Returns how many segments that were. */
unsigned journal_reclaim(Journal *journal);
/* The range of positions in the oldest segment if it is not the one being written, else false. */
bool journal_oldest(const Journal *journal, JournalPosition *firstp, JournalPosition *endp,
                    size_t *live_bytesp);

typedef struct JournalUsage {
        size_t max_bytes;
        size_t used_bytes; /* of the segments in use, up to the last commit */
        size_t live_bytes;
        unsigned n_segments, n_segments_max, n_segments_free;
} JournalUsage;

void journal_usage(const Journal *journal, JournalUsage *usage);

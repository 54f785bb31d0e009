#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Segment
 *
 * One file of the journal, mapped: a header, the checkpoint, then room for blocks up to a copy of
 * the header (FORMAT.md). A file that is no segment (being made, or freed and waiting to be used
 * again) is a spare; its name says so, and nothing in it is ever read.
 *
 * Owns: its map.  Borrows: the descriptor of the journal's folder.  I/O: files and maps.
 */

#include "daemon/journal/journal.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        SEGMENT_HEADER_SIZE = 64,
        SEGMENT_BLOCKS_END = JOURNAL_SEGMENT_SIZE - SEGMENT_HEADER_SIZE, /* the copy stands there */
        SEGMENT_KEY_SIZE = 8,
        SEGMENT_POSITION_BITS = 21,
        SEGMENT_NUMBER_MAX_BITS = 64 - SEGMENT_POSITION_BITS,
};

enum {
        _SEGMENT_E_SUCCESS,

        SEGMENT_E_DAMAGED, /* not a segment, or neither of its headers is whole */
        SEGMENT_E_VERSION, /* of a version that cannot be read */
        SEGMENT_E_SPACE,   /* the file system has none, or refuses */
        SEGMENT_E_PATH,    /* the file cannot be used; errno tells why */
};

typedef struct Segment {
        uint64_t number; /* from 1; of a spare: only its file's name */
        uint8_t *data;   /* the map */
        size_t blocks;   /* where the first block stands */
        size_t end;      /* behind the last one */
        size_t live_bytes;
        uint32_t seed; /* of all its checksums: the key and the number */
} Segment;

/* Makes a spare of that number, all of it allocated. */
int segment_make(Segment *segmentp, int folder, uint64_t number);
/*
 * Maps a segment and restores whichever of its headers is damaged. segment->end is left at the
 * first block's place; *versionp is set with SEGMENT_E_VERSION.
 */
int segment_load(Segment *segmentp, uint32_t *versionp, int folder, uint64_t number);
/* All its pages at once, which costs less than a fault for each; where the kernel can. */
void segment_populate(const Segment *segment);
void segment_unmap(Segment *segment);

/* Where the checkpoint goes before segment_begin(), and where it is after. */
uint8_t *segment_checkpoint(const Segment *segment);
/* Writes the headers: the spare is a segment as soon as its file is named so. */
void segment_begin(Segment *segment, uint64_t number, const uint8_t *key, uint64_t sequence,
                   size_t checkpoint_size);
/* False if the checkpoint is damaged. */
bool segment_checkpoint_read(const Segment *segment, const uint8_t **datap, size_t *sizep);
uint64_t segment_sequence(const Segment *segment); /* of its first block */
const uint8_t *segment_key(const Segment *segment);

static inline JournalPosition segment_position(const Segment *segment, size_t offset) {
        return segment->number << SEGMENT_POSITION_BITS | offset;
}

/* ---- names in the folder ---- */

#define SEGMENT_SUFFIX       ".segment"
#define SEGMENT_SUFFIX_SPARE ".spare"

/* The number in a name, 16 hex digits, and what follows it; 0: none. */
uint64_t segment_name_read(const char **suffixp, const char *name);
/* Renames; also over to another number. Negative: -1 and errno. */
int segment_rename(int folder, uint64_t from, const char *from_suffix, uint64_t to,
                   const char *to_suffix);
void segment_unlink(int folder, uint64_t number, const char *suffix);

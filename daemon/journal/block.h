#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Block
 *
 * How a block stands in its segment, and the walk that finds the blocks that are whole (FORMAT.md).
 *
 * Borrows: the Segment.  I/O: none.
 */

#include "daemon/journal/segment.h"

enum { BLOCK_HEADER_SIZE = 48 };

/* Says that no block stands at segment->end yet. */
void block_end(Segment *segment);
/* Writes the header of the block whose records stand behind it, at segment->end, and moves that. */
void block_write(Segment *segment, const JournalBlock *block, uint64_t sequence);

typedef struct BlockWalk {
        const Segment *segment;
        size_t offset, limit;
        uint64_t sequence; /* the next that is expected */
        uint64_t n_blocks;
        uint64_t n_lost_blocks, lost_bytes;
        bool torn; /* it ended at a block that was damaged; how many more there were is unknown */
} BlockWalk;

/* From the segment's first block to `limit`; `sequence`: behind that of the segment before, or 0.
 */
void block_walk_init(BlockWalk *walk, const Segment *segment, size_t limit, uint64_t sequence);
/* The next block that is whole. False: none; walk->offset is behind the last whose header is. */
bool block_walk_next(BlockWalk *walk, JournalBlock *blockp);

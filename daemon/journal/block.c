/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/journal/block.h"

#include "daemon/base/checksum.h"

#include <endian.h>
#include <string.h>

/* As it stands in the file, little-endian. */
typedef struct BlockHeader {
        uint32_t length; /* of header and records, and the mark; 0: no block here yet */
        uint16_t flags;
        uint16_t zero;
        uint64_t sequence;
        uint64_t time_unix_ns;
        uint32_t session;
        uint32_t source;
        uint32_t generation;
        uint32_t offset;
        uint32_t records_checksum;
        uint32_t checksum; /* of all before it */
} BlockHeader;

_Static_assert(sizeof(BlockHeader) == BLOCK_HEADER_SIZE, "the header's size is in the format");

/* No flipped byte makes a length 0. */
#define BLOCK_MARK      0xb7000000U
#define BLOCK_MARK_MASK 0xff000000U

enum { BLOCK_ALIGNMENT = 8 };

static void block_store_length(Segment *segment, size_t offset, uint32_t length) {
        uint32_t *place = (uint32_t *)(void *)(segment->data + offset);

        __atomic_store_n(place, htole32(length), __ATOMIC_RELEASE);
}

void block_end(Segment *segment) {
        if (segment->end < SEGMENT_BLOCKS_END)
                block_store_length(segment, segment->end, 0);
}

static uint32_t block_header_checksum(const Segment *segment, const BlockHeader *header) {
        return checksum_crc32(segment->seed, header, offsetof(BlockHeader, checksum));
}

void block_write(Segment *segment, const JournalBlock *block, uint64_t sequence) {
        uint32_t length = BLOCK_MARK | (uint32_t)(BLOCK_HEADER_SIZE + block->size);
        size_t next = segment->end + BLOCK_HEADER_SIZE + block->size;
        BlockHeader header = {
                .length = htole32(length),
                .flags = htole16(block->flags),
                .sequence = htole64(sequence),
                .time_unix_ns = htole64(block->time_unix_ns),
                .session = htole32(block->session),
                .source = htole32(block->source),
                .generation = htole32(block->generation),
                .offset = htole32(block->offset),
        };

        header.records_checksum =
                htole32(checksum_crc32(segment->seed, block->records, block->size));
        header.checksum = htole32(block_header_checksum(segment, &header));
        if (next < SEGMENT_BLOCKS_END)
                block_store_length(segment, next, 0);
        memcpy(segment->data + segment->end + sizeof header.length,
               (uint8_t *)&header + sizeof header.length, sizeof header - sizeof header.length);
        block_store_length(segment, segment->end, length);
        segment->end = next;
}

/* ---- the walk ---- */

void block_walk_init(BlockWalk *walk, const Segment *segment, size_t limit, uint64_t sequence) {
        uint64_t first = segment_sequence(segment);

        *walk = (BlockWalk){
                .segment = segment,
                .offset = segment->blocks,
                .limit = limit,
                .sequence = first > sequence ? first : sequence,
                .n_lost_blocks = sequence && first > sequence ? first - sequence : 0,
        };
}

static size_t block_length(const BlockHeader *header) {
        return le32toh(header->length) & ~BLOCK_MARK_MASK;
}

/* Whether a header that is whole stands there, of the block expected next or a later one. */
static bool block_walk_header(const BlockWalk *walk, size_t offset, BlockHeader *headerp) {
        size_t length;

        if (walk->limit - offset < sizeof *headerp)
                return false;
        memcpy(&headerp->length, walk->segment->data + offset, sizeof headerp->length);
        if ((le32toh(headerp->length) & BLOCK_MARK_MASK) != BLOCK_MARK)
                return false;
        length = block_length(headerp);
        if (length < sizeof *headerp || length % BLOCK_ALIGNMENT || length > walk->limit - offset)
                return false;
        memcpy(headerp, walk->segment->data + offset, sizeof *headerp);
        return le32toh(headerp->checksum) == block_header_checksum(walk->segment, headerp) &&
               le64toh(headerp->sequence) >= walk->sequence;
}

static bool block_walk_records(const BlockWalk *walk, size_t offset, const BlockHeader *header) {
        return le32toh(header->records_checksum) ==
               checksum_crc32(walk->segment->seed, walk->segment->data + offset + sizeof *header,
                              block_length(header) - sizeof *header);
}

/* Goes on at the next place where a whole block stands. */
static bool block_walk_resume(BlockWalk *walk) {
        BlockHeader header;

        for (size_t offset = walk->offset + BLOCK_ALIGNMENT; offset < walk->limit;
             offset += BLOCK_ALIGNMENT) {
                if (!block_walk_header(walk, offset, &header) ||
                    !block_walk_records(walk, offset, &header))
                        continue;
                walk->lost_bytes += offset - walk->offset;
                walk->offset = offset;
                return true;
        }
        memcpy(&header.length, walk->segment->data + walk->offset, sizeof header.length);
        walk->torn = header.length != 0;
        if (walk->torn)
                walk->lost_bytes += sizeof header;
        return false;
}

bool block_walk_next(BlockWalk *walk, JournalBlock *blockp) {
        BlockHeader header;

        while (walk->offset < walk->limit) {
                size_t offset = walk->offset;

                if (!block_walk_header(walk, offset, &header)) {
                        if (!block_walk_resume(walk))
                                return false;
                        continue;
                }
                walk->n_lost_blocks += le64toh(header.sequence) - walk->sequence;
                walk->sequence = le64toh(header.sequence) + 1;
                walk->offset += block_length(&header);
                if (!block_walk_records(walk, offset, &header)) {
                        walk->n_lost_blocks++;
                        walk->lost_bytes += block_length(&header);
                        continue;
                }
                walk->n_blocks++;
                offset += sizeof header;
                *blockp = (JournalBlock){
                        .session = le32toh(header.session),
                        .source = le32toh(header.source),
                        .generation = le32toh(header.generation),
                        .offset = le32toh(header.offset),
                        .flags = le16toh(header.flags),
                        .time_unix_ns = le64toh(header.time_unix_ns),
                        .records = walk->segment->data + offset,
                        .size = walk->offset - offset,
                        .position = segment_position(walk->segment, offset),
                };
                return true;
        }
        return false;
}

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Blocks for tests of the journal: all of a block follows from one number, so it can be judged; and
 * the files that they stand in.
 */

#include "daemon/journal/journal.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static inline JournalBlock blocks_block(uint32_t value, size_t size) {
        return (JournalBlock){
                .session = value,
                .source = JOURNAL_SOURCE_STREAM,
                .generation = value + 1,
                .offset = value + 2,
                .flags = JOURNAL_PASS_END,
                .time_unix_ns = 1000 + (uint64_t)value,
                .size = size,
        };
}

/* JOURNAL_E_*; each byte of the records is the value's lowest. */
static inline int blocks_try(Journal *journal, JournalPosition *positionp, size_t size,
                             uint32_t value) {
        JournalBlock block = blocks_block(value, size);
        int r;

        r = journal_reserve(journal, &block, size, JOURNAL_ROOM_DECISION);
        if (r)
                return r;
        memset(block.records, (uint8_t)value, size);
        journal_commit(journal, &block);
        *positionp = block.position;
        return 0;
}

static inline JournalPosition blocks_append(Journal *journal, size_t size, uint32_t value) {
        JournalPosition position;

        ck_assert_int_eq(blocks_try(journal, &position, size, value), 0);
        return position;
}

static inline bool blocks_say(const uint8_t *data, size_t size, uint8_t value) {
        return !size || (data[0] == value && !memcmp(data, data + 1, size - 1));
}

typedef struct BlocksSeen {
        unsigned n;
        uint32_t values[8192];
        JournalPosition last;
} BlocksSeen;

static inline int blocks_see_one(void *user, JournalBlock *block) {
        BlocksSeen *seen = user;
        JournalBlock same = blocks_block(block->session, block->size);

        ck_assert_uint_gt(block->position, seen->last);
        seen->last = block->position;
        ck_assert_uint_eq(block->source, same.source);
        ck_assert_uint_eq(block->generation, same.generation);
        ck_assert_uint_eq(block->offset, same.offset);
        ck_assert_uint_eq(block->flags, same.flags);
        ck_assert_uint_eq(block->time_unix_ns, same.time_unix_ns);
        ck_assert_uint_eq((uintptr_t)block->records % 8, 0);
        ck_assert(blocks_say(block->records, block->size, (uint8_t)block->session));
        ck_assert_uint_lt(seen->n, sizeof seen->values / sizeof *seen->values);
        seen->values[seen->n++] = block->session;
        return 0;
}

static inline BlocksSeen blocks_see(Journal *journal) {
        BlocksSeen seen = {};

        ck_assert_int_eq(journal_each_block(journal, blocks_see_one, &seen), 0);
        return seen;
}

/* ---- files ---- */

static inline int blocks_open_file(const char *folder, unsigned number) {
        char path[1024];
        int fd;

        snprintf(path, sizeof path, "%s/%016x.segment", folder, number);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        return fd;
}

/* A segment, all of it. */
static inline void blocks_read_file(const char *folder, unsigned number, uint8_t *data) {
        int fd = blocks_open_file(folder, number);

        ck_assert_int_eq(pread(fd, data, JOURNAL_SEGMENT_SIZE, 0), JOURNAL_SEGMENT_SIZE);
        close(fd);
}

/* The front of a segment; the file ends behind it. */
static inline void blocks_write_file(const char *folder, unsigned number, const uint8_t *data,
                                     size_t size) {
        int fd = blocks_open_file(folder, number);

        ck_assert_int_eq(pwrite(fd, data, size, 0), size);
        ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
        close(fd);
}

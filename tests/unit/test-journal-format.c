/* SPDX-License-Identifier: Apache-2.0 */

/* Version 1 of the journal's format, byte by byte: what it was first written as is data. */

#include "daemon/journal/journal.h"
#include "daemon/journal/segment.h"
#include "tests/unit/blocks.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

enum { CAP = JOURNAL_SEGMENTS_MIN * JOURNAL_SEGMENT_SIZE };

static char folder[FOLDER_PATH_SIZE];

static void setup(void) {
        folder_make(folder);
}

static void teardown(void) {
        folder_remove(folder);
}

static const JournalBlock golden_blocks[] = {
        {1, JOURNAL_SOURCE_STREAM, 0, 0, JOURNAL_PASS_END, 1700000000000000001, NULL, 24, 0},
        {0, JOURNAL_SOURCE_DAEMON, 0, 0, 0, 1700000000000000002, NULL, 8, 0},
        {2, 3, 4, 4096, JOURNAL_CUT_2, 1700000000000000003, NULL, 40, 0},
        {2, JOURNAL_SOURCE_STREAM, 0, 0, JOURNAL_CUT_2 | JOURNAL_PASS_END, 1700000000000000004,
         NULL, 0, 0},
};

enum { GOLDEN_BLOCKS = sizeof golden_blocks / sizeof *golden_blocks, GOLDEN_MAX = 4096 };

#define GOLDEN_JOURNAL UNIT_GOLDEN "/journal-v1/0000000000000001.segment"
#define GOLDEN_STATE   "what the recorder knows"

static size_t read_golden(uint8_t *data) {
        int fd = open(GOLDEN_JOURNAL, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        ck_assert_int_ge(fd, 0);
        n = read(fd, data, GOLDEN_MAX);
        ck_assert_int_gt(n, 0);
        close(fd);
        return (size_t)n;
}

static int see_golden(void *user, JournalBlock *block) {
        const JournalBlock *golden = &golden_blocks[(*(unsigned *)user)++];

        ck_assert_uint_eq(block->session, golden->session);
        ck_assert_uint_eq(block->source, golden->source);
        ck_assert_uint_eq(block->generation, golden->generation);
        ck_assert_uint_eq(block->offset, golden->offset);
        ck_assert_uint_eq(block->flags, golden->flags);
        ck_assert_uint_eq(block->time_unix_ns, golden->time_unix_ns);
        ck_assert_uint_eq(block->size, golden->size);
        for (size_t i = 0; i < block->size; i++)
                ck_assert_uint_eq(block->records[i], (uint8_t)(i * 7));
        return 0;
}

START_TEST(version_1_is_read) {
        JournalOptions options = {.path = folder, .max_bytes = CAP};
        uint8_t data[GOLDEN_MAX];
        const uint8_t *checkpoint;
        JournalPosition position;
        JournalReport report;
        Journal *journal;
        unsigned n = 0;
        size_t size;

        blocks_write_file(folder, 1, data, read_golden(data));
        ck_assert_int_eq(journal_open(&journal, &options, &report), 0);
        ck_assert_uint_eq(report.n_lost_blocks + report.n_lost_segments, 0);
        ck_assert_int_eq(journal_each_block(journal, see_golden, &n), 0);
        ck_assert_uint_eq(n, GOLDEN_BLOCKS);
        journal_checkpoint(journal, &checkpoint, &size, &position);
        ck_assert_uint_eq(size, strlen(GOLDEN_STATE));
        ck_assert_mem_eq(checkpoint, GOLDEN_STATE, size);
        journal_free(journal);
}
END_TEST

static size_t write_golden_state(void *user, uint8_t *data, size_t size) {
        (void)user;
        (void)size;
        memcpy(data, GOLDEN_STATE, strlen(GOLDEN_STATE));
        return strlen(GOLDEN_STATE);
}

START_TEST(version_1_is_written) {
        JournalOptions options = {.path = folder,
                                  .max_bytes = CAP,
                                  .key = "8 bytes",
                                  .checkpoint = write_golden_state};
        static uint8_t image[JOURNAL_SEGMENT_SIZE];
        uint8_t data[GOLDEN_MAX];
        JournalReport report;
        Journal *journal;
        size_t size;

        ck_assert_int_eq(journal_open(&journal, &options, &report), 0);
        for (unsigned i = 0; i < GOLDEN_BLOCKS; i++) {
                JournalBlock block = golden_blocks[i];

                ck_assert_int_eq(journal_reserve(journal, &block, block.size, JOURNAL_ROOM_CLIENT),
                                 0);
                for (size_t j = 0; j < block.size; j++)
                        block.records[j] = (uint8_t)(j * 7);
                journal_commit(journal, &block);
        }
        journal_free(journal);
        blocks_read_file(folder, 1, image);
        size = read_golden(data);
        ck_assert_mem_eq(image, data, size);
        ck_assert(blocks_say(image + size, SEGMENT_BLOCKS_END - size, 0));
        ck_assert_mem_eq(image + SEGMENT_BLOCKS_END, data, SEGMENT_HEADER_SIZE);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("journal-format");
        TCase *tcase = tcase_create("journal-format");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, version_1_is_read);
        tcase_add_test(tcase, version_1_is_written);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/checksum.h"
#include "daemon/journal/block.h"
#include "daemon/journal/journal.h"
#include "daemon/journal/segment.h"
#include "tests/unit/blocks.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
        CAP = JOURNAL_SEGMENTS_MIN * JOURNAL_SEGMENT_SIZE,
        BIG = JOURNAL_BLOCK_MAX - 64, /* one of these fits a segment, not two */
        CHECKPOINT = 20,
};

static char folder[FOLDER_PATH_SIZE];

static void setup(void) {
        folder_make(folder);
}

static void teardown(void) {
        folder_remove(folder);
}

/* Says how often it was asked. */
static size_t write_state(void *user, uint8_t *data, size_t size) {
        ck_assert_uint_ge(size, CHECKPOINT);
        memset(data, ++*(int *)user, CHECKPOINT);
        return CHECKPOINT;
}

static Journal *open_with_state(JournalReport *report, int *state) {
        JournalOptions options = {
                .path = folder,
                .max_bytes = CAP,
                .key = "secret!",
                .checkpoint = write_state,
                .user = state,
        };
        Journal *journal;

        ck_assert_int_eq(journal_open(&journal, &options, report), 0);
        return journal;
}

static Journal *open_journal(JournalReport *report) {
        static int state;

        return open_with_state(report, &state);
}

/* ---- a small journal of two segments, and where all of it stands ---- */

enum { SEGMENTS = 2, BLOCKS = 9 };

static const struct {
        unsigned number;
        size_t size;
} small_blocks[BLOCKS] = {{1, 8},   {1, 0},  {1, 16},   {1, BIG}, {1, 24},
                          {2, BIG}, {2, 16}, {2, 4096}, {2, 8}};

typedef struct Small {
        uint8_t images[SEGMENTS + 1][JOURNAL_SEGMENT_SIZE]; /* by number */
        size_t starts[BLOCKS], ends[BLOCKS];                /* of headers, of records */
        int n_states;
} Small;

static Small small;

static void make_small(void) {
        JournalReport report;
        Journal *journal;

        small.n_states = 0;
        journal = open_with_state(&report, &small.n_states);
        for (unsigned i = 0; i < BLOCKS; i++) {
                JournalPosition position = blocks_append(journal, small_blocks[i].size, i);

                ck_assert_uint_eq(position / JOURNAL_SEGMENT_SIZE, small_blocks[i].number);
                small.starts[i] = position % JOURNAL_SEGMENT_SIZE - BLOCK_HEADER_SIZE;
                small.ends[i] = position % JOURNAL_SEGMENT_SIZE + small_blocks[i].size;
        }
        journal_free(journal);
        for (unsigned number = 1; number <= SEGMENTS; number++)
                blocks_read_file(folder, number, small.images[number]);
}

/* Opens it and sees that all blocks but those of `lost` are there; then that it goes on. */
static JournalReport expect_all_but(uint32_t lost, bool appends) {
        JournalReport report, again;
        Journal *journal = open_journal(&report);
        BlocksSeen seen = blocks_see(journal);
        unsigned n = 0;

        for (uint32_t i = 0; i < BLOCKS; i++)
                if (!(lost >> i & 1))
                        ck_assert_uint_eq(seen.values[n++], i);
        ck_assert_uint_eq(seen.n, n);
        ck_assert_uint_eq(report.n_blocks, n);
        if (appends) {
                ck_assert_uint_gt(blocks_append(journal, 8, 77), seen.last);
                journal_free(journal);
                journal = open_journal(&again);
                seen = blocks_see(journal);
                ck_assert_uint_eq(seen.n, n + 1);
                ck_assert_uint_eq(seen.values[n], 77);
        }
        journal_free(journal);
        return report;
}

/* Small steps where each byte has a meaning, large ones in between. */
static size_t next_offset(unsigned number, size_t offset) {
        if (offset < SEGMENT_HEADER_SIZE + CHECKPOINT || offset >= SEGMENT_BLOCKS_END - 8)
                return offset + 1;
        for (unsigned i = 0; i < BLOCKS; i++)
                if (small_blocks[i].number == number && offset + 1 >= small.starts[i] &&
                    offset < small.starts[i] + BLOCK_HEADER_SIZE + 24)
                        return offset + 1;
        if (offset + 40009 < SEGMENT_BLOCKS_END - 8) {
                size_t next = offset + 40009;

                for (unsigned i = 0; i < BLOCKS; i++)
                        if (small_blocks[i].number == number && offset < small.starts[i] &&
                            small.starts[i] < next)
                                next = small.starts[i];
                return next;
        }
        return SEGMENT_BLOCKS_END - 8;
}

START_TEST(a_flipped_byte_costs_what_it_hit_and_no_more) {
        static uint8_t image[JOURNAL_SEGMENT_SIZE];
        unsigned number = (unsigned)_i, n = 0;

        make_small();
        memcpy(image, small.images[number], sizeof image);
        for (size_t offset = 0; offset < sizeof image; offset = next_offset(number, offset)) {
                JournalReport report;
                uint32_t lost = 0;

                for (unsigned i = 0; i < BLOCKS; i++)
                        if (small_blocks[i].number == number && offset >= small.starts[i] &&
                            offset < small.ends[i])
                                lost |= 1U << i;
                image[offset] ^= (uint8_t)(n % 9 == 8 ? 0xff : 1 << n % 9);
                blocks_write_file(folder, number, image, sizeof image);
                report = expect_all_but(lost, n % 16 == 0);
                ck_assert_uint_eq(report.n_lost_segments, 0);
                if (offset / 4 * 4 == small.ends[BLOCKS - 1] && number == SEGMENTS)
                        ck_assert_uint_eq(report.n_lost_blocks, 1); /* it looks like a block */
                else
                        ck_assert_uint_eq(report.n_lost_blocks, !!lost);
                ck_assert_uint_ge(!!report.lost_bytes, !!report.n_lost_blocks);
                image[offset] = small.images[number][offset];
                blocks_write_file(folder, SEGMENTS, small.images[SEGMENTS], sizeof image);
                n++;
        }
        ck_assert_uint_gt(n, 400);
}
END_TEST

START_TEST(a_file_cut_short_keeps_what_stands_before_the_cut) {
        unsigned number = (unsigned)_i, n = 0;

        make_small();
        for (size_t size = 0; size < JOURNAL_SEGMENT_SIZE; size = next_offset(number, size)) {
                bool is_lost = size < SEGMENT_HEADER_SIZE;
                JournalReport report;
                uint32_t lost = 0;

                for (unsigned i = 0; i < BLOCKS; i++)
                        if (small_blocks[i].number == number && (is_lost || size < small.ends[i]))
                                lost |= 1U << i;
                /* A cut through zeros takes nothing. */
                for (unsigned i = 0; i < BLOCKS && !is_lost; i++) {
                        const uint8_t *image = small.images[number];

                        if (lost >> i & 1 && size > small.starts[i] + 4 &&
                            blocks_say(image + size, small.ends[i] - size, 0))
                                lost &= ~(1U << i);
                }
                blocks_write_file(folder, number, small.images[number], size);
                report = expect_all_but(lost, n % 16 == 0);
                ck_assert_uint_eq(report.n_lost_segments, is_lost);
                folder_remove(folder);
                ck_assert_int_eq(mkdir(folder, 0700), 0);
                for (unsigned i = 1; i <= SEGMENTS; i++)
                        blocks_write_file(folder, i, small.images[i], JOURNAL_SEGMENT_SIZE);
                n++;
        }
        ck_assert_uint_gt(n, 400);
}
END_TEST

START_TEST(an_older_checkpoint_stands_in_for_a_damaged_one) {
        JournalPosition position;
        JournalReport report;
        const uint8_t *data;
        Journal *journal;
        size_t size;

        make_small();
        for (unsigned number = SEGMENTS; number; number--) {
                journal = open_journal(&report);
                journal_checkpoint(journal, &data, &size, &position);
                ck_assert_uint_eq(size, CHECKPOINT);
                ck_assert(blocks_say(data, size, (uint8_t)number));
                ck_assert_uint_eq(position, (uint64_t)number * JOURNAL_SEGMENT_SIZE +
                                                    SEGMENT_HEADER_SIZE + 24);
                journal_free(journal);
                small.images[number][SEGMENT_HEADER_SIZE + CHECKPOINT - 1] ^= 0x10;
                blocks_write_file(folder, number, small.images[number], JOURNAL_SEGMENT_SIZE);
        }
        journal = open_journal(&report);
        journal_checkpoint(journal, &data, &size, &position);
        ck_assert_uint_eq(position, 0);
        ck_assert_uint_eq(size, 0);
        ck_assert_uint_eq(report.n_blocks, BLOCKS);
        journal_free(journal);
}
END_TEST

START_TEST(a_damaged_header_is_restored_from_the_other) {
        static const size_t places[] = {0, SEGMENT_BLOCKS_END};

        make_small();
        for (unsigned i = 0; i < 4; i++) {
                static uint8_t image[JOURNAL_SEGMENT_SIZE];

                blocks_read_file(folder, 2, image);
                memset(image + places[i % 2], 0xee, SEGMENT_HEADER_SIZE);
                blocks_write_file(folder, 2, image, sizeof image);
                ck_assert_uint_eq(expect_all_but(0, false).n_lost_segments, 0);
        }
}
END_TEST

START_TEST(a_segment_without_a_header_is_set_aside) {
        JournalReport report;
        Journal *journal;
        JournalPosition position;

        make_small();
        memset(small.images[2], 0, SEGMENT_HEADER_SIZE);
        memset(small.images[2] + SEGMENT_BLOCKS_END, 0, SEGMENT_HEADER_SIZE);
        blocks_write_file(folder, 2, small.images[2], JOURNAL_SEGMENT_SIZE);
        report = expect_all_but(0x1e0, false);
        ck_assert_uint_eq(report.n_lost_segments, 1);
        ck_assert_uint_eq(report.newer_version, 0);
        ck_assert_uint_eq(folder_count(folder, "0000000000000002.segment.damaged"), 1);

        /* Its number is not used again. */
        journal = open_journal(&report);
        ck_assert_uint_eq(report.n_lost_segments, 0);
        position = blocks_append(journal, BIG, 50);
        ck_assert_uint_eq(position / JOURNAL_SEGMENT_SIZE, 3);
        journal_free(journal);
}
END_TEST

START_TEST(a_missing_segment_takes_only_its_own) {
        JournalPosition first, end, positions[5];
        char path[FOLDER_PATH_SIZE + 64];
        JournalReport report;
        Journal *journal = open_journal(&report);
        BlocksSeen seen;
        size_t live;

        for (uint32_t i = 0; i < 5; i++)
                positions[i] = blocks_append(journal, BIG, i);
        journal_free(journal);
        for (unsigned number = 2; number <= 3; number++) {
                snprintf(path, sizeof path, "%s/%016x.segment", folder, number);
                ck_assert_int_eq(unlink(path), 0);
        }

        journal = open_journal(&report);
        ck_assert_uint_eq(report.n_segments, 3);
        ck_assert_uint_eq(report.n_lost_segments, 2);
        ck_assert_uint_eq(report.n_lost_blocks, 2);
        seen = blocks_see(journal);
        ck_assert_uint_eq(seen.n, 3);
        ck_assert_uint_eq(seen.values[0], 0);
        ck_assert_uint_eq(seen.values[1], 3);
        ck_assert_uint_eq(*journal_at(journal, positions[3]), 3);
        ck_assert_uint_eq(*journal_at(journal, positions[4] + 9), 4);
        journal_hold(journal, positions[0], 8);
        journal_hold(journal, positions[3], 8);
        ck_assert_uint_eq(journal_reclaim(journal), 0);
        journal_release(journal, positions[0], 8);
        ck_assert_uint_eq(journal_reclaim(journal), 1);
        ck_assert(journal_oldest(journal, &first, &end, &live));
        ck_assert_uint_eq(end, positions[3] + BIG);
        ck_assert_uint_eq(blocks_append(journal, BIG, 5) / JOURNAL_SEGMENT_SIZE, 6);
        journal_free(journal);
}
END_TEST

static void set_version(uint8_t *header, uint8_t version) {
        uint32_t checksum;

        header[8] = version;
        checksum = checksum_crc32(0, header, 60);
        for (unsigned i = 0; i < 4; i++)
                header[60 + i] = (uint8_t)(checksum >> 8 * i);
}

START_TEST(a_newer_version_is_left_alone) {
        static uint8_t image[JOURNAL_SEGMENT_SIZE];
        char path[FOLDER_PATH_SIZE + 64];
        JournalReport report;
        Journal *journal;
        struct stat stat_;

        make_small();
        memcpy(image, small.images[2], sizeof image);
        set_version(image, 7);
        blocks_write_file(folder, 2, image, sizeof image);
        report = expect_all_but(0x1e0, false);
        ck_assert_uint_eq(report.newer_version, 7);
        ck_assert_uint_eq(report.n_lost_segments, 1);
        snprintf(path, sizeof path, "%s/0000000000000002.segment.version-7", folder);
        ck_assert_int_eq(stat(path, &stat_), 0);
        ck_assert_int_eq(stat_.st_size, sizeof image);

        set_version(small.images[1], 8);
        blocks_write_file(folder, 1, small.images[1], JOURNAL_SEGMENT_SIZE);
        journal = open_journal(&report);
        ck_assert_uint_eq(report.newer_version, 8);
        ck_assert_uint_eq(report.n_segments + report.n_blocks, 0);
        ck_assert_uint_eq(blocks_append(journal, 8, 1) / JOURNAL_SEGMENT_SIZE, 3);
        journal_free(journal);
        ck_assert_uint_eq(folder_count(folder, ".version-7"), 1);
        ck_assert_uint_eq(folder_count(folder, ".version-8"), 1);
}
END_TEST

START_TEST(other_files_are_no_segments) {
        static const char *const names[] = {"notes",
                                            "0000000000000000.segment",
                                            "ffffffffffffffff.segment",
                                            "000000000000000A.segment",
                                            "0000000000000009.segments",
                                            "0000000000000009"};
        char path[FOLDER_PATH_SIZE + 64];

        make_small();
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
                snprintf(path, sizeof path, "%s/%s", folder, names[i]);
                close(open(path, O_CREAT | O_WRONLY, 0600));
        }
        ck_assert_uint_eq(expect_all_but(0, true).n_lost_segments, 0);
        for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
                ck_assert_uint_eq(folder_count(folder, names[i]), 1);
}
END_TEST

START_TEST(what_cannot_be_opened_is_not_judged) {
        JournalOptions options = {.path = folder, .max_bytes = CAP};
        char path[FOLDER_PATH_SIZE + 64];
        JournalReport report;
        Journal *journal;

        make_small();
        snprintf(path, sizeof path, "%s/0000000000000003.segment", folder);
        ck_assert_int_eq(mkdir(path, 0700), 0);
        ck_assert_int_eq(journal_open(&journal, &options, &report), JOURNAL_E_PATH);
        ck_assert_int_eq(errno, EISDIR);
        ck_assert_int_eq(rmdir(path), 0);
        ck_assert_uint_eq(expect_all_but(0, true).n_lost_segments, 0);
}
END_TEST

/* In a child, for the limit's sake. */
START_TEST(a_cut_file_waits_for_room) {
        JournalOptions options = {.path = folder, .max_bytes = CAP};
        struct rlimit limit;
        JournalReport report;
        Journal *journal;
        int status;
        pid_t pid;

        make_small();
        blocks_write_file(folder, 2, small.images[2], JOURNAL_SEGMENT_SIZE / 4 * 3);
        pid = fork();
        if (!pid) {
                signal(SIGXFSZ, SIG_IGN);
                getrlimit(RLIMIT_FSIZE, &limit);
                limit.rlim_cur = 4096;
                setrlimit(RLIMIT_FSIZE, &limit);
                _exit(journal_open(&journal, &options, &report));
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), JOURNAL_E_SPACE);
        ck_assert_uint_eq(expect_all_but(0, true).n_lost_segments, 0);
}
END_TEST

/* ---- bytes that pretend to be blocks ---- */

/* All of it, where damage makes the reader look for blocks among a client's bytes. */
START_TEST(what_a_client_writes_is_no_block) {
        static uint8_t image[JOURNAL_SEGMENT_SIZE];
        JournalOptions guess = {.path = folder, .max_bytes = CAP, .key = "guessed"};
        JournalReport report;
        Journal *journal;
        JournalPosition position = 0;
        JournalBlock block;
        BlocksSeen seen;
        size_t size;

        /* Blocks as the journal would write them next, but for the key. */
        ck_assert_int_eq(journal_open(&journal, &guess, &report), 0);
        for (uint32_t i = 0; i < 100; i++)
                position = blocks_append(journal, 8, 100 + i);
        journal_free(journal);
        blocks_read_file(folder, 1, image);
        size = position % JOURNAL_SEGMENT_SIZE + 8;
        folder_remove(folder);
        ck_assert_int_eq(mkdir(folder, 0700), 0);

        journal = open_journal(&report);
        blocks_append(journal, 8, 0);
        block = blocks_block(1, size);
        ck_assert_int_eq(journal_reserve(journal, &block, size, JOURNAL_ROOM_CLIENT), 0);
        memcpy(block.records, image, size);
        /* One that is true, but was said already. */
        memcpy(block.records, block.records - 2 * BLOCK_HEADER_SIZE - 8, BLOCK_HEADER_SIZE + 8);
        journal_commit(journal, &block);
        blocks_append(journal, 8, 2);
        journal_free(journal);

        blocks_read_file(folder, 1, image);
        image[block.position % JOURNAL_SEGMENT_SIZE - 1] ^= 1;
        blocks_write_file(folder, 1, image, sizeof image);
        journal = open_journal(&report);
        ck_assert_uint_eq(report.n_lost_blocks, 1);
        ck_assert_uint_eq(report.lost_bytes, BLOCK_HEADER_SIZE + size);
        seen = blocks_see(journal);
        ck_assert_uint_eq(seen.n, 2);
        ck_assert_uint_eq(seen.values[0], 0);
        ck_assert_uint_eq(seen.values[1], 2);
        journal_free(journal);
}
END_TEST

START_TEST(the_last_lap_is_no_block) {
        JournalReport report;
        Journal *journal = open_journal(&report);
        BlocksSeen seen;
        JournalUsage usage;

        for (unsigned lap = 0; lap < 3; lap++) {
                do {
                        blocks_append(journal, 1000, 9);
                        journal_usage(journal, &usage);
                } while (usage.n_segments < 2);
                ck_assert_uint_eq(journal_reclaim(journal), 1);
        }
        blocks_append(journal, 1000, 10);
        journal_free(journal);
        journal = open_journal(&report);
        ck_assert_uint_eq(report.n_lost_blocks + report.n_lost_segments, 0);
        seen = blocks_see(journal);
        ck_assert_uint_eq(seen.n, 2);
        ck_assert_uint_eq(seen.values[1], 10);
        journal_free(journal);
}
END_TEST

/* ---- death ---- */

typedef struct Said {
        uint32_t first, last; /* the blocks the journal holds at least */
} Said;

/* Appends until it is killed, tells after each commit, frees all when there is no room. */
static void append_until_killed(int out, uint32_t value, unsigned seed) {
        JournalReport report;
        Journal *journal = open_journal(&report);
        Said said = {.first = value};
        JournalPosition position;

        for (;; value++) {
                size_t size = (seed = seed * 1664525 + 1013904223) >> 16;

                size = (size % 16 ? size % 4096 : size % 65536 * 4) & ~(size_t)7;
                while (blocks_try(journal, &position, size, value)) {
                        said.first = value;
                        if (write(out, &said, sizeof said) < 0)
                                _exit(1);
                        journal_reclaim(journal);
                }
                said.last = value;
                if (write(out, &said, sizeof said) < 0)
                        _exit(1);
        }
}

START_TEST(what_was_committed_before_a_kill_is_there) {
        unsigned seed = 7;
        uint32_t next = 1;

        for (unsigned round = 0; round < 40; round++) {
                Said said = {}, more;
                JournalReport report;
                BlocksSeen seen;
                Journal *journal;
                int pipes[2];
                pid_t pid;

                ck_assert_int_eq(pipe(pipes), 0);
                seed = seed * 1664525 + 1013904223;
                pid = fork();
                if (!pid)
                        append_until_killed(pipes[1], next, seed);
                close(pipes[1]);
                for (unsigned n = (seed >> 8) % 2000 + 1; n; n--)
                        ck_assert_int_eq(read(pipes[0], &said, sizeof said), sizeof said);
                kill(pid, SIGKILL);
                while (read(pipes[0], &more, sizeof more) == sizeof more)
                        said = more;
                waitpid(pid, NULL, 0);
                close(pipes[0]);

                journal = open_journal(&report);
                ck_assert_uint_eq(report.n_lost_blocks + report.n_lost_segments, 0);
                seen = blocks_see(journal);
                ck_assert_uint_gt(seen.n, 0);
                ck_assert_uint_le(seen.values[0], said.first);
                for (unsigned i = 1; i < seen.n; i++)
                        ck_assert_uint_eq(seen.values[i], seen.values[0] + i);
                ck_assert_uint_ge(seen.values[seen.n - 1], said.last);
                next = seen.values[seen.n - 1] + 1;
                journal_free(journal);
        }
}
END_TEST

int main(void) {
        Suite *suite = suite_create("journal-recovery");
        TCase *tcase = tcase_create("journal-recovery");

        tcase_set_timeout(tcase, 120);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_loop_test(tcase, a_flipped_byte_costs_what_it_hit_and_no_more, 1, SEGMENTS + 1);
        tcase_add_loop_test(tcase, a_file_cut_short_keeps_what_stands_before_the_cut, 1,
                            SEGMENTS + 1);
        tcase_add_test(tcase, an_older_checkpoint_stands_in_for_a_damaged_one);
        tcase_add_test(tcase, a_damaged_header_is_restored_from_the_other);
        tcase_add_test(tcase, a_segment_without_a_header_is_set_aside);
        tcase_add_test(tcase, a_missing_segment_takes_only_its_own);
        tcase_add_test(tcase, a_newer_version_is_left_alone);
        tcase_add_test(tcase, other_files_are_no_segments);
        tcase_add_test(tcase, what_cannot_be_opened_is_not_judged);
        tcase_add_test(tcase, a_cut_file_waits_for_room);
        tcase_add_test(tcase, what_a_client_writes_is_no_block);
        tcase_add_test(tcase, the_last_lap_is_no_block);
        tcase_add_test(tcase, what_was_committed_before_a_kill_is_there);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

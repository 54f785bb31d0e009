/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/journal/journal.h"
#include "tests/unit/blocks.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
        CAP = JOURNAL_SEGMENTS_MIN * JOURNAL_SEGMENT_SIZE,
        BIG = JOURNAL_BLOCK_MAX - 64, /* one of these fits a segment, not two */
};

static char folder[FOLDER_PATH_SIZE];

static void setup(void) {
        folder_make(folder);
}

static void teardown(void) {
        folder_remove(folder);
}

static Journal *open_journal(JournalReport *report) {
        JournalOptions options = {.path = folder, .max_bytes = CAP, .key = "secret!"};
        JournalReport unused;
        Journal *journal;

        ck_assert_int_eq(journal_open(&journal, &options, report ? report : &unused), 0);
        return journal;
}

START_TEST(what_was_committed_is_read_again) {
        static const size_t sizes[] = {0, 8, 16, 4096, 65536, JOURNAL_BLOCK_MAX};
        JournalPosition positions[6];
        JournalReport report;
        Journal *journal = open_journal(&report);
        BlocksSeen seen;

        ck_assert_uint_eq(report.n_segments, 0);
        for (unsigned i = 0; i < 6; i++)
                positions[i] = blocks_append(journal, sizes[i], (uint8_t)(i + 1));
        for (unsigned i = 1; i < 6; i++)
                ck_assert_uint_eq(*journal_at(journal, positions[i]), i + 1);
        journal = journal_free(journal);

        journal = open_journal(&report);
        ck_assert_uint_eq(report.n_segments, 1);
        ck_assert_uint_eq(report.n_blocks, 6);
        ck_assert_uint_eq(report.n_lost_segments + report.n_lost_blocks + report.lost_bytes, 0);
        seen = blocks_see(journal);
        ck_assert_uint_eq(seen.n, 6);
        for (unsigned i = 0; i < 6; i++)
                ck_assert_uint_eq(seen.values[i], i + 1);
        ck_assert_uint_eq(seen.last, positions[5]);

        /* It goes on behind them. */
        ck_assert_uint_gt(blocks_append(journal, 8, 7), positions[5]);
        ck_assert_uint_eq(blocks_see(journal).n, 7);
        journal_free(journal);
}
END_TEST

START_TEST(a_reservation_without_a_commit_leaves_nothing) {
        JournalBlock block = {};
        Journal *journal = open_journal(NULL);

        blocks_append(journal, 64, 1);
        ck_assert_int_eq(journal_reserve(journal, &block, 4096, JOURNAL_ROOM_CLIENT), 0);
        memset(block.records, 0xff, 4096);
        journal_free(journal);

        journal = open_journal(NULL);
        ck_assert_uint_eq(blocks_see(journal).n, 1);
        blocks_append(journal, 8, 2);
        ck_assert_uint_eq(blocks_see(journal).n, 2);
        journal_free(journal);
}
END_TEST

START_TEST(a_block_may_be_smaller_than_was_reserved) {
        Journal *journal = open_journal(NULL);
        JournalBlock block = {.session = 5, .source = JOURNAL_SOURCE_STREAM, .generation = 6};

        block.offset = 7;
        block.flags = JOURNAL_PASS_END;
        block.time_unix_ns = 1005;
        ck_assert_int_eq(journal_reserve(journal, &block, 65536, JOURNAL_ROOM_CLIENT), 0);
        memset(block.records, 5, 65536);
        block.size = 8;
        journal_commit(journal, &block);
        ck_assert_uint_eq(blocks_append(journal, 8, 6), block.position + 8 + 48);
        ck_assert_uint_eq(blocks_see(journal).n, 2);
        journal_free(journal);
}
END_TEST

static int stop_at_second(void *user, JournalBlock *block) {
        (void)block;
        return ++*(int *)user == 2 ? 42 : 0;
}

START_TEST(reading_stops_where_the_reader_wants) {
        Journal *journal = open_journal(NULL);
        int n = 0;

        for (uint8_t i = 0; i < 5; i++)
                blocks_append(journal, 8, i);
        ck_assert_int_eq(journal_each_block(journal, stop_at_second, &n), 42);
        ck_assert_int_eq(n, 2);
        journal_free(journal);
}
END_TEST

/* Each segment is used many times over; what a former lap left there is never seen again. */
START_TEST(segments_are_used_again_and_the_past_stays_past) {
        JournalReport report;
        Journal *journal;
        unsigned next = 1, oldest = 1;

        for (unsigned lap = 0; lap < 40; lap++) {
                unsigned n = lap % 7 + 1;
                BlocksSeen seen;

                journal = open_journal(&report);
                ck_assert_uint_eq(report.n_lost_segments + report.n_lost_blocks, 0);
                seen = blocks_see(journal);
                ck_assert_uint_eq(seen.n, next - oldest);
                for (unsigned i = 0; i < seen.n; i++)
                        ck_assert_uint_eq(seen.values[i], (uint8_t)(oldest + i));
                for (unsigned i = 0; i < n; i++) {
                        blocks_append(journal, BIG - (next * 8) % 1024, (uint8_t)next);
                        next++;
                }
                journal_reclaim(journal);
                oldest = next - blocks_see(journal).n;
                ck_assert_uint_le(folder_count(folder, ".spare"), 5);
                ck_assert_uint_eq(folder_count(folder, ".segment"), 1);
                journal_free(journal);
        }
        ck_assert_uint_gt(next, 100);
}
END_TEST

START_TEST(only_the_oldest_is_freed_and_only_when_nothing_in_it_is_held) {
        Journal *journal = open_journal(NULL);
        JournalPosition positions[4], first, end;
        JournalUsage usage;
        size_t live;

        positions[0] = blocks_append(journal, BIG, 0);
        ck_assert(!journal_oldest(journal, &first, &end, &live));
        for (uint8_t i = 1; i < 4; i++)
                positions[i] = blocks_append(journal, BIG, i);
        for (unsigned i = 0; i < 4; i++)
                journal_hold(journal, positions[i], 100);
        ck_assert_uint_eq(journal_reclaim(journal), 0);

        journal_release(journal, positions[1], 100);
        journal_release(journal, positions[2], 60);
        ck_assert_uint_eq(journal_reclaim(journal), 0);
        journal_usage(journal, &usage);
        ck_assert_uint_eq(usage.n_segments, 4);
        ck_assert_uint_eq(usage.n_segments_free, JOURNAL_SEGMENTS_MIN - 4);
        ck_assert_uint_eq(usage.live_bytes, 240);
        ck_assert_uint_eq(usage.max_bytes, CAP);
        ck_assert_uint_gt(usage.used_bytes, 4U * BIG);

        ck_assert(journal_oldest(journal, &first, &end, &live));
        ck_assert_uint_eq(live, 100);
        ck_assert_uint_le(first, positions[0]);
        ck_assert_uint_eq(end, positions[0] + BIG);
        journal_release(journal, positions[0], 100);
        ck_assert_uint_eq(journal_reclaim(journal), 2);
        ck_assert(journal_oldest(journal, &first, &end, &live));
        ck_assert_uint_eq(live, 40);
        ck_assert_uint_eq(*journal_at(journal, positions[2] + 77), 2);
        journal_release(journal, positions[2], 40);
        ck_assert_uint_eq(journal_reclaim(journal), 1);

        /* The one that is written stays, held or not. */
        journal_release(journal, positions[3], 100);
        ck_assert_uint_eq(journal_reclaim(journal), 0);
        journal_usage(journal, &usage);
        ck_assert_uint_eq(usage.n_segments, 1);
        ck_assert_uint_eq(usage.live_bytes, 0);
        ck_assert_uint_lt(usage.used_bytes, 2U * BIG);
        journal_free(journal);
}
END_TEST

START_TEST(the_last_two_segments_are_for_decisions) {
        Journal *journal = open_journal(NULL);
        JournalBlock block = {};
        unsigned n = 0;

        while (!journal_reserve(journal, &block, BIG, JOURNAL_ROOM_CLIENT)) {
                block.size = BIG;
                journal_commit(journal, &block);
                n++;
        }
        ck_assert_uint_eq(n, JOURNAL_SEGMENTS_MIN - 2);
        /* What fits behind the last block is still a client's. */
        ck_assert_int_eq(journal_reserve(journal, &block, 1024, JOURNAL_ROOM_CLIENT), 0);
        ck_assert_uint_ge(journal_room(journal), 1024);
        ck_assert_uint_lt(journal_room(journal), BIG);
        ck_assert_int_eq(
                journal_reserve(journal, &block, journal_room(journal) & ~7U, JOURNAL_ROOM_CLIENT),
                0);
        ck_assert_int_eq(journal_reserve(journal, &block, BIG, JOURNAL_ROOM_SNAPSHOT), 0);
        blocks_append(journal, BIG, 1);
        ck_assert_int_eq(journal_reserve(journal, &block, 8, JOURNAL_ROOM_CLIENT), JOURNAL_E_FULL);
        ck_assert_int_eq(journal_reserve(journal, &block, BIG, JOURNAL_ROOM_SNAPSHOT),
                         JOURNAL_E_FULL);
        blocks_append(journal, BIG, 2);
        ck_assert_int_eq(journal_reserve(journal, &block, BIG, JOURNAL_ROOM_DECISION),
                         JOURNAL_E_FULL);
        blocks_append(journal, 1024, 3);

        ck_assert_uint_eq(journal_reclaim(journal), JOURNAL_SEGMENTS_MIN - 1);
        ck_assert_int_eq(journal_reserve(journal, &block, BIG, JOURNAL_ROOM_CLIENT), 0);
        journal_free(journal);
}
END_TEST

START_TEST(a_lowered_cap_leaves_room_for_what_frees_it) {
        JournalOptions options = {.path = folder, .max_bytes = 2 * CAP};
        JournalReport report;
        JournalBlock block = {};
        JournalUsage usage;
        Journal *journal;

        ck_assert_int_eq(journal_open(&journal, &options, &report), 0);
        for (unsigned i = 0; i < 12; i++)
                blocks_append(journal, BIG, 1);
        journal_free(journal);

        journal = open_journal(NULL);
        journal_usage(journal, &usage);
        ck_assert_uint_eq(usage.n_segments, 12);
        ck_assert_uint_eq(usage.n_segments_free, 2);
        ck_assert_int_eq(journal_reserve(journal, &block, BIG, JOURNAL_ROOM_CLIENT),
                         JOURNAL_E_FULL);
        blocks_append(journal, BIG, 1);
        journal_free(journal);
}
END_TEST

typedef struct State {
        unsigned n_calls;
        size_t size;
} State;

static size_t write_state(void *user, uint8_t *data, size_t size) {
        State *state = user;

        ck_assert_uint_eq(size, JOURNAL_CHECKPOINT_MAX);
        memset(data, (int)++state->n_calls, state->size);
        return state->size;
}

START_TEST(a_segment_opens_with_the_state_of_that_moment) {
        static const size_t sizes[] = {0, 1, 100, JOURNAL_CHECKPOINT_MAX};

        for (unsigned i = 0; i < 4; i++) {
                State state = {.size = sizes[i]};
                JournalOptions options = {.path = folder,
                                          .max_bytes = CAP,
                                          .checkpoint = write_state,
                                          .user = &state};
                JournalPosition position, checkpoint;
                JournalReport report;
                const uint8_t *data;
                Journal *journal;
                size_t size;

                ck_assert_int_eq(journal_open(&journal, &options, &report), 0);
                journal_checkpoint(journal, &data, &size, &checkpoint);
                ck_assert_uint_eq(checkpoint, 0);
                ck_assert_ptr_null(data);
                ck_assert_uint_eq(state.n_calls, 0);
                blocks_append(journal, JOURNAL_BLOCK_MAX, 1);
                position = blocks_append(journal, JOURNAL_BLOCK_MAX, 2);
                blocks_append(journal, 8, 3);
                ck_assert_uint_eq(state.n_calls, 2);
                journal_free(journal);

                journal = open_journal(NULL);
                journal_checkpoint(journal, &data, &size, &checkpoint);
                ck_assert_uint_eq(size, sizes[i]);
                ck_assert(blocks_say(data, size, 2));
                ck_assert_uint_eq(checkpoint, size ? position - 48 : 0); /* an empty one is none */
                ck_assert_uint_eq(blocks_see(journal).n, 3);
                journal_free(journal);
                teardown();
                setup();
        }
}
END_TEST

START_TEST(a_folder_is_held_by_one_daemon) {
        JournalOptions options = {.path = folder, .max_bytes = CAP};
        JournalReport report;
        Journal *journal = open_journal(NULL), *second;
        int status;
        pid_t pid;

        pid = fork();
        if (!pid)
                _exit(journal_open(&second, &options, &report));
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), JOURNAL_E_LOCKED);
        ck_assert_int_eq(journal_open(&second, &options, &report), JOURNAL_E_LOCKED);
        journal_free(journal);
        journal_free(open_journal(NULL));
}
END_TEST

START_TEST(the_folder_is_made_for_its_owner_only) {
        char path[FOLDER_PATH_SIZE + 16];
        JournalOptions options = {.path = path, .max_bytes = CAP};
        JournalReport report;
        Journal *journal;
        struct stat stat_;

        snprintf(path, sizeof path, "%s/journal", folder);
        ck_assert_int_eq(journal_open(&journal, &options, &report), 0);
        ck_assert_int_eq(stat(path, &stat_), 0);
        ck_assert_uint_eq(stat_.st_mode & 07777, 0700);
        journal_free(journal);
        folder_remove(path);

        snprintf(path, sizeof path, "%s/no/journal", folder);
        ck_assert_int_eq(journal_open(&journal, &options, &report), JOURNAL_E_PATH);
        ck_assert_int_eq(errno, ENOENT);
        options.path = "/dev/null";
        ck_assert_int_eq(journal_open(&journal, &options, &report), JOURNAL_E_PATH);
        ck_assert_int_eq(errno, ENOTDIR);
}
END_TEST

/* In a child, since the limit cannot be raised again by everybody. */
START_TEST(a_file_system_that_refuses_is_no_end) {
        int status;
        pid_t pid;

        pid = fork();
        if (!pid) {
                struct rlimit old, none = {.rlim_cur = 4096};
                Journal *journal = open_journal(NULL);
                JournalBlock block = {};

                signal(SIGXFSZ, SIG_IGN);
                ck_assert_int_eq(journal_reserve(journal, &block, BIG, JOURNAL_ROOM_CLIENT), 0);
                blocks_append(journal, BIG, 1);
                getrlimit(RLIMIT_FSIZE, &old);
                none.rlim_max = old.rlim_max;
                setrlimit(RLIMIT_FSIZE, &none);
                ck_assert_int_eq(journal_reserve(journal, &block, BIG, JOURNAL_ROOM_CLIENT),
                                 JOURNAL_E_SPACE);
                blocks_append(journal, 64, 2);
                /* A client leaves one spare to whoever frees something. */
                blocks_append(journal, BIG, 3);
                ck_assert_int_eq(journal_reserve(journal, &block, BIG, JOURNAL_ROOM_DECISION),
                                 JOURNAL_E_SPACE);
                setrlimit(RLIMIT_FSIZE, &old);
                blocks_append(journal, BIG, 4);
                ck_assert_uint_eq(blocks_see(journal).n, 4);
                journal_free(journal);
                _exit(0);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status) && !WEXITSTATUS(status));
        ck_assert_uint_eq(folder_count(folder, ".segment"), 3);
        ck_assert_uint_eq(folder_count(folder, ".spare"), 0);
}
END_TEST

/* Where this test may mount; in a mount namespace of its own, which ends with it. */
START_TEST(a_full_tmpfs_is_no_end) {
        JournalReport report;
        JournalBlock block = {};
        Journal *journal;

        if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
            mount("test", folder, "tmpfs", 0, "size=5m")) {
                printf("# a_full_tmpfs_is_no_end: skipped, may not mount\n");
                return;
        }
        journal = open_journal(&report);
        ck_assert(report.on_tmpfs);
        blocks_append(journal, BIG, 1);
        blocks_append(journal, BIG, 2);
        for (unsigned i = 0; i < 3; i++)
                ck_assert_int_eq(journal_reserve(journal, &block, BIG, JOURNAL_ROOM_CLIENT),
                                 JOURNAL_E_SPACE);
        blocks_append(journal, 64, 3);
        ck_assert_uint_eq(journal_reclaim(journal), 1);
        blocks_append(journal, BIG, 4);
        ck_assert_uint_eq(blocks_see(journal).n, 3);
        journal_free(journal);
        journal = open_journal(NULL);
        ck_assert_uint_eq(blocks_see(journal).n, 3);
        journal_free(journal);
        umount(folder);
}
END_TEST

START_TEST(a_folder_that_is_taken_away_is_no_end) {
        Journal *journal = open_journal(NULL);
        JournalBlock block = {};

        for (uint8_t i = 0; i < 3; i++)
                blocks_append(journal, BIG, i);
        ck_assert_uint_eq(journal_reclaim(journal), 2);
        folder_remove(folder);
        /* The spares, then a new file. */
        for (unsigned i = 0; i < 4; i++)
                ck_assert_int_eq(journal_reserve(journal, &block, BIG, JOURNAL_ROOM_CLIENT),
                                 JOURNAL_E_SPACE);
        blocks_append(journal, 8, 3);
        ck_assert_uint_eq(blocks_see(journal).n, 2);
        journal_free(journal);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("journal");
        TCase *tcase = tcase_create("journal");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, what_was_committed_is_read_again);
        tcase_add_test(tcase, a_reservation_without_a_commit_leaves_nothing);
        tcase_add_test(tcase, a_block_may_be_smaller_than_was_reserved);
        tcase_add_test(tcase, reading_stops_where_the_reader_wants);
        tcase_add_test(tcase, segments_are_used_again_and_the_past_stays_past);
        tcase_add_test(tcase, only_the_oldest_is_freed_and_only_when_nothing_in_it_is_held);
        tcase_add_test(tcase, the_last_two_segments_are_for_decisions);
        tcase_add_test(tcase, a_lowered_cap_leaves_room_for_what_frees_it);
        tcase_add_test(tcase, a_segment_opens_with_the_state_of_that_moment);
        tcase_add_test(tcase, a_folder_is_held_by_one_daemon);
        tcase_add_test(tcase, the_folder_is_made_for_its_owner_only);
        tcase_add_test(tcase, a_file_system_that_refuses_is_no_end);
        tcase_add_test(tcase, a_full_tmpfs_is_no_end);
        tcase_add_test(tcase, a_folder_that_is_taken_away_is_no_end);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-arena.h"
#include "tests/unit/arena-client.h"

#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

static int status_of(pid_t child) {
        struct timespec pause = {.tv_nsec = 1000000};
        int status;
        pid_t r;

        while ((r = waitpid(child, &status, WNOHANG)) == 0) {
                fake_daemon_take(&fake);
                nanosleep(&pause, NULL);
        }
        ck_assert_int_eq(r, child);
        fake_daemon_take(&fake);
        return status;
}

/* In a child: speaks until it has an arena of its own. */
static void speak_until_welcome(void) {
        struct timespec pause = {.tv_nsec = 1000000};

        while (!catena__arena_is_open()) {
                say_span();
                nanosleep(&pause, NULL);
        }
}

START_TEST(a_child_has_an_arena_of_its_own) {
        enum { N = 100 };
        size_t n_parents = 0;
        pid_t child;

        begin(4);
        say_span();
        child = fork();
        if (child == 0) {
                speak_until_welcome();
                for (unsigned i = 0; i < N; i++)
                        say_span();
                _exit(stats().dropped_ends != 0);
        }
        ck_assert_int_eq(status_of(child), 0);
        say_span();
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake.n_arenas, 2);
        for (size_t i = 0; i < fake.n_records; i++)
                n_parents += fake.records[i].connection == 1 &&
                             fake.records[i].header.type == RECORD_SPAN;
        ck_assert_uint_eq(n_parents, 4);
        ck_assert_uint_gt(n_spans_said(), 2 + N);
}
END_TEST

/* A handler forks, whatever it interrupts; the child ends its parent's work on nobody's bytes. */
static pid_t test_pid;
static volatile pid_t handler_child;

static void fork_now(int signal_number) {
        (void)signal_number;
        if (getpid() == test_pid && !handler_child)
                handler_child = fork();
}

START_TEST(a_fork_within_a_write_leaves_the_parents_arena_alone) {
        struct sigaction action = {.sa_handler = fork_now, .sa_flags = SA_RESTART};
        struct itimerval often = {{0, 300}, {0, 300}}, never = {0};
        unsigned n_forks = 0;

#ifdef __SANITIZE_ADDRESS__
        return; /* its own locks may be taken where the handler forks */
#endif
        test_pid = getpid();
        begin(4);
        sigemptyset(&action.sa_mask);
        ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
        ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
        while (n_forks < 200) {
                say_span();
                if (getpid() != test_pid) {
                        setitimer(ITIMER_REAL, &never, NULL);
                        _exit(0);
                }
                if (!handler_child)
                        continue;
                ck_assert_int_eq(status_of(handler_child), 0);
                n_forks++;
                handler_child = 0;
        }
        ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
        if (handler_child > 0)
                ck_assert_int_eq(status_of(handler_child), 0);
        fake_daemon_take(&fake);
        qsort(fake.records, fake.n_records, sizeof *fake.records, compare_records);
        ck_assert_uint_eq(count_once(RECORD_START) + stats().dropped_starts, stats().spans_started);
        ck_assert_uint_eq(count_once(RECORD_END) + stats().dropped_ends, stats().spans_ended);
}
END_TEST

START_TEST(what_was_published_survives_a_kill) {
        _Atomic uint64_t *n_ended =
                mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        uint64_t n_meant = 50 + 97 * (uint64_t)_i;
        pid_t child;

        ck_assert_ptr_ne(n_ended, MAP_FAILED);
        begin(4);
        child = fork();
        if (child == 0) {
                uint64_t n_before;

                speak_until_welcome();
                n_before = stats().spans_ended;
                *n_ended = n_before;
                for (;;) {
                        say_span();
                        if (!stats().dropped_arena_full)
                                *n_ended = n_before = stats().spans_ended;
                }
        }
        while (*n_ended < n_meant) {
                fake_daemon_take(&fake);
                sched_yield();
        }
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        (void)status_of(child);
        ck_assert_uint_ge(n_spans_said(), *n_ended);
        munmap(n_ended, 4096);
}
END_TEST

START_TEST(a_program_that_is_executed_inherits_nothing) {
        pid_t child;

        begin(4);
        say_span();
        child = vfork();
        if (child == 0) {
                execl("/bin/sh", "sh", "-c",
                      "for fd in /proc/self/fd/*; do case $(readlink $fd) in"
                      " *memfd:arena*) exit 1;; esac; done",
                      NULL);
                _exit(127);
        }
        ck_assert_int_eq(status_of(child), 0);
        say_span();
        fake_daemon_take(&fake);
        ck_assert_uint_eq(n_spans_said(), 2);
}
END_TEST

START_TEST(no_byte_goes_into_a_strangers_descriptor) {
        pid_t child;

        begin(4);
        child = fork();
        if (child == 0) {
                char byte;
                int pair[2];

                speak_until_welcome();
                closefrom(3);
                if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
                        _exit(1);
                for (int fd = 5; fd < 32; fd++)
                        if (dup2(pair[0], fd) != fd)
                                _exit(2);
                for (unsigned i = 0; i < 1000; i++) {
                        say_span();
                        if (i % 16 == 0)
                                nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
                }
                _exit(recv(pair[1], &byte, 1, 0) != -1 || stats().dropped_ends ? 3 : 0);
        }
        ck_assert_int_eq(status_of(child), 0);
        ck_assert_uint_ge(n_spans_said(), 1000);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lib-arena-process");
        TCase *tcase = tcase_create("lib-arena-process");

        tcase_add_checked_fixture(tcase, start, stop);
        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, a_child_has_an_arena_of_its_own);
        tcase_add_test(tcase, a_fork_within_a_write_leaves_the_parents_arena_alone);
        tcase_add_loop_test(tcase, what_was_published_survives_a_kill, 0, 10);
        tcase_add_test(tcase, a_program_that_is_executed_inherits_nothing);
        tcase_add_test(tcase, no_byte_goes_into_a_strangers_descriptor);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

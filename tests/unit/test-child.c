/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/child.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static ChildGuard guard;

static pid_t start(const char *script) {
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, strdup(script), NULL};
        pid_t pid;

        ck_assert_int_eq(child_spawn(&pid, &guard, &(ChildOptions){.argv = argv, .output_fd = -1}),
                         0);
        free(argv[2]);
        return pid;
}

static int outcome(pid_t pid) {
        int status;

        ck_assert_int_eq(child_wait(&status, pid, &guard), 0);
        return status;
}

/* Whoever runs this may ignore some, as nohup does; children would inherit that. */
static void guarded(void) {
        signal(SIGINT, SIG_DFL);
        signal(SIGHUP, SIG_DFL);
        child_guard_init(&guard);
}

static void unguarded(void) {
        child_guard_deinit(&guard);
}

START_TEST(tells_how_a_program_ended) {
        int status = outcome(start("exit 7"));

        ck_assert(WIFEXITED(status));
        ck_assert_int_eq(WEXITSTATUS(status), 7);
        status = outcome(start("kill -KILL $$"));
        ck_assert(WIFSIGNALED(status));
        ck_assert_int_eq(WTERMSIG(status), SIGKILL);
}
END_TEST

START_TEST(tells_why_there_is_no_program) {
        char *absent[] = {(char[]){"no-such-program-anywhere"}, NULL};
        char *folder[] = {(char[]){"/"}, NULL};
        pid_t pid;

        ck_assert_int_eq(child_spawn(&pid, &guard, &(ChildOptions){absent, -1, false}),
                         CHILD_E_NOT_FOUND);
        ck_assert_int_eq(child_spawn(&pid, &guard, &(ChildOptions){folder, -1, false}),
                         CHILD_E_NOT_RUNNABLE);
        ck_assert_int_eq(errno, EACCES);
        ck_assert_int_eq(waitpid(-1, NULL, 0), -1);
}
END_TEST

START_TEST(hands_signals_on) {
        static const int signals[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP};

        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
                pid_t pid = start("exec sleep 1000");
                int status;

                kill(getpid(), signals[i]);
                status = outcome(pid);
                ck_assert(WIFSIGNALED(status));
                ck_assert_int_eq(WTERMSIG(status), signals[i]);
        }
}
END_TEST

START_TEST(a_child_starts_with_the_signals_as_they_were) {
        int status = outcome(start("kill -INT $$; exit 1"));

        ck_assert(WIFSIGNALED(status));
        ck_assert_int_eq(WTERMSIG(status), SIGINT);
        status = outcome(start("kill -PIPE $$; exit 1"));
        ck_assert(WIFSIGNALED(status));
        ck_assert_int_eq(WTERMSIG(status), SIGPIPE);
}
END_TEST

/* A process starts a servant, tells its number and is killed. */
START_TEST(a_servant_ends_with_its_master) {
        int fds[2], held[2];
        char *argv[] = {(char[]){"sleep"}, (char[]){"1000"}, NULL};
        pid_t master, servant;
        char byte;

        ck_assert_int_eq(pipe(fds), 0);
        ck_assert_int_eq(pipe(held), 0); /* its end tells that all who hold it are gone */
        master = fork();
        if (!master) {
                close(held[0]);
                if (child_spawn(&servant, &guard, &(ChildOptions){argv, STDERR_FILENO, true}) ||
                    write(fds[1], &servant, sizeof servant) < 0)
                        _exit(1);
                pause();
        }
        close(held[1]);
        ck_assert_int_eq(read(fds[0], &servant, sizeof servant), sizeof servant);
        ck_assert_int_ne(getsid(servant), getsid(0));
        kill(master, SIGKILL);
        waitpid(master, NULL, 0);
        ck_assert_int_eq(read(held[0], &byte, 1), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("child");
        TCase *tcase = tcase_create("child");

        tcase_add_checked_fixture(tcase, guarded, unguarded);
        tcase_add_test(tcase, tells_how_a_program_ended);
        tcase_add_test(tcase, tells_why_there_is_no_program);
        tcase_add_test(tcase, hands_signals_on);
        tcase_add_test(tcase, a_child_starts_with_the_signals_as_they_were);
        tcase_add_test(tcase, a_servant_ends_with_its_master);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

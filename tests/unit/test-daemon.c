/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/daemon.h"
#include "tests/unit/folder.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

enum { WAIT_MS = 20000 };

static char folder[FOLDER_PATH_SIZE];
static int manager; /* the socket of the service manager */

static void setup(void) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int n;

        folder_make(folder);
        ck_assert_int_eq(chdir(folder), 0);
        manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        ck_assert_int_ge(manager, 0);
        n = snprintf(address.sun_path, sizeof address.sun_path, "%s/notify", folder);
        ck_assert_int_lt(n, (int)sizeof address.sun_path);
        ck_assert_int_eq(bind(manager, (struct sockaddr *)&address, sizeof address), 0);
        ck_assert_int_eq(setenv("NOTIFY_SOCKET", address.sun_path, 1), 0);
        unsetenv("JOURNAL_STREAM");
}

static void teardown(void) {
        close(manager);
        folder_remove(folder);
}

/* A daemon in a process of its own, with sockets and journal of these names in the folder. */
static pid_t start(const char *listen, const char *control, const char *journal) {
        char yaml[2048];
        ConfigError error;
        Config *config;
        FILE *file;
        pid_t pid;

        snprintf(yaml, sizeof yaml,
                 "listen: { socket: \"%s/%s\" }\ncontrol: { socket: \"%s/%s\", mode: \"0600\" }\n"
                 "journal: { path: \"%s/%s\", max_size: 16MiB }\nexporters: []\n",
                 folder, listen, folder, control, folder, journal);
        file = fopen("config.yaml", "we");
        ck_assert_ptr_nonnull(file);
        fputs(yaml, file);
        fclose(file);
        pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0) {
                int log = open("log", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), r;

                dup2(log, STDERR_FILENO);
                r = config_load(&config, "config.yaml", true, &error);
                if (!r)
                        r = daemon_run(config);
                _exit(r < 0 ? 99 : r);
        }
        return pid;
}

static void await_told(const char *expected) {
        struct pollfd poll_manager = {.fd = manager, .events = POLLIN};
        char state[512] = "";

        ck_assert_int_eq(poll(&poll_manager, 1, WAIT_MS), 1);
        ck_assert_int_gt(recv(manager, state, sizeof state - 1, 0), 0);
        ck_assert_msg(!strncmp(state, expected, strlen(expected)), "%s", state);
}

static int await_end(pid_t pid) {
        int status;

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

static void stop(pid_t pid) {
        ck_assert_int_eq(kill(pid, SIGTERM), 0);
        await_told("STOPPING=1");
        ck_assert_int_eq(await_end(pid), 0);
}

/* What the daemon that was started last has logged. */
static void assert_logged(const char *part) {
        char text[4096] = "";
        int fd = open("log", O_RDONLY | O_CLOEXEC);

        ck_assert_int_gt(read(fd, text, sizeof text - 1), 0);
        close(fd);
        ck_assert_msg(strstr(text, part) != NULL, "%s", text);
}

START_TEST(starts_and_leaves) {
        struct stat status;
        pid_t pid = start("listen", "control", "journal");

        await_told("READY=1\nSTATUS=Listening on ");
        ck_assert_int_eq(stat("listen", &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0666);
        ck_assert_int_eq(stat("control", &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0600);
        ck_assert_int_eq(stat("journal", &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0700);
        stop(pid);
        ck_assert_int_lt(access("listen", F_OK), 0);
        ck_assert_int_lt(access("control", F_OK), 0);
        assert_logged("SIGTERM: sending what was received, then leaving");

        pid = start("listen", "control", "journal");
        await_told("READY=1");
        ck_assert_int_eq(kill(pid, SIGINT), 0);
        await_told("STOPPING=1");
        ck_assert_int_eq(await_end(pid), 0);
}
END_TEST

START_TEST(folders_of_sockets_are_made) {
        struct stat status;
        pid_t pid;

        umask(077);
        pid = start("run/listen", "other/control", "deep/journal");
        await_told("READY=1");
        ck_assert_int_eq(stat("run", &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0755);
        ck_assert_int_eq(stat("run/listen", &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0666);
        stop(pid);
}
END_TEST

START_TEST(sockets_left_behind_are_replaced) {
        pid_t pid = start("listen", "control", "journal");

        await_told("READY=1");
        kill(pid, SIGKILL);
        ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
        ck_assert_int_eq(access("listen", F_OK), 0);
        pid = start("listen", "control", "journal");
        await_told("READY=1");
        stop(pid);
}
END_TEST

START_TEST(second_daemon_refuses_to_start) {
        pid_t pid = start("listen", "control", "journal");

        await_told("READY=1");
        ck_assert_int_eq(await_end(start("listen2", "control2", "journal")), DAEMON_E_START);
        assert_logged("another daemon holds the journal");
        ck_assert_int_eq(await_end(start("listen", "control2", "journal2")), DAEMON_E_START);
        assert_logged("another daemon answers on");
        ck_assert_int_eq(await_end(start("listen2", "control", "journal2")), DAEMON_E_START);
        assert_logged("another daemon answers on");
        ck_assert_int_lt(access("listen2", F_OK), 0);
        ck_assert_int_eq(access("listen", F_OK), 0);
        stop(pid);
}
END_TEST

START_TEST(what_cannot_be_made_is_told) {
        ck_assert_int_eq(await_end(start("a/b/listen", "control", "journal")), DAEMON_E_START);
        assert_logged("cannot listen on ");
        assert_logged("/a/b/listen: No such file or directory");
        ck_assert_int_eq(await_end(start("listen", "a/b/control", "journal")), DAEMON_E_START);
        assert_logged("/a/b/control: No such file or directory");
        ck_assert_int_eq(await_end(start("listen", "control", "a/b/journal")), DAEMON_E_START);
        assert_logged("/a/b/journal cannot be opened: No such file or directory");
}
END_TEST

START_TEST(hangup_reads_sampling_again) {
        pid_t pid = start("listen", "control", "journal");

        await_told("READY=1");
        ck_assert_int_eq(kill(pid, SIGHUP), 0);
        ck_assert_int_eq(kill(pid, SIGPIPE), 0);
        stop(pid);
        assert_logged("SIGHUP: the section \"sampling\" is in force");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("daemon");
        TCase *tcase = tcase_create("daemon");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, starts_and_leaves);
        tcase_add_test(tcase, folders_of_sockets_are_made);
        tcase_add_test(tcase, sockets_left_behind_are_replaced);
        tcase_add_test(tcase, second_daemon_refuses_to_start);
        tcase_add_test(tcase, what_cannot_be_made_is_told);
        tcase_add_test(tcase, hangup_reads_sampling_again);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

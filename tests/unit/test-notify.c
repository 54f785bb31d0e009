/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/notify.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Listens on what NOTIFY_SOCKET would name. */
static int manager_open(const char *name) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        size_t size = strlen(name) + (*name == '/');
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        ck_assert_int_ge(fd, 0);
        memcpy(address.sun_path, name, strlen(name));
        if (*name == '@')
                address.sun_path[0] = 0;
        size += offsetof(struct sockaddr_un, sun_path);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, (socklen_t)size), 0);
        ck_assert_int_eq(setenv("NOTIFY_SOCKET", name, 1), 0);
        return fd;
}

static void assert_told(int fd, const char *state) {
        char text[256] = "";

        ck_assert_int_eq(notify_send(state), 0);
        ck_assert_int_eq(recv(fd, text, sizeof text - 1, 0), (ssize_t)strlen(state));
        ck_assert_str_eq(text, state);
}

START_TEST(tells_a_socket_with_a_path) {
        char folder[] = "/tmp/test-notify-XXXXXX", path[64];
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/notify", folder);
        fd = manager_open(path);
        assert_told(fd, "READY=1\nSTATUS=listening");
        assert_told(fd, "STOPPING=1");
        close(fd);
        ck_assert_int_eq(notify_send("READY=1"), NOTIFY_E_SOCKET); /* nobody listens any more */
        ck_assert_int_eq(errno, ECONNREFUSED);
        unlink(path);
        rmdir(folder);
}
END_TEST

START_TEST(tells_an_abstract_socket) {
        char name[64];
        int fd;

        snprintf(name, sizeof name, "@test-notify-%d", (int)getpid());
        fd = manager_open(name);
        assert_told(fd, "READY=1");
        close(fd);
}
END_TEST

START_TEST(has_descriptors_kept) {
        static const char keep[] = "FDSTORE=1\nFDNAME=arena-7";
        static const char forget[] = "FDSTOREREMOVE=1\nFDNAME=arena-7";
        char name[64], text[256] = "";
        struct iovec part = {text, sizeof text - 1};
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control};
        struct stat sent, received;
        int manager, ends[2], fd;

        snprintf(name, sizeof name, "@test-notify-%d", (int)getpid());
        manager = manager_open(name);
        ck_assert_int_eq(pipe(ends), 0);
        ck_assert_int_eq(notify_keep("arena-7", ends[0]), 0);
        ck_assert_int_eq(recvmsg(manager, &message, 0), (ssize_t)strlen(keep));
        ck_assert_str_eq(text, keep);
        ck_assert_ptr_nonnull(CMSG_FIRSTHDR(&message));
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
        ck_assert_int_eq(fstat(ends[0], &sent), 0);
        ck_assert_int_eq(fstat(fd, &received), 0);
        ck_assert_uint_eq(sent.st_ino, received.st_ino);
        ck_assert_int_eq(notify_forget("arena-7"), 0);
        memset(text, 0, sizeof text);
        ck_assert_int_eq(recv(manager, text, sizeof text, 0), (ssize_t)strlen(forget));
        ck_assert_str_eq(text, forget);
        close(manager);
}
END_TEST

static void set_listen(pid_t pid, const char *n, const char *names) {
        char text[32];

        snprintf(text, sizeof text, "%d", (int)pid);
        setenv("LISTEN_PID", text, 1);
        setenv("LISTEN_FDS", n, 1);
        setenv("LISTEN_FDNAMES", names, 1);
}

START_TEST(finds_what_was_kept) {
        NotifyKept kept;
        int ends[2];

        for (int fd = 3; fd < 64; fd++)
                close(fd); /* Check's own */
        ck_assert_int_eq(pipe(ends), 0);
        ck_assert_int_eq(ends[0], 3);
        set_listen(getpid(), "3", "arena-1:arena-2:arena-3"); /* the third is not there */
        ck_assert_int_eq(notify_kept_init(&kept), 0);
        ck_assert_ptr_null(getenv("LISTEN_FDS"));
        ck_assert_int_eq(fcntl(3, F_GETFD), FD_CLOEXEC);
        ck_assert_int_eq(notify_kept_take(&kept, "arena-2"), 4);
        ck_assert_int_eq(notify_kept_take(&kept, "arena-2"), -1);
        ck_assert_int_eq(notify_kept_take(&kept, "arena-3"), -1);
        ck_assert_int_eq(notify_kept_take(&kept, "arena"), -1);
        notify_kept_deinit(&kept);
        ck_assert_int_lt(fcntl(3, F_GETFD), 0);
        ck_assert_int_eq(fcntl(4, F_GETFD), FD_CLOEXEC);

        set_listen(getpid() + 1, "1", "arena-1"); /* another's */
        ck_assert_int_eq(notify_kept_init(&kept), 0);
        ck_assert_int_eq(notify_kept_take(&kept, "arena-1"), -1);
        set_listen(getpid(), "-1", "");
        ck_assert_int_eq(notify_kept_init(&kept), 0);
        ck_assert_uint_eq(kept.n, 0);
        set_listen(getpid(), "2", ""); /* nameless */
        ck_assert_int_eq(notify_kept_init(&kept), 0);
        ck_assert_int_eq(notify_kept_take(&kept, "arena-1"), -1);
        notify_kept_forget(&kept);
}
END_TEST

START_TEST(nobody_wants_to_know) {
        unsetenv("NOTIFY_SOCKET");
        ck_assert_int_eq(notify_send("READY=1"), NOTIFY_E_NOBODY);
        setenv("NOTIFY_SOCKET", "", 1);
        ck_assert_int_eq(notify_send("READY=1"), NOTIFY_E_NOBODY);
}
END_TEST

START_TEST(refuses_what_is_no_address) {
        char name[200];

        setenv("NOTIFY_SOCKET", "relative", 1);
        ck_assert_int_eq(notify_send("READY=1"), NOTIFY_E_SOCKET);
        setenv("NOTIFY_SOCKET", "vsock:2:1234", 1);
        ck_assert_int_eq(notify_send("READY=1"), NOTIFY_E_SOCKET);
        memset(name, 'x', sizeof name);
        name[0] = '/';
        name[sizeof name - 1] = 0;
        setenv("NOTIFY_SOCKET", name, 1);
        ck_assert_int_eq(notify_send("READY=1"), NOTIFY_E_SOCKET);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("notify");
        TCase *tcase = tcase_create("notify");

        tcase_add_test(tcase, tells_a_socket_with_a_path);
        tcase_add_test(tcase, tells_an_abstract_socket);
        tcase_add_test(tcase, has_descriptors_kept);
        tcase_add_test(tcase, finds_what_was_kept);
        tcase_add_test(tcase, nobody_wants_to_know);
        tcase_add_test(tcase, refuses_what_is_no_address);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/notify.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
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
        tcase_add_test(tcase, nobody_wants_to_know);
        tcase_add_test(tcase, refuses_what_is_no_address);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/socket.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[64], path[96];

static void setup(void) {
        strcpy(folder, "/tmp/catena-socket-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/socket", folder);
}

static void teardown(void) {
        unlink(path);
        rmdir(folder);
}

static int connect_to(const char *name) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(address.sun_path, name);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
                return fd;
        close(fd);
        return -1;
}

START_TEST(listens_with_its_mode) {
        struct stat status;
        int fd, client;

        ck_assert_int_eq(socket_listen(&fd, path, 0620, NULL), 0);
        ck_assert_int_eq(stat(path, &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0620);
        ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
        client = connect_to(path);
        ck_assert_int_ge(client, 0);
        close(client);
        close(fd);
}
END_TEST

START_TEST(replaces_a_stale_socket) {
        int fd;

        ck_assert_int_eq(socket_listen(&fd, path, 0600, NULL), 0);
        close(fd);
        ck_assert_int_eq(connect_to(path), -1);
        ck_assert_int_eq(socket_listen(&fd, path, 0600, NULL), 0);
        close(fd);
}
END_TEST

START_TEST(leaves_a_socket_in_use) {
        int fd, second;

        ck_assert_int_eq(socket_listen(&fd, path, 0600, NULL), 0);
        ck_assert_int_eq(socket_listen(&second, path, 0600, NULL), SOCKET_E_IN_USE);
        socket_remove(path);
        ck_assert_int_eq(access(path, F_OK), 0);
        close(fd);
        socket_remove(path);
        ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

START_TEST(leaves_what_is_no_socket) {
        int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600), socket_fd;

        close(fd);
        ck_assert_int_eq(socket_listen(&socket_fd, path, 0600, NULL), SOCKET_E_PATH);
        ck_assert_int_eq(errno, EEXIST);
        socket_remove(path);
        ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(says_why_a_path_is_no_good) {
        char longer[200];
        int fd;

        memset(longer, 'x', sizeof longer);
        longer[sizeof longer - 1] = '\0';
        ck_assert_int_eq(socket_listen(&fd, longer, 0600, NULL), SOCKET_E_PATH);
        ck_assert_int_eq(errno, ENAMETOOLONG);
        ck_assert_int_eq(socket_listen(&fd, "", 0600, NULL), SOCKET_E_PATH);
        ck_assert_int_eq(errno, EINVAL);
        ck_assert_int_eq(socket_listen(&fd, "/nonexistent/socket", 0600, NULL), SOCKET_E_PATH);
        ck_assert_int_eq(errno, ENOENT);
        ck_assert_int_eq(socket_listen(&fd, path, 0600, "no such group"), SOCKET_E_GROUP);
}
END_TEST

/* ---- ports ---- */

START_TEST(takes_numeric_addresses_with_a_port) {
        static const struct {
                const char *address, *host; /* NULL: refused */
                uint16_t port;
        } cases[] = {
                {"127.0.0.1:9465", "127.0.0.1", 9465},
                {":9465", "127.0.0.1", 9465},
                {"localhost:1", "127.0.0.1", 1},
                {"0.0.0.0:65535", "0.0.0.0", 65535},
                {"[::1]:9465", "::1", 9465},
                {"[::]:9465", "::", 9465},
                {"", NULL, 0},
                {":", NULL, 0},
                {"127.0.0.1", NULL, 0},
                {"127.0.0.1:", NULL, 0},
                {"127.0.0.1:0", NULL, 0},
                {"127.0.0.1:65536", NULL, 0},
                {"127.0.0.1:99999999999999999999999", NULL, 0},
                {"127.0.0.1:-1", NULL, 0},
                {"127.0.0.1: 80", NULL, 0},
                {"127.0.0.1:80x", NULL, 0},
                {"127.1:80", NULL, 0},
                {"example.org:80", NULL, 0},
                {"::1:80", NULL, 0},
                {"[::1:80", NULL, 0},
                {"[]:80", NULL, 0},
                {"[:80", NULL, 0},
                {"[127.0.0.1]:80", NULL, 0},
                {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80", NULL, 0},
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct sockaddr_storage parsed;
                const struct sockaddr_in *v4 = (const struct sockaddr_in *)&parsed;
                const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&parsed;
                bool ok = socket_parse_tcp(cases[i].address, &parsed);
                char host[INET6_ADDRSTRLEN];

                ck_assert_msg(ok == !!cases[i].host, "%s", cases[i].address);
                if (!ok)
                        continue;
                if (parsed.ss_family == AF_INET6)
                        inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
                else
                        inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
                ck_assert_str_eq(host, cases[i].host);
                ck_assert_uint_eq(
                        ntohs(parsed.ss_family == AF_INET6 ? v6->sin6_port : v4->sin_port),
                        cases[i].port);
        }
}
END_TEST

START_TEST(listens_on_a_port_unless_somebody_has_it) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof address;
        int held = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, client;
        char port[32];

        ck_assert_int_eq(bind(held, (struct sockaddr *)&address, size), 0);
        ck_assert_int_eq(listen(held, 1), 0);
        ck_assert_int_eq(getsockname(held, (struct sockaddr *)&address, &size), 0);
        snprintf(port, sizeof port, ":%u", ntohs(address.sin_port));
        ck_assert_int_eq(socket_listen_tcp(&fd, port), SOCKET_E_IN_USE);
        ck_assert_int_eq(errno, EADDRINUSE);
        close(held);
        ck_assert_int_eq(socket_listen_tcp(&fd, port), 0);
        ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
        client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(client, (struct sockaddr *)&address, size), 0);
        close(client);
        close(fd);
        ck_assert_int_eq(socket_listen_tcp(&fd, "nowhere"), SOCKET_E_PATH);
        ck_assert_int_eq(errno, EINVAL);
        ck_assert_int_eq(socket_listen_tcp(&fd, "192.0.2.1:9465"), SOCKET_E_PATH);
        ck_assert_int_eq(errno, EADDRNOTAVAIL);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("socket");
        TCase *tcase = tcase_create("socket");

        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, listens_with_its_mode);
        tcase_add_test(tcase, replaces_a_stale_socket);
        tcase_add_test(tcase, leaves_a_socket_in_use);
        tcase_add_test(tcase, leaves_what_is_no_socket);
        tcase_add_test(tcase, says_why_a_path_is_no_good);
        tcase_add_test(tcase, takes_numeric_addresses_with_a_port);
        tcase_add_test(tcase, listens_on_a_port_unless_somebody_has_it);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

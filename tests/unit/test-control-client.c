/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/control-client.h"
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* A process that answers one request with a given text, whatever it says. */

static char folder[64], path[sizeof((struct sockaddr_un){0}.sun_path)];
static int listener;
static pid_t server;

static void set_up(void) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        strcpy(folder, "/tmp/test-control-client-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/control.sock", folder);
        memcpy(address.sun_path, path, sizeof path);
        listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
        ck_assert_int_eq(listen(listener, 4), 0);
}

static void tear_down(void) {
        unlink(path);
        rmdir(folder);
        close(listener);
}

static void serve(const char *answer, bool then_waits) {
        char data[4096];
        int fd;

        server = fork();
        if (server)
                return;
        fd = accept(listener, NULL, NULL);
        if (read(fd, data, sizeof data) <= 0 || write(fd, answer, strlen(answer)) < 0)
                _exit(1);
        if (then_waits)
                while (read(fd, data, sizeof data) > 0)
                        ;
        _exit(0);
}

static int ask(ControlClientAnswer *answer, uint64_t timeout_ns) {
        return control_client_ask(answer, path, "GET", "/v1/status", timeout_ns);
}

static const uint64_t long_ns = 60000000000;

START_TEST(gives_the_answer) {
        ControlClientAnswer answer;

        serve("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello", true);
        ck_assert_int_eq(ask(&answer, long_ns), 0);
        ck_assert_uint_eq(answer.status, 404);
        ck_assert_uint_eq(answer.body.size, 5);
        ck_assert_mem_eq(answer.body.data, "hello", 5);
        buffer_deinit(&answer.body);
        waitpid(server, NULL, 0);
}
END_TEST

START_TEST(an_answer_may_end_with_the_connection) {
        ControlClientAnswer answer;

        serve("HTTP/1.1 200 OK\r\n\r\nhello", false);
        ck_assert_int_eq(ask(&answer, long_ns), 0);
        ck_assert_uint_eq(answer.body.size, 5);
        buffer_deinit(&answer.body);
        waitpid(server, NULL, 0);
}
END_TEST

START_TEST(bad_answers_are_told_apart) {
        ControlClientAnswer answer;

        serve("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", false);
        ck_assert_int_eq(ask(&answer, long_ns), CONTROL_CLIENT_E_BROKEN);
        waitpid(server, NULL, 0);
        serve("", false);
        ck_assert_int_eq(ask(&answer, long_ns), CONTROL_CLIENT_E_BROKEN);
        waitpid(server, NULL, 0);
        serve("SSH-2.0-OpenSSH\r\n", true);
        ck_assert_int_eq(ask(&answer, long_ns), CONTROL_CLIENT_E_MALFORMED);
        waitpid(server, NULL, 0);
        serve("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", true);
        ck_assert_int_eq(ask(&answer, 20000000), CONTROL_CLIENT_E_TIMEOUT);
        waitpid(server, NULL, 0);
}
END_TEST

static int first_line(void *user, Buffer *body) {
        const uint8_t *newline = body->size ? memchr(body->data, '\n', body->size) : NULL;

        if (!newline)
                return 0;
        strncat(user, (const char *)body->data, (size_t)(newline - body->data));
        buffer_consume(body, (size_t)(newline + 1 - body->data));
        return strstr(user, "enough") ? 1000 : 0;
}

START_TEST(gives_a_stream_as_it_comes) {
        static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        static const struct {
                const char *body;
                int r;
                const char *heard;
        } cases[] = {
                {"4\r\none\n\r\n0\r\n\r\n", 0, "one"},
                {"4\r\none\n\r\n", CONTROL_CLIENT_E_BROKEN, "one"},
                {"2\r\non\r\n", CONTROL_CLIENT_E_BROKEN, ""},
                {"7\r\nenough\n\r\n4\r\none\n\r\n", 1000, "enough"},
                {"nonsense\r\n", CONTROL_CLIENT_E_MALFORMED, ""},
        };
        ControlClientAnswer answer = {0};
        char text[256], heard[64] = "";

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                snprintf(text, sizeof text, "%s%s", head, cases[i].body);
                *heard = '\0';
                serve(text, false);
                ck_assert_int_eq(control_client_stream(&answer, path, "/", first_line, heard, -1),
                                 cases[i].r);
                ck_assert_str_eq(heard, cases[i].heard);
                waitpid(server, NULL, 0);
        }
        buffer_deinit(&answer.body);
        serve("HTTP/1.1 503 Busy\r\nContent-Length: 5\r\n\r\nbusy\n", false);
        ck_assert_int_eq(control_client_stream(&answer, path, "/", first_line, heard, -1), 0);
        ck_assert_uint_eq(answer.status, 503);
        ck_assert_mem_eq(answer.body.data, "busy\n", 5);
        buffer_deinit(&answer.body);
        waitpid(server, NULL, 0);
}
END_TEST

START_TEST(a_stream_that_nobody_reads_ends) {
        ControlClientAnswer answer = {0};
        char heard[64] = "";
        int fds[2];

        ck_assert_int_eq(pipe(fds), 0);
        close(fds[0]);
        serve("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n", true);
        ck_assert_int_eq(control_client_stream(&answer, path, "/", first_line, heard, fds[1]),
                         CONTROL_CLIENT_E_UNREAD);
        close(fds[1]);
        waitpid(server, NULL, 0);
}
END_TEST

START_TEST(says_why_nobody_answers) {
        ControlClientAnswer answer;
        char too_long[200];

        close(listener);
        ck_assert_int_eq(ask(&answer, long_ns), CONTROL_CLIENT_E_NO_DAEMON);
        ck_assert_int_eq(control_client_ask(&answer, "/no/such/socket", "GET", "/", long_ns),
                         CONTROL_CLIENT_E_NO_DAEMON);
        memset(too_long, 'x', sizeof too_long - 1);
        too_long[sizeof too_long - 1] = '\0';
        ck_assert_int_eq(control_client_ask(&answer, too_long, "GET", "/", long_ns),
                         CONTROL_CLIENT_E_PATH);
}
END_TEST

/* In a child: root may do everything. */
START_TEST(says_when_it_is_not_permitted) {
        ControlClientAnswer answer;
        int status;
        pid_t pid;

        chmod(path, 0600);
        chmod(folder, 0711);
        pid = fork();
        if (!pid) {
                if (!getuid() && setuid(65534))
                        _exit(2);
                if (geteuid() == 65534)
                        _exit(ask(&answer, long_ns) != CONTROL_CLIENT_E_REFUSED);
                chmod(path, 0);
                _exit(ask(&answer, long_ns) != CONTROL_CLIENT_E_REFUSED);
        }
        waitpid(pid, &status, 0);
        ck_assert_int_eq(status, 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("control-client");
        TCase *tcase = tcase_create("control-client");

        tcase_add_checked_fixture(tcase, set_up, tear_down);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, gives_the_answer);
        tcase_add_test(tcase, an_answer_may_end_with_the_connection);
        tcase_add_test(tcase, bad_answers_are_told_apart);
        tcase_add_test(tcase, gives_a_stream_as_it_comes);
        tcase_add_test(tcase, a_stream_that_nobody_reads_ends);
        tcase_add_test(tcase, says_why_nobody_answers);
        tcase_add_test(tcase, says_when_it_is_not_permitted);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

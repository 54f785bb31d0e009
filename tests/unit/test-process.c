/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/process.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIELDS_3_TO_21 "S 1 2 2 0 -1 4194560 3 0 0 0 4 5 0 0 20 0 1 0"

static bool parse(uint64_t *startp, const char *text) {
        return process_parse_stat(startp, text, strlen(text));
}

START_TEST(reads_the_start_time) {
        uint64_t start;

        ck_assert(parse(&start, "7 (cat) " FIELDS_3_TO_21 " 98765 1 2 3\n"));
        ck_assert_uint_eq(start, 98765);
        ck_assert(parse(&start, "7 (cat) " FIELDS_3_TO_21 " 18446744073709551615"));
        ck_assert_uint_eq(start, UINT64_MAX);
}
END_TEST

START_TEST(survives_any_name) {
        static const char *const names[] = {") S 1 2 3", "a) b (c", "", " ", "(((", ")))", "\n"};
        uint64_t start;
        char text[200];

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                snprintf(text, sizeof text, "7 (%s) " FIELDS_3_TO_21 " %zu 1\n", names[i], i);
                ck_assert(parse(&start, text));
                ck_assert_uint_eq(start, i);
        }
}
END_TEST

START_TEST(refuses_what_is_no_stat) {
        static const char whole[] = "7 (cat) " FIELDS_3_TO_21 " 98765 1";
        uint64_t start = 4711;

        for (size_t size = 0; size <= strlen("7 (cat) " FIELDS_3_TO_21 " "); size++)
                ck_assert(!process_parse_stat(&start, whole, size));
        ck_assert(!parse(&start, "7 cat " FIELDS_3_TO_21 " 98765"));
        ck_assert(!parse(&start, "7 (cat) " FIELDS_3_TO_21 " x"));
        ck_assert(!parse(&start, "7 (cat) " FIELDS_3_TO_21 " 18446744073709551616"));
        ck_assert_uint_eq(start, 4711);
}
END_TEST

START_TEST(knows_a_process_from_a_later_one) {
        SessionCredentials self;
        int pidfd, sockets[2], status;
        pid_t child;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
        ck_assert_int_eq(process_of_connection(&self, &pidfd, sockets[0]), 0);
        ck_assert_uint_eq(self.pid, (uint32_t)getpid());
        ck_assert_uint_eq(self.uid, getuid());
        ck_assert_uint_eq(self.gid, getgid());
        ck_assert_uint_ne(self.process_start, 0);
        ck_assert_int_ge(pidfd, 0);
        close(pidfd);
        pidfd = process_open(&self);
        ck_assert_int_ge(pidfd, 0);
        close(pidfd);
        self.process_start++;
        ck_assert_int_eq(process_open(&self), -1);
        self.process_start = 0;
        ck_assert_int_eq(process_open(&self), -1);

        child = fork();
        if (child == 0)
                _exit(0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        self.pid = (uint32_t)child;
        self.process_start = 1;
        ck_assert_int_eq(process_open(&self), -1);
        close(sockets[0]);
        close(sockets[1]);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("process");
        TCase *tcase = tcase_create("process");

        tcase_add_test(tcase, reads_the_start_time);
        tcase_add_test(tcase, survives_any_name);
        tcase_add_test(tcase, refuses_what_is_no_stat);
        tcase_add_test(tcase, knows_a_process_from_a_later_one);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

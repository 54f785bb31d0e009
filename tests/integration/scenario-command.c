/* SPDX-License-Identifier: Apache-2.0 */

/* The command with a daemon: its own, which --local starts, asked from inside. */

#include "tests/unit/shell.h"
#include "tests/unit/unit.h"

#include <string.h>
#include <unistd.h>

enum { TEST_S = 180 };

static void set_up(void) {
        unsetenv("CATENA_SOCKET");
        unsetenv("CATENA_CONTROL");
        unsetenv("TRACEPARENT");
        unsetenv("TRACESTATE");
        unsetenv("BAGGAGE");
}

static void prints(const char *text) {
        ck_assert_msg(strstr(shell_output, text), "no \"%s\" in:\n%s", text, shell_output);
}

static void prints_not(const char *text) {
        ck_assert_msg(!strstr(shell_output, text), "\"%s\" in:\n%s", text, shell_output);
}

START_TEST(local_draws_the_chain_of_all_processes) {
        ck_assert_int_eq(shell("$C exec --local --name job --attr a=b -- sh -c "
                               "'echo hello | $C exec cat; $C exec sh -c \"exit 3\"'"),
                         3);
        ck_assert_ptr_eq(strstr(shell_output, "hello\n\nchain "), shell_output);
        prints("3 processes · 3 spans · 2 errors");
        prints("\n◆ ✗ job  sh[");
        prints("\n├─ ◆ cat [");
        prints("\n└─ ◆ ✗ sh [");
        prints("\n       exit status 3\n");
        prints_not("open");
}
END_TEST

START_TEST(local_leaves_nothing) {
        char *end;

        ck_assert_int_eq(shell("$C exec --local printenv CATENA_SOCKET 2>/dev/null"), 0);
        end = strstr(shell_output, "/catena.sock\n");
        ck_assert_ptr_nonnull(end);
        *end = '\0';
        ck_assert_int_ne(access(shell_output, F_OK), 0);
}
END_TEST

START_TEST(local_leaves_nothing_when_it_is_told_to_end) {
        char *end;

        ck_assert_int_eq(shell("$C exec --local -- sh -c "
                               "'echo $CATENA_SOCKET; kill -TERM $PPID; exec sleep 1000'"),
                         143);
        prints("killed by SIGTERM");
        end = strstr(shell_output, "/catena.sock\n");
        ck_assert_ptr_nonnull(end);
        *end = '\0';
        ck_assert_int_ne(access(shell_output, F_OK), 0);
}
END_TEST

START_TEST(local_prints_json) {
        ck_assert_int_eq(shell("$C exec --local --json --name job true | head -c 22"), 0);
        ck_assert_str_eq(shell_output, "{\"v\":1,\"chain\":{\"id\":\"");
        ck_assert_int_eq(shell("$C exec --local --json true 2>/dev/null | wc -l"), 0);
        ck_assert_int_eq(atoi(shell_output), 1);
}
END_TEST

START_TEST(many_at_once_have_a_daemon_each) {
        ck_assert_int_eq(
                shell("for i in 1 2 3 4; do $C exec --local --name job$i true & done; wait"), 0);
        for (size_t i = 1; i <= 4; i++)
                prints(((const char *[]){"◆ job1 ", "◆ job2 ", "◆ job3 ", "◆ job4 "})[i - 1]);
}
END_TEST

START_TEST(a_killed_program_is_drawn_as_killed) {
        ck_assert_int_eq(shell("$C exec --local sh -c 'kill -KILL $$'"), 137);
        prints("killed by SIGKILL");
}
END_TEST

/* The traced process itself is gone, and with it the one who would have ended its span. */
START_TEST(a_span_ends_with_its_process) {
        ck_assert_int_eq(shell("$C exec --local -- sh -c "
                               "'$C exec sh -c \"kill -KILL \\$PPID\"; exit 0'"),
                         0);
        prints("2 processes · 2 spans · 1 error");
        prints("process exited");
        prints_not("open");
}
END_TEST

START_TEST(questions_are_answered) {
        ck_assert_int_eq(shell("$C exec --local -- sh -c '$C flush'"), 0);
        prints("all is journaled\n");
        ck_assert_int_eq(shell("$C exec --local -- sh -c '$C flush --delivered --json'"), 0);
        prints("\"reached\":true");
        ck_assert_int_eq(shell("$C exec --local -- sh -c '$C exec true; $C flush; $C status'"), 0);
        prints("spans     2 accepted: ");
        prints(" 1 open, ");
        prints("CLIENT");
        ck_assert_int_eq(shell("$C exec --local -- sh -c '$C status --watch --json | head -n 2'"
                               " 2>/dev/null | grep -c conservation"),
                         0);
        prints("2\n");
        ck_assert_int_eq(shell("$C exec --local --name job -- sh -c '$C chains'"), 0);
        prints("CHAIN");
        prints("  running  ");
        ck_assert_int_eq(shell("$C exec --local --name job -- sh -c "
                               "'$C flush; $C chain $(echo $TRACEPARENT | cut -d- -f2)'"),
                         0);
        prints("◆ job  sh[");
        prints("open");
        ck_assert_int_eq(shell("$C exec --local --name job -- sh -c '$C flush;"
                               "$C chain --dot $(echo $TRACEPARENT | cut -d- -f3)'"),
                         0);
        prints("digraph chain {\n");
        prints("[label=\"job\\nsh[");
        ck_assert_int_eq(shell("$C exec --local -- sh -c '$C chain no-such-chain'"), 1);
        prints("catena: no chain has that id in it\n");
}
END_TEST

START_TEST(lists_are_narrowed) {
        ck_assert_int_eq(shell("$C exec --local --name job -- sh -c '"
                               "$C exec --name good true; $C exec --name bad false; $C flush; "
                               "$C chains; $C chains --errors --running --service sh; "
                               "$C chains --workflow none; $C chains --limit 20000'"),
                         2);
        prints("catena: limit: a number up to 10000\n");
        ck_assert_int_eq(shell("$C exec --local --name job -- sh -c '$C flush; $C ps'"), 0);
        prints("OPEN FOR  SERVICE");
        prints("  sh ");
        prints("  job\n");
        ck_assert_int_eq(shell("$C exec --local --name job -- sh -c '"
                               "$C ps --name none --json; $C ps --service sh --json | wc -l'"),
                         0);
        prints("1\n");
        prints_not("spanId");
}
END_TEST

START_TEST(spans_are_printed_as_they_end) {
        ck_assert_int_eq(shell("$C exec --local --name job -- sh -c '"
                               "$C tail --limit 2 --service false & "
                               "until $C status --json | grep -q \"readers\\\":1\"; do :; done; "
                               "$C exec true; $C exec --name one false; $C exec false; wait'"),
                         0);
        prints("  false[");
        prints("]  ");
        prints("✗ one: exit status 1\n");
        prints("✗ false: exit status 1\n");
        ck_assert_int_eq(shell("$C exec --local --name job -- sh -c '"
                               "$C exec true; $C flush; $C tail --since 1h --limit 1'"),
                         0);
        prints("  true[");
        prints("  true\n");
        ck_assert_int_eq(shell("$C exec --local --name job -- sh -c '"
                               "$C tail --limit 1 --json --name true & "
                               "until $C status --json | grep -q \"readers\\\":1\"; do :; done; "
                               "$C exec true; wait' 2>/dev/null"),
                         0);
        ck_assert_ptr_eq(strstr(shell_output, "{\"v\":1,\"traceId\":\""), shell_output);
        ck_assert_ptr_eq(strchr(shell_output, '\n') + 1, shell_output + strlen(shell_output));
}
END_TEST

START_TEST(the_demo_shows_what_happened) {
        ck_assert_int_eq(shell("$C demo"), 0);
        prints("7 processes · 12 spans · 4 errors");
        prints("◆ report  demo[");
        prints("◇ counted");
        prints("◆ ✗ upload  demo[");
        prints("process exited");
        prints("exit status 3");
        prints_not("open");
        ck_assert_int_eq(shell("$C demo --json | head -c 16"), 0);
        ck_assert_str_eq(shell_output, "{\"v\":1,\"chain\":{");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("scenario-command");
        TCase *tcase = tcase_create("scenario-command");

        tcase_add_checked_fixture(tcase, set_up, NULL);
        tcase_set_timeout(tcase, TEST_S);
        tcase_add_test(tcase, local_draws_the_chain_of_all_processes);
        tcase_add_test(tcase, local_leaves_nothing);
        tcase_add_test(tcase, local_leaves_nothing_when_it_is_told_to_end);
        tcase_add_test(tcase, local_prints_json);
        tcase_add_test(tcase, many_at_once_have_a_daemon_each);
        tcase_add_test(tcase, a_killed_program_is_drawn_as_killed);
        tcase_add_test(tcase, a_span_ends_with_its_process);
        tcase_add_test(tcase, questions_are_answered);
        tcase_add_test(tcase, lists_are_narrowed);
        tcase_add_test(tcase, spans_are_printed_as_they_end);
        tcase_add_test(tcase, the_demo_shows_what_happened);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

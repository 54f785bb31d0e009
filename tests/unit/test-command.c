/* SPDX-License-Identifier: Apache-2.0 */

/* The command as it is built, run by a shell, where no daemon is. */

#include "tests/unit/shell.h"
#include "tests/unit/unit.h"

#include <stdbool.h>
#include <string.h>

#define COMPLETIONS UNIT_GOLDEN "/../../lib/cli"

static void set_up(void) {
        setenv("CATENA_SOCKET", "/nonexistent/catena.sock", 1);
        setenv("CATENA_CONTROL", "/nonexistent/control.sock", 1);
        unsetenv("TRACEPARENT");
        unsetenv("TRACESTATE");
        unsetenv("BAGGAGE");
}

START_TEST(exits_as_the_program_does) {
        ck_assert_int_eq(shell("$C exec true"), 0);
        ck_assert_int_eq(shell("$C exec -- sh -c 'exit 7'"), 7);
        ck_assert_int_eq(shell("$C exec sh -c 'kill -KILL $$'"), 137);
        ck_assert_int_eq(shell("$C exec sh -c 'kill -TERM $$'"), 143);
        ck_assert_str_eq(shell_output, "");
}
END_TEST

START_TEST(says_why_a_program_does_not_run) {
        ck_assert_int_eq(shell("$C exec no-such-program-anywhere"), 127);
        ck_assert_str_eq(shell_output,
                         "catena: no-such-program-anywhere: No such file or directory\n");
        ck_assert_int_eq(shell("$C exec /"), 126);
        ck_assert_str_eq(shell_output, "catena: /: Permission denied\n");
}
END_TEST

START_TEST(hands_everything_through) {
        ck_assert_int_eq(shell("echo hello | $C exec --name x cat - ; echo $?"), 0);
        ck_assert_str_eq(shell_output, "hello\n0\n");
        ck_assert_int_eq(shell("$C exec printf '%s|' --name x -- --help"), 0);
        ck_assert_str_eq(shell_output, "--name|x|--|--help|");
        ck_assert_int_eq(
                shell("A=b $C exec sh -c 'echo $A $CATENA_SOCKET; cat <&5' 5<<X\nhere\nX\n"), 0);
        ck_assert_str_eq(shell_output, "b /nonexistent/catena.sock\nhere\n");
}
END_TEST

START_TEST(programs_find_the_trace) {
        char outer[64], inner[64];

        ck_assert_int_eq(
                shell("$C exec sh -c 'echo $TRACEPARENT; exec $C exec printenv TRACEPARENT'"), 0);
        ck_assert_int_eq(sscanf(shell_output, "%63s %63s", outer, inner), 2);
        ck_assert_uint_eq(strlen(outer), 55);
        ck_assert_uint_eq(strlen(inner), 55);
        ck_assert_mem_eq(outer, inner, 35);
        ck_assert_mem_ne(outer + 36, inner + 36, 16);
        ck_assert_int_eq(
                shell("TRACEPARENT=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 "
                      "$C exec printenv TRACEPARENT"),
                0);
        ck_assert_ptr_nonnull(strstr(shell_output, "00-4bf92f3577b34da6a3ce929d0e0e4736-"));
        ck_assert_int_eq(shell("TRACEPARENT=rubbish $C exec printenv TRACEPARENT"), 0);
        ck_assert_uint_eq(strlen(shell_output), 56);
        ck_assert_int_eq(shell("$C exec printenv BAGGAGE"), 0);
        ck_assert_ptr_nonnull(strstr(shell_output, "workflow.correlation_id="));
}
END_TEST

START_TEST(bad_usage_is_told) {
        static const struct {
                const char *script, *says;
        } cases[] = {
                {"$C", "catena: a command is missing\n"},
                {"$C stauts", "catena: unknown command stauts; did you mean status?\n"},
                {"$C --sokcet x status",
                 "catena: unknown option --sokcet; did you mean --socket?\n"},
                {"$C status now", "catena status: too many words\n"},
                {"$C chain", "catena chain: ID is missing\n"},
                {"$C exec", "catena exec: PROGRAM is missing\n"},
                {"$C exec --", "catena exec: PROGRAM is missing\n"},
                {"$C exec --attr colour true", "catena exec: --attr is followed by KEY=VALUE\n"},
                {"$C flush --timeout 5", "catena flush: --timeout 5 is no time"},
                {"$C chain --dot --json x", "catena chain: --json and --dot exclude each other\n"},
                {"$C span start --json --export x",
                 "catena span start: --json and --export exclude each other\n"},
                {"$C chains --limit few", "catena chains: --limit few is no number\n"},
                {"$C chains --runing",
                 "catena chains: unknown option --runing; did you mean --running?\n"},
                {"$C ps --min=soon", "catena ps: --min soon is no time"},
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                ck_assert_int_eq(shell(cases[i].script), 2);
                ck_assert_msg(!strncmp(shell_output, cases[i].says, strlen(cases[i].says)),
                              "%s: %s", cases[i].script, shell_output);
        }
}
END_TEST

START_TEST(without_a_daemon_questions_fail) {
        static const char *const scripts[] = {"$C status",
                                              "$C chains",
                                              "$C chain x",
                                              "$C flush",
                                              "$C ps",
                                              "$C tail",
                                              "$C status --socket /dev/null"};

        for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
                ck_assert_int_eq(shell(scripts[i]), 3);
                ck_assert_ptr_eq(strstr(shell_output, "catena: no daemon at /"), shell_output);
        }
}
END_TEST

static bool is_traceparent(const char *text) {
        return strlen(text) >= 55 && !strncmp(text, "00-", 3) && text[35] == '-' && text[52] == '-';
}

START_TEST(a_span_without_a_daemon_is_passed_on) {
        char outer[64], inner[64];

        ck_assert_int_eq(shell("$C span start backup 2>/dev/null"), 3);
        ck_assert(is_traceparent(shell_output));
        ck_assert_int_eq(shell("export TRACEPARENT=$($C span start outer 2>/dev/null); "
                               "echo $TRACEPARENT; $C span start inner 2>/dev/null"),
                         3);
        ck_assert_int_eq(sscanf(shell_output, "%63s %63s", outer, inner), 2);
        ck_assert(is_traceparent(outer) && is_traceparent(inner));
        ck_assert_mem_eq(outer, inner, 35); /* one trace, … */
        ck_assert_mem_ne(outer + 36, inner + 36, 16);
        ck_assert_int_eq(shell("$C span end "
                               "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                         3);
        ck_assert_str_eq(shell_output, "catena: no daemon is there to be told\n");
        /* … of which nothing is recorded */
        ck_assert_int_eq(shell("$C span end "
                               "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),
                         0);
        ck_assert_int_eq(shell("OTEL_SDK_DISABLED=true $C span start backup"), 0);
        ck_assert_str_eq(shell_output, "\n");
}
END_TEST

START_TEST(a_span_exports_what_a_shell_needs) {
        ck_assert_int_eq(
                shell("export TRACEPARENT=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01;"
                      "export TRACESTATE=\"a=it's\" BAGGAGE='k=it%27s,workflow.id=w%20x';"
                      "eval \"$($C span start --export backup 2>/dev/null)\";"
                      "printenv TRACEPARENT TRACESTATE BAGGAGE"),
                0);
        ck_assert(is_traceparent(shell_output));
        ck_assert_ptr_nonnull(strstr(shell_output, "\na=it's\n"));
        ck_assert_ptr_nonnull(strstr(shell_output, "\nworkflow.id=w%20x,workflow.correlation_id="));
        ck_assert_ptr_nonnull(strstr(shell_output, ",k=it%27s\n"));
        ck_assert_int_eq(shell("TRACESTATE=a=b $C span start --export backup 2>/dev/null"), 3);
        ck_assert_ptr_nonnull(strstr(shell_output, "\nunset TRACESTATE\nexport BAGGAGE='"));
}
END_TEST

START_TEST(a_span_that_is_told_wrong_says_so) {
        static const char *const scripts[][2] = {
                {"$C span", "Usage: catena span ACTION"},
                {"$C span begin", "catena span: unknown action begin\n"},
                {"$C span start", "catena span start: NAME is missing"},
                {"$C span start a b", "catena span start: too many words"},
                {"$C span start --kind red a", "catena span start: --kind is internal, server"},
                {"$C span start --attr a b", "catena span start: --attr is followed by KEY=VALUE"},
                {"$C span event x", "catena span event: NAME is missing"},
                {"$C span set", "catena span set: TRACEPARENT is missing"},
                {"$C span set x", "catena: the first word is the span's TRACEPARENT"},
                {"$C span end ''", "catena: the first word is the span's TRACEPARENT"},
                {"$C log", "catena log: MESSAGE is missing"},
                {"$C log --severity loud x", "catena log: --severity is trace, debug, info"},
                {"$C span end x --eror y", "catena span end: unknown option --eror; did you mean"},
        };

        for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
                ck_assert_int_eq(shell(scripts[i][0]), 2);
                ck_assert_msg(strstr(shell_output, scripts[i][1]) == shell_output, "%s\n%s",
                              scripts[i][0], shell_output);
        }
}
END_TEST

/* A shell asks the help, so that it knows what the command knows. */
START_TEST(bash_completes_what_the_help_tells) {
        ck_assert_int_eq(shell("bash -c '. \"$0\"; PATH=${C%/*}:$PATH; try() {"
                               "  COMP_WORDS=(catena \"$@\"); COMP_CWORD=$#; COMPREPLY=();"
                               "  _catena catena \"${!#}\"; echo \"${COMPREPLY[*]}\"; };"
                               "try st; try --socket x fl; try span s; try span start --k;"
                               "try exec --n; try nothing x; try exec --name x printen'"
                               " " COMPLETIONS "/completion.bash"),
                         0);
        ck_assert_str_eq(shell_output, "status\nflush\nstart set\n--kind\n--name\n\nprintenv\n");
}
END_TEST

START_TEST(completions_are_scripts) {
        static const char *const shells[] = {"bash", "fish", "zsh"};
        char script[256];

        for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
                snprintf(script, sizeof script,
                         "! command -v %s >/dev/null || %s -n " COMPLETIONS "/completion.%s",
                         shells[i], shells[i], shells[i]);
                ck_assert_int_eq(shell(script), 0);
                ck_assert_str_eq(shell_output, "");
        }
}
END_TEST

START_TEST(help_fits_a_screen) {
        static const char *const scripts[] = {
                "$C --help",      "$C exec --help",  "$C status -h",     "$C chains --help",
                "$C chain x -h",  "$C flush --help", "$C demo --help",   "$C --help exec",
                "$C ps --help",   "$C span --help",  "$C span start -h", "$C span event -h",
                "$C span set -h", "$C span end -h",  "$C log --help",    "$C tail --help",
        };

        for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
                size_t n_lines = 0, width = 0;

                ck_assert_int_eq(shell(scripts[i]), 0);
                ck_assert_ptr_eq(strstr(shell_output, "Usage: catena"), shell_output);
                for (const char *p = shell_output; *p; p++) {
                        n_lines += *p == '\n';
                        width = *p == '\n' ? 0 : width + 1;
                        ck_assert_uint_le(width, 82);
                }
                ck_assert_uint_le(n_lines, 24);
        }
        ck_assert_int_eq(shell("$C --version"), 0);
        ck_assert_str_eq(shell_output, "catena " CATENA_VERSION "\n");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("command");
        TCase *tcase = tcase_create("command");

        tcase_add_checked_fixture(tcase, set_up, NULL);
        tcase_set_timeout(tcase, 60);
        tcase_add_test(tcase, exits_as_the_program_does);
        tcase_add_test(tcase, says_why_a_program_does_not_run);
        tcase_add_test(tcase, hands_everything_through);
        tcase_add_test(tcase, programs_find_the_trace);
        tcase_add_test(tcase, a_span_without_a_daemon_is_passed_on);
        tcase_add_test(tcase, a_span_exports_what_a_shell_needs);
        tcase_add_test(tcase, a_span_that_is_told_wrong_says_so);
        tcase_add_test(tcase, bad_usage_is_told);
        tcase_add_test(tcase, without_a_daemon_questions_fail);
        tcase_add_test(tcase, bash_completes_what_the_help_tells);
        tcase_add_test(tcase, completions_are_scripts);
        tcase_add_test(tcase, help_fits_a_screen);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

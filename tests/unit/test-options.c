/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/options.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

typedef struct Target {
        bool local;
        const char *name;
        OptionsList attributes;
        uint64_t timeout_ns;
} Target;

static const Option options[] = {
        {"--local", NULL, "", OPTION_FLAG, offsetof(Target, local)},
        {"--name", "N", "", OPTION_TEXT, offsetof(Target, name)},
        {"--attr", "K=V", "", OPTION_LIST, offsetof(Target, attributes)},
        {"--timeout", "T", "", OPTION_DURATION, offsetof(Target, timeout_ns)},
        {0},
};

enum { WORDS_MAX = 200 };

static Target target;
static char problem[OPTIONS_PROBLEM_MAX];
static char *words[WORDS_MAX];
static size_t n_words;

/* Reads a line, split at spaces. */
static int reads(const char *line, bool stop_at_word) {
        static char text[4096];
        size_t n = 0;

        snprintf(text, sizeof text, "%s", line);
        for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
                words[n++] = word;
        words[n] = NULL;
        target = (Target){0};
        return options_read(&n_words, &target, problem, options, words, stop_at_word);
}

START_TEST(reads_values_of_each_type) {
        ck_assert_int_eq(reads("--local --name pay --attr a=1 --attr=b=2 --timeout 5s", false), 0);
        ck_assert(target.local);
        ck_assert_str_eq(target.name, "pay");
        ck_assert_uint_eq(target.attributes.n, 2);
        ck_assert_str_eq(target.attributes.values[0], "a=1");
        ck_assert_str_eq(target.attributes.values[1], "b=2");
        ck_assert_uint_eq(target.timeout_ns, 5000000000);
        ck_assert_uint_eq(n_words, 0);
        ck_assert_int_eq(reads("--name=", false), 0);
        ck_assert_str_eq(target.name, "");
}
END_TEST

START_TEST(words_come_to_the_front) {
        ck_assert_int_eq(reads("one --local two - --name x three", false), 0);
        ck_assert_uint_eq(n_words, 4);
        ck_assert_str_eq(words[0], "one");
        ck_assert_str_eq(words[1], "two");
        ck_assert_str_eq(words[2], "-");
        ck_assert_str_eq(words[3], "three");
        ck_assert_ptr_null(words[4]);
}
END_TEST

START_TEST(what_follows_the_first_word_belongs_to_it) {
        ck_assert_int_eq(reads("--local make --name x -- y", true), 0);
        ck_assert_uint_eq(n_words, 5);
        ck_assert_str_eq(words[1], "--name");
        ck_assert_str_eq(words[3], "--");
        ck_assert_ptr_null(target.name);
        ck_assert_int_eq(reads("--local -- --name x", true), 0);
        ck_assert_uint_eq(n_words, 2);
        ck_assert_str_eq(words[0], "--name");
}
END_TEST

START_TEST(problems_are_told) {
        static const struct {
                const char *line, *problem;
        } cases[] = {
                {"--nmae x", "unknown option --nmae; did you mean --name?"},
                {"--frobnicate", "unknown option --frobnicate"},
                {"-x", "unknown option -x"},
                {"--local=yes", "no value belongs to --local"},
                {"a --name", "a value is missing after --name"},
                {"--timeout 5", "--timeout 5 is no time; write 500ms, 5s, 2m or 1h"},
                {"--\033[31m", "unknown option --\\x1b[31m"},
        };

        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                ck_assert_int_eq(reads(cases[i].line, false), OPTIONS_E_USAGE);
                ck_assert_str_eq(problem, cases[i].problem);
        }
}
END_TEST

START_TEST(a_list_is_bounded) {
        char line[4096] = "";

        for (size_t i = 0; i < OPTIONS_LIST_MAX; i++)
                strcat(line, "--attr=a=1 ");
        ck_assert_int_eq(reads(line, false), 0);
        ck_assert_uint_eq(target.attributes.n, OPTIONS_LIST_MAX);
        strcat(line, "--attr=a=1");
        ck_assert_int_eq(reads(line, false), OPTIONS_E_USAGE);
        ck_assert_str_eq(problem, "too many of --attr");
}
END_TEST

int main(void) {
        Suite *suite = suite_create("options");
        TCase *tcase = tcase_create("options");

        tcase_add_test(tcase, reads_values_of_each_type);
        tcase_add_test(tcase, words_come_to_the_front);
        tcase_add_test(tcase, what_follows_the_first_word_belongs_to_it);
        tcase_add_test(tcase, problems_are_told);
        tcase_add_test(tcase, a_list_is_bounded);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

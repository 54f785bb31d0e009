/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/options.h"

#include "daemon/base/duration.h"
#include "lib/cli/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 16 };

static int options_problem(char problem[OPTIONS_PROBLEM_MAX], const char *text, const char *word,
                           const char *more) {
        char shown[OPTIONS_PROBLEM_MAX / 2] = "";
        FILE *out = fmemopen(shown, sizeof shown - 1, "w");

        if (out) {
                text_print(out, word, 60);
                fclose(out);
        }
        snprintf(problem, OPTIONS_PROBLEM_MAX, "%s %s%s", text, shown, more);
        return OPTIONS_E_USAGE;
}

static int options_unknown(char problem[OPTIONS_PROBLEM_MAX], const Option *options,
                           const char *word) {
        const char *names[OPTIONS_MAX + 1] = {NULL}, *nearest;
        char more[64] = "";

        for (size_t i = 0; i < OPTIONS_MAX && options[i].name; i++)
                names[i] = options[i].name;
        nearest = text_nearest(word, names);
        if (nearest)
                snprintf(more, sizeof more, "; did you mean %s?", nearest);
        return options_problem(problem, "unknown option", word, more);
}

static bool options_read_number(uint64_t *numberp, const char *value) {
        uint64_t number;
        char *end;

        errno = 0;
        number = strtoull(value, &end, 10);
        if (errno || *end || *value < '0' || *value > '9')
                return false;
        *numberp = number;
        return true;
}

static int options_set(void *target, char problem[OPTIONS_PROBLEM_MAX], const Option *option,
                       const char *value) {
        void *member = (char *)target + option->offset;
        OptionsList *list = member;

        switch (option->type) {
        case OPTION_FLAG:
                *(bool *)member = true;
                return 0;
        case OPTION_TEXT:
                *(const char **)member = value;
                return 0;
        case OPTION_LIST:
                if (list->n == OPTIONS_LIST_MAX)
                        return options_problem(problem, "too many of", option->name, "");
                list->values[list->n++] = value;
                return 0;
        case OPTION_DURATION:
                if (duration_read(member, value))
                        return 0;
                return options_problem(problem, option->name, value,
                                       " is no time; write " DURATION_FORMS);
        case OPTION_NUMBER:
                if (options_read_number(member, value))
                        return 0;
                return options_problem(problem, option->name, value, " is no number");
        }
        return 0;
}

/* Reads the option at argv[0]; *usedp: how many arguments it took. */
static int options_read_one(size_t *usedp, void *target, char problem[OPTIONS_PROBLEM_MAX],
                            const Option *options, char *const *argv) {
        const char *word = strcmp(argv[0], "-h") ? argv[0] : "--help";
        size_t size = strcspn(word, "=");
        const Option *option = options;
        const char *value = word[size] ? word + size + 1 : NULL;

        while (option->name && (strlen(option->name) != size || memcmp(option->name, word, size)))
                option++;
        if (!option->name)
                return options_unknown(problem, options, word);
        if (option->type == OPTION_FLAG && value)
                return options_problem(problem, "no value belongs to", option->name, "");
        *usedp = 1;
        if (option->type != OPTION_FLAG && !value) {
                value = argv[1];
                *usedp = 2;
                if (!value)
                        return options_problem(problem, "a value is missing after", option->name,
                                               "");
        }
        return options_set(target, problem, option, value);
}

int options_read(size_t *n_wordsp, void *target, char problem[OPTIONS_PROBLEM_MAX],
                 const Option *options, char **argv, bool stop_at_word) {
        size_t n_words = 0, at = 0, used = 0;
        bool ended = false;
        int r;

        while (argv[at]) {
                if (!ended && !strcmp(argv[at], "--")) {
                        ended = true;
                        at++;
                } else if (ended || argv[at][0] != '-' || !argv[at][1]) {
                        argv[n_words++] = argv[at++];
                        ended = ended || stop_at_word;
                } else {
                        r = options_read_one(&used, target, problem, options, argv + at);
                        if (r)
                                return r;
                        at += used;
                }
        }
        argv[n_words] = NULL;
        *n_wordsp = n_words;
        return 0;
}

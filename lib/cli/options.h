#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Options of the command line
 *
 * A table says which options there are; they are read into the members of a struct. Values follow
 * as `--name value` or `--name=value`; `--` ends the options.
 *
 * I/O: none; problems come back as text.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        _OPTIONS_E_SUCCESS,

        OPTIONS_E_USAGE, /* the problem is told */
};

enum {
        OPTIONS_PROBLEM_MAX = 256,
        OPTIONS_LIST_MAX = 64, /* values of one option that may be repeated */
};

typedef struct OptionsList {
        const char *values[OPTIONS_LIST_MAX];
        size_t n;
} OptionsList;

typedef enum OptionType {
        OPTION_FLAG,     /* bool */
        OPTION_TEXT,     /* const char * */
        OPTION_LIST,     /* OptionsList */
        OPTION_DURATION, /* uint64_t, nanoseconds */
        OPTION_NUMBER,   /* uint64_t */
} OptionType;

typedef struct Option {
        const char *name;  /* "--timeout"; NULL ends the table */
        const char *value; /* what the help calls its value; NULL: a flag */
        const char *help;
        OptionType type;
        size_t offset; /* of the member */
} Option;

/*
 * Reads `argv`, which ends with NULL, into the struct at `target`. Words that are no options are
 * moved to the front of argv, *n_wordsp of them and then NULL. With `stop_at_word` the first one
 * ends the options.
 */
int options_read(size_t *n_wordsp, void *target, char problem[OPTIONS_PROBLEM_MAX],
                 const Option *options, char **argv, bool stop_at_word);

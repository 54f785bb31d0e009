#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Golden cases: a text file under tests/golden/ with a case a line, its columns separated by
 * colons. Empty lines and those that begin with '#' are passed over.
 */

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GOLDEN_COLUMNS_MAX = 8 };

typedef struct Golden {
        FILE *file;
        char *line;
        size_t capacity;
        char *columns[GOLDEN_COLUMNS_MAX]; /* the last one takes the rest of the line */
} Golden;

static inline void golden_open(Golden *golden, const char *name) {
        char path[4096];

        *golden = (Golden){0};
        snprintf(path, sizeof path, "%s/%s", UNIT_GOLDEN, name);
        golden->file = fopen(path, "re");
        ck_assert_msg(golden->file != NULL, "cannot open %s", path);
}

/* The next case, of `n` columns; false, and all closed, at the end. */
static inline bool golden_next(Golden *golden, unsigned n) {
        do {
                ssize_t size = getline(&golden->line, &golden->capacity, golden->file);

                if (size < 0) {
                        free(golden->line);
                        fclose(golden->file);
                        return false;
                }
                golden->line[strcspn(golden->line, "\n")] = '\0';
        } while (!*golden->line || *golden->line == '#');

        golden->columns[0] = golden->line;
        for (unsigned i = 1; i < n; i++) {
                char *end = strchr(golden->columns[i - 1], ':');

                ck_assert_msg(end != NULL, "%s: %u columns wanted", golden->columns[0], n);
                *end = '\0';
                golden->columns[i] = end + 1 + strspn(end + 1, " ");
        }
        return true;
}

/* Turns the hex digits of `text` into bytes, in its place; returns how many. Blanks are fine. */
static inline size_t golden_bytes(char *text) {
        size_t n = 0;
        unsigned byte;

        for (const char *at = text; *(at += strspn(at, " ")); at += 2) {
                ck_assert_msg(sscanf(at, "%2x", &byte) == 1, "not hex: %s", at);
                text[n++] = (char)byte;
        }
        return n;
}

/* Takes the quotes off `text`, \\t and \\xNN becoming their characters; returns how many. */
static inline size_t golden_text(char *text) {
        size_t size = strlen(text), n = 0;
        unsigned byte;

        ck_assert_msg(size >= 2 && text[0] == '"' && text[size - 1] == '"', "not quoted: %s", text);
        for (const char *at = text + 1; at < text + size - 1; at++) {
                if (*at != '\\') {
                        text[n++] = *at;
                } else if (*++at == 't') {
                        text[n++] = '\t';
                } else {
                        ck_assert_msg(sscanf(at, "x%2x", &byte) == 1, "not an escape: %s", at);
                        text[n++] = (char)byte;
                        at += 2;
                }
        }
        return n;
}

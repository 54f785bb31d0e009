#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Text for a terminal
 *
 * What comes from traced programs may hold anything: it is shown with control characters, marks
 * that turn the writing direction and ill-formed bytes escaped (`\x1b`), and cut to the columns
 * that there are. Columns follow the usual terminals: two for East Asian wide characters and
 * emoji, none for combining marks.
 *
 * I/O: only to `out`.  Clock: none.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TEXT_DURATION_MAX = 32 };

/* Returns the columns taken, at most `columns`; what is cut ends in `…`. `out` NULL: measures. */
size_t text_print(FILE *out, const char *text, size_t columns);

/* As a string of JSON; what is no UTF-8 is replaced. */
void text_print_json(FILE *out, const char *text);

/* "850 µs", "12.3 ms", "1.24 s", "3 min 20 s", "2 h 5 min", "3 d 4 h" */
void text_duration(char text[TEXT_DURATION_MAX], uint64_t ns);

/* The word that `word` was probably meant to be, or NULL. `words` ends with NULL. */
const char *text_nearest(const char *word, const char *const *words);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Text that is kept
 *
 * Threads: any.  Signal handlers: none, it allocates.
 */

#include <stddef.h>

/* A copy as UTF-8, cut at a character to at most `max` bytes; NULL: out of memory. */
char *catena__text_copy(const char *text, size_t max);

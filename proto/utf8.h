#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * UTF-8
 *
 * As Unicode defines it: no surrogates, nothing over U+10FFFF, no longer form than needed.
 *
 * I/O: none.  Threads: any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ASCII is passed over eight bytes at a time. */
bool utf8_is_valid(const void *text, size_t size);

/*
 * Reads one character at the front of `text`, of `size` > 0 bytes. Returns its bytes; or, *validp
 * being false, those of the maximal ill-formed part there.
 */
size_t utf8_next(bool *validp, const void *text, size_t size);

/* The length of the longest prefix of at most `max_bytes` that splits no character. */
size_t utf8_truncate(const void *text, size_t size, size_t max_bytes);

/* The bytes of the first `max_characters` characters of valid text. */
size_t utf8_prefix(const void *text, size_t size, size_t max_characters);

/*
 * Copies `size` bytes to `out`, U+FFFD in the place of each maximal ill-formed part. Returns the
 * bytes that it takes, also when `out` is NULL; at most 3 * size.
 */
size_t utf8_replace(char *out, const void *text, size_t size);

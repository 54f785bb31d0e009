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
#include <string.h>

/* Words of eight bytes, of which the last may overlap the one before; short texts in halves. */
static inline bool utf8_is_ascii(const void *text, size_t size) {
        const uint8_t *at = text;
        uint64_t word, seen = 0;
        uint32_t half, last_half;

        if (size >= sizeof word) {
                for (size_t i = 0; i < size - sizeof word; i += sizeof word) {
                        memcpy(&word, at + i, sizeof word);
                        seen |= word;
                }
                memcpy(&word, at + size - sizeof word, sizeof word);
                seen |= word;
        } else if (size >= sizeof half) {
                memcpy(&half, at, sizeof half);
                memcpy(&last_half, at + size - sizeof half, sizeof half);
                seen = half | last_half;
        } else {
                for (size_t i = 0; i < size; i++)
                        seen |= at[i];
        }
        return !(seen & UINT64_C(0x8080808080808080));
}

/* utf8_is_valid() without its short way. */
bool utf8_is_valid_any(const void *text, size_t size);

/* Most texts are ASCII, which needs no second look. */
static inline bool utf8_is_valid(const void *text, size_t size) {
        return utf8_is_ascii(text, size) || utf8_is_valid_any(text, size);
}

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

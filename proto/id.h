#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Trace and span ids
 *
 * 16 and 8 bytes, written as lower-case hex (W3C Trace Context). An id of all zeros is no id. As a
 * number, a span id is its 8 bytes as little-endian, as in a record's header: only good as a key.
 *
 * I/O: none.  Threads: any.
 */

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
        ID_TRACE_SIZE = 16,
        ID_SPAN_SIZE = 8,
        ID_TRACE_HEX = 32,
        ID_SPAN_HEX = 16,
        ID_UUID_TEXT = 36,
};

static inline uint64_t id_span_key(const uint8_t span_id[ID_SPAN_SIZE]) {
        uint64_t key;

        memcpy(&key, span_id, sizeof key);
        return le64toh(key);
}

static inline bool id_is_zero(const uint8_t *id, size_t size) {
        uint64_t word, any = 0;
        size_t i = 0;

        for (; size - i >= sizeof word; i += sizeof word) {
                memcpy(&word, id + i, sizeof word);
                any |= word;
        }
        for (; i < size; i++)
                any |= id[i];
        return !any;
}

/* Writes 2 * size lower-case digits and a NUL. */
void id_to_hex(char *hex, const uint8_t *id, size_t size);
/* Reads 2 * size lower-case digits; false, and `id` untouched, on anything else. */
bool id_from_hex(uint8_t *id, const char *hex, size_t size);
/* Writes the 36 characters of a UUID (RFC 9562, version 4) made of 16 random bytes, and a NUL. */
void id_to_uuid(char *text, const uint8_t random[16]);

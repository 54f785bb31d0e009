#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A growing buffer of bytes
 *
 * Owns: its memory.  Bound: the caller's.
 */

#include <stddef.h>
#include <stdint.h>

typedef struct Buffer {
        uint8_t *data;
        size_t size;     /* bytes in use */
        size_t capacity; /* bytes allocated */
} Buffer;

#define BUFFER_NULL ((Buffer){0})

void buffer_deinit(Buffer *buffer);
/* Makes room for `size` more bytes behind those in use; *roomp (if given) is where they go. */
int buffer_reserve(Buffer *buffer, uint8_t **roomp, size_t size);
int buffer_append(Buffer *buffer, const void *data, size_t size);
int buffer_append_string(Buffer *buffer, const char *string);
int buffer_printf(Buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops the first `size` bytes. */
void buffer_consume(Buffer *buffer, size_t size);

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/buffer.h"

#include "daemon/base/error.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER_CAPACITY_MIN = 256 };

void buffer_deinit(Buffer *buffer) {
        free(buffer->data);
        *buffer = BUFFER_NULL;
}

int buffer_reserve(Buffer *buffer, uint8_t **roomp, size_t size) {
        size_t capacity = buffer->capacity ? buffer->capacity : BUFFER_CAPACITY_MIN;

        if (size > SIZE_MAX / 2 - buffer->size)
                return error_origin(-ENOMEM);
        while (capacity < buffer->size + size)
                capacity *= 2;
        if (capacity != buffer->capacity) {
                uint8_t *data = realloc(buffer->data, capacity);
                if (!data)
                        return error_origin(-ENOMEM);
                buffer->data = data;
                buffer->capacity = capacity;
        }
        if (roomp)
                *roomp = buffer->data + buffer->size;
        return 0;
}

int buffer_append(Buffer *buffer, const void *data, size_t size) {
        uint8_t *room;
        int r;

        r = buffer_reserve(buffer, &room, size);
        if (r)
                return error_trace(r);
        if (size)
                memcpy(room, data, size);
        buffer->size += size;
        return 0;
}

int buffer_append_string(Buffer *buffer, const char *string) {
        return buffer_append(buffer, string, strlen(string));
}

int buffer_printf(Buffer *buffer, const char *format, ...) {
        va_list args;
        uint8_t *room;
        int n, r;

        va_start(args, format);
        n = vsnprintf(NULL, 0, format, args);
        va_end(args);
        if (n < 0)
                return error_origin(-EINVAL);
        r = buffer_reserve(buffer, &room, (size_t)n + 1);
        if (r)
                return error_trace(r);
        va_start(args, format);
        vsnprintf((char *)room, (size_t)n + 1, format, args);
        va_end(args);
        buffer->size += (size_t)n;
        return 0;
}

void buffer_consume(Buffer *buffer, size_t size) {
        assert(size <= buffer->size);
        buffer->size -= size;
        if (buffer->size)
                memmove(buffer->data, buffer->data + size, buffer->size);
}

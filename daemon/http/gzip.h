#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * gzip
 *
 * A Gzip compresses one thing at a time, on any thread: it allocates nothing while it does.
 *
 * Owns: the compressor's memory.  I/O: none.
 */

#include "daemon/base/buffer.h"

#include <stddef.h>

enum {
        _GZIP_E_SUCCESS,

        GZIP_E_MALFORMED, /* not gzip, or damaged */
        GZIP_E_TOO_LARGE, /* more than max_size in the buffer once decompressed */
};

typedef struct Gzip Gzip;

int gzip_new(Gzip **gzipp);
Gzip *gzip_free(Gzip *gzip);

/* What the compressed form of `size` bytes can take at most. */
size_t gzip_bound(Gzip *gzip, size_t size);
/* Returns the compressed size. `room` holds gzip_bound(gzip, size) bytes. */
size_t gzip_compress(Gzip *gzip, void *room, const void *data, size_t size);

/* Appends what was compressed, of any number of members. */
int gzip_decompress(Buffer *out, const void *data, size_t size, size_t max_size);

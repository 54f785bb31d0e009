#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Rendering JSON
 *
 * One object, written from front to back: what is opened is closed again. A member's key is NULL
 * within an array. 64-bit numbers come out as strings; text that is not UTF-8 has its bad parts
 * replaced. When memory runs out the rest does nothing and render_finish() says so.
 *
 * Owns: the text until it is finished.  I/O: none.
 */

#include "daemon/base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RENDER_DEPTH_MAX = 128 };

typedef struct Render {
        Buffer text;
        char closers[RENDER_DEPTH_MAX]; /* of what is open, the innermost last */
        unsigned n_open;
        bool follows; /* something stands before, in what is open innermost */
        int failure;  /* the first */
} Render;

/* Begins an object with "v": 1. */
void render_init(Render *render);
/* Appends it and a newline to `out`, and frees it. */
int render_finish(Render *render, Buffer *out);

void render_open_object(Render *render, const char *key);
void render_open_array(Render *render, const char *key);
void render_close(Render *render);

/* NULL leaves the member out. */
void render_text(Render *render, const char *key, const char *text);
void render_text_sized(Render *render, const char *key, const char *text, size_t size);
void render_hex(Render *render, const char *key, const uint8_t *id, size_t size);
void render_base64(Render *render, const char *key, const uint8_t *data, size_t size);
void render_u64(Render *render, const char *key, uint64_t value);
void render_i64(Render *render, const char *key, int64_t value);
void render_number(Render *render, const char *key, uint32_t value);
void render_real(Render *render, const char *key, double value); /* or "NaN", "-Infinity" */
void render_bool(Render *render, const char *key, bool value);

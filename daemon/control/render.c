/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/render.h"

#include "daemon/base/error.h"
#include "proto/id.h"
#include "proto/utf8.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void render_init(Render *render) {
        *render = (Render){.n_open = 1};
        render->open[0] = json_object();
        render->failed = !render->open[0];
        render_number(render, "v", 1);
}

/* Takes the value, NULL included. */
static void render_add(Render *render, const char *key, json_t *value) {
        json_t *parent = render->open[render->n_open - 1];
        int r;

        if (render->failed) {
                json_decref(value);
                return;
        }
        if (json_is_array(parent))
                r = json_array_append_new(parent, value);
        else
                r = json_object_set_new(parent, key, value);
        render->failed = r;
}

static void render_open(Render *render, const char *key, json_t *value) {
        assert(render->n_open < RENDER_DEPTH_MAX);
        render_add(render, key, value);
        render->open[render->n_open++] = value; /* if that failed it is not looked at again */
}

void render_open_object(Render *render, const char *key) {
        render_open(render, key, json_object());
}

void render_open_array(Render *render, const char *key) {
        render_open(render, key, json_array());
}

void render_close(Render *render) {
        assert(render->n_open > 1);
        render->n_open--;
}

static int render_write(const char *text, size_t size, void *out) {
        return buffer_append(out, text, size);
}

int render_finish(Render *render, Buffer *out) {
        int r = render->failed ? -1 : 0;

        assert(render->n_open == 1);
        if (!r)
                r = json_dump_callback(render->open[0], render_write, out, JSON_COMPACT);
        json_decref(render->open[0]);
        *render = (Render){0};
        if (r)
                return error_origin(-ENOMEM);
        return error_trace(buffer_append(out, "\n", 1));
}

void render_text_sized(Render *render, const char *key, const char *text, size_t size) {
        json_t *value;
        char *replaced;

        if (!text || render->failed)
                return;
        if (utf8_is_valid(text, size)) {
                render_add(render, key, json_stringn_nocheck(text, size));
                return;
        }
        replaced = malloc(3 * size);
        value = replaced ? json_stringn_nocheck(replaced, utf8_replace(replaced, text, size))
                         : NULL;
        free(replaced);
        render_add(render, key, value);
}

void render_text(Render *render, const char *key, const char *text) {
        render_text_sized(render, key, text, text ? strlen(text) : 0);
}

void render_hex(Render *render, const char *key, const uint8_t *id, size_t size) {
        char hex[ID_TRACE_HEX + 1];

        assert(size <= ID_TRACE_SIZE);
        id_to_hex(hex, id, size);
        render_add(render, key, json_string_nocheck(hex));
}

void render_u64(Render *render, const char *key, uint64_t value) {
        char digits[sizeof "18446744073709551615"];

        snprintf(digits, sizeof digits, "%" PRIu64, value);
        render_add(render, key, json_string_nocheck(digits));
}

void render_number(Render *render, const char *key, uint32_t value) {
        render_add(render, key, json_integer(value));
}

void render_bool(Render *render, const char *key, bool value) {
        render_add(render, key, json_boolean(value));
}

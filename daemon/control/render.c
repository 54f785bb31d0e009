/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/render.h"

#include "daemon/base/error.h"
#include "proto/id.h"
#include "proto/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- pieces ---- */

static void render_put(Render *render, const char *data, size_t size) {
        if (!render->failure)
                render->failure = buffer_append(&render->text, data, size);
}

static void render_put_string(Render *render, const char *string) {
        render_put(render, string, strlen(string));
}

static void render_put_character(Render *render, char character) {
        static const char short_forms[] = "\"\"\\\\\bb\ff\nn\rr\tt";
        char escaped[sizeof "\\u0000"];

        for (const char *form = short_forms; *form; form += 2)
                if (*form == character) {
                        render_put(render, (char[]){'\\', form[1]}, 2);
                        return;
                }
        if ((uint8_t)character >= 0x20) {
                render_put(render, &character, 1);
                return;
        }
        snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)character);
        render_put_string(render, escaped);
}

static bool render_is_plain(char character) {
        return (uint8_t)character >= 0x20 && character != '"' && character != '\\';
}

/* Between quotes; `size` bytes of valid UTF-8. */
static void render_put_valid(Render *render, const char *text, size_t size) {
        while (size) {
                size_t plain = 0;

                while (plain < size && render_is_plain(text[plain]))
                        plain++;
                render_put(render, text, plain);
                if (plain < size)
                        render_put_character(render, text[plain++]);
                text += plain;
                size -= plain;
        }
}

static void render_put_text(Render *render, const char *text, size_t size) {
        bool is_valid = utf8_is_valid(text, size);

        render_put_string(render, "\"");
        if (is_valid)
                render_put_valid(render, text, size);
        while (!is_valid && size) {
                bool is_character;
                size_t n = utf8_next(&is_character, text, size);

                if (is_character)
                        render_put_valid(render, text, n);
                else
                        render_put_string(render, "\xef\xbf\xbd"); /* U+FFFD */
                text += n;
                size -= n;
        }
        render_put_string(render, "\"");
}

/* What stands before a value. */
static void render_begin(Render *render, const char *key) {
        assert((render->closers[render->n_open - 1] == '}') == (key != NULL));
        if (render->follows)
                render_put_string(render, ",");
        render->follows = true;
        if (key) {
                render_put_text(render, key, strlen(key));
                render_put_string(render, ":");
        }
}

static void render_open(Render *render, const char *brackets) {
        assert(render->n_open < RENDER_DEPTH_MAX);
        render_put(render, brackets, 1);
        render->closers[render->n_open++] = brackets[1];
        render->follows = false;
}

/* A value of plain characters. */
static void render_literal(Render *render, const char *key, const char *literal) {
        render_begin(render, key);
        render_put_string(render, literal);
}

/* ---- the whole ---- */

void render_init(Render *render) {
        *render = (Render){0};
        render_open(render, "{}");
        render_number(render, "v", 1);
}

int render_finish(Render *render, Buffer *out) {
        int r;

        assert(render->n_open == 1);
        render_put_string(render, "}\n");
        r = render->failure;
        if (!r)
                r = buffer_append(out, render->text.data, render->text.size);
        buffer_deinit(&render->text);
        return error_trace(r);
}

void render_open_object(Render *render, const char *key) {
        render_begin(render, key);
        render_open(render, "{}");
}

void render_open_array(Render *render, const char *key) {
        render_begin(render, key);
        render_open(render, "[]");
}

void render_close(Render *render) {
        assert(render->n_open > 1);
        render_put(render, &render->closers[--render->n_open], 1);
        render->follows = true;
}

/* ---- values ---- */

void render_text_sized(Render *render, const char *key, const char *text, size_t size) {
        if (!text)
                return;
        render_begin(render, key);
        render_put_text(render, text, size);
}

void render_text(Render *render, const char *key, const char *text) {
        render_text_sized(render, key, text, text ? strlen(text) : 0);
}

void render_hex(Render *render, const char *key, const uint8_t *id, size_t size) {
        char hex[ID_TRACE_HEX + 1];

        assert(size <= ID_TRACE_SIZE);
        id_to_hex(hex, id, size);
        render_text(render, key, hex);
}

void render_base64(Render *render, const char *key, const uint8_t *data, size_t size) {
        static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                "+/";

        render_begin(render, key);
        render_put_string(render, "\"");
        for (size_t i = 0; i < size; i += 3) {
                size_t n = size - i < 3 ? size - i : 3;
                uint32_t bits = (uint32_t)data[i] << 16;
                char group[4];

                if (n > 1)
                        bits |= (uint32_t)data[i + 1] << 8;
                if (n > 2)
                        bits |= data[i + 2];
                for (size_t k = 0; k < sizeof group; k++)
                        group[k] = k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=';
                render_put(render, group, sizeof group);
        }
        render_put_string(render, "\"");
}

void render_u64(Render *render, const char *key, uint64_t value) {
        char digits[sizeof "18446744073709551615"];

        snprintf(digits, sizeof digits, "%" PRIu64, value);
        render_text(render, key, digits);
}

void render_i64(Render *render, const char *key, int64_t value) {
        char digits[sizeof "-9223372036854775808"];

        snprintf(digits, sizeof digits, "%" PRId64, value);
        render_text(render, key, digits);
}

void render_number(Render *render, const char *key, uint32_t value) {
        char digits[sizeof "4294967295"];

        snprintf(digits, sizeof digits, "%" PRIu32, value);
        render_literal(render, key, digits);
}

void render_real(Render *render, const char *key, double value) {
        char digits[32];

        if (isfinite(value)) {
                snprintf(digits, sizeof digits, "%.17g", value);
                render_literal(render, key, digits);
        } else {
                render_text(render, key,
                            isnan(value)  ? "NaN"
                            : value < 0.0 ? "-Infinity"
                                          : "Infinity");
        }
}

void render_bool(Render *render, const char *key, bool value) {
        render_literal(render, key, value ? "true" : "false");
}

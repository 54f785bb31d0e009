/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-limits.h"

#include "lib/client-count.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIMITS_COUNT  "OTEL_ATTRIBUTE_COUNT_LIMIT"
#define LIMITS_LENGTH "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"

enum { LIMITS_N = 8 };

/* By their number in catena.v1.SpanLimits, less 1: the variable, and the one for all kinds. */
static const char *const limits_names[LIMITS_N][2] = {
        {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", LIMITS_COUNT},
        {"OTEL_SPAN_EVENT_COUNT_LIMIT"},
        {"OTEL_SPAN_LINK_COUNT_LIMIT"},
        {"OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", LIMITS_LENGTH},
        {"OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", LIMITS_COUNT},
        {"OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", LIMITS_COUNT},
        {"OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", LIMITS_COUNT},
        {"OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", LIMITS_LENGTH},
};

static struct {
        bool set;
        uint32_t value;
} limits[LIMITS_N];

/* A whole number; what is beyond 32 bits limits nothing more than they do. */
static bool limit_read(uint32_t *valuep, const char *text) {
        unsigned long long value;

        if (!*text || text[strspn(text, "0123456789")])
                return false;
        errno = 0;
        value = strtoull(text, NULL, 10);
        *valuep = errno || value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
        return true;
}

void catena__limits_init(void) {
        for (unsigned i = 0; i < LIMITS_N; i++)
                for (unsigned k = 0; k < 2 && limits_names[i][k] && !limits[i].set; k++) {
                        const char *text = secure_getenv(limits_names[i][k]);

                        if (!text || !*text)
                                continue;
                        limits[i].set = limit_read(&limits[i].value, text);
                        if (!limits[i].set)
                                catena__misuse(MISUSE_LIMIT);
                }
}

void catena__limits_write(PbWriter *writer, uint32_t number) {
        size_t size = 0;

        for (unsigned i = 0; i < LIMITS_N; i++)
                if (limits[i].set)
                        size += 1 + pb_varint_size(limits[i].value);
        if (!size)
                return;
        pb_put_prefix(writer, number, size);
        for (uint32_t i = 0; i < LIMITS_N; i++)
                if (limits[i].set)
                        pb_put_varint(writer, i + 1, limits[i].value);
}

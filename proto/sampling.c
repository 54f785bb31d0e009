/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/sampling.h"

#include "proto/w3c.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

static const size_t SAMPLING_VALUE_MAX = 256; /* of a member of tracestate */

/* ---- thresholds ---- */

bool sampling_ratio_read(double *ratiop, const char *text) {
        locale_t locale = newlocale(LC_ALL_MASK, "C", NULL);
        double ratio = -1;
        char *end = NULL;

        /* Neither blanks nor hex, infinities and the like. */
        if (locale && *text && !text[strspn(text, "0123456789.eE+-")])
                ratio = strtod_l(text, &end, locale);
        if (locale)
                freelocale(locale);
        if (!end || *end || !(ratio >= 0 && ratio <= 1))
                return false;
        *ratiop = ratio;
        return true;
}

uint64_t sampling_threshold(double ratio) {
        return SAMPLING_NEVER - (uint64_t)(ratio * (double)SAMPLING_NEVER + 0.5);
}

void sampling_threshold_write(char *text, uint64_t threshold) {
        size_t n = SAMPLING_THRESHOLD_TEXT;

        for (size_t i = 0; i < n; i++)
                text[i] = "0123456789abcdef"[threshold >> 4 * (n - 1 - i) & 15];
        while (n > 1 && text[n - 1] == '0')
                n--;
        text[n] = 0;
}

/* ---- tracestate ---- */

typedef struct SamplingPart {
        const char *at;
        size_t size;
} SamplingPart;

/* What stands before the next `separator`, without blanks around it; false at the end. */
static bool sampling_next(SamplingPart *part, SamplingPart *rest, char separator) {
        const char *end;

        if (!rest->size)
                return false;
        end = memchr(rest->at, separator, rest->size);
        *part = (SamplingPart){rest->at, end ? (size_t)(end - rest->at) : rest->size};
        rest->size -= part->size + (end ? 1 : 0);
        rest->at += part->size + (end ? 1 : 0);
        while (part->size && strchr(" \t", *part->at))
                part->at++, part->size--;
        while (part->size && strchr(" \t", part->at[part->size - 1]))
                part->size--;
        return true;
}

static bool sampling_begins(const SamplingPart *part, const char *with) {
        size_t size = strlen(with);

        return part->size >= size && memcmp(part->at, with, size) == 0;
}

/* The value of the member `ot`; empty: there is none. */
static SamplingPart sampling_find_ot(const char *tracestate) {
        SamplingPart rest = {tracestate, strlen(tracestate)}, member;

        while (sampling_next(&member, &rest, ','))
                if (sampling_begins(&member, "ot="))
                        return (SamplingPart){member.at + 3, member.size - 3};
        return (SamplingPart){tracestate, 0};
}

static bool sampling_threshold_read(uint64_t *thresholdp, const SamplingPart *digits) {
        char hex[SAMPLING_THRESHOLD_TEXT + 1] = "00000000000000";
        uint8_t bytes[SAMPLING_THRESHOLD_TEXT / 2];
        uint64_t threshold = 0;

        if (!digits->size || digits->size > SAMPLING_THRESHOLD_TEXT)
                return false;
        memcpy(hex, digits->at, digits->size);
        if (!id_from_hex(bytes, hex, sizeof bytes))
                return false;
        for (size_t i = 0; i < sizeof bytes; i++)
                threshold = threshold << 8 | bytes[i];
        *thresholdp = threshold;
        return true;
}

bool sampling_tracestate_read(uint64_t *thresholdp, const char *tracestate) {
        SamplingPart rest = sampling_find_ot(tracestate), part;

        while (sampling_next(&part, &rest, ';'))
                if (sampling_begins(&part, "th:"))
                        return sampling_threshold_read(
                                thresholdp, &(SamplingPart){part.at + 3, part.size - 3});
        return false;
}

static char *sampling_put(char *at, const SamplingPart *part) {
        memcpy(at, part->at, part->size);
        return at + part->size;
}

/* The member `ot` as it is to be: the threshold, and what else it said, as far as that fits. */
static char *sampling_put_ot(char *at, SamplingPart said, uint64_t threshold) {
        char *start = at, *value = start + strlen("ot=");
        SamplingPart part;

        at = value;
        if (threshold < SAMPLING_NEVER) {
                memcpy(at, "th:", 3);
                sampling_threshold_write(at + 3, threshold);
                at += strlen(at);
        }
        while (sampling_next(&part, &said, ';')) {
                if (!part.size || sampling_begins(&part, "th:") ||
                    (size_t)(at - value) + 1 + part.size > SAMPLING_VALUE_MAX)
                        continue;
                if (at > value)
                        *at++ = ';';
                at = sampling_put(at, &part);
        }
        if (at == value)
                return start;
        memcpy(start, "ot=", 3);
        return at;
}

void sampling_tracestate_write(char *out, const char *tracestate, uint64_t threshold) {
        SamplingPart rest = {tracestate, strlen(tracestate)}, member;
        char *at = sampling_put_ot(out, sampling_find_ot(tracestate), threshold);
        unsigned n = at > out;

        while (n < W3C_TRACESTATE_MEMBERS_MAX && sampling_next(&member, &rest, ',')) {
                if (!member.size || sampling_begins(&member, "ot="))
                        continue;
                if (n++)
                        *at++ = ',';
                at = sampling_put(at, &member);
        }
        *at = 0;
}

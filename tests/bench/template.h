#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The span that all loads are made of
 *
 * 410 bytes and 8 attributes, as a server's spans look. It is encoded once; what differs between
 * two spans (ids and times) is written over it.
 */

#include <stddef.h>
#include <stdint.h>

enum {
        TEMPLATE_SPAN_SIZE = 410,
        TEMPLATE_MAX = 512,
};

typedef enum TemplatePart {
        TEMPLATE_WHOLE,   /* all of it */
        TEMPLATE_START,   /* ids, name, kind, start and 5 attributes */
        TEMPLATE_END,     /* end and the other 3 attributes */
        TEMPLATE_END_SET, /* the same, and one key of the START set again */
        _TEMPLATE_PARTS_N,
} TemplatePart;

/* Where in `data` what differs stands; 0: not in this part. */
typedef struct Template {
        uint8_t data[TEMPLATE_MAX];
        size_t size;
        size_t trace_id, span_id, start, end;
} Template;

typedef struct TemplateSpan {
        uint8_t trace_id[16];
        uint64_t span_id; /* its bytes as they stand */
        uint64_t start_unix_ns, end_unix_ns;
} TemplateSpan;

void template_make(Template *template, TemplatePart part);
/* `out` holds template->size bytes. */
void template_write(uint8_t *out, const Template *template, const TemplateSpan *span);

/* The numbers that spans get: 64 bits of a sequence that looks random. */
uint64_t template_random(uint64_t *state);

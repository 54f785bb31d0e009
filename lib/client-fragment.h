#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Span fragments
 *
 * A piece of an OTLP Span, as one call says it: a head of single fields, then attributes, links and
 * an event. It is written straight into the arena; what is too long for one record on the stream is
 * said in several, split between these.
 *
 * Threads: any, and signal handlers.
 */

#include "lib/catena.h"
#include "lib/client-send.h"

#include <stddef.h>
#include <stdint.h>

typedef struct FragmentEvent {
        const char *name;
        uint64_t unix_ns;
        const catena_attribute *attributes;
        size_t n_attributes;
} FragmentEvent;

/* Zero: not said. In this order it is small: it is made for each call, by fragment_init(). */
typedef struct Fragment {
        uint16_t flags; /* of the record: RECORD_START, RECORD_END, RECORD_DETACHED */
        uint8_t kind;   /* of a START */
        uint8_t status;
        uint32_t span_flags; /* of a START: OTLP's */
        Slot *slot;          /* of the span's context; NULL: it was freed */
        const catena_scope *scope;
        uint64_t unix_ns; /* of a START or END */
        const char *tracestate;
        const catena_span *sender; /* of a START: to link to, said by who says the START */

        const char *name;
        const char *status_message;
        const catena_attribute *attributes;
        size_t n_attributes;
        const catena_link *links;
        size_t n_links;
        const FragmentEvent *event;
} Fragment;

/* Says nothing. One by one: to clear it as a whole costs more than all that follows. */
static inline void fragment_init(Fragment *fragment, uint16_t flags) {
        fragment->flags = flags;
        fragment->kind = 0;
        fragment->status = 0;
        fragment->span_flags = 0;
        fragment->slot = NULL;
        fragment->scope = NULL;
        fragment->unix_ns = 0;
        fragment->tracestate = NULL;
        fragment->sender = NULL;
        fragment->name = NULL;
        fragment->status_message = NULL;
        fragment->attributes = NULL;
        fragment->n_attributes = 0;
        fragment->links = NULL;
        fragment->n_links = 0;
        fragment->event = NULL;
}

enum {
        FRAGMENT_HAS_IS_REMOTE = 0x100, /* in OTLP's flags */
        FRAGMENT_IS_REMOTE = 0x200,
};

void catena__fragment_send(const catena_span *span, const Fragment *fragment);

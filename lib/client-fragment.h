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

/* Zero: not said. */
typedef struct Fragment {
        uint16_t flags; /* of the record: RECORD_START, RECORD_END */
        Slot *slot;     /* of the span's context; NULL: it was freed */
        const catena_scope *scope;

        /* of a START */
        uint32_t kind;
        uint32_t span_flags; /* OTLP's */
        uint64_t start_unix_ns;
        const char *tracestate;

        const char *name;
        uint64_t end_unix_ns;
        uint32_t status;
        const char *status_message;

        const catena_attribute *attributes;
        size_t n_attributes;
        const catena_link *links;
        size_t n_links;
        const FragmentEvent *event;
} Fragment;

enum {
        FRAGMENT_HAS_IS_REMOTE = 0x100, /* in OTLP's flags */
        FRAGMENT_IS_REMOTE = 0x200,
};

void catena__fragment_send(const catena_span *span, const Fragment *fragment);

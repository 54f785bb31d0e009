#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a span value says
 *
 * The library's seven bytes in it: whether it is recorded, in which era its times are, and which
 * processes may change it.
 */

#include "lib/catena.h"
#include "lib/client-slot.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct SpanStamp {
        uint8_t recording;
        uint8_t era;
        uint16_t epoch; /* of the process that started it; 0: it was made by hand */
        bool detached;  /* any process of the user may change it */
} SpanStamp;

/* Whether it has ids. */
bool catena__span_is(const catena_span *span);
SpanStamp catena__span_stamp(const catena_span *span);
/*
 * The context's current span; false: there is none. Its stamp says that it is ours only if it was
 * started in that context by this process.
 */
bool catena__span_current(catena_span *span, const ContextBody *body, SlotHandle handle);
/* OTLP's flags for it as a link: a span made by hand is another process's. */
uint32_t catena__span_flags(const catena_span *span);
/* Now, monotonic; and every few milliseconds a look at what moves slowly. */
uint64_t catena__span_clock(void);

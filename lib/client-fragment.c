/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-fragment.h"

#include "lib/client-count.h"
#include "lib/client-span.h"
#include "lib/client-value.h"
#include "proto/id.h"

#include <string.h>

enum {
        SPAN_TRACE_ID = 1,
        SPAN_SPAN_ID = 2,
        SPAN_TRACE_STATE = 3,
        SPAN_PARENT_SPAN_ID = 4,
        SPAN_NAME = 5,
        SPAN_KIND = 6,
        SPAN_START_TIME = 7,
        SPAN_END_TIME = 8,
        SPAN_ATTRIBUTES = 9,
        SPAN_EVENTS = 11,
        SPAN_LINKS = 13,
        SPAN_STATUS = 15,
        SPAN_FLAGS = 16,
        STATUS_MESSAGE = 2,
        STATUS_CODE = 3,
        EVENT_TIME = 1,
        EVENT_NAME = 2,
        EVENT_ATTRIBUTES = 3,
        LINK_TRACE_ID = 1,
        LINK_SPAN_ID = 2,
        LINK_ATTRIBUTES = 4,
        LINK_FLAGS = 6,

        FRAGMENT_ROOM = 16 * 1024, /* of a record that could be split; leaves room before it */
};

/* What goes into one record: the head in the first of them, the items from `first` to `end`. */
typedef struct FragmentPart {
        const catena_span *span;
        const Fragment *fragment;
        bool head;
        size_t first, end;
} FragmentPart;

/* ---- head ---- */

static size_t text_field_size(uint32_t number, const char *text) {
        return text ? catena__text_size(number, text, strlen(text)) : 0;
}

static void text_field_write(PbWriter *writer, uint32_t number, const char *text) {
        if (text)
                catena__text_write(writer, number, text, strlen(text));
}

static size_t status_size(const Fragment *fragment) {
        return 1 + pb_varint_size(fragment->status) +
               text_field_size(STATUS_MESSAGE, fragment->status_message);
}

static size_t start_size(const catena_span *span, const Fragment *fragment) {
        size_t size = pb_bytes_size(SPAN_TRACE_ID, ID_TRACE_SIZE) +
                      pb_bytes_size(SPAN_SPAN_ID, ID_SPAN_SIZE) +
                      text_field_size(SPAN_TRACE_STATE, fragment->tracestate) + 1 +
                      pb_varint_size(fragment->kind) + 1 + sizeof(uint64_t) + 2 + sizeof(uint32_t);

        if (!id_is_zero(span->parent_id, ID_SPAN_SIZE))
                size += pb_bytes_size(SPAN_PARENT_SPAN_ID, ID_SPAN_SIZE);
        return size;
}

static void start_write(PbWriter *writer, const catena_span *span, const Fragment *fragment) {
        pb_put_bytes(writer, SPAN_TRACE_ID, span->trace_id, ID_TRACE_SIZE);
        pb_put_bytes(writer, SPAN_SPAN_ID, span->span_id, ID_SPAN_SIZE);
        text_field_write(writer, SPAN_TRACE_STATE, fragment->tracestate);
        if (!id_is_zero(span->parent_id, ID_SPAN_SIZE))
                pb_put_bytes(writer, SPAN_PARENT_SPAN_ID, span->parent_id, ID_SPAN_SIZE);
        pb_put_varint(writer, SPAN_KIND, fragment->kind);
        pb_put_fixed64(writer, SPAN_START_TIME, fragment->start_unix_ns);
        pb_put_fixed32(writer, SPAN_FLAGS, fragment->span_flags);
}

static size_t head_size(const catena_span *span, const Fragment *fragment) {
        size_t size = text_field_size(SPAN_NAME, fragment->name);

        if (fragment->flags & RECORD_START)
                size += start_size(span, fragment);
        if (fragment->end_unix_ns)
                size += 1 + sizeof(uint64_t);
        if (fragment->status)
                size += pb_bytes_size(SPAN_STATUS, status_size(fragment));
        return size;
}

static void head_write(PbWriter *writer, const catena_span *span, const Fragment *fragment) {
        if (fragment->flags & RECORD_START)
                start_write(writer, span, fragment);
        text_field_write(writer, SPAN_NAME, fragment->name);
        if (fragment->end_unix_ns)
                pb_put_fixed64(writer, SPAN_END_TIME, fragment->end_unix_ns);
        if (fragment->status) {
                pb_put_prefix(writer, SPAN_STATUS, status_size(fragment));
                text_field_write(writer, STATUS_MESSAGE, fragment->status_message);
                pb_put_varint(writer, STATUS_CODE, fragment->status);
        }
}

/* ---- items: the attributes, then the links, then the event ---- */

static size_t link_size(const catena_link *link) {
        return pb_bytes_size(LINK_TRACE_ID, ID_TRACE_SIZE) +
               pb_bytes_size(LINK_SPAN_ID, ID_SPAN_SIZE) +
               catena__attributes_size(LINK_ATTRIBUTES, link->attributes, link->n_attributes) + 1 +
               sizeof(uint32_t);
}

static void link_write(PbWriter *writer, const catena_link *link) {
        pb_put_bytes(writer, LINK_TRACE_ID, link->span.trace_id, ID_TRACE_SIZE);
        pb_put_bytes(writer, LINK_SPAN_ID, link->span.span_id, ID_SPAN_SIZE);
        catena__attributes_write(writer, LINK_ATTRIBUTES, link->attributes, link->n_attributes);
        pb_put_fixed32(writer, LINK_FLAGS, catena__span_flags(&link->span));
}

static size_t event_size(const FragmentEvent *event) {
        return 1 + sizeof(uint64_t) + text_field_size(EVENT_NAME, event->name) +
               catena__attributes_size(EVENT_ATTRIBUTES, event->attributes, event->n_attributes);
}

static void event_write(PbWriter *writer, const FragmentEvent *event) {
        pb_put_fixed64(writer, EVENT_TIME, event->unix_ns);
        text_field_write(writer, EVENT_NAME, event->name);
        catena__attributes_write(writer, EVENT_ATTRIBUTES, event->attributes, event->n_attributes);
}

/* 0: it cannot be written. */
static size_t item_size(const Fragment *fragment, size_t i) {
        const catena_link *link;

        if (i < fragment->n_attributes)
                return catena__attribute_size(SPAN_ATTRIBUTES, &fragment->attributes[i]);
        i -= fragment->n_attributes;
        if (i < fragment->n_links) {
                link = &fragment->links[i];
                return catena__span_is(&link->span) ? pb_bytes_size(SPAN_LINKS, link_size(link))
                                                    : 0;
        }
        return pb_bytes_size(SPAN_EVENTS, event_size(fragment->event));
}

static void item_write(PbWriter *writer, const Fragment *fragment, size_t i) {
        if (i < fragment->n_attributes) {
                catena__attribute_write(writer, SPAN_ATTRIBUTES, &fragment->attributes[i]);
                return;
        }
        i -= fragment->n_attributes;
        if (i < fragment->n_links) {
                if (!catena__span_is(&fragment->links[i].span))
                        return;
                pb_put_prefix(writer, SPAN_LINKS, link_size(&fragment->links[i]));
                link_write(writer, &fragment->links[i]);
                return;
        }
        pb_put_prefix(writer, SPAN_EVENTS, event_size(fragment->event));
        event_write(writer, fragment->event);
}

/* ---- records ---- */

static void part_write(PbWriter *writer, const void *user) {
        const FragmentPart *part = user;

        if (part->head)
                head_write(writer, part->span, part->fragment);
        for (size_t i = part->first; i < part->end; i++)
                item_write(writer, part->fragment, i);
}

/* Takes items as long as there is room; at least one where there is no head. Returns the bytes. */
static size_t part_fill(FragmentPart *part, size_t n_items) {
        size_t size = part->head ? head_size(part->span, part->fragment) : 0, item;

        for (part->end = part->first; part->end < n_items; part->end++) {
                item = item_size(part->fragment, part->end);
                if (size && size + item > FRAGMENT_ROOM)
                        break;
                if (!item)
                        catena__misuse(part->end < part->fragment->n_attributes ? MISUSE_ATTRIBUTE
                                                                                : MISUSE_LINK);
                size += item;
        }
        return size;
}

void catena__fragment_send(const catena_span *span, const Fragment *fragment) {
        FragmentPart part = {.span = span, .fragment = fragment, .head = true};
        size_t size, n_items = fragment->n_attributes + fragment->n_links + !!fragment->event;
        uint16_t flags;
        int r;

        do {
                size = part_fill(&part, n_items);
                flags = part.head ? fragment->flags & RECORD_START : 0;
                if (part.end == n_items)
                        flags |= fragment->flags & RECORD_END;
                if (!size && !flags)
                        return; /* nothing in it can be written */
                r = catena__send(&(SendMessage){
                        .type = RECORD_SPAN,
                        .flags = flags,
                        .context = span->context,
                        .scope = flags & RECORD_START ? fragment->scope : NULL,
                        .id = id_span_key(span->span_id),
                        .size = size,
                        .write = part_write,
                        .user = &part,
                });
                if (r && flags & RECORD_START)
                        return; /* what follows would have no span */
                part.head = false;
                part.first = part.end;
        } while (part.first < n_items);
}

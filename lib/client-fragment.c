/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-fragment.h"

#include "lib/client-arena.h"
#include "lib/client-count.h"
#include "lib/client-link.h"
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

        FRAGMENT_FIXED_MAX = 64, /* bytes of the fields of fixed size */
        FRAGMENT_PLAIN_MIN = RECORD_HEADER_SIZE + FRAGMENT_FIXED_MAX + RECORD_ALIGNMENT,
        FRAGMENT_ROOM = 16 * 1024, /* of a record that could be split; leaves room before it */
};

/* What goes into one record: the head in the first of them, the items from `first` to `end`. */
typedef struct FragmentPart {
        const catena_span *span;
        const Fragment *fragment;
        bool head;
        size_t first, end;
        unsigned n_attributes_bad, n_links_bad; /* passed over in the last writing */
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

static uint8_t *time_write(uint8_t *at, uint8_t number, uint64_t unix_ns) {
        unix_ns = htole64(unix_ns);
        *at++ = (uint8_t)(number << 3 | PB_FIXED64);
        memcpy(at, &unix_ns, sizeof unix_ns);
        return at + sizeof unix_ns;
}

/* The fields of fixed size that a START has, written without a look at each. */
static uint8_t *start_write(uint8_t *at, const catena_span *span, const Fragment *fragment) {
        uint32_t flags = htole32(fragment->span_flags);

        *at++ = SPAN_TRACE_ID << 3 | PB_BYTES;
        *at++ = ID_TRACE_SIZE;
        memcpy(at, span->trace_id, ID_TRACE_SIZE);
        at += ID_TRACE_SIZE;
        *at++ = SPAN_SPAN_ID << 3 | PB_BYTES;
        *at++ = ID_SPAN_SIZE;
        memcpy(at, span->span_id, ID_SPAN_SIZE);
        at += ID_SPAN_SIZE;
        if (id_span_key(span->parent_id)) {
                *at++ = SPAN_PARENT_SPAN_ID << 3 | PB_BYTES;
                *at++ = ID_SPAN_SIZE;
                memcpy(at, span->parent_id, ID_SPAN_SIZE);
                at += ID_SPAN_SIZE;
        }
        *at++ = SPAN_KIND << 3 | PB_VARINT;
        *at++ = fragment->kind;
        at = time_write(at, SPAN_START_TIME, fragment->unix_ns);
        *at++ = (uint8_t)(SPAN_FLAGS << 3 | PB_FIXED32 | 0x80);
        *at++ = SPAN_FLAGS >> 4;
        memcpy(at, &flags, sizeof flags);
        return at + sizeof flags;
}

static size_t head_size(const catena_span *span, const Fragment *fragment) {
        size_t size = text_field_size(SPAN_NAME, fragment->name);

        if (fragment->flags & RECORD_START)
                size += start_size(span, fragment);
        if (fragment->flags & RECORD_END)
                size += 1 + sizeof(uint64_t);
        if (fragment->status)
                size += pb_bytes_size(SPAN_STATUS, status_size(fragment));
        return size;
}

static void head_write(PbWriter *writer, const catena_span *span, const Fragment *fragment) {
        if (writer->end - writer->at < FRAGMENT_FIXED_MAX)
                writer->failed = true;
        if (writer->failed)
                return;
        if (fragment->flags & RECORD_START)
                writer->at = start_write(writer->at, span, fragment);
        if (fragment->flags & RECORD_END)
                writer->at = time_write(writer->at, SPAN_END_TIME, fragment->unix_ns);
        if (fragment->tracestate)
                text_field_write(writer, SPAN_TRACE_STATE, fragment->tracestate);
        if (fragment->name)
                text_field_write(writer, SPAN_NAME, fragment->name);
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

/* Returns how many attributes were passed over. */
static unsigned link_write(PbWriter *writer, const catena_link *link) {
        unsigned n_bad;

        pb_put_bytes(writer, LINK_TRACE_ID, link->span.trace_id, ID_TRACE_SIZE);
        pb_put_bytes(writer, LINK_SPAN_ID, link->span.span_id, ID_SPAN_SIZE);
        n_bad = catena__attributes_write(writer, LINK_ATTRIBUTES, link->attributes,
                                         link->n_attributes);
        pb_put_fixed32(writer, LINK_FLAGS, catena__span_flags(&link->span));
        return n_bad;
}

static size_t event_size(const FragmentEvent *event) {
        return 1 + sizeof(uint64_t) + text_field_size(EVENT_NAME, event->name) +
               catena__attributes_size(EVENT_ATTRIBUTES, event->attributes, event->n_attributes);
}

static unsigned event_write(PbWriter *writer, const FragmentEvent *event) {
        pb_put_fixed64(writer, EVENT_TIME, event->unix_ns);
        text_field_write(writer, EVENT_NAME, event->name);
        return catena__attributes_write(writer, EVENT_ATTRIBUTES, event->attributes,
                                        event->n_attributes);
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

static void item_write(PbWriter *writer, FragmentPart *part, size_t i) {
        const Fragment *fragment = part->fragment;

        i -= fragment->n_attributes;
        if (i < fragment->n_links) {
                if (!catena__span_is(&fragment->links[i].span)) {
                        part->n_links_bad++;
                        return;
                }
                pb_put_prefix(writer, SPAN_LINKS, link_size(&fragment->links[i]));
                part->n_attributes_bad += link_write(writer, &fragment->links[i]);
                return;
        }
        pb_put_prefix(writer, SPAN_EVENTS, event_size(fragment->event));
        part->n_attributes_bad += event_write(writer, fragment->event);
}

/* ---- records ---- */

static void part_write(PbWriter *writer, const void *user) {
        FragmentPart *part = (FragmentPart *)user;
        const Fragment *fragment = part->fragment;
        size_t i, n = part->end < fragment->n_attributes ? part->end : fragment->n_attributes;

        part->n_attributes_bad = part->n_links_bad = 0;
        if (part->head)
                head_write(writer, part->span, fragment);
        for (i = part->first; i < n; i++)
                part->n_attributes_bad +=
                        !catena__attribute_write(writer, SPAN_ATTRIBUTES, &fragment->attributes[i]);
        for (; i < part->end; i++)
                item_write(writer, part, i);
}

static void part_count_bad(const FragmentPart *part) {
        for (unsigned i = 0; i < part->n_attributes_bad; i++)
                catena__misuse(MISUSE_ATTRIBUTE);
        for (unsigned i = 0; i < part->n_links_bad; i++)
                catena__misuse(MISUSE_LINK);
}

/* Takes items as long as there is room; at least one where there is no head. Returns the bytes. */
static size_t part_fill(FragmentPart *part, size_t n_items) {
        size_t size = part->head ? head_size(part->span, part->fragment) : 0, item;

        for (part->end = part->first; part->end < n_items; part->end++) {
                item = item_size(part->fragment, part->end);
                if (size && size + item > FRAGMENT_ROOM)
                        break;
                size += item;
        }
        return size;
}

static void part_message(SendMessage *message, const FragmentPart *part, uint16_t flags) {
        message->type = RECORD_SPAN;
        message->flags = flags;
        message->context = part->span->context;
        message->slot = part->fragment->slot;
        message->scope = flags & RECORD_START ? part->fragment->scope : NULL;
        message->id = id_span_key(part->span->span_id);
        message->size = 0;
        message->write = part_write;
        message->user = part;
}

/* By the stream, in as many records as it takes. */
static void fragment_send_parts(FragmentPart *part, size_t n_items) {
        uint16_t flags, whole = part->fragment->flags;
        SendMessage message;
        size_t size;
        int r;

        do {
                size = part_fill(part, n_items);
                flags = whole & RECORD_DETACHED;
                if (part->head)
                        flags |= whole & RECORD_START;
                if (part->end == n_items)
                        flags |= whole & RECORD_END;
                part_message(&message, part, flags);
                message.size = size;
                r = catena__send(&message);
                part_count_bad(part);
                if (r && flags & RECORD_START)
                        return; /* what follows would have no span */
                part->head = false;
                part->first = part->end;
        } while (part->first < n_items);
}

static void fragment_send_any(const catena_span *span, const Fragment *fragment) {
        size_t n_items = fragment->n_attributes + fragment->n_links + !!fragment->event;
        FragmentPart part = {.span = span, .fragment = fragment, .head = true, .end = n_items};
        SendMessage message;

        part_message(&message, &part, fragment->flags);
        if (catena__send_direct(&message) == SEND_E_ELSEWHERE)
                fragment_send_parts(&part, n_items);
        else
                part_count_bad(&part);
}

/* ---- the short way ---- */

/* Whether it says nothing but a head, a name and attributes, and nothing need go before it. */
static bool plain_is(const catena_span *span, const Fragment *fragment, uint64_t connection) {
        if (fragment->tracestate || fragment->status || fragment->n_links || fragment->event ||
            catena__lost_any())
                return false;
        if (fragment->scope && atomic_load(&fragment->scope->announced) != connection)
                return false;
        return !fragment->slot || slot_is_announced(fragment->slot, span->context, connection);
}

/* Writes the record; NULL: something is not short, or not plain. */
static uint8_t *plain_write(uint8_t *at, const uint8_t *end, const catena_span *span,
                            const Fragment *fragment) {
        at += RECORD_HEADER_SIZE;
        if (fragment->flags & RECORD_START)
                at = start_write(at, span, fragment);
        if (fragment->flags & RECORD_END)
                at = time_write(at, SPAN_END_TIME, fragment->unix_ns);
        if (fragment->name)
                at = catena__text_write_short(at, end, SPAN_NAME, fragment->name);
        for (size_t i = 0; at && i < fragment->n_attributes; i++)
                at = catena__attribute_write_short(at, end, SPAN_ATTRIBUTES,
                                                   &fragment->attributes[i]);
        return at;
}

/* Most calls go this way. False: nothing happened. */
static bool plain_send(const catena_span *span, const Fragment *fragment) {
        uint8_t *at, *end;
        RecordHeader header;
        ArenaTicket ticket;
        CountSaid said;

        if (catena__arena_take(&ticket, FRAGMENT_PLAIN_MIN))
                return false;
        end = ticket.room + ticket.capacity - RECORD_ALIGNMENT;
        at = plain_is(span, fragment, ticket.connection)
                     ? plain_write(ticket.room, end, span, fragment)
                     : NULL;
        if (!at || at == ticket.room + RECORD_HEADER_SIZE) {
                catena__arena_release(&ticket);
                return false;
        }
        memset(at, 0, RECORD_ALIGNMENT); /* the padding, and some more */
        header.size = (uint32_t)(at - ticket.room);
        header.type = RECORD_SPAN;
        header.flags = fragment->flags;
        header.context = slot_number(span->context);
        header.scope = fragment->scope ? fragment->scope->number : 0;
        header.id = id_span_key(span->span_id);
        record_header_write(ticket.room, &header);
        said.records = 1;
        said.starts = fragment->flags & RECORD_START;
        said.ends = (fragment->flags & RECORD_END) / RECORD_END;
        said.logs = 0;
        said.bytes = record_stride(header.size);
        if (catena__arena_publish(&ticket, said.bytes, &said))
                catena__link_wake();
        return true;
}

void catena__fragment_send(const catena_span *span, const Fragment *fragment) {
        if (!plain_send(span, fragment))
                fragment_send_any(span, fragment);
}

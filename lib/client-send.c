/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-send.h"

#include "lib/client-arena.h"
#include "lib/client-context.h"
#include "lib/client-count.h"
#include "lib/client-link.h"
#include "proto/arena.h"

#include <string.h>

enum {
        SEND_HAS_LOST = 1,
        SEND_HAS_SCOPE = 2,
        SEND_HAS_CONTEXT = 4,

        LOST_REASON = 5,
        SEND_DIRECT_MAX = ARENA_CHUNK_SIZE / 2,
};

/* What goes in one send, or behind the end of one chunk. */
typedef struct SendBatch {
        PbWriter writer;
        uint8_t *start;
        uint64_t connection;
        CountSaid said;
        unsigned has;  /* SEND_HAS_* */
        uint64_t seen; /* of the slot, before the context was written */
        LostCounts lost;
} SendBatch;

/* `lost` is left as it is: it is set when it is needed. */
static void send_begin(SendBatch *batch, uint8_t *room, size_t capacity, uint64_t connection) {
        batch->writer.at = room;
        batch->writer.end = room + capacity;
        batch->writer.failed = false;
        batch->start = room;
        batch->connection = connection;
        batch->said.records = batch->said.starts = batch->said.ends = batch->said.logs = 0;
        batch->said.bytes = 0;
        batch->has = 0;
        batch->seen = 0;
}

/* A record whose body is written and then measured. */
static uint8_t *send_open(SendBatch *batch) {
        uint8_t *start = batch->writer.at;

        if ((size_t)(batch->writer.end - start) < RECORD_HEADER_SIZE)
                batch->writer.failed = true;
        else
                batch->writer.at += RECORD_HEADER_SIZE;
        return start;
}

/* Inline, so that the header is made where it goes. */
__attribute__((always_inline)) static inline void send_close(SendBatch *batch, uint8_t *start,
                                                             RecordHeader header) {
        size_t size = (size_t)(batch->writer.at - start), stride = record_stride(size);

        if (batch->writer.failed || stride > (size_t)(batch->writer.end - start)) {
                batch->writer.failed = true;
                return;
        }
        if (batch->writer.end - batch->writer.at >= RECORD_ALIGNMENT)
                memset(batch->writer.at, 0, RECORD_ALIGNMENT); /* the padding, and some more */
        else
                memset(batch->writer.at, 0, stride - size);
        header.size = (uint32_t)(batch->writer.at - start);
        batch->writer.at = start + stride;
        record_header_write(start, &header);
        batch->said.records++;
}

/* ---- what goes before ---- */

static void send_lost(SendBatch *batch) {
        if (!catena__lost_take(&batch->lost))
                return;
        batch->has |= SEND_HAS_LOST;
        for (unsigned reason = 0; reason < _LOST_N; reason++) {
                const uint64_t *n = batch->lost.n[reason];
                uint8_t *start;

                if (!n[LOST_STARTS] && !n[LOST_UPDATES] && !n[LOST_ENDS] && !n[LOST_LOGS])
                        continue;
                start = send_open(batch);
                for (uint32_t kind = 0; kind < _LOST_KINDS_N; kind++)
                        if (n[kind])
                                pb_put_varint(&batch->writer, kind + 1, n[kind]);
                pb_put_varint(&batch->writer, LOST_REASON, reason);
                send_close(batch, start, (RecordHeader){.type = RECORD_LOST});
        }
}

static void send_scope(SendBatch *batch, const catena_scope *scope) {
        uint8_t *start = send_open(batch);

        pb_put_raw(&batch->writer, scope->encoded, scope->size);
        send_close(batch, start, (RecordHeader){.type = RECORD_SCOPE, .id = scope->number});
        batch->has |= SEND_HAS_SCOPE;
}

static void send_context(SendBatch *batch, SlotHandle handle) {
        ContextBody *body = catena__slot_hold(handle);
        uint8_t *start;

        if (!body)
                return; /* it was freed: its spans may live on */
        start = send_open(batch);
        catena__context_write(&batch->writer, body);
        send_close(batch, start,
                   (RecordHeader){
                           .type = RECORD_CONTEXT,
                           .flags = RECORD_START,
                           .context = slot_number(handle),
                   });
        batch->has |= SEND_HAS_CONTEXT;
        catena__slot_release();
}

static void send_before(SendBatch *batch, const SendMessage *message) {
        if (catena__lost_any())
                send_lost(batch);
        if (message->scope && atomic_load(&message->scope->announced) != batch->connection)
                send_scope(batch, message->scope);
        if (message->slot &&
            !slot_is_announced(message->slot, message->context, batch->connection)) {
                batch->seen = atomic_load(&message->slot->announced);
                send_context(batch, message->context);
        }
}

static void send_record(SendBatch *batch, const SendMessage *message) {
        uint8_t *start = send_open(batch);

        if (message->write && !batch->writer.failed) {
                message->write(&batch->writer, message->user);
                if (batch->writer.at == start + RECORD_HEADER_SIZE &&
                    !(message->flags & (RECORD_START | RECORD_END))) {
                        batch->writer.at = start; /* there is no record */
                        batch->said.bytes = (size_t)(start - batch->start);
                        return;
                }
        }
        send_close(batch, start,
                   (RecordHeader){
                           .type = (uint16_t)message->type,
                           .flags = message->flags,
                           .context = slot_number(message->context),
                           .scope = message->scope ? message->scope->number : 0,
                           .id = message->id,
                   });
        batch->said.bytes = (size_t)(batch->writer.at - batch->start);
        if (message->type == RECORD_SPAN) {
                batch->said.starts = message->flags & RECORD_START;
                batch->said.ends = (message->flags & RECORD_END) / RECORD_END;
        } else if (message->type == RECORD_LOG) {
                batch->said.logs = 1;
        }
}

/* ---- after it ---- */

/* What went before the record counts as announced from here on. */
static void send_announced(const SendBatch *batch, const SendMessage *message) {
        ContextBody *body;

        if (batch->has & SEND_HAS_SCOPE)
                atomic_store(&((catena_scope *)message->scope)->announced, batch->connection);
        if (!(batch->has & SEND_HAS_CONTEXT))
                return;
        slot_announce(message->slot, message->context, batch->connection, batch->seen);
        body = catena__slot_hold(message->context);
        if (body) {
                atomic_store(&body->announced, (uint32_t)(batch->connection >> 32));
                catena__slot_release();
        }
}

static void send_undo(SendBatch *batch) {
        if (batch->has & SEND_HAS_LOST)
                catena__lost_give_back(&batch->lost);
}

/* What a message that is dropped counts as; false: it does not count. */
static bool send_lost_kind(LostKind *kindp, const SendMessage *message) {
        if (message->type == RECORD_CONTEXT)
                *kindp = LOST_UPDATES;
        else if (message->type == RECORD_SPAN)
                *kindp = message->flags & RECORD_START ? LOST_STARTS
                         : message->flags & RECORD_END ? LOST_ENDS
                                                       : LOST_UPDATES;
        else if (message->type == RECORD_LOG)
                *kindp = LOST_LOGS;
        else
                return false;
        return true;
}

static void send_count_lost(const SendMessage *message, Lost reason) {
        LostKind kind;

        if (!send_lost_kind(&kind, message))
                return;
        catena__lost(reason, kind);
        if (reason == LOST_ARENA_FULL)
                catena__arena_lost(kind);
}

/* ---- by the arena ---- */

static void send_publish(SendBatch *batch, const ArenaTicket *ticket, const SendMessage *message) {
        bool waits = catena__arena_publish(ticket, batch->said.bytes, &batch->said);

        if (batch->has & (SEND_HAS_SCOPE | SEND_HAS_CONTEXT))
                send_announced(batch, message);
        if (waits)
                catena__link_wake();
}

int catena__send_direct(const SendMessage *message) {
        size_t over = RECORD_HEADER_SIZE;
        ArenaTicket ticket;
        SendBatch batch;
        int r;

        for (;;) {
                r = catena__arena_take(&ticket, over);
                if (r)
                        break;
                send_begin(&batch, ticket.room, ticket.capacity, ticket.connection);
                send_before(&batch, message);
                send_record(&batch, message);
                if (!batch.writer.failed && batch.said.records) {
                        send_publish(&batch, &ticket, message);
                        return 0;
                }
                catena__arena_release(&ticket);
                send_undo(&batch);
                if (!batch.writer.failed)
                        return 0;
                over = ticket.capacity;
                if (over >= SEND_DIRECT_MAX)
                        return SEND_E_ELSEWHERE;
        }
        if (r == ARENA_E_NONE)
                return SEND_E_ELSEWHERE;
        send_count_lost(message, LOST_ARENA_FULL);
        return SEND_E_FULL;
}

/* ---- by the stream ---- */

static int send_commit(SendBatch *batch, LinkTicket *ticket, const SendMessage *message) {
        int r = catena__link_commit(ticket, batch->said.bytes);

        if (r) {
                send_undo(batch);
                return r;
        }
        send_announced(batch, message);
        catena__count_sent(&batch->said);
        return 0;
}

/* LINK_E_FULL with `*too_bigp` set: it needs the link alone. */
static int send_try(const SendMessage *message, bool alone, bool *too_bigp) {
        LinkTicket ticket;
        SendBatch batch;
        int r;

        r = catena__link_begin(&ticket, alone);
        if (r)
                return r;
        send_begin(&batch, ticket.buffer, ticket.capacity, ticket.connection);
        send_before(&batch, message);
        send_record(&batch, message);
        *too_bigp = batch.writer.failed;
        if (!batch.writer.failed && batch.said.records)
                return send_commit(&batch, &ticket, message);
        send_undo(&batch);
        catena__link_abort(&ticket);
        return *too_bigp ? LINK_E_FULL : 0;
}

/* A connection that turns out to be gone is made anew, once. */
static int send_retrying(const SendMessage *message, bool alone) {
        bool too_big = false;
        int r = send_try(message, alone, &too_big);

        if (r == LINK_E_BROKEN)
                r = send_try(message, alone, &too_big);
        if (too_big && !alone)
                r = send_retrying(message, true);
        return r;
}

int catena__send_by_stream(const SendMessage *message) {
        size_t size = RECORD_HEADER_SIZE + message->size;
        int r;

        if (size > RECORD_SIZE_MAX) {
                send_count_lost(message, LOST_TOO_LARGE);
                return SEND_E_FULL;
        }
        r = send_retrying(message, record_stride(size) > RECORD_SEND_MAX);
        if (!r)
                return 0;
        send_count_lost(message, r == LINK_E_FULL ? LOST_SOCKET_FULL : LOST_NOT_CONNECTED);
        return r == LINK_E_FULL ? SEND_E_FULL : SEND_E_DOWN;
}

int catena__send(const SendMessage *message) {
        int r = catena__send_direct(message);

        return r == SEND_E_ELSEWHERE ? catena__send_by_stream(message) : r;
}

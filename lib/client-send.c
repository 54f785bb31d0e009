/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-send.h"

#include "lib/client-context.h"
#include "lib/client-count.h"
#include "lib/client-link.h"

#include <string.h>

enum {
        LOST_REASON = 5,
};

/* What goes in one send. */
typedef struct SendBatch {
        LinkTicket ticket;
        PbWriter writer;
        LostCounts lost;
        bool has_lost;
        ContextBody *context; /* held; NULL: none, or freed */
        unsigned n_records;
} SendBatch;

/* A record whose body is written and then measured. */
static uint8_t *send_open(SendBatch *batch) {
        uint8_t *start = batch->writer.at;

        if ((size_t)(batch->writer.end - start) < RECORD_HEADER_SIZE)
                batch->writer.failed = true;
        else
                batch->writer.at += RECORD_HEADER_SIZE;
        return start;
}

static void send_close(SendBatch *batch, uint8_t *start, RecordHeader header) {
        size_t size = (size_t)(batch->writer.at - start), stride = record_stride(size);

        if (batch->writer.failed || stride > (size_t)(batch->writer.end - start)) {
                batch->writer.failed = true;
                return;
        }
        memset(batch->writer.at, 0, stride - size);
        batch->writer.at = start + stride;
        header.size = (uint32_t)size;
        record_header_write(start, &header);
        batch->n_records++;
}

/* ---- what goes before ---- */

static void send_lost(SendBatch *batch) {
        batch->has_lost = catena__lost_take(&batch->lost);
        if (!batch->has_lost)
                return;
        for (unsigned reason = 0; reason < _LOST_N; reason++) {
                const uint64_t *n = batch->lost.n[reason];
                uint8_t *start;

                if (!n[LOST_STARTS] && !n[LOST_UPDATES] && !n[LOST_ENDS])
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
        uint8_t *start;

        if (!scope || atomic_load(&scope->announced) == batch->ticket.connection)
                return;
        start = send_open(batch);
        pb_put_raw(&batch->writer, scope->encoded, scope->size);
        send_close(batch, start, (RecordHeader){.type = RECORD_SCOPE, .id = scope->number});
}

static void send_context(SendBatch *batch, SlotHandle handle) {
        uint8_t *start;

        if (!batch->context || atomic_load(&batch->context->announced) == batch->ticket.connection)
                return;
        start = send_open(batch);
        catena__context_write(&batch->writer, batch->context);
        send_close(batch, start,
                   (RecordHeader){
                           .type = RECORD_CONTEXT,
                           .flags = RECORD_START,
                           .context = slot_number(handle),
                   });
}

static void send_record(SendBatch *batch, const SendMessage *message) {
        uint8_t *start = send_open(batch);

        if (message->write && !batch->writer.failed)
                message->write(&batch->writer, message->user);
        send_close(batch, start,
                   (RecordHeader){
                           .type = (uint16_t)message->type,
                           .flags = message->flags,
                           .context = slot_number(message->context),
                           .scope = message->scope ? message->scope->number : 0,
                           .id = message->id,
                   });
}

/* ---- the whole ---- */

static int send_commit(SendBatch *batch, const SendMessage *message) {
        size_t size = (size_t)(batch->writer.at - batch->ticket.buffer);
        int r = catena__link_commit(&batch->ticket, size);

        if (r) {
                if (batch->has_lost)
                        catena__lost_give_back(&batch->lost);
                return r;
        }
        if (message->scope)
                atomic_store(&((catena_scope *)message->scope)->announced,
                             batch->ticket.connection);
        if (batch->context)
                atomic_store(&batch->context->announced, batch->ticket.connection);
        catena__count(COUNT(records), batch->n_records);
        catena__count(COUNT(bytes), size);
        return 0;
}

/* LINK_E_FULL with `*too_bigp` set: it needs the link alone. */
static int send_try(const SendMessage *message, bool alone, bool *too_bigp) {
        SendBatch batch = {0};
        int r;

        r = catena__link_begin(&batch.ticket, alone);
        if (r)
                return r;
        if (message->context)
                batch.context = catena__slot_hold(message->context);
        batch.writer = pb_writer(batch.ticket.buffer, batch.ticket.capacity);
        send_lost(&batch);
        send_scope(&batch, message->scope);
        send_context(&batch, message->context);
        send_record(&batch, message);
        *too_bigp = batch.writer.failed;
        if (batch.writer.failed) {
                if (batch.has_lost)
                        catena__lost_give_back(&batch.lost);
                catena__link_abort(&batch.ticket);
                r = LINK_E_FULL;
        } else {
                r = send_commit(&batch, message);
        }
        if (batch.context)
                catena__slot_release();
        return r;
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

static void send_count_lost(const SendMessage *message, Lost reason) {
        if (message->type == RECORD_CONTEXT)
                catena__lost(reason, LOST_UPDATES);
        else if (message->type == RECORD_SPAN)
                catena__lost(reason, message->flags & RECORD_START ? LOST_STARTS
                                     : message->flags & RECORD_END ? LOST_ENDS
                                                                   : LOST_UPDATES);
}

int catena__send(const SendMessage *message) {
        size_t size = RECORD_HEADER_SIZE + message->size;
        int r;

        if (size > RECORD_SIZE_MAX) {
                send_count_lost(message, LOST_TOO_LARGE);
                return LINK_E_FULL;
        }
        r = send_retrying(message, record_stride(size) > RECORD_SEND_MAX);
        if (r)
                send_count_lost(message, r == LINK_E_FULL ? LOST_SOCKET_FULL : LOST_NOT_CONNECTED);
        return r;
}

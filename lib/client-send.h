#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sending a record
 *
 * Into the arena where there is one, else by the stream. Before the record, in the same chunk or
 * send, goes what the daemon must know first: what was lost, the scope, the context, where this
 * connection has not heard of them. What cannot be sent is dropped and counted.
 *
 * Threads: any, and signal handlers.
 */

#include "lib/client-scope.h"
#include "lib/client-slot.h"
#include "proto/pb.h"
#include "proto/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SendMessage {
        RecordType type;
        uint16_t flags;
        SlotHandle context;        /* 0: none */
        Slot *slot;                /* the context's; NULL: it was freed */
        const catena_scope *scope; /* or NULL */
        uint64_t id;
        size_t size;                                       /* of the body; for the stream */
        void (*write)(PbWriter *writer, const void *user); /* the body; NULL: there is none */
        const void *user;
} SendMessage;

enum {
        _SEND_E_SUCCESS,

        SEND_E_FULL,      /* dropped: there was no room */
        SEND_E_DOWN,      /* dropped: there was no connection */
        SEND_E_ELSEWHERE, /* of catena__send_direct(): not by the arena, nothing happened */
};

/*
 * Spans, logs and contexts that were not sent are counted as lost. Of a body that turns out empty,
 * where neither flags nor type say anything either, only what goes before it is said.
 */
int catena__send(const SendMessage *message);
/* By the arena or not at all; `message.size` need not be known. */
int catena__send_direct(const SendMessage *message);
/* By the stream. */
int catena__send_by_stream(const SendMessage *message);

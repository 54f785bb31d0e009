#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Sending a record
 *
 * Before the record, in the same send, goes what the daemon must know first: what was lost, the
 * scope, the context, where this connection has not heard of them. What cannot be sent is dropped
 * and counted.
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
        const catena_scope *scope; /* or NULL */
        uint64_t id;
        size_t size;                                       /* of the body */
        void (*write)(PbWriter *writer, const void *user); /* the body; NULL: there is none */
        const void *user;
} SendMessage;

/* 0, or LINK_E_*; spans and contexts that were not sent are counted as lost. */
int catena__send(const SendMessage *message);

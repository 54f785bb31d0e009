#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The link
 *
 * The one connection of a process to its daemon. It is opened by whoever has something to say when
 * there is none, again and again with a growing pause, and never waited for. What is said in one
 * send of at most 32 KiB the kernel takes whole or not at all, so senders need no lock; they go
 * through a gate together. More than that goes alone, and what the kernel did not take of it is
 * kept here and goes before anything else.
 *
 * With WELCOME may come an arena. Writers then seldom come here: that the daemon has gone is seen
 * by those who ring the doorbell, and by catena__link_look().
 *
 *     link_begin() -> write into ticket.buffer -> link_commit() or link_abort()
 *
 * Owns: the descriptor, which it checks before each use since the program may have closed it; the
 * buffers.  I/O: a Unix stream socket, never blocking.  Threads: any, and signal handlers.
 */

#include "lib/client-count.h"
#include "proto/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        _LINK_E_SUCCESS,

        LINK_E_FULL,   /* the daemon does not keep up, or too many send at once */
        LINK_E_DOWN,   /* there is no connection, and it is not yet time to try again */
        LINK_E_BROKEN, /* of a commit: the connection turned out to be gone */
};

typedef struct LinkTicket {
        uint8_t *buffer; /* aligned to 8 */
        size_t capacity;
        uint64_t connection; /* its number, never 0 and never used again; the epoch on top */
        uint32_t epoch;
        bool alone;
} LinkTicket;

/* Room for one send; `alone`: for one of over RECORD_SEND_MAX bytes. */
int catena__link_begin(LinkTicket *ticket, bool alone);
/* Sends the first `size` bytes of the buffer: whole records. */
int catena__link_commit(LinkTicket *ticket, size_t size);
void catena__link_abort(LinkTicket *ticket);

/* Rings the doorbell of an arena. */
void catena__link_wake(void);
/* Hears what the daemon has said, or that it is gone; then connects anew. For now and then. */
void catena__link_look(void);
/* Whether there is no connection, nor time yet for another try. */
bool catena__link_is_away(void);

/* Whether the daemon wants all spans, not only those that are sampled. */
bool catena__link_records_all(void);
/* The daemon's ceiling: the threshold that a trace must pass (proto/sampling.h). */
uint64_t catena__link_threshold(void);

/* ---- waiting, for a flush ---- */

/* Takes what the daemon has said. Returns the connection's number, 0: none. */
uint64_t catena__link_read(void);
/* Waits until the daemon says something, or takes something. */
void catena__link_wait(bool to_send, int timeout_ms);
/* The way back: runs for each FLUSHED. */
void catena__flush_answered(uint64_t token, uint32_t level);

bool catena__link_is_open(void);
/* The end: closes without a word. */
void catena__link_close(void);

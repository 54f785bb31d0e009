#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Waiting for a flush
 *
 * What clients sent before the flush was asked for lies in sockets that have become readable by
 * then, or in arenas that the listener hurries to read; so it is in the journal once the loop has
 * gone round a whole turn. For `delivered` what waits for sampling is then waited for, all that is
 * open sealed, and its delivery awaited.
 *
 * Borrows: the Recorder.  I/O: none.  Clock: passed in.
 */

#include "daemon/trace/delivery.h"
#include "daemon/trace/recorder.h"

typedef struct FlushWait {
        bool delivered; /* the level asked for; else journaled */
        bool journaled; /* reached */
        bool sealed;
        unsigned n_turns;
        Delivery delivery;
} FlushWait;

void flush_wait_init(FlushWait *wait, bool delivered);
/* Once a turn. *reachedp: the level asked for is reached. */
int flush_wait_turn(FlushWait *wait, Recorder *recorder, uint64_t now_unix_ns, bool *reachedp);

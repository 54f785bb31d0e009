#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Waiting for a flush
 *
 * What clients sent before the flush was asked for lies in sockets that have become readable by
 * then, so it is in the journal once the loop has gone round a whole turn. For `delivered` all that
 * is open is then sealed, and each exporter must have answered for what was sealed up to there.
 *
 * Borrows: the Recorder.  I/O: none.  Clock: passed in.
 */

#include "daemon/trace/recorder.h"

typedef struct FlushWait {
        bool delivered; /* the level asked for; else journaled */
        bool journaled; /* reached */
        bool sealed;
        unsigned n_turns;
        uint64_t last[_BATCH_SIGNALS_N]; /* number of the last batch that must be answered */
} FlushWait;

void flush_wait_init(FlushWait *wait, bool delivered);
/* Once a turn. *reachedp: the level asked for is reached. */
int flush_wait_turn(FlushWait *wait, Recorder *recorder, uint64_t now_unix_ns, bool *reachedp);

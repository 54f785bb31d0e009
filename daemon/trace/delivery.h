#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Delivery
 *
 * Waits until all that has ended by now is delivered: logs, and spans whose passes are complete,
 * also those that sampling has yet to decide on. Each exporter has answered for them then, or they
 * were dropped and counted. A span that is open is not waited for.
 *
 * Borrows: the Recorder.  I/O: none.  Clock: none.
 */

#include "daemon/trace/batch.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Recorder Recorder;

typedef struct Delivery {
        uint64_t n_deferred; /* the spans that had waited for a decision when it began */
        bool decided;        /* on all of these */
        uint64_t last[_BATCH_SIGNALS_N]; /* number of the last batch that must be answered */
} Delivery;

void delivery_begin(Delivery *delivery, const Recorder *recorder);
/* Whether all of it is in batches, which may then be sealed. */
bool delivery_is_decided(Delivery *delivery, const Recorder *recorder);
bool delivery_is_done(Delivery *delivery, const Recorder *recorder);

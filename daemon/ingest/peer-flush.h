#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What clients wait for
 *
 * A FLUSH is answered when all that its client said before it is in the journal and settled: with
 * the pass it came in, or with the next one, where it came in the second cut and something still
 * waits.
 */

#include "daemon/ingest/peer.h"

/* A pass is complete: appends the answers that are due. */
int peer_flush_passed(Peer *peer, Buffer *records);

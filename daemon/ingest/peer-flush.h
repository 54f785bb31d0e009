#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What clients wait for
 *
 * A FLUSH is answered when all that its client said before it is in the journal and settled: with
 * the pass it came in, or with the next one, where it came in the second cut and something still
 * waits. One that asks for delivery waits on, until every exporter has answered for what had ended
 * by then; without hurry, since whoever asks often must not make small requests of everybody's
 * spans.
 */

#include "daemon/ingest/peer.h"
#include "daemon/trace/delivery.h"

/* A flush that waits for delivery. */
typedef struct PeerDelivery {
        uint64_t id;
        Delivery delivery;
} PeerDelivery;

/* A pass is complete: appends the answers that are due. */
int peer_flush_passed(Peer *peer, Buffer *records);
/* The same once a turn, of those that wait for delivery. */
int peer_flush_delivered(Peer *peer, Buffer *records);
/* Nobody is there any more to be answered. */
void peer_flush_forget(Peer *peer);

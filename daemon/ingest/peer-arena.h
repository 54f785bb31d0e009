#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Peers with an arena
 *
 * An arena that has traffic is awake: it is read every few milliseconds, in rounds over all that
 * are. After some rounds without anything new it sleeps, and its client rings. What is awake costs
 * a look at its words, what sleeps costs nothing. Arenas that grow older than a second are put in
 * the store, and what chunks have held for that long without being used goes back to the system.
 *
 * Owns: the arenas, each in its session's name.  Bound: arena_bytes_per_uid.
 */

#include "daemon/ingest/peer.h"

enum {
        PEER_ARENA_ROUND_MS = 2,
        PEER_ARENA_TIDY_MS = 1000,
};

typedef enum PeerArenaNext {
        PEER_ARENA_ASLEEP,  /* all are */
        PEER_ARENA_LATER,   /* a round is due in PEER_ARENA_ROUND_MS */
        PEER_ARENA_AT_ONCE, /* there is more to read, when others have had their turn */
} PeerArenaNext;

/* Makes one for the session, unless it has one or there is none to be had. */
int peer_arena_get(Peer *peer);
/* The one of a session that was recovered, if it had one and it is in the store. */
int peer_arena_recover(PeerHost *host, Session *session);
/* It is over: nobody needs it any more. */
void peer_arena_drop(PeerHost *host, Session *session);
/* The daemon leaves; the next one finds it in the store. */
void peer_arena_leave(Session *session);

/* There may be something in it: it is awake. */
void peer_arena_wake(Peer *peer);
/* Reads all that are awake. Peers may be closed in here. */
PeerArenaNext peer_arena_round(PeerHost *host);
/* Once in PEER_ARENA_TIDY_MS. Whether anything is left to be done then. */
bool peer_arena_tidy(PeerHost *host);

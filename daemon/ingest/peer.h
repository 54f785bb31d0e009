#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Peer
 *
 * One connection of a client: HELLO and WELCOME, then records until either side hangs up. It speaks
 * for at most one session, which outlives it. What the client may not send ends the connection with
 * an ERROR that says why, after all before it was taken, and nothing else. A session with an arena
 * keeps a peer when its connection is gone: the arena is read on until a new one comes, or the
 * process goes.
 *
 * Owns: its descriptors and uv handles.  Borrows: the host.  Bound: the start of one record, 256
 * KiB, 1024 answers, and 64 deliveries that are waited for.
 */

#include "daemon/ingest/intake.h"
#include "daemon/ingest/listener.h"
#include "daemon/ingest/protocol.h"
#include "daemon/ingest/watch.h"

#include <uv.h>

/* Why a client is not let in, as it is told. */
#define PEER_REFUSED     "there are max_clients already"
#define PEER_REFUSED_UID "its user has clients_per_uid already"

typedef struct Peer Peer;

/* What all peers share: the listener's. */
typedef struct PeerHost {
        uv_loop_t *loop;
        Recorder *recorder;
        Watch watch;
        ErrorSink sink;
        unsigned max_clients;
        unsigned clients_per_uid;
        unsigned patience_ms;
        ListenerCounters counters;
        uint64_t quiet_until_ms; /* no hang-up is logged until then */
        unsigned n_unlogged;
        List peers;   /* Peer.link */
        List stalled; /* Peer.stalled_link: the journal had no room, oldest first */
        List awake;   /* Peer.awake_link: arenas that are read every few milliseconds */
        List delivering; /* Peer.delivering_link: some of their flushes wait for delivery */
        bool arenas;  /* they are offered */
        size_t arena_bytes_per_uid;
        ListenerStore store;
        ProtocolSampling sampling; /* as clients are told */
        void (*closed)(struct PeerHost *host); /* the memory of one peer is free */
} PeerHost;

struct Peer {
        PeerHost *host;
        int fd;    /* -1: the connection is gone, the arena is read on */
        int pidfd; /* until a session takes it; or -1 */
        SessionCredentials credentials;
        Session *session; /* NULL before the HELLO; its `peer` is this */
        Intake intake;
        uint64_t timed_partial;  /* the one that the timer runs for */
        uint64_t *fault_counter; /* of what intake.fault says */
        unsigned n_handles;
        uv_poll_t poll;
        uv_timer_t timer;
        List link;
        List stalled_link;
        List awake_link;
        List delivering_link;
        Buffer deliveries; /* PeerDelivery */
        unsigned n_quiet; /* rounds without anything new in the arena */
};

uint64_t peer_now_unix_ns(void);

/* Takes both descriptors. */
int peer_open(PeerHost *host, int fd, int pidfd, const SessionCredentials *credentials);
/* Reads on the arena of a session whose connection is gone. */
int peer_open_without(PeerHost *host, Session *session);
/* Tells a client that is not let in why, and closes the descriptor. */
void peer_refuse(int fd, const char *why);

/* Reads what may be read in one turn; it may be closed in here, or stall for want of room. */
void peer_turn(Peer *peer);
/* Takes what the socket and the arena hold, then closes. INTAKE_E_FULL: no room, it is stalled. */
int peer_finish(Peer *peer);
/* Answers flushes whose delivery is complete; it may be closed in here. */
int peer_answer_deliveries(Peer *peer);
/* Tells the client what host.sampling is now; it may be closed in here. */
int peer_tell_sampling(Peer *peer);
/* Closes, whatever the socket holds. Its session stays as it is. */
void peer_close(Peer *peer);

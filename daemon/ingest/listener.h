#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Listener
 *
 * The socket that clients connect to. Accepts, asks the kernel who it is, and makes a Peer of each.
 * A socket left behind by a daemon that is gone is replaced; one that a daemon still answers on is
 * not. Recovered sessions without a connection are watched here too, by their pidfd.
 *
 * Owns: its socket, its peers, the pidfds.  Borrows: the loop, the Recorder.
 */

#include "daemon/base/error.h"
#include "daemon/trace/recorder.h"

#include <sys/types.h>
#include <uv.h>

enum {
        _LISTENER_E_SUCCESS,

        LISTENER_E_IN_USE, /* another daemon answers on this socket */
        LISTENER_E_PATH,   /* the socket cannot be made there; errno tells why */
        LISTENER_E_GROUP,  /* no such group */
};

typedef struct Listener Listener;

/* Where descriptors outlive the daemon, by name. */
typedef struct ListenerStore {
        bool (*keep)(void *user, const char *name, int fd); /* false: not now, try again */
        void (*forget)(void *user, const char *name);
        int (*take)(void *user, const char *name); /* what was kept, to be owned; -1: none */
        void *user;
} ListenerStore;

typedef struct ListenerOptions {
        const char *socket;
        mode_t mode;
        const char *group; /* or NULL: the daemon's own */
        unsigned max_clients;
        unsigned clients_per_uid;
        size_t arena_bytes_per_uid; /* beyond it clients use the socket alone */
        unsigned patience_ms;       /* for a HELLO, and for the rest of a record; 0: 10 s */
        ListenerStore store;        /* keep is NULL: there is none */
        RecorderSampling sampling;  /* what clients are told of */
        ErrorSink sink;
} ListenerOptions;

/* Counters of this process, not of the journal. X(name, meaning) */
#define LISTENER_COUNTERS(X)                                                                       \
        X(connections, "connections accepted")                                                     \
        X(refused_clients, "connections refused: max_clients reached")                             \
        X(refused_uid_clients, "connections refused: the user has clients_per_uid already")        \
        X(hung_up_protocol, "connections ended: what came is not a record, or out of order")       \
        X(hung_up_partial, "connections ended: half a record, then silence")                       \
        X(hung_up_hello, "connections ended: no HELLO in time, or one that breaks a rule")         \
        X(hung_up_unread, "connections ended: the client does not read its answers")               \
        X(refused_arenas,                                                                          \
          "arenas refused: the user has its share already, or the system gave none")               \
        X(lost_arenas, "arenas of a daemon before this one that nobody has kept")                  \
        X(resumed, "sessions gone on with by their token")                                         \
        X(bytes, "bytes received")

typedef struct ListenerCounters {
#define LISTENER_COUNTER_X(name, meaning) uint64_t name;
        LISTENER_COUNTERS(LISTENER_COUNTER_X)
#undef LISTENER_COUNTER_X
        unsigned n_clients; /* now */
} ListenerCounters;

/* Also watches the sessions that were recovered, and ends those whose process is gone. */
int listener_open(Listener **listenerp, uv_loop_t *loop, Recorder *recorder,
                  const ListenerOptions *options);
/*
 * There may be room in the journal again: peers that were left unread are read. Once a turn.
 * Whether some are still unread, or a session that is over waits for its end.
 */
bool listener_resume(Listener *listener);
/* Reads the arenas of this moment in the next turn, not in a few milliseconds. */
void listener_hurry(Listener *listener);
/* Answers the flushes whose delivery is complete. Once a turn, when all else is done. */
void listener_answer_deliveries(Listener *listener);
/* Tells every client that is connected, and those to come. */
void listener_set_sampling(Listener *listener, const RecorderSampling *sampling);
const ListenerCounters *listener_counters(const Listener *listener);
/* Whether a connection speaks for it now. */
bool listener_is_connected(const Session *session);
/* Reads every socket once more, then closes all; `closed` runs when its memory is free. */
void listener_close(Listener *listener, void (*closed)(void *user), void *user);

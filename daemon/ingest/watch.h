#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Watch
 *
 * Which sessions are alive. A session is over when its process is gone (a pidfd tells), when it has
 * said BYE, or when its process begins anew without it (exec); one whose process cannot be watched
 * is over with its connection. What is over is ended as soon as no connection speaks for it and the
 * journal has room.
 *
 * Owns: the pidfds.  Borrows: the Recorder, its sessions.  Bound: the callers'.  Clock: passed in.
 */

#include "daemon/base/list.h"
#include "daemon/base/map.h"
#include "daemon/trace/recorder.h"

typedef struct Watch {
        Recorder *recorder;
        int fd;      /* readable when a process is gone: watch_collect() */
        Map watched; /* session number -> Watched */
        List alive;  /* Watched.link */
        List over;   /* Watched.link */
} Watch;

int watch_init(Watch *watch, Recorder *recorder);
/* What is not over stays alive in the journal. */
void watch_deinit(Watch *watch);

/* Watches the sessions that were recovered; those whose process is gone are over. */
int watch_recover(Watch *watch);
/* Takes the pidfd; -1: the process cannot be watched. */
int watch_add(Watch *watch, Session *session, int pidfd);

bool watch_is_alive(const Watch *watch, const Session *session);
/* Whether the session outlives its connection. */
bool watch_has_process(const Watch *watch, const Session *session);
size_t watch_n_alive(const Watch *watch);
size_t watch_n_alive_of(const Watch *watch, uint32_t uid);

void watch_over(Watch *watch, Session *session, SessionState how);
/* The process begins anew: its sessions without a connection are over. */
void watch_supersede(Watch *watch, const SessionCredentials *process);
/* The sessions whose process is gone are over from now on. */
void watch_collect(Watch *watch);
/* A session that is over and still has a connection, or NULL. */
Session *watch_over_connected(const Watch *watch);
/* Ends what is over and has no connection, as far as the journal has room. */
int watch_settle(Watch *watch, uint64_t now_unix_ns);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Daemon
 *
 * Owns everything and decides the order: what is opened first, what is done once a turn of the
 * loop, how it is left. The parts wake no one themselves; after every turn's events the daemon lets
 * each look at what the others did.
 *
 * Owns: the loop and all parts.  Borrows: the Config.  I/O: its parts'.
 */

#include "daemon/config.h"

enum {
        _DAEMON_E_SUCCESS,

        DAEMON_E_START, /* something stands in its way, as the log tells */
};

/* Opens all, runs until SIGTERM or SIGINT, and leaves. */
int daemon_run(const Config *config);

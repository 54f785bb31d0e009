#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A daemon of one's own
 *
 * Starts a catenad with its sockets, journal, configuration and log in a folder that only this user
 * may enter, in memory where the machine has /dev/shm. It exports nothing, and goes away with
 * local_free(), or when this process is gone.
 *
 * Owns: the daemon and the folder.  I/O: files and processes; waits.
 */

#include "lib/cli/child.h"

enum {
        _LOCAL_E_SUCCESS,

        LOCAL_E_FAILED, /* it could not be started; local_new() has told why on stderr */
};

typedef struct Local Local;

int local_new(Local **localp, const ChildGuard *guard);
/* Ends the daemon and removes the folder. */
Local *local_free(Local *local);

const char *local_socket(const Local *local);
const char *local_control_socket(const Local *local);

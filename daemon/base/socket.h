#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Listening on a path
 *
 * Makes a Unix stream socket that others connect to. One left behind by a process that is gone is
 * replaced; one that somebody answers on is not, nor is anything that is no socket. Mode and group
 * are in force before the first connection can be made.
 *
 * I/O: the file system, sockets.
 */

#include <sys/types.h>

enum {
        _SOCKET_E_SUCCESS,

        SOCKET_E_IN_USE, /* somebody answers on it */
        SOCKET_E_PATH,   /* it cannot be made there; errno tells why */
        SOCKET_E_GROUP,  /* no such group */
};

/* *fdp is non-blocking and closed on exec. `group` may be NULL: the process's own. */
int socket_listen(int *fdp, const char *path, mode_t mode, const char *group);
/* After the descriptor was closed: removes the path, unless somebody else listens there by now. */
void socket_remove(const char *path);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Listening on a path, or on a port
 *
 * Makes a Unix stream socket that others connect to. One left behind by a process that is gone is
 * replaced; one that somebody answers on is not, nor is anything that is no socket. Mode and group
 * are in force before the first connection can be made.
 *
 * I/O: the file system, sockets.
 */

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

enum {
        _SOCKET_E_SUCCESS,

        SOCKET_E_IN_USE, /* somebody answers on it, or has the port */
        SOCKET_E_PATH,   /* it cannot be made there; errno tells why */
        SOCKET_E_GROUP,  /* no such group */
};

/* *fdp is non-blocking and closed on exec. `group` may be NULL: the process's own. */
int socket_listen(int *fdp, const char *path, mode_t mode, const char *group);
/* After the descriptor was closed: removes the path, unless somebody else listens there by now. */
void socket_remove(const char *path);

/*
 * Splits "HOST:PORT", HOST being a numeric address, in brackets if it is one of IPv6, or
 * "localhost", or left out: loopback. False: it is not that.
 */
bool socket_parse_tcp(const char *address, struct sockaddr_storage *parsed);
/* The same of a TCP port. SOCKET_E_PATH also when the address is not one. */
int socket_listen_tcp(int *fdp, const char *address);

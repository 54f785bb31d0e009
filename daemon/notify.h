#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tells the service manager how the daemon is, by sd_notify(3)'s protocol: one datagram to the
 * socket that NOTIFY_SOCKET names, a path or, after '@', an abstract name.
 *
 * I/O: a socket.
 */

enum {
        _NOTIFY_E_SUCCESS,

        NOTIFY_E_NOBODY, /* NOTIFY_SOCKET is not set: nobody wants to know */
        NOTIFY_E_SOCKET, /* it could not be told; errno tells why */
};

/* `state` is lines of VARIABLE=VALUE: "READY=1\nSTATUS=listening". */
int notify_send(const char *state);

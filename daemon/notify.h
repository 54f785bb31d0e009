#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tells the service manager how the daemon is, by sd_notify(3)'s protocol: one datagram to the
 * socket that NOTIFY_SOCKET names, a path or, after '@', an abstract name. And has it keep
 * descriptors for the daemon that comes after, which finds them as sd_listen_fds(3) says.
 *
 * I/O: a socket.
 */

#include <stddef.h>

enum {
        _NOTIFY_E_SUCCESS,

        NOTIFY_E_NOBODY, /* NOTIFY_SOCKET is not set: nobody wants to know */
        NOTIFY_E_SOCKET, /* it could not be told; errno tells why */
};

/* `state` is lines of VARIABLE=VALUE: "READY=1\nSTATUS=listening". */
int notify_send(const char *state);

/* Has a descriptor kept; one of that name may be kept already. No ':' in the name. */
int notify_keep(const char *name, int fd);
int notify_forget(const char *name);

typedef struct NotifyKept {
        struct NotifyKeptOne {
                char *name;
                int fd; /* -1: taken */
        } * list;
        size_t n;
} NotifyKept;

/* What was kept, once: to be called before anything is opened, and the environment tells no more.
 */
int notify_kept_init(NotifyKept *kept);
void notify_kept_deinit(NotifyKept *kept);
/* What nobody has taken need not be kept any longer. */
void notify_kept_forget(NotifyKept *kept);
int notify_kept_take(NotifyKept *kept, const char *name); /* -1: there is none */

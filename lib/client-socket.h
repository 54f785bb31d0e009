#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The descriptor
 *
 * A stream socket that lives in somebody else's program: close-on-exec, never blocking, never one
 * of the standard three, never raising SIGPIPE, and known by its inode, since the program may
 * have closed it and got the number back for something of its own.
 *
 * Returns bytes or -errno; -EBADF: it is not ours any more.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Socket {
        int fd;
        dev_t device;
        ino_t inode;
} Socket;

/* -EPERM: the peer is neither root, nor this user, nor the only one who may write there. */
int catena__socket_connect(Socket *into, const char *path);
/* Closes it if it is still ours. */
void catena__socket_close(const Socket *from);

ssize_t catena__socket_send(const Socket *to, const void *data, size_t size);
/* *passedp: a descriptor that came along, to be closed; -1: none. */
ssize_t catena__socket_receive(const Socket *from, void *data, size_t size, int *passedp);

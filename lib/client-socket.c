/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
        SOCKET_SEND_BUFFER = 4 * 1024 * 1024, /* the kernel cuts it to its own maximum */
        SOCKET_FD_MIN = 3,
};

/* Whether `uid` owns the directory, and nobody else may write there. */
static bool socket_directory_is(const char *path, uid_t uid) {
        char directory[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
        const char *slash = strrchr(path, '/');
        size_t size = slash ? (size_t)(slash - path) : 0;
        struct stat status;

        if (!slash) {
                directory[0] = '.';
                size = 1;
        } else {
                size += !size; /* the root */
                memcpy(directory, path, size);
        }
        directory[size] = 0;
        return stat(directory, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == uid &&
               !(status.st_mode & (S_IWGRP | S_IWOTH));
}

static int socket_trust(int fd, const char *path) {
        struct ucred peer;
        socklen_t size = sizeof peer;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return -errno;
        if (peer.uid == 0 || peer.uid == geteuid() || socket_directory_is(path, peer.uid))
                return 0;
        return -EPERM;
}

/* Away from the descriptors that a program takes to be its standard ones. */
static int socket_lift(int fd) {
        int lifted;

        if (fd >= SOCKET_FD_MIN)
                return fd;
        lifted = fcntl(fd, F_DUPFD_CLOEXEC, SOCKET_FD_MIN);
        if (lifted < 0)
                lifted = -errno;
        close(fd);
        return lifted;
}

static int socket_open(Socket *into, int fd, const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int buffer = SOCKET_SEND_BUFFER, r;
        struct stat status;

        memcpy(address.sun_path, path,
               strlen(path)); /* the start of the process saw that it fits */
        if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
                return -errno;
        r = socket_trust(fd, path);
        if (r < 0)
                return r;
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        if (fstat(fd, &status) < 0)
                return -errno;
        *into = (Socket){.fd = fd, .device = status.st_dev, .inode = status.st_ino};
        return 0;
}

int catena__socket_connect(Socket *into, const char *path) {
        int fd, r, saved = errno;

        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        fd = fd < 0 ? -errno : socket_lift(fd);
        r = fd;
        if (fd >= 0) {
                r = socket_open(into, fd, path);
                if (r < 0)
                        close(fd);
        }
        errno = saved;
        return r;
}

static bool socket_is_ours(const Socket *ours) {
        struct stat status;

        return fstat(ours->fd, &status) == 0 && S_ISSOCK(status.st_mode) &&
               status.st_dev == ours->device && status.st_ino == ours->inode;
}

void catena__socket_close(const Socket *from) {
        int saved = errno;

        if (socket_is_ours(from))
                close(from->fd);
        errno = saved;
}

ssize_t catena__socket_send(const Socket *to, const void *data, size_t size) {
        ssize_t r = -EBADF;
        int saved = errno;

        if (socket_is_ours(to)) {
                r = send(to->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (r < 0) /* a lack of memory passes, as a full socket does */
                        r = errno == ENOBUFS || errno == ENOMEM || errno == EINTR ? -EAGAIN
                                                                                  : -errno;
        }
        errno = saved;
        return r;
}

/* The first descriptor is kept, others are closed. */
static void socket_passed(struct msghdr *message, int *passedp) {
        struct cmsghdr *header;

        for (header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
                size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                int fd;

                if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < n; i++) {
                        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
                        if (*passedp < 0)
                                *passedp = fd;
                        else
                                close(fd);
                }
        }
}

ssize_t catena__socket_receive(const Socket *from, void *data, size_t size, int *passedp) {
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        struct iovec part = {.iov_base = data, .iov_len = size};
        struct msghdr message = {
                .msg_iov = &part,
                .msg_iovlen = 1,
                .msg_control = control,
                .msg_controllen = sizeof control,
        };
        ssize_t r = -EBADF;
        int saved = errno;

        *passedp = -1;
        if (socket_is_ours(from)) {
                r = recvmsg(from->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
                if (r < 0)
                        r = errno == EINTR ? -EAGAIN : -errno;
                else
                        socket_passed(&message, passedp);
        }
        errno = saved;
        return r;
}

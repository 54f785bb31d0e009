/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

enum {
        PROCESS_STAT_MAX = 1024, /* the name in it has at most 16 bytes, the rest are numbers */
        PROCESS_FIELD_START = 22,
        PROCESS_FIELD_AFTER_NAME = 3,
};

bool process_parse_stat(uint64_t *startp, const char *text, size_t size) {
        /* The name is in parentheses and may hold any byte, also ") "; what follows holds none. */
        const char *at = memrchr(text, ')', size), *end = text + size;
        unsigned field = PROCESS_FIELD_AFTER_NAME - 1;
        uint64_t start = 0;

        if (!at)
                return false;
        while (field < PROCESS_FIELD_START) {
                at = memchr(at, ' ', (size_t)(end - at));
                if (!at)
                        return false;
                at++;
                field++;
        }
        if (at == end || *at < '0' || *at > '9')
                return false;
        for (; at < end && *at >= '0' && *at <= '9'; at++)
                if (__builtin_mul_overflow(start, 10, &start) ||
                    __builtin_add_overflow(start, (uint64_t)(*at - '0'), &start))
                        return false;
        *startp = start;
        return true;
}

/* 0: unknown. */
static uint64_t process_start(uint32_t pid) {
        char path[32], text[PROCESS_STAT_MAX];
        uint64_t start = 0;
        ssize_t n;
        int fd;

        snprintf(path, sizeof path, "/proc/%u/stat", pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        n = read(fd, text, sizeof text);
        close(fd);
        return n > 0 && process_parse_stat(&start, text, (size_t)n) ? start : 0;
}

static bool process_is_gone(int pidfd) {
        struct pollfd pollfd = {.fd = pidfd, .events = POLLIN};

        return poll(&pollfd, 1, 0) != 0;
}

static int process_pidfd(int fd, uint32_t pid) {
        int pidfd;
        socklen_t size = sizeof pidfd;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
                return pidfd;
        if (errno != ENOPROTOOPT)
                return -1;
        return (int)syscall(SYS_pidfd_open, pid, 0);
}

int process_of_connection(SessionCredentials *credentialsp, int *pidfdp, int fd) {
        struct ucred ucred;
        socklen_t size = sizeof ucred;
        SessionCredentials credentials;
        int pidfd = -1;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0)
                return -errno;
        credentials = (SessionCredentials){
                .pid = ucred.pid > 0 ? (uint32_t)ucred.pid : 0,
                .uid = ucred.uid,
                .gid = ucred.gid,
        };
        if (credentials.pid) {
                pidfd = process_pidfd(fd, credentials.pid);
                if (pidfd < 0 && (errno == EMFILE || errno == ENFILE))
                        return -errno;
        }
        if (pidfd >= 0) {
                credentials.process_start = process_start(credentials.pid);
                /* If it has gone meanwhile, the pid may be another's by now. */
                if (process_is_gone(pidfd))
                        credentials.process_start = 0;
        }
        *credentialsp = credentials;
        *pidfdp = pidfd;
        return 0;
}

int process_open(const SessionCredentials *credentials) {
        int pidfd;

        if (!credentials->pid || !credentials->process_start)
                return -1;
        pidfd = (int)syscall(SYS_pidfd_open, credentials->pid, 0);
        if (pidfd < 0)
                return -1;
        if (process_start(credentials->pid) == credentials->process_start &&
            !process_is_gone(pidfd))
                return pidfd;
        close(pidfd);
        return -1;
}

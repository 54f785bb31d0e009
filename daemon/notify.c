/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/notify.h"

#include "daemon/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
        NOTIFY_STATE_MAX = 320,  /* a name has at most 255 bytes */
        NOTIFY_KEPT_FIRST = 3,   /* SD_LISTEN_FDS_START */
        NOTIFY_KEPT_MAX = 65536, /* more than a service may have kept */
};

static int notify_address(struct sockaddr_un *address, socklen_t *sizep) {
        const char *name = getenv("NOTIFY_SOCKET");
        size_t size = name ? strlen(name) : 0;

        if (!size)
                return NOTIFY_E_NOBODY;
        if ((*name != '/' && *name != '@') || size >= sizeof address->sun_path) {
                errno = EAFNOSUPPORT;
                return NOTIFY_E_SOCKET;
        }
        *address = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(address->sun_path, name, size);
        if (*name == '@')
                address->sun_path[0] = 0; /* an abstract name has no end but its size */
        *sizep = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (*name == '/'));
        return 0;
}

/* With a descriptor beside it, unless that is -1. */
static int notify_send_with(const char *state, int beside) {
        struct sockaddr_un address;
        struct iovec part = {.iov_base = (char *)state, .iov_len = strlen(state)};
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof beside)];
        } control = {.header = {.cmsg_len = CMSG_LEN(sizeof beside),
                                .cmsg_level = SOL_SOCKET,
                                .cmsg_type = SCM_RIGHTS}};
        struct msghdr message = {.msg_name = &address, .msg_iov = &part, .msg_iovlen = 1};
        int fd, fault, r;
        ssize_t n;

        r = notify_address(&address, &message.msg_namelen);
        if (r)
                return r;
        if (beside >= 0) {
                memcpy(CMSG_DATA(&control.header), &beside, sizeof beside);
                message.msg_control = &control;
                message.msg_controllen = sizeof control;
        }
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return NOTIFY_E_SOCKET;
        n = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        fault = errno;
        close(fd);
        errno = fault;
        return n < 0 ? NOTIFY_E_SOCKET : 0;
}

int notify_send(const char *state) {
        return notify_send_with(state, -1);
}

/* ---- descriptors ---- */

int notify_keep(const char *name, int fd) {
        char state[NOTIFY_STATE_MAX];

        snprintf(state, sizeof state, "FDSTORE=1\nFDNAME=%s", name);
        return notify_send_with(state, fd);
}

int notify_forget(const char *name) {
        char state[NOTIFY_STATE_MAX];

        snprintf(state, sizeof state, "FDSTOREREMOVE=1\nFDNAME=%s", name);
        return notify_send(state);
}

/* A number in the environment; 0: there is none. */
static long notify_number(const char *variable) {
        const char *text = getenv(variable);

        return text ? strtol(text, NULL, 10) : 0;
}

/* Names stand between ':', one for each descriptor. */
static int notify_read_kept(NotifyKept *kept, const char *names) {
        for (size_t i = 0; i < kept->n; i++) {
                int fd = NOTIFY_KEPT_FIRST + (int)i;
                size_t size = names ? strcspn(names, ":") : 0;

                /* Whatever the environment says, one that is not open yet will be another's. */
                kept->list[i].fd = fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -1 : fd;
                kept->list[i].name = strndup(names ? names : "", size);
                if (!kept->list[i].name)
                        return error_origin(-ENOMEM);
                names = names && names[size] ? names + size + 1 : NULL;
        }
        return 0;
}

int notify_kept_init(NotifyKept *kept) {
        long n = notify_number("LISTEN_PID") == getpid() ? notify_number("LISTEN_FDS") : 0;
        int r = 0;

        *kept = (NotifyKept){0};
        if (n > 0 && n <= NOTIFY_KEPT_MAX) {
                kept->list = calloc((size_t)n, sizeof *kept->list);
                if (!kept->list)
                        return error_origin(-ENOMEM);
                kept->n = (size_t)n;
                r = notify_read_kept(kept, getenv("LISTEN_FDNAMES"));
        }
        unsetenv("LISTEN_PID");
        unsetenv("LISTEN_FDS");
        unsetenv("LISTEN_FDNAMES");
        return error_trace(r);
}

void notify_kept_deinit(NotifyKept *kept) {
        for (size_t i = 0; i < kept->n; i++) {
                if (kept->list[i].fd >= 0)
                        close(kept->list[i].fd);
                free(kept->list[i].name);
        }
        free(kept->list);
        *kept = (NotifyKept){0};
}

void notify_kept_forget(NotifyKept *kept) {
        for (size_t i = 0; i < kept->n; i++)
                if (kept->list[i].fd >= 0)
                        (void)notify_forget(kept->list[i].name);
        notify_kept_deinit(kept);
}

int notify_kept_take(NotifyKept *kept, const char *name) {
        for (size_t i = 0; i < kept->n; i++) {
                int fd = kept->list[i].fd;

                if (fd < 0 || strcmp(kept->list[i].name, name) != 0)
                        continue;
                kept->list[i].fd = -1;
                return fd;
        }
        return -1;
}

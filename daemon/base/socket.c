/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/socket.h"

#include "daemon/base/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int socket_address(struct sockaddr_un *address, const char *path) {
        size_t size = strlen(path);

        if (!size || size >= sizeof address->sun_path) {
                errno = size ? ENAMETOOLONG : EINVAL;
                return SOCKET_E_PATH;
        }
        *address = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(address->sun_path, path, size);
        return 0;
}

/* Removes a socket that nobody listens on. 0 also where there is nothing. */
static int socket_remove_stale(const struct sockaddr_un *address) {
        struct stat status;
        int fd, r;

        if (lstat(address->sun_path, &status) < 0)
                return errno == ENOENT ? 0 : SOCKET_E_PATH;
        if (!S_ISSOCK(status.st_mode)) {
                errno = EEXIST;
                return SOCKET_E_PATH;
        }
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return error_origin(-errno);
        r = connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? errno : 0;
        close(fd);
        switch (r) {
        case 0:
        case EAGAIN: /* its backlog is full */
                return SOCKET_E_IN_USE;
        case ENOENT:
                return 0;
        case ECONNREFUSED:
                if (unlink(address->sun_path) == 0 || errno == ENOENT)
                        return 0;
                return SOCKET_E_PATH;
        default:
                errno = r;
                return SOCKET_E_PATH;
        }
}

/* Nobody can connect before listen(), so what comes before it is in force for all. */
static int socket_bind(int fd, const struct sockaddr_un *address, mode_t mode, gid_t gid) {
        if (bind(fd, (const struct sockaddr *)address, sizeof *address) < 0)
                return SOCKET_E_PATH;
        if (lchown(address->sun_path, (uid_t)-1, gid) < 0 || chmod(address->sun_path, mode) < 0 ||
            listen(fd, SOMAXCONN) < 0) {
                int error = errno;
                unlink(address->sun_path);
                errno = error;
                return SOCKET_E_PATH;
        }
        return 0;
}

int socket_listen(int *fdp, const char *path, mode_t mode, const char *group) {
        struct sockaddr_un address;
        gid_t gid = (gid_t)-1;
        int fd, r;

        r = socket_address(&address, path);
        if (r)
                return r;
        if (group) {
                const struct group *found = getgrnam(group);
                if (!found)
                        return SOCKET_E_GROUP;
                gid = found->gr_gid;
        }
        r = socket_remove_stale(&address);
        if (r)
                return error_trace(r);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return error_origin(-errno);
        r = socket_bind(fd, &address, mode, gid);
        if (r) {
                int error = errno;
                close(fd);
                errno = error;
                return r;
        }
        *fdp = fd;
        return 0;
}

void socket_remove(const char *path) {
        struct sockaddr_un address;

        if (socket_address(&address, path) == 0)
                (void)socket_remove_stale(&address);
}

/* ---- TCP ---- */

bool socket_parse_tcp(const char *address, struct sockaddr_storage *parsed) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)parsed;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)parsed;
        const char *colon = strrchr(address, ':');
        size_t size = colon ? (size_t)(colon - address) : 0;
        char host[INET6_ADDRSTRLEN + 2], *end;
        unsigned long port;

        if (!colon || size >= sizeof host || strspn(colon + 1, "0123456789") != strlen(colon + 1))
                return false;
        port = strtoul(colon + 1, &end, 10);
        if (!port || port > 65535)
                return false;
        snprintf(host, sizeof host, "%.*s", (int)size, address);
        *parsed = (struct sockaddr_storage){0};
        if (*host == '[' && host[size - 1] == ']') {
                host[size - 1] = '\0';
                *v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                            .sin6_port = htons((uint16_t)port)};
                return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1;
        }
        *v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
        return inet_pton(AF_INET, !*host || !strcmp(host, "localhost") ? "127.0.0.1" : host,
                         &v4->sin_addr) == 1;
}

int socket_listen_tcp(int *fdp, const char *address) {
        struct sockaddr_storage parsed;
        int fd, error;

        if (!socket_parse_tcp(address, &parsed)) {
                errno = EINVAL;
                return SOCKET_E_PATH;
        }
        fd = socket(parsed.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0 && errno == EAFNOSUPPORT) /* no IPv6 here */
                return SOCKET_E_PATH;
        if (fd < 0)
                return error_origin(-errno);
        if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) < 0 ||
            bind(fd, (const struct sockaddr *)&parsed,
                 parsed.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                              : sizeof(struct sockaddr_in)) < 0 ||
            listen(fd, SOMAXCONN) < 0) {
                error = errno;
                close(fd);
                errno = error;
                return error == EADDRINUSE ? SOCKET_E_IN_USE : SOCKET_E_PATH;
        }
        *fdp = fd;
        return 0;
}

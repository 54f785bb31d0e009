/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int notify_send(const char *state) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        const char *name = getenv("NOTIFY_SOCKET");
        size_t size = name ? strlen(name) : 0;
        socklen_t address_size;
        ssize_t n;
        int fd, fault;

        if (!size)
                return NOTIFY_E_NOBODY;
        if ((*name != '/' && *name != '@') || size >= sizeof address.sun_path) {
                errno = EAFNOSUPPORT;
                return NOTIFY_E_SOCKET;
        }
        memcpy(address.sun_path, name, size);
        if (*name == '@')
                address.sun_path[0] = 0; /* an abstract name has no end but its size */
        address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (*name == '/'));
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return NOTIFY_E_SOCKET;
        n = sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
                   (struct sockaddr *)&address, address_size);
        fault = errno;
        close(fd);
        errno = fault;
        return n < 0 ? NOTIFY_E_SOCKET : 0;
}

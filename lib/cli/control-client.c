/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/control-client.h"

#include "daemon/base/error.h"
#include "daemon/http/http-client.h"
#include "daemon/http/http1.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

typedef struct ControlClient {
        int fd;
        uint64_t deadline_ns;
        int (*each)(void *user, Buffer *body); /* of a stream; else NULL */
        void *user;
        int out_fd; /* where a stream is printed; -1 */
} ControlClient;

static uint64_t control_client_now_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* What the failure of a call on the socket means. */
static int control_client_failure(int error) {
        switch (error) {
        case EACCES:
        case EPERM:
                return CONTROL_CLIENT_E_REFUSED;
        case ENOENT:
        case ENOTDIR:
        case ENOTSOCK:
        case ECONNREFUSED:
        case EPROTOTYPE:
        case ELOOP:
                return CONTROL_CLIENT_E_NO_DAEMON;
        case EPIPE:
        case ECONNRESET:
                return CONTROL_CLIENT_E_BROKEN;
        case EAGAIN: /* connect: too many are waiting to be let in */
                return CONTROL_CLIENT_E_TIMEOUT;
        default:
                return error_origin(-error);
        }
}

static int control_client_connect(ControlClient *client, const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int r;

        if (strlen(path) >= sizeof address.sun_path)
                return CONTROL_CLIENT_E_PATH;
        strcpy(address.sun_path, path);
        client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (client->fd < 0)
                return error_origin(-errno);
        if (connect(client->fd, (struct sockaddr *)&address, sizeof address) < 0) {
                r = control_client_failure(errno);
                close(client->fd);
                return error_trace(r);
        }
        return 0;
}

static int control_client_await(const ControlClient *client, short events) {
        struct pollfd wait[] = {{.fd = client->fd, .events = events}, {.fd = client->out_fd}};
        uint64_t now_ns = control_client_now_ns(), left_ms;
        int r;

        if (now_ns >= client->deadline_ns)
                return CONTROL_CLIENT_E_TIMEOUT;
        left_ms = (client->deadline_ns - now_ns) / 1000000 + 1;
        r = poll(wait, 2, left_ms > 60000 ? 60000 : (int)left_ms);
        if (r < 0 && errno != EINTR)
                return error_origin(-errno);
        return r > 0 && wait[1].revents ? CONTROL_CLIENT_E_UNREAD : 0;
}

static int control_client_send(const ControlClient *client, const Buffer *request) {
        size_t sent = 0;
        ssize_t n;
        int r;

        while (sent < request->size) {
                n = send(client->fd, request->data + sent, request->size - sent, MSG_NOSIGNAL);
                if (n >= 0) {
                        sent += (size_t)n;
                } else if (errno == EAGAIN) {
                        r = control_client_await(client, POLLOUT);
                        if (r)
                                return error_trace(r);
                } else if (errno != EINTR) {
                        return error_trace(control_client_failure(errno));
                }
        }
        return 0;
}

static int control_client_feed(const ControlClient *client, Http1 *http, const uint8_t *data,
                               size_t size) {
        size_t used;

        if (http1_feed(http, &used, data, size))
                return CONTROL_CLIENT_E_MALFORMED;
        if (!client->each || http1_status(http) != 200)
                return 0;
        return error_trace(client->each(client->user, http1_body(http)));
}

static int control_client_receive(const ControlClient *client, Http1 *http) {
        uint8_t data[16 * 1024];
        ssize_t n;
        int r;

        while (!http1_message(http)) {
                n = recv(client->fd, data, sizeof data, 0);
                if (n < 0 && errno == EAGAIN)
                        r = control_client_await(client, POLLIN);
                else if (n < 0)
                        r = errno == EINTR ? 0 : control_client_failure(errno);
                else if (n)
                        r = control_client_feed(client, http, data, (size_t)n);
                else if (!(r = http1_end(http)) && http1_message(http))
                        return 0;
                else
                        r = CONTROL_CLIENT_E_BROKEN;
                if (r)
                        return error_trace(r);
        }
        return 0;
}

static int control_client_exchange(ControlClientAnswer *answer, const ControlClient *client,
                                   const Buffer *request) {
        const Http1Message *message;
        Buffer body = BUFFER_NULL;
        Http1 *http;
        int r;

        r = http1_new(&http, HTTP1_RESPONSE, CONTROL_CLIENT_BODY_MAX);
        if (r)
                return error_trace(r);
        r = control_client_send(client, request);
        if (!r)
                r = control_client_receive(client, http);
        message = http1_message(http);
        if (!r)
                r = buffer_append(&body, message->body.data, message->body.size);
        if (!r)
                *answer = (ControlClientAnswer){message->status, body};
        http1_free(http);
        return error_trace(r);
}

static int control_client_request(ControlClientAnswer *answer, ControlClient *client,
                                  const char *socket, const char *method, const char *target) {
        Buffer request = BUFFER_NULL;
        int r;

        r = http_client_write_head(&request, &(HttpClientRequest){
                                                     .method = method,
                                                     .target = target,
                                                     .authority = "catena",
                                             });
        if (!r)
                r = control_client_connect(client, socket);
        if (!r) {
                r = control_client_exchange(answer, client, &request);
                close(client->fd);
        }
        buffer_deinit(&request);
        return error_trace(r);
}

int control_client_ask(ControlClientAnswer *answer, const char *socket, const char *method,
                       const char *target, uint64_t timeout_ns) {
        ControlClient client = {.deadline_ns = control_client_now_ns() + timeout_ns, .out_fd = -1};

        return error_trace(control_client_request(answer, &client, socket, method, target));
}

int control_client_stream(ControlClientAnswer *answer, const char *socket, const char *target,
                          int (*each)(void *user, Buffer *body), void *user, int out_fd) {
        ControlClient client = {
                .deadline_ns = UINT64_MAX,
                .each = each,
                .user = user,
                .out_fd = out_fd,
        };

        return error_trace(control_client_request(answer, &client, socket, "GET", target));
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/export/connection.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CONNECTION_READ_SIZE = 16 * 1024 };

/*
 * One way to the collector: a lookup, then a socket for one address after the other. It is in use
 * while connection->link points to it; a link that is dropped winds up by itself.
 */
typedef struct ConnectionLink {
        Connection *connection;
        enum {
                LINK_BARE,       /* nothing is pending */
                LINK_LOOKING_UP, /* lookup is pending */
                LINK_OPEN,       /* tcp is a handle, perhaps closing */
        } state;
        bool kept; /* has carried an answer before */
        struct addrinfo *addresses, *next;
        int error; /* of the last address tried */
        uv_getaddrinfo_t lookup;
        uv_connect_t connect;
        uv_write_t write;
        uv_tcp_t tcp;
} ConnectionLink;

struct Connection {
        uv_loop_t *loop;
        const Url *url;
        uint64_t timeout_ns;
        void (*answered)(void *user, const ConnectionAnswer *answer);
        void *user;
        ErrorSink sink;

        ConnectionLink *link; /* in use, or NULL */
        size_t n_links;       /* also those that wind up */
        uv_timer_t timer;
        Http1 *http;
        uv_buf_t request[2];
        bool busy; /* a request is on its way */
        bool sent; /* and has left in full */
        char error[128];
        char room[CONNECTION_READ_SIZE];

        bool closing, timer_closed;
        void (*closed)(void *user);
        void *closed_user;
};

static void connection_try_address(ConnectionLink *link);

/* ---- lifetimes ---- */

static void connection_finish_close(Connection *connection) {
        void (*closed)(void *user) = connection->closed;
        void *user = connection->closed_user;

        if (!connection->timer_closed || connection->n_links)
                return;
        http1_free(connection->http);
        free(connection);
        closed(user);
}

static bool link_is_in_use(const ConnectionLink *link) {
        return link->connection->link == link;
}

static void link_free(ConnectionLink *link) {
        Connection *connection = link->connection;

        uv_freeaddrinfo(link->addresses);
        free(link);
        connection->n_links--;
        if (connection->closing)
                connection_finish_close(connection);
}

static void link_on_closed(uv_handle_t *handle) {
        ConnectionLink *link = handle->data;

        link->state = LINK_BARE;
        if (link_is_in_use(link))
                connection_try_address(link);
        else
                link_free(link);
}

static void link_close(ConnectionLink *link) {
        if (!uv_is_closing((uv_handle_t *)&link->tcp))
                uv_close((uv_handle_t *)&link->tcp, link_on_closed);
}

static void connection_drop_link(Connection *connection) {
        ConnectionLink *link = connection->link;

        if (!link)
                return;
        connection->link = NULL;
        switch (link->state) {
        case LINK_BARE:
                link_free(link);
                break;
        case LINK_LOOKING_UP:
                uv_cancel((uv_req_t *)&link->lookup); /* else it ends when it ends */
                break;
        case LINK_OPEN:
                link_close(link);
                break;
        }
}

/* ---- the answer ---- */

static void connection_answer(Connection *connection, ConnectionAnswer *answer) {
        answer->sent = connection->sent;
        connection->busy = false;
        uv_timer_stop(&connection->timer);
        connection->answered(connection->user, answer);
}

__attribute__((format(printf, 3, 4))) static void connection_fail(Connection *connection, int e,
                                                                  const char *format, ...) {
        va_list args;

        va_start(args, format);
        vsnprintf(connection->error, sizeof(connection->error), format, args);
        va_end(args);
        connection_drop_link(connection);
        connection_answer(connection, &(ConnectionAnswer){.r = e, .error = connection->error});
}

static void connection_succeed(Connection *connection, bool keep) {
        if (keep && connection->sent)
                connection->link->kept = true;
        else
                connection_drop_link(connection);
        connection_answer(connection, &(ConnectionAnswer){.http = connection->http});
}

static void connection_fatal(Connection *connection, int r) {
        connection->sink.fail(connection->sink.user, r);
}

static void connection_on_timeout(uv_timer_t *timer) {
        Connection *connection = timer->data;

        connection_fail(connection, CONNECTION_E_FAILED, "no answer in %" PRIu64 " ms",
                        connection->timeout_ns / 1000000);
}

/* ---- one exchange ---- */

static int connection_new_link(Connection *connection);

/* The stream has ended, with a uv error or UV_EOF. */
static void connection_on_end(Connection *connection, int error) {
        ConnectionLink *link = connection->link;
        int r;

        if (!connection->busy) {
                connection_drop_link(connection);
                return;
        }
        if (link->kept && !http1_has_begun(connection->http)) {
                connection_drop_link(connection);
                connection->sent = false;
                r = connection_new_link(connection);
                if (r)
                        connection_fatal(connection, error_trace(r));
                return;
        }
        if (error == UV_EOF && !http1_end(connection->http) && http1_message(connection->http))
                connection_succeed(connection, false);
        else
                connection_fail(connection, CONNECTION_E_FAILED,
                                "%s before the answer was complete",
                                error == UV_EOF ? "connection closed" : uv_strerror(error));
}

static void connection_on_bytes(Connection *connection, size_t size) {
        size_t used;
        int r;

        if (!connection->busy) { /* nobody has asked */
                connection_drop_link(connection);
                return;
        }
        r = http1_feed(connection->http, &used, connection->room, size);
        if (r < 0)
                connection_fatal(connection, error_trace(r));
        else if (r == HTTP1_E_BODY)
                connection_fail(connection, CONNECTION_E_TOO_LARGE, "%u, with an answer over 4 MiB",
                                http1_status(connection->http));
        else if (r > 0)
                connection_fail(connection, CONNECTION_E_FAILED, "bad answer: %s",
                                http1_error_text(r));
        else if (http1_message(connection->http))
                connection_succeed(connection,
                                   used == size && http1_message(connection->http)->keep_alive);
}

static void link_on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer) {
        ConnectionLink *link = stream->data;

        (void)buffer;
        if (!link_is_in_use(link) || !n)
                return;
        if (n < 0)
                connection_on_end(link->connection, (int)n);
        else
                connection_on_bytes(link->connection, (size_t)n);
}

static void link_on_room(uv_handle_t *handle, size_t size, uv_buf_t *buffer) {
        ConnectionLink *link = handle->data;

        (void)size;
        *buffer = uv_buf_init(link->connection->room, CONNECTION_READ_SIZE);
}

static void link_on_written(uv_write_t *write, int status) {
        ConnectionLink *link = write->data;

        /* What a broken connection had to say, if anything, is told by reading it to its end. */
        if (!status && link_is_in_use(link))
                link->connection->sent = true;
}

static int connection_write(Connection *connection) {
        ConnectionLink *link = connection->link;
        int r;

        link->write.data = link;
        r = uv_write(&link->write, (uv_stream_t *)&link->tcp, connection->request, 2,
                     link_on_written);
        return error_origin(r);
}

/* ---- connecting ---- */

static void link_on_connected(uv_connect_t *connect, int status) {
        ConnectionLink *link = connect->data;
        Connection *connection = link->connection;

        if (!link_is_in_use(link))
                return;
        if (!status)
                status = uv_read_start((uv_stream_t *)&link->tcp, link_on_room, link_on_read);
        if (status) {
                link->error = status;
                link_close(link); /* then the next address */
                return;
        }
        uv_tcp_nodelay(&link->tcp, 1);
        status = connection_write(connection);
        if (status)
                connection_fatal(connection, error_trace(status));
}

static void connection_try_address(ConnectionLink *link) {
        Connection *connection = link->connection;
        struct addrinfo *address = link->next;
        int r;

        if (!address) {
                connection_fail(connection, CONNECTION_E_FAILED, "cannot connect: %s",
                                uv_strerror(link->error));
                return;
        }
        link->next = address->ai_next;
        r = uv_tcp_init(connection->loop, &link->tcp);
        if (r) {
                connection_fatal(connection, error_origin(r));
                return;
        }
        link->state = LINK_OPEN;
        link->tcp.data = link;
        link->connect.data = link;
        r = uv_tcp_connect(&link->connect, &link->tcp, address->ai_addr, link_on_connected);
        if (r) {
                link->error = r;
                link_close(link);
        }
}

static void connection_fail_lookup(Connection *connection, int error) {
        connection_fail(connection, CONNECTION_E_FAILED, "cannot find %s: %s",
                        connection->url->host, uv_strerror(error));
}

static void link_on_looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *addresses) {
        ConnectionLink *link = lookup->data;

        link->state = LINK_BARE;
        link->addresses = link->next = addresses;
        if (!link_is_in_use(link))
                link_free(link);
        else if (status)
                connection_fail_lookup(link->connection, status);
        else
                connection_try_address(link);
}

static int connection_new_link(Connection *connection) {
        const struct addrinfo hints = {
                .ai_family = AF_UNSPEC,
                .ai_socktype = SOCK_STREAM,
                .ai_flags = AI_NUMERICSERV,
        };
        ConnectionLink *link;
        int r;

        http1_next(connection->http);
        link = calloc(1, sizeof(*link));
        if (!link)
                return error_origin(-ENOMEM);
        link->connection = connection;
        link->lookup.data = link;
        r = uv_getaddrinfo(connection->loop, &link->lookup, link_on_looked_up,
                           connection->url->host, connection->url->port, &hints);
        if (r) { /* not fit to be looked up */
                free(link);
                connection_fail_lookup(connection, r);
                return 0;
        }
        link->state = LINK_LOOKING_UP;
        connection->link = link;
        connection->n_links++;
        return 0;
}

/* ---- the interface ---- */

int connection_open(Connection **connectionp, uv_loop_t *loop, const ConnectionOptions *options) {
        Connection *connection;
        int r;

        connection = calloc(1, sizeof(*connection));
        if (!connection)
                return error_origin(-ENOMEM);
        connection->loop = loop;
        connection->url = options->url;
        connection->timeout_ns = options->timeout_ns;
        connection->answered = options->answered;
        connection->user = options->user;
        connection->sink = options->sink;
        r = http1_new(&connection->http, HTTP1_RESPONSE, CONNECTION_ANSWER_MAX);
        if (r) {
                free(connection);
                return error_trace(r);
        }
        uv_timer_init(loop, &connection->timer);
        connection->timer.data = connection;
        *connectionp = connection;
        return 0;
}

int connection_send(Connection *connection, const Buffer *head, const Buffer *body) {
        assert(!connection->busy && !connection->closing);
        connection->request[0] = uv_buf_init((char *)head->data, (unsigned)head->size);
        connection->request[1] = uv_buf_init((char *)body->data, (unsigned)body->size);
        connection->busy = true;
        connection->sent = false;
        if (connection->timeout_ns)
                uv_timer_start(&connection->timer, connection_on_timeout,
                               (connection->timeout_ns + 999999) / 1000000, 0);
        if (!connection->link)
                return error_trace(connection_new_link(connection));
        http1_next(connection->http);
        return error_trace(connection_write(connection));
}

static void connection_on_timer_closed(uv_handle_t *handle) {
        Connection *connection = handle->data;

        connection->timer_closed = true;
        connection_finish_close(connection);
}

void connection_close(Connection *connection, void (*closed)(void *user), void *user) {
        assert(!connection->closing);
        connection->closing = true;
        connection->closed = closed;
        connection->closed_user = user;
        connection_drop_link(connection);
        uv_close((uv_handle_t *)&connection->timer, connection_on_timer_closed);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/control.h"

#include "daemon/base/list.h"
#include "daemon/base/log.h"
#include "daemon/base/socket.h"
#include "daemon/control/flush-wait.h"
#include "daemon/control/routes.h"
#include "daemon/control/tail.h"
#include "daemon/http/http-server.h"
#include "daemon/http/http1.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
        CONTROL_CONNECTIONS_MAX = 32,
        CONTROL_BODY_MAX = 4 * 1024,        /* bytes of a request's body */
        CONTROL_OUT_MAX = 32 * 1024 * 1024, /* bytes that wait for slow readers */
        CONTROL_READ_MAX = 16 * 1024,       /* bytes read at once */
        CONTROL_IDLE_MS = 30 * 1000,        /* for a request to come, whole */
        CONTROL_WRITE_MS = 10 * 1000,       /* without any progress */
        CONTROL_RETRY_MS = 100,             /* after accept() lacked something */
};

typedef enum ControlState {
        CONTROL_READING,
        CONTROL_FLUSHING, /* the answer waits */
        CONTROL_WRITING,
        CONTROL_TAILING, /* the answer goes on and on */
} ControlState;

typedef struct ControlConnection {
        Control *control;
        int fd;
        ControlState state;
        bool keep_alive;
        Http1 *http;
        Buffer out;
        size_t n_sent, n_sent_before; /* of `out`; when the timer ran last */
        FlushWait flush;
        TailReader reader;
        bool waits; /* tailing: until it can be written to */
        uv_poll_t poll;
        uv_timer_t timer;
        unsigned n_handles; /* that are not closed */
        List link;          /* control.connections */
} ControlConnection;

struct Control {
        ControlOptions options;
        char *path; /* NULL: a port */
        uv_loop_t *loop;
        int fd;
        uv_poll_t poll;
        uv_timer_t retry;
        Tail tail;
        uv_idle_t turning; /* runs while a flush needs turns that nothing else brings about */
        unsigned n_handles;
        List connections; /* ControlConnection.link */
        size_t n_connections;
        void (*closed)(void *user);
        void *user;
};

static void control_fail(Control *control, int r) {
        if (r < 0)
                control->options.sink.fail(control->options.sink.user, r);
}

static uint64_t control_now_unix_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void control_accept_ready(uv_poll_t *poll, int status, int events);

/* Accepts while there is a place. */
static void control_watch(Control *control) {
        if (control->closed || control->n_connections == CONTROL_CONNECTIONS_MAX)
                uv_poll_stop(&control->poll);
        else
                uv_poll_start(&control->poll, UV_READABLE, control_accept_ready);
}

/* ---- the end of a connection, and of all ---- */

static void control_maybe_closed(Control *control) {
        void (*closed)(void *user) = control->closed;
        void *user = control->user;

        if (!closed || control->n_handles || control->n_connections)
                return;
        tail_deinit(&control->tail);
        free(control->path);
        free(control);
        closed(user);
}

static void control_connection_closed(uv_handle_t *handle) {
        ControlConnection *connection = handle->data;
        Control *control = connection->control;

        if (--connection->n_handles)
                return;
        close(connection->fd);
        http1_free(connection->http);
        buffer_deinit(&connection->out);
        free(connection);
        control->n_connections--;
        if (!control->closed)
                control_watch(control);
        control_maybe_closed(control);
}

static void control_connection_close(ControlConnection *connection) {
        tail_leave(&connection->control->tail, &connection->reader);
        list_unlink(&connection->link);
        if (!uv_is_closing((uv_handle_t *)&connection->poll)) {
                uv_close((uv_handle_t *)&connection->poll, control_connection_closed);
                uv_close((uv_handle_t *)&connection->timer, control_connection_closed);
        }
}

/* ---- a connection: reading, (flushing,) writing, and again ---- */

static void control_connection_ready(uv_poll_t *poll, int status, int events);
static void control_connection_timeout(uv_timer_t *timer);

/* What the connection now waits for, and for how long. */
static void control_connection_enter(ControlConnection *connection, ControlState state,
                                     uint64_t timeout_ms) {
        int events = state == CONTROL_READING   ? UV_READABLE
                     : state == CONTROL_WRITING ? UV_WRITABLE
                                                : UV_DISCONNECT;

        connection->state = state;
        connection->n_sent_before = connection->n_sent;
        uv_poll_start(&connection->poll, events, control_connection_ready);
        uv_timer_start(&connection->timer, control_connection_timeout, timeout_ms, timeout_ms);
}

/* Sends on; ends the connection where it is no more use. */
static void control_connection_send(ControlConnection *connection) {
        const Buffer *out = &connection->out;

        while (connection->n_sent < out->size) {
                ssize_t n = send(connection->fd, out->data + connection->n_sent,
                                 out->size - connection->n_sent, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return;
                if (n < 0) {
                        control_connection_close(connection);
                        return;
                }
                connection->n_sent += (size_t)n;
        }
        if (!connection->keep_alive) {
                control_connection_close(connection);
                return;
        }
        buffer_deinit(&connection->out);
        connection->n_sent = 0;
        http1_next(connection->http);
        control_connection_enter(connection, CONTROL_READING, CONTROL_IDLE_MS);
}

/* Takes the answer. */
static int control_connection_answer(ControlConnection *connection, RoutesAnswer *answer) {
        HttpServerHead head = {
                .status = answer->status,
                .content_type = answer->content_type,
                .keep_alive = connection->keep_alive,
        };
        int r = http_server_write(&connection->out, &head, answer->body.data, answer->body.size);

        buffer_deinit(&answer->body);
        if (r)
                return error_trace(r);
        control_connection_enter(connection, CONTROL_WRITING, CONTROL_WRITE_MS);
        control_connection_send(connection);
        return 0;
}

static int control_connection_flushed(ControlConnection *connection, bool reached) {
        RoutesAnswer answer = {0};
        const FlushWait *flush = &connection->flush;
        int r;

        r = routes_flushed(&answer,
                           reached && flush->delivered ? "delivered"
                           : flush->journaled          ? "journaled"
                                                       : "none",
                           reached);
        return r ? error_trace(r) : error_trace(control_connection_answer(connection, &answer));
}

/* ---- a tail: what is said is sent once a turn ---- */

/* Closes the connection of who is cut off, or gone. */
static void control_connection_tail(ControlConnection *connection) {
        Buffer *out = &connection->out;
        ssize_t n = 1;

        while (!connection->reader.cut_off && out->size && n > 0) {
                n = send(connection->fd, out->data, out->size, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (n > 0) {
                        buffer_consume(out, (size_t)n);
                        connection->n_sent += (size_t)n;
                }
                if (n < 0 && errno == EINTR)
                        n = 1;
        }
        if (connection->reader.cut_off || (n < 0 && errno != EAGAIN)) {
                control_connection_close(connection);
        } else if (connection->waits != (out->size > 0)) {
                connection->waits = out->size > 0;
                uv_poll_start(&connection->poll,
                              UV_DISCONNECT | (connection->waits ? UV_WRITABLE : 0),
                              control_connection_ready);
        }
}

/* The daemon leaves: the answer ends as it should, where the reader has room for that. */
static void control_connection_end_tail(ControlConnection *connection) {
        if (http_server_write_last_chunk(&connection->out) == 0)
                control_connection_tail(connection);
}

static int control_connection_start_tail(ControlConnection *connection,
                                         const RoutesAnswer *answer) {
        const HttpServerHead head = {.status = 200, .content_type = answer->content_type};
        RoutesAnswer refusal = {0};
        int r;

        if (!http1_message(connection->http)->chunks)
                r = routes_error(&refusal, 400, "HTTP/1.1 is needed");
        else if (tail_join(&connection->control->tail, &connection->reader, &answer->query,
                           &connection->out))
                r = routes_error(&refusal, 503, "there are as many readers as there may be");
        else
                r = http_server_write_chunks_head(&connection->out, &head);
        if (!r && !refusal.status)
                r = http_server_write_chunk(&connection->out, answer->body.data, answer->body.size);
        if (r)
                return error_trace(r);
        if (refusal.status)
                return error_trace(control_connection_answer(connection, &refusal));
        control_connection_enter(connection, CONTROL_TAILING, CONTROL_WRITE_MS);
        control_connection_tail(connection);
        return 0;
}

static bool control_is_busy(const Control *control) {
        size_t size = 0;

        list_for_each (link, &control->connections)
                size += list_entry(link, ControlConnection, link)->out.size;
        return size > CONTROL_OUT_MAX;
}

static void control_turn_again(uv_idle_t *idle) {
        (void)idle;
}

static int control_connection_request(ControlConnection *connection) {
        const Http1Message *request = http1_message(connection->http);
        Control *control = connection->control;
        RoutesAnswer answer = {0};
        int r;

        connection->keep_alive = connection->keep_alive && request->keep_alive;
        if (control_is_busy(control))
                r = routes_error(&answer, 503, "too much is waiting for slow readers");
        else
                r = routes_answer(&answer, &control->options, request, control_now_unix_ns());
        if (r || !answer.flush) {
                if (!r && answer.tail)
                        r = control_connection_start_tail(connection, &answer);
                else if (!r)
                        r = control_connection_answer(connection, &answer);
                buffer_deinit(&answer.body);
                return error_trace(r);
        }
        flush_wait_init(&connection->flush, answer.delivered);
        control_connection_enter(connection, CONTROL_FLUSHING, answer.timeout_ms);
        uv_idle_start(&control->turning, control_turn_again);
        listener_hurry(control->options.listener);
        return 0;
}

/* One request at a time: what follows it at once, before its answer, is not answered. */
static int control_connection_read(ControlConnection *connection) {
        uint8_t data[CONTROL_READ_MAX];
        RoutesAnswer answer = {0};
        size_t n_used;
        ssize_t n;
        int r;

        do
                n = recv(connection->fd, data, sizeof data, MSG_DONTWAIT);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN)
                return 0;
        if (n <= 0) {
                control_connection_close(connection);
                return 0;
        }
        r = http1_feed(connection->http, &n_used, data, (size_t)n);
        if (r < 0)
                return error_trace(r);
        connection->keep_alive = !r && n_used == (size_t)n;
        if (r > 0) {
                r = routes_error(&answer, http_server_error_status(r), http1_error_text(r));
                return r ? error_trace(r)
                         : error_trace(control_connection_answer(connection, &answer));
        }
        if (!http1_message(connection->http))
                return 0;
        return error_trace(control_connection_request(connection));
}

static void control_connection_ready(uv_poll_t *poll, int status, int events) {
        ControlConnection *connection = poll->data;
        Control *control = connection->control;
        int r = 0;

        if (status < 0 || connection->state == CONTROL_FLUSHING || (events & UV_DISCONNECT))
                control_connection_close(connection);
        else if (connection->state == CONTROL_TAILING)
                control_connection_tail(connection);
        else if (connection->state == CONTROL_READING && (events & UV_READABLE))
                r = control_connection_read(connection);
        else if (connection->state == CONTROL_WRITING && (events & UV_WRITABLE))
                control_connection_send(connection);
        control_fail(control, error_trace(r));
}

static void control_connection_timeout(uv_timer_t *timer) {
        ControlConnection *connection = timer->data;
        Control *control = connection->control;
        int r = 0;

        if (connection->state == CONTROL_FLUSHING) {
                r = control_connection_flushed(connection, false);
        } else if (connection->state == CONTROL_TAILING) {
                if (connection->waits && connection->n_sent == connection->n_sent_before)
                        tail_cut_off(&control->tail, &connection->reader);
        } else if (connection->state == CONTROL_READING ||
                   connection->n_sent == connection->n_sent_before) {
                control_connection_close(connection);
        }
        connection->n_sent_before = connection->n_sent;
        control_fail(control, error_trace(r));
}

static int control_connection_open(Control *control, int fd) {
        ControlConnection *connection = calloc(1, sizeof *connection);
        int r;

        if (!connection)
                return error_origin(-ENOMEM);
        connection->control = control;
        connection->fd = fd;
        r = http1_new(&connection->http, HTTP1_REQUEST, CONTROL_BODY_MAX);
        if (!r)
                r = error_origin(uv_poll_init(control->loop, &connection->poll, fd));
        if (r) {
                http1_free(connection->http);
                free(connection);
                return error_trace(r);
        }
        uv_timer_init(control->loop, &connection->timer);
        connection->poll.data = connection->timer.data = connection;
        connection->n_handles = 2;
        list_append(&control->connections, &connection->link);
        control->n_connections++;
        control_connection_enter(connection, CONTROL_READING, CONTROL_IDLE_MS);
        return 0;
}

/* ---- accepting ---- */

static void control_retry(uv_timer_t *timer) {
        control_watch(timer->data);
}

static void control_accept_ready(uv_poll_t *poll, int status, int events) {
        Control *control = poll->data;
        int fd, r;

        (void)events;
        if (status < 0) {
                control_fail(control, error_origin(status));
                return;
        }
        while (control->n_connections < CONTROL_CONNECTIONS_MAX) {
                fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
                        continue;
                if (fd < 0 && errno == EAGAIN)
                        return;
                if (fd < 0) {
                        log_warning("control: cannot accept: %s", strerror(errno));
                        uv_poll_stop(&control->poll);
                        uv_timer_start(&control->retry, control_retry, CONTROL_RETRY_MS, 0);
                        return;
                }
                r = control_connection_open(control, fd);
                if (r) {
                        close(fd);
                        control_fail(control, error_trace(r));
                        return;
                }
        }
        control_watch(control);
}

/* ---- the whole ---- */

int control_open(Control **controlp, uv_loop_t *loop, const ControlOptions *options) {
        Control *control = calloc(1, sizeof *control);
        int r;

        if (!control)
                return error_origin(-ENOMEM);
        control->options = *options;
        control->loop = loop;
        tail_init(&control->tail, options->recorder);
        control->options.tail = &control->tail.counters;
        list_init(&control->connections);
        if (!options->tcp) {
                control->path = strdup(options->socket);
                if (!control->path) {
                        free(control);
                        return error_origin(-ENOMEM);
                }
        }
        r = options->tcp ? socket_listen_tcp(&control->fd, options->tcp)
                         : socket_listen(&control->fd, options->socket, options->mode,
                                         options->group);
        if (r) {
                free(control->path);
                free(control);
                return r < 0                  ? error_trace(r)
                       : r == SOCKET_E_IN_USE ? CONTROL_E_IN_USE
                       : r == SOCKET_E_GROUP  ? CONTROL_E_GROUP
                                              : CONTROL_E_PATH;
        }
        r = uv_poll_init(loop, &control->poll, control->fd);
        if (r) {
                close(control->fd);
                free(control->path);
                free(control);
                return error_origin(r);
        }
        uv_timer_init(loop, &control->retry);
        uv_idle_init(loop, &control->turning);
        control->poll.data = control->retry.data = control->turning.data = control;
        control->n_handles = 3;
        control_watch(control);
        *controlp = control;
        return 0;
}

const TailCounters *control_tail(const Control *control) {
        return &control->tail.counters;
}

void control_turn(Control *control) {
        bool turning = false;
        int r = 0;

        list_for_each_safe (link, &control->connections) {
                ControlConnection *connection = list_entry(link, ControlConnection, link);
                bool was_sealed = connection->flush.sealed, reached;

                if (connection->state == CONTROL_TAILING)
                        control_connection_tail(connection);
                if (connection->state != CONTROL_FLUSHING)
                        continue;
                r = flush_wait_turn(&connection->flush, control->options.recorder,
                                    control_now_unix_ns(), &reached);
                if (!r && reached)
                        r = control_connection_flushed(connection, true);
                if (r)
                        break;
                if (connection->flush.sealed && !was_sealed)
                        for (size_t i = 0; i < control->options.n_exporters; i++)
                                exporter_hurry(control->options.exporters[i]);
                turning = turning || !connection->flush.journaled;
        }
        if (!turning)
                uv_idle_stop(&control->turning);
        control_fail(control, error_trace(r));
}

static void control_handle_closed(uv_handle_t *handle) {
        Control *control = handle->data;

        control->n_handles--;
        control_maybe_closed(control);
}

void control_close(Control *control, void (*closed)(void *user), void *user) {
        control->closed = closed;
        control->user = user;
        list_for_each_safe (link, &control->connections) {
                ControlConnection *connection = list_entry(link, ControlConnection, link);

                if (connection->state == CONTROL_TAILING)
                        control_connection_end_tail(connection);
                control_connection_close(connection);
        }
        uv_close((uv_handle_t *)&control->poll, control_handle_closed);
        uv_close((uv_handle_t *)&control->retry, control_handle_closed);
        uv_close((uv_handle_t *)&control->turning, control_handle_closed);
        close(control->fd);
        if (control->path)
                socket_remove(control->path);
}

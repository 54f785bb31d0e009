/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A server as people write them: one loop that never waits, threads that work, and processes that
 * are forked for what must not bring it down. Requests overlap in all of them, and each keeps to
 * its own trace.
 */

#include "lib/catena.h"
#include "proto/id.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        REQUESTS = 24,
        THREADS = 4,
        FLUSH_MS = HARNESS_PATIENCE_S * 1000,
        SPANS_OF_ONE = 4, /* request, work, step, render */
};

static Harness harness;

/* ---- the server ---- */

typedef struct Request {
        int fd; /* the client's; what is read from it is the request's number */
        char name[32];
        catena_context *context, *work;
        catena_span span;
        int worker; /* a pipe that closes with the process; -1: there is none */
        struct Request *next;
} Request;

static struct {
        pthread_mutex_t lock;
        pthread_cond_t filled;
        Request *queue; /* for the threads */
        int done[2];    /* requests that they are through with, by address */
        Request *requests[REQUESTS];
        size_t n_requests, n_answered;
} server = {.lock = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER};

/* Code of a library that is handed no context. */
static void do_step(void) {
        catena_span step = catena_span_start(catena_context_current(), "step", 0);

        catena_span_end(step);
}

static void *do_work(void *user) {
        for (;;) {
                catena_context *before;
                catena_span work;
                Request *request;

                pthread_mutex_lock(&server.lock);
                while (!server.queue)
                        pthread_cond_wait(&server.filled, &server.lock);
                request = server.queue;
                server.queue = request->next;
                pthread_mutex_unlock(&server.lock);
                before = catena_context_attach(request->work);
                work = catena_span_start(request->work, "work", CATENA_KIND_INTERNAL);
                catena_span_set_string(work, "request", request->name);
                do_step();
                catena_span_event(request->span, "worked", NULL, 0); /* the loop's, from here */
                catena_span_end(work);
                catena_context_detach(before);
                if (write(server.done[1], &request, sizeof request) != sizeof request)
                        abort();
        }
        return user;
}

/* A request has come: its work waits for a thread. */
static void begin(Request *request) {
        char number;

        if (read(request->fd, &number, 1) != 1)
                abort();
        snprintf(request->name, sizeof request->name, "request %d", number);
        request->context = catena_context_new(request->name, NULL);
        request->span = catena_span_start(request->context, request->name, CATENA_KIND_SERVER);
        request->work = catena_context_child(request->context);
        pthread_mutex_lock(&server.lock);
        request->next = server.queue;
        server.queue = request;
        pthread_cond_signal(&server.filled);
        pthread_mutex_unlock(&server.lock);
}

/* It is worked on: a process renders the answer. */
static void render(Request *request) {
        catena_span span;
        int fds[2];
        pid_t pid;

        catena_context_free(request->work);
        if (pipe(fds))
                abort();
        pid = fork();
        if (pid < 0)
                abort();
        if (!pid) {
                span = catena_span_child(request->span, "render", CATENA_KIND_INTERNAL);
                catena_span_set_string(span, "request", request->name);
                catena_span_end(span);
                _exit(catena_flush(FLUSH_MS) ? 0 : 1);
        }
        close(fds[1]);
        request->worker = fds[0];
}

static void answer(Request *request) {
        int status;
        bool good = waitpid(-1, &status, 0) > 0 && !status;

        close(request->worker);
        request->worker = -1;
        catena_span_set_bool(request->span, "good", good);
        catena_span_end(request->span);
        catena_context_free(request->context);
        if (write(request->fd, good ? "y" : "n", 1) != 1)
                abort();
        close(request->fd);
        request->fd = -1;
        server.n_answered++;
}

static void accept_one(int listener) {
        Request *request = calloc(1, sizeof *request);

        if (!request || server.n_requests == REQUESTS)
                abort();
        request->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        request->worker = -1;
        server.requests[server.n_requests++] = request;
}

/* What is waited for, and whom it concerns: NULL for the first two. */
static size_t look(struct pollfd polls[], Request *whose[], int listener) {
        size_t n = 2;

        polls[0] = (struct pollfd){.fd = listener, .events = POLLIN};
        polls[1] = (struct pollfd){.fd = server.done[0], .events = POLLIN};
        for (size_t i = 0; i < server.n_requests; i++) {
                Request *request = server.requests[i];
                int fd = request->worker >= 0                    ? request->worker
                         : request->fd >= 0 && !request->context ? request->fd
                                                                 : -1;

                whose[n] = request;
                polls[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
        }
        return n;
}

static void turn(int listener) {
        struct pollfd polls[REQUESTS + 2];
        Request *whose[REQUESTS + 2], *request;
        size_t n = look(polls, whose, listener);

        if (poll(polls, n, -1) < 0 && errno != EINTR)
                abort();
        for (size_t i = 2; i < n; i++)
                if (polls[i].revents && whose[i]->worker >= 0)
                        answer(whose[i]);
                else if (polls[i].revents)
                        begin(whose[i]);
        if (polls[1].revents && read(server.done[0], &request, sizeof request) == sizeof request)
                render(request);
        if (polls[0].revents)
                accept_one(listener);
}

static void serve(void *user) {
        int listener = *(int *)user;
        pthread_t thread;

        people_speak(&harness, "server");
        if (pipe(server.done))
                abort();
        for (size_t i = 0; i < THREADS; i++)
                if (pthread_create(&thread, NULL, do_work, NULL))
                        abort();
        while (server.n_answered < REQUESTS)
                turn(listener);
        if (!catena_stop(FLUSH_MS))
                _exit(1);
}

/* ---- its clients, and what arrived ---- */

typedef struct Address {
        struct sockaddr_un name; /* one that the kernel chooses */
        socklen_t size;
} Address;

static int listen_at(Address *address) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        address->name.sun_family = AF_UNIX;
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address->name, sizeof(sa_family_t)), 0);
        address->size = sizeof address->name;
        ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address->name, &address->size), 0);
        ck_assert_int_eq(listen(fd, REQUESTS), 0);
        return fd;
}

/* All at once: each says its number, and then waits for the answer. */
static void ask(const Address *address) {
        int fds[REQUESTS];
        char text;

        for (size_t i = 0; i < REQUESTS; i++) {
                fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
                ck_assert_int_eq(
                        connect(fds[i], (const struct sockaddr *)&address->name, address->size), 0);
        }
        for (size_t i = REQUESTS; i-- > 0;) {
                text = (char)i;
                ck_assert_int_eq(write(fds[i], &text, 1), 1);
        }
        for (size_t i = 0; i < REQUESTS; i++) {
                ck_assert_int_eq(read(fds[i], &text, 1), 1);
                ck_assert_int_eq(text, 'y');
                close(fds[i]);
        }
}

static const char *attribute(const BackendSpan *span, const char *key) {
        const char *value = backend_string(span->span->attributes, span->span->n_attributes, key);

        ck_assert_msg(value, "%s has no %s", span->span->name, key);
        return value;
}

static bool is_same(ProtobufCBinaryData one, ProtobufCBinaryData other) {
        return one.len == other.len && !memcmp(one.data, other.data, one.len);
}

/* The only one of that name under the parent. */
static const BackendSpan *child_of(const BackendSpan *parent, const char *name) {
        const BackendSpan *span, *found = NULL;

        for (size_t i = 0; (span = backend_span(harness.backend, i)); i++) {
                if (strcmp(span->span->name, name) ||
                    !is_same(span->span->parent_span_id, parent->span->span_id))
                        continue;
                ck_assert_ptr_null(found);
                found = span;
        }
        ck_assert_msg(found, "no %s under %s", name, parent->span->name);
        ck_assert(is_same(found->span->trace_id, parent->span->trace_id));
        ck_assert_str_eq(attribute(found, "workflow.correlation_id"),
                         attribute(parent, "workflow.correlation_id"));
        ck_assert_str_eq(attribute(found, "workflow.id"), attribute(parent, "workflow.id"));
        return found;
}

static void check_request(int i) {
        const BackendSpan *request, *work, *step, *rendered;
        char name[32];

        snprintf(name, sizeof name, "request %d", i);
        request = backend_find(harness.backend, name);
        ck_assert_ptr_nonnull(request);
        ck_assert_uint_eq(request->span->parent_span_id.len, 0);
        ck_assert_str_eq(attribute(request, "workflow.id"), name);
        ck_assert_uint_eq(request->span->n_events, 1);
        ck_assert_str_eq(request->span->events[0]->name, "worked");

        work = child_of(request, "work");
        ck_assert_str_eq(attribute(work, "request"), name);
        ck_assert_str_eq(attribute(work, "workflow.causation_id"),
                         attribute(request, "workflow.context_id"));
        step = child_of(work, "step");
        ck_assert_str_eq(attribute(step, "workflow.context_id"),
                         attribute(work, "workflow.context_id"));
        rendered = child_of(request, "render");
        ck_assert_str_eq(attribute(rendered, "request"), name);
        ck_assert_str_eq(attribute(rendered, "workflow.context_id"),
                         attribute(request, "workflow.context_id"));
}

START_TEST(a_server_keeps_its_requests_apart) {
        Address address = {0};
        int listener;
        pid_t pid;

        harness_open(&harness, NULL);
        listener = listen_at(&address);
        pid = people_fork(serve, &listener);
        ask(&address);
        ck_assert_int_eq(people_await(pid), 0);
        harness_await(&harness, "counters.spans_finished", SPANS_OF_ONE * REQUESTS);
        for (int i = 0; i < REQUESTS; i++)
                check_request(i);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_accepted"),
                          SPANS_OF_ONE * REQUESTS);
        ck_assert_uint_eq(harness_get(&harness, "counters.sessions"), 1 + REQUESTS);
        ck_assert_uint_eq(harness_get(&harness, "counters.orphans"), 0);
        ck_assert_uint_eq(harness_get(&harness, "counters.late"), 0);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_exited"), 0);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_without_context"), 0);
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("server", a_server_keeps_its_requests_apart)

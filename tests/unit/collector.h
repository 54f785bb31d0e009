#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A collector on loopback that follows a script in a thread of its own: one step a request. It
 * keeps what it was sent, to be looked at when it has finished.
 */

#include "daemon/http/http1.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { COLLECTOR_SEEN_MAX = 16 };

typedef enum StepHow {
        STEP_ANSWER,       /* and keep the connection */
        STEP_ANSWER_CLOSE, /* without having said so */
        STEP_CLOSE,        /* without an answer */
        STEP_HOLD,         /* no answer, until the client leaves */
        STEP_SLOW,         /* the answer byte by byte */
        STEP_EARLY,        /* answer and close before the body is read */
        STEP_FLOOD,        /* the answer, then zeros until the client leaves */
} StepHow;

typedef struct Step {
        StepHow how;
        const char *answer;
        size_t size; /* 0: that of the string */
} Step;

typedef struct Seen {
        char target[64], authority[64], encoding[16], type[64], agent[64], extra[64];
        Buffer body;
        unsigned connection; /* the how-manieth */
} Seen;

static struct {
        int listener;
        unsigned port;
        pthread_t thread;
        const Step *steps;
        size_t n_steps;
        Seen seen[COLLECTOR_SEEN_MAX];
        size_t n_seen;
        unsigned n_connections;
        atomic_uint n_closed; /* of these */
} collector;

static inline void collector_bind(void) {
        struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        socklen_t size = sizeof(address);

        collector.listener = socket(AF_INET, SOCK_STREAM, 0);
        ck_assert_int_ge(collector.listener, 0);
        ck_assert_int_eq(bind(collector.listener, (struct sockaddr *)&address, size), 0);
        ck_assert_int_eq(getsockname(collector.listener, (struct sockaddr *)&address, &size), 0);
        collector.port = ntohs(address.sin_port);
}

static inline void copy_header(char *to, size_t size, const Http1 *http, const char *name) {
        const char *value = http1_header(http, name);

        snprintf(to, size, "%s", value ? value : "");
}

static inline void collector_note(const Http1 *http) {
        Seen *seen = &collector.seen[collector.n_seen];
        const Http1Message *message = http1_message(http);

        ck_assert_uint_lt(collector.n_seen++, COLLECTOR_SEEN_MAX);
        ck_assert_str_eq(message->method, "POST");
        snprintf(seen->target, sizeof(seen->target), "%s", message->target);
        copy_header(seen->authority, sizeof(seen->authority), http, "host");
        copy_header(seen->encoding, sizeof(seen->encoding), http, "content-encoding");
        copy_header(seen->type, sizeof(seen->type), http, "content-type");
        copy_header(seen->agent, sizeof(seen->agent), http, "user-agent");
        copy_header(seen->extra, sizeof(seen->extra), http, "x-extra");
        ck_assert_int_eq(buffer_append(&seen->body, message->body.data, message->body.size), 0);
        seen->connection = collector.n_connections;
}

/* Reads one request; false when the client has left instead. */
static inline bool collector_read(int fd, Http1 *http, bool only_some) {
        char bytes[4096];
        size_t used;
        ssize_t n;

        http1_next(http);
        while (!http1_message(http)) {
                n = recv(fd, bytes, sizeof(bytes), 0);
                if (n <= 0)
                        return false;
                if (only_some)
                        return true;
                ck_assert_int_eq(http1_feed(http, &used, bytes, n), 0);
                ck_assert_uint_eq(used, n);
        }
        collector_note(http);
        return true;
}

static inline void collector_send(int fd, const char *data, size_t size) {
        while (size) {
                ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

                if (n <= 0)
                        return;
                data += n;
                size -= n;
        }
}

static inline void collector_drain(int fd) {
        char bytes[4096];

        while (recv(fd, bytes, sizeof(bytes), 0) > 0) {
        }
}

/* Returns whether the connection stays. */
static inline bool collector_answer(int fd, const Step *step) {
        static const char zeros[4096];
        size_t size = step->answer && !step->size ? strlen(step->answer) : step->size;

        switch (step->how) {
        case STEP_ANSWER:
                collector_send(fd, step->answer, size);
                return true;
        case STEP_ANSWER_CLOSE:
                collector_send(fd, step->answer, size);
                return false;
        case STEP_CLOSE:
                return false;
        case STEP_HOLD:
                collector_drain(fd);
                return false;
        case STEP_SLOW:
                for (size_t i = 0; i < size; i++)
                        collector_send(fd, step->answer + i, 1);
                return true;
        case STEP_EARLY:
                collector_send(fd, step->answer, size);
                shutdown(fd, SHUT_WR);
                collector_drain(fd);
                return false;
        case STEP_FLOOD:
                collector_send(fd, step->answer, size);
                while (send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL) > 0) {
                }
                return false;
        }
        return false;
}

static inline void *collector_run(void *unused) {
        int fd = -1;
        Http1 *http;

        (void)unused;
        ck_assert_int_eq(http1_new(&http, HTTP1_REQUEST, 8 << 20), 0);
        for (size_t i = 0; i < collector.n_steps;) {
                const Step *step = &collector.steps[i];
                bool stays = false;

                if (fd < 0) {
                        fd = accept(collector.listener, NULL, NULL);
                        ck_assert_int_ge(fd, 0);
                        collector.n_connections++;
                        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
                }
                if (collector_read(fd, http, step->how == STEP_EARLY)) {
                        stays = collector_answer(fd, step);
                        i++;
                }
                if (!stays) {
                        close(fd);
                        collector.n_closed++;
                        fd = -1;
                }
        }
        if (fd >= 0) {
                collector_drain(fd);
                close(fd);
        }
        http1_free(http);
        return NULL;
}

static inline void collector_start(const Step *steps, size_t n) {
        collector.steps = steps;
        collector.n_steps = n;
        ck_assert_int_eq(listen(collector.listener, 8), 0);
        ck_assert_int_eq(pthread_create(&collector.thread, NULL, collector_run, NULL), 0);
}

/* Waits until it has followed its script. */
static inline void collector_join(void) {
        if (collector.steps)
                pthread_join(collector.thread, NULL);
}

static inline void collector_finish(void) {
        for (size_t i = 0; i < collector.n_seen; i++)
                buffer_deinit(&collector.seen[i].body);
        close(collector.listener);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tail CONTROL SPANS
 *
 * How long it takes from a span's end until who tails the daemon has read of it: says one span
 * after the other, each at a random time after the last was heard of, and reads /v1/tail at the
 * socket CONTROL. The daemon is that of $CATENA_SOCKET. Prints one line of JSON.
 */

#include "lib/catena.h"

#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { TAIL_PAUSE_MAX_US = 20000, TAIL_FLUSH_MS = 10000, TAIL_PATIENCE_S = 10 };

typedef struct Tail {
        int fd;
        char heard[64 * 1024];
        size_t n_heard;
} Tail;

static uint64_t tail_now_us(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Reads until the text has come, and forgets what came. */
static void tail_await(Tail *tail, const char *text) {
        tail->n_heard = 0;
        tail->heard[0] = '\0';
        while (!strstr(tail->heard, text)) {
                ssize_t n = recv(tail->fd, tail->heard + tail->n_heard,
                                 sizeof tail->heard - tail->n_heard - 1, 0);

                if (n <= 0)
                        errx(EXIT_FAILURE, "no more to read before \"%s\"", text);
                tail->n_heard += (size_t)n;
                tail->heard[tail->n_heard] = '\0';
        }
}

static void tail_open(Tail *tail, const char *control) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct timeval patience = {.tv_sec = TAIL_PATIENCE_S};

        tail->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(address.sun_path, sizeof address.sun_path, "%s", control);
        setsockopt(tail->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (connect(tail->fd, (struct sockaddr *)&address, sizeof address) < 0)
                err(EXIT_FAILURE, "%s", control);
        dprintf(tail->fd, "GET /v1/tail?name=watched HTTP/1.1\r\nHost: catenad\r\n\r\n");
        tail_await(tail, "\r\n\r\n");
}

static int tail_compare(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return x < y ? -1 : x > y;
}

int main(int argc, char **argv) {
        size_t n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
        uint64_t *late_us = calloc(n + 1, sizeof *late_us);
        static Tail tail;
        catena_context *context;

        if (!n || !late_us)
                errx(EXIT_FAILURE, "usage: tail CONTROL SPANS");
        context = catena_context_new(NULL, NULL);
        catena_span_end(catena_span_start(context, "first", CATENA_KIND_INTERNAL));
        if (!catena_flush(TAIL_FLUSH_MS))
                errx(EXIT_FAILURE, "no daemon");
        tail_open(&tail, argv[1]);
        for (size_t i = 0; i < n; i++) {
                catena_span span = catena_span_start(context, "watched", CATENA_KIND_INTERNAL);

                usleep((useconds_t)(rand() % TAIL_PAUSE_MAX_US));
                late_us[i] = tail_now_us();
                catena_span_end(span);
                tail_await(&tail, "}\n"); /* a line */
                late_us[i] = tail_now_us() - late_us[i];
        }
        qsort(late_us, n, sizeof *late_us, tail_compare);
        printf("{\"p50_us\":%ju,\"p99_us\":%ju,\"most_us\":%ju}\n", (uintmax_t)late_us[n / 2],
               (uintmax_t)late_us[n * 99 / 100], (uintmax_t)late_us[n - 1]);
        catena_context_free(context);
        return EXIT_SUCCESS;
}

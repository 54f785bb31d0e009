/* SPDX-License-Identifier: Apache-2.0 */

/*
 * caller CASE THREADS SPANS BURST: what a span costs the thread that makes it
 *
 * Each thread makes spans in bursts, and only these are timed, by the thread's CPU clock; between
 * two of them it flushes, so that nothing is dropped for want of room. Prints one line of JSON.
 * The programs in peers/ do the same with other libraries.
 */

#include "lib/catena.h"

#include <err.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CALLER_FLUSH_MS = 2000 };

typedef struct Caller {
        void (*one)(struct Caller *caller);
        catena_context *context;
        uint64_t n_spans, n_burst;
        uint64_t cpu_ns, n_measured;
        pthread_t thread;
} Caller;

static void caller_span0(Caller *caller) {
        catena_span_end(catena_span_start(caller->context, "operation", CATENA_KIND_INTERNAL));
}

static void caller_span5(Caller *caller) {
        static const catena_attribute attributes[] = {
                {.key = "http.request.method", .value.string = "GET"},
                {.key = "http.route", .value.string = "/api/v1/shops/{shop}"},
                {.key = "server.address", .value.string = "orders.shop.example"},
                {.key = "http.response.status_code", .type = CATENA_TYPE_INT, .value.integer = 200},
                {.key = "cached", .type = CATENA_TYPE_BOOL, .value.boolean = true},
        };
        const catena_span_options options = {
                .kind = CATENA_KIND_INTERNAL, .attributes = attributes, .n_attributes = 5};

        catena_span_end(catena_span_start_with(caller->context, "operation", &options));
}

static void caller_request(Caller *caller) {
        catena_context *context = catena_context_new("order-4711", NULL);

        (void)caller;
        catena_span_end(catena_span_start(context, "operation", CATENA_KIND_SERVER));
        catena_context_free(context);
}

static const struct {
        const char *name;
        void (*one)(Caller *caller);
} caller_cases[] = {
        {"span0", caller_span0},
        {"span5", caller_span5},
        {"request", caller_request},
};

static uint64_t caller_cpu_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *caller_run(void *userdata) {
        Caller *caller = userdata;
        uint64_t n_warm_up = caller->n_spans / 10;
        catena_span parent;

        /* The trace flags of TRACEPARENT hold: so the driver has spans that are not sampled. */
        caller->context = catena_context_extract_environ(0);
        parent = catena_span_start(caller->context, "parent", CATENA_KIND_INTERNAL);
        for (uint64_t n = 0; n < n_warm_up + caller->n_spans; n += caller->n_burst) {
                uint64_t begin_ns = caller_cpu_ns();

                for (uint64_t i = 0; i < caller->n_burst; i++)
                        caller->one(caller);
                if (n >= n_warm_up) {
                        caller->cpu_ns += caller_cpu_ns() - begin_ns;
                        caller->n_measured += caller->n_burst;
                }
                catena_flush(CALLER_FLUSH_MS);
        }
        catena_span_end(parent);
        catena_context_free(caller->context);
        return NULL;
}

/* What the library maps of an arena is the only memfd here. */
static const char *caller_transport(void) {
        FILE *maps = fopen("/proc/self/maps", "re");
        const char *transport = "socket";
        char line[512];

        while (maps && fgets(line, sizeof line, maps))
                if (strstr(line, "/memfd:"))
                        transport = "arena";
        if (maps)
                fclose(maps);
        return transport;
}

int main(int argc, char **argv) {
        unsigned n_threads = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
        Caller *callers = calloc(n_threads + 1, sizeof *callers);
        Caller caller = {0};
        uint64_t cpu_ns = 0, n_measured = 0;
        catena_stats stats = {0};

        if (argc != 5 || !callers)
                errx(EXIT_FAILURE, "usage: caller CASE THREADS SPANS BURST");
        for (size_t i = 0; i < sizeof caller_cases / sizeof *caller_cases; i++)
                if (!strcmp(argv[1], caller_cases[i].name))
                        caller.one = caller_cases[i].one;
        if (!caller.one || !n_threads)
                errx(EXIT_FAILURE, "no such case: %s", argv[1]);
        caller.n_burst = strtoull(argv[4], NULL, 10);
        caller.n_spans = strtoull(argv[3], NULL, 10) / n_threads;
        for (unsigned i = 0; i < n_threads; i++) {
                callers[i] = caller;
                pthread_create(&callers[i].thread, NULL, caller_run, &callers[i]);
        }
        for (unsigned i = 0; i < n_threads; i++) {
                pthread_join(callers[i].thread, NULL);
                cpu_ns += callers[i].cpu_ns;
                n_measured += callers[i].n_measured;
        }
        catena_stats_get(&stats, sizeof stats);
        printf("{\"ns\":%.1f,\"made\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"transport\":\"%s\"}\n",
               (double)cpu_ns / (double)n_measured, stats.spans_started,
               stats.dropped_starts + stats.dropped_ends, caller_transport());
        return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/integration/people.h"

#include "lib/catena.h"
#include "proto/id.h"

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        PEOPLE_STEPS = 20, /* spans of the neighbour within its first */
        PEOPLE_FLUSH_MS = 30000,
};

pid_t people_fork(void (*act)(void *user), void *user) {
        pid_t parent = getpid(), pid = fork();

        if (pid) {
                ck_assert_int_gt(pid, 0);
                return pid;
        }
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent)
                act(user);
        _exit(0);
}

int people_await(pid_t pid) {
        int status;

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return status;
}

void people_kill(pid_t pid) {
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        people_await(pid);
}

unsigned long people_anonymous_kb(pid_t pid) {
        char path[64], line[256];
        unsigned long n = 0;
        FILE *status;

        snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
        status = fopen(path, "re");
        while (status && fgets(line, sizeof line, status))
                sscanf(line, "RssAnon: %lu", &n);
        if (status)
                fclose(status);
        return n;
}

void people_speak(const Harness *harness, const char *service) {
        if (!catena_start(&(catena_options){.service_name = service, .socket = harness->socket}))
                abort();
}

/* ---- the neighbour ---- */

static struct {
        catena_context *context;
        catena_span span;
} neighbour;

void people_neighbour_begins(const Harness *harness) {
        people_speak(harness, "neighbour");
        neighbour.context = catena_context_new("errand", NULL);
        neighbour.span = catena_span_start(neighbour.context, "errand", CATENA_KIND_SERVER);
        catena_span_set_string(neighbour.span, "said", "before");
        catena_span_event(neighbour.span, "before", NULL, 0);
        ck_assert(catena_flush(PEOPLE_FLUSH_MS));
}

uint64_t people_neighbour_span_id(void) {
        return id_span_key(neighbour.span.span_id);
}

void people_neighbour_ends(const Harness *harness) {
        catena_stats stats;

        for (int i = 0; i < PEOPLE_STEPS; i++) {
                char name[32];
                catena_span step;

                snprintf(name, sizeof name, "step %d", i);
                step = catena_span_start(neighbour.context, name, CATENA_KIND_INTERNAL);
                catena_span_set_int(step, "number", i);
                catena_span_end(step);
        }
        catena_span_set_string(neighbour.span, "said later", "after");
        catena_span_event(neighbour.span, "after", NULL, 0);
        catena_span_end(neighbour.span);
        catena_context_free(neighbour.context);
        ck_assert(catena_flush(PEOPLE_FLUSH_MS));
        catena_stats_get(&stats, sizeof stats);
        ck_assert_uint_eq(stats.spans_ended, PEOPLE_STEPS + 1);
        ck_assert_uint_eq(stats.connections, 1);
        ck_assert_uint_eq(stats.dropped_starts + stats.dropped_updates + stats.dropped_ends, 0);
        ck_assert_uint_eq(stats.misuse, 0);
        harness_await(harness, "counters.spans_closed", PEOPLE_STEPS + 1);
        harness_await_exactly(harness, "conservation.traces.unsealed", 0);
        harness_await_exactly(harness, "conservation.traces.sealed", 0);
}

void people_neighbour_lost_nothing(const Harness *harness) {
        const BackendSpan *errand = backend_find(harness->backend, "errand");
        size_t n_steps = 0;
        const BackendSpan *span;

        ck_assert_ptr_nonnull(errand);
        ck_assert_str_eq(backend_string(errand->resource->attributes,
                                        errand->resource->n_attributes, "service.name"),
                         "neighbour");
        ck_assert_str_eq(
                backend_string(errand->span->attributes, errand->span->n_attributes, "said"),
                "before");
        ck_assert_str_eq(
                backend_string(errand->span->attributes, errand->span->n_attributes, "said later"),
                "after");
        ck_assert_ptr_nonnull(backend_event(errand->span, "before"));
        ck_assert_ptr_nonnull(backend_event(errand->span, "after"));
        ck_assert_uint_eq(errand->span->n_events, 2);
        ck_assert_ptr_null(errand->span->status);
        for (size_t i = 0; (span = backend_span(harness->backend, i)); i++)
                n_steps += span->span->parent_span_id.len == 8 &&
                           !memcmp(span->span->parent_span_id.data, neighbour.span.span_id, 8);
        ck_assert_uint_eq(n_steps, PEOPLE_STEPS);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Two threads update a span, and a third ends it when it has joined both, many times at once. They
 * write to different chunks of an arena, some to the socket, and each update is in the span that is
 * exported. SOAK_SPANS says how many spans.
 */

#include "lib/catena.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
        USUAL_SPANS = 10000,
        SPANS_PER_ROUND = 50000, /* of one daemon, so that a collector need not hold more */
        ENDERS = 4,              /* threads, each with two more at a time */
        BIG_EVERY = 512,         /* numbers of spans, that have an attribute for the socket: */
                                 /* two between an ender's flushes, which its buffer holds */
        BIG_SIZE = 70000,        /* more than a chunk of an arena */
        FLUSH_EVERY = 200,       /* spans of an ender, so that no arena is ever full */
        FLUSH_EVERY_BY_SOCKET = 8,
        FLUSH_MS = 60000,
};

static Harness harness;
static unsigned n_spans; /* of this round */
static bool by_socket;   /* alone */
static char big[BIG_SIZE];

/* ---- the client ---- */

typedef struct Shared {
        catena_context *context;
        catena_span span;
        unsigned number;
} Shared;

static bool is_big(unsigned number) {
        return !by_socket && number % BIG_EVERY == 0;
}

static void *update_left(void *user) {
        const Shared *shared = user;
        catena_attribute attributes[] = {
                {.key = "left", .type = CATENA_TYPE_INT, .value.integer = shared->number},
                {.key = "big",
                 .type = CATENA_TYPE_STRING_N,
                 .value.string = big,
                 .size = sizeof big},
        };

        catena_span_set(shared->span, attributes, is_big(shared->number) ? 2 : 1);
        return NULL;
}

static void *update_right(void *user) {
        const Shared *shared = user;

        catena_span_set_int(shared->span, "right", shared->number);
        catena_span_event(shared->span, "right", NULL, 0);
        return NULL;
}

static void *end_some(void *user) {
        const Shared *first = user;
        unsigned every = by_socket ? FLUSH_EVERY_BY_SOCKET : FLUSH_EVERY, n = 0;

        for (unsigned number = first->number; number < n_spans; number += ENDERS) {
                Shared shared = {.number = number};
                pthread_t left, right;

                shared.span = catena_span_start(first->context, "joined", CATENA_KIND_INTERNAL);
                if (pthread_create(&left, NULL, update_left, &shared) ||
                    pthread_create(&right, NULL, update_right, &shared))
                        abort();
                pthread_join(left, NULL);
                pthread_join(right, NULL);
                catena_span_end(shared.span);
                if (++n % every == 0)
                        catena_flush_to(n % FLUSH_EVERY ? CATENA_JOURNALED : CATENA_DELIVERED,
                                        FLUSH_MS);
        }
        return NULL;
}

/* As in a sandbox: whether an arena is sealed cannot be seen, so none is mapped. */
static void refuse_arenas(void) {
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fcntl, 0, 3),
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, F_GET_SEALS, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = {sizeof filter / sizeof *filter, filter};

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
                abort();
}

static bool has_arena(void) {
        FILE *maps = fopen("/proc/self/maps", "re");
        char line[4096];
        bool found = false;

        while (maps && !found && fgets(line, sizeof line, maps))
                found = strstr(line, "memfd:catena-arena");
        if (maps)
                fclose(maps);
        return found;
}

static void live(void *user) {
        catena_context *context;
        pthread_t enders[ENDERS];
        Shared first[ENDERS];
        catena_stats stats;

        (void)user;
        memset(big, 'x', sizeof big);
        if (by_socket)
                refuse_arenas();
        people_speak(&harness, "joining");
        context = catena_context_new("joins", NULL);
        for (unsigned i = 0; i < ENDERS; i++) {
                first[i] = (Shared){.context = context, .number = i};
                if (pthread_create(&enders[i], NULL, end_some, &first[i]))
                        abort();
        }
        for (unsigned i = 0; i < ENDERS; i++)
                pthread_join(enders[i], NULL);
        if (!catena_stop(FLUSH_MS))
                _exit(1);
        if (has_arena() == by_socket)
                _exit(3);
        catena_stats_get(&stats, sizeof stats);
        if (stats.dropped_starts + stats.dropped_updates + stats.dropped_ends + stats.misuse)
                _exit(2);
}

/* ---- the reckoning ---- */

static const Opentelemetry__Proto__Common__V1__AnyValue *value_of(const OtlpSpan *span,
                                                                  const char *key) {
        for (size_t i = 0; i < span->n_attributes; i++)
                if (!strcmp(span->attributes[i]->key, key))
                        return span->attributes[i]->value;
        ck_abort_msg("a span has no %s", key);
        return NULL;
}

static void assert_all_is_there(void) {
        uint8_t *seen = calloc(n_spans, 1);
        const BackendSpan *exported;
        size_t n = 0;

        ck_assert_ptr_nonnull(seen);
        for (; (exported = backend_span(harness.backend, n)); n++) {
                const OtlpSpan *span = exported->span;
                uint64_t number = (uint64_t)value_of(span, "left")->int_value;

                ck_assert_uint_lt(number, n_spans);
                ck_assert_uint_eq(seen[number]++, 0);
                ck_assert_int_eq(value_of(span, "right")->int_value, (int64_t)number);
                ck_assert_uint_eq(span->n_events, 1);
                ck_assert_str_eq(span->events[0]->name, "right");
                if (is_big((unsigned)number))
                        ck_assert_uint_eq(strlen(value_of(span, "big")->string_value), BIG_SIZE);
                ck_assert_ptr_null(span->status);
        }
        ck_assert_uint_eq(n, n_spans);
        free(seen);
}

static void a_round(void) {
        harness_open(&harness, NULL);
        ck_assert_int_eq(people_await(people_fork(live, NULL)), 0);
        harness_await_exactly(&harness, "conservation.traces.finished", n_spans);
        assert_all_is_there();
        ck_assert_uint_eq(harness_get(&harness, "counters.orphans"), 0);
        ck_assert_uint_eq(harness_get(&harness, "counters.late"), 0);
        harness_finish(&harness);
}

static void join_and_reckon(const char *over) {
        unsigned long n_all = unit_amount("SOAK_SPANS", USUAL_SPANS), n = 0;

        for (; n < n_all; n += n_spans) {
                n_spans = (unsigned)(n_all - n < SPANS_PER_ROUND ? n_all - n : SPANS_PER_ROUND);
                a_round();
        }
        printf("# %lu spans over %s, each updated by two threads and ended by a third: "
               "nothing missing\n",
               n, over);
}

START_TEST(updates_before_a_join_are_in_the_span) {
        join_and_reckon("an arena, and the socket for what is big");
}
END_TEST

START_TEST(updates_before_a_join_are_in_the_span_by_socket) {
        by_socket = true;
        join_and_reckon("the socket alone");
}
END_TEST

SCENARIO_RUN("joined-updates", updates_before_a_join_are_in_the_span,
             updates_before_a_join_are_in_the_span_by_socket)

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Clients that are killed at any point, some of them with children that live on. Whatever was said
 * is exported, once; what was open is closed as an error. SOAK_CLIENTS says how many there are.
 */

#include "lib/catena.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
        USUAL_CLIENTS = 200,
        AT_ONCE = 5,
        SPANS_BEFORE_DEATH = 200, /* at most; how many is random */
        SPANS_OF_A_LIFE = 400,    /* where the killer is late, so that the journal holds them all */
        CHILD_EVERY = 4,          /* clients have one */
        CHILD_SPANS = 20,
        FLUSH_EVERY = 50, /* so that no socket and no arena is ever full */
        FLUSH_MS = 60000,
        PAUSE_MS = 5, /* of a client after each flush, so that its user keeps within its share */
};

/* What a client has said, as it goes: in memory that outlives it. */
typedef struct Diary {
        _Atomic uint64_t n_started, n_ended, n_dropped;
        _Atomic bool has_child, child_done, child_lost;
} Diary;

static Harness harness;
static Diary *diaries;
static unsigned n_clients;
static int orphanage[2]; /* children read a byte here before they go on */

static void note(Diary *diary) {
        catena_stats stats;

        catena_stats_get(&stats, sizeof stats);
        diary->n_started = stats.spans_started;
        diary->n_ended = stats.spans_ended;
        diary->n_dropped = stats.dropped_starts + stats.dropped_updates + stats.dropped_ends;
}

static void live_on(catena_context *inherited, Diary *diary) {
        catena_context *context;
        char go;

        if (read(orphanage[0], &go, 1) != 1)
                _exit(1);
        context = catena_context_child(inherited);
        for (unsigned i = 0; i < CHILD_SPANS; i++)
                catena_span_end(catena_span_start(context, "child's", CATENA_KIND_INTERNAL));
        catena_context_free(context);
        diary->child_lost = !catena_stop(FLUSH_MS);
        diary->child_done = true;
        _exit(0);
}

/* Up to three spans are open at a time; nobody but the killer ends this. */
static void live(void *user) {
        Diary *diary = user;
        catena_context *context;
        catena_span open[3] = {0};

        people_speak(&harness, "mortal");
        context = catena_context_new("life", NULL);
        if ((diary - diaries) % CHILD_EVERY == 0) {
                catena_span_end(catena_span_start(context, "birth", CATENA_KIND_INTERNAL));
                note(diary);
                if (!fork())
                        live_on(context, diary);
                diary->has_child = true;
        }
        for (unsigned i = 0; i < SPANS_OF_A_LIFE; i++) {
                catena_span_end(open[i % 3]);
                note(diary);
                open[i % 3] = catena_span_start(context, "mortal's", CATENA_KIND_INTERNAL);
                note(diary);
                catena_span_set_int(open[i % 3], "i", i);
                catena_span_event(open[i % 3], "breath", NULL, 0);
                if (i % FLUSH_EVERY == 0) {
                        catena_flush(FLUSH_MS);
                        poll(NULL, 0, PAUSE_MS);
                }
        }
        for (;;)
                pause();
}

static void kill_some(unsigned first) {
        unsigned n_at_once = n_clients - first < AT_ONCE ? n_clients - first : AT_ONCE;
        pid_t pids[AT_ONCE];

        for (unsigned i = 0; i < n_at_once; i++)
                pids[i] = people_fork(live, &diaries[first + i]);
        for (unsigned i = 0; i < n_at_once; i++) {
                const Diary *diary = &diaries[first + i];
                unsigned n = (unsigned)rand() % SPANS_BEFORE_DEATH;

                while (diary->n_started < n ||
                       ((first + i) % CHILD_EVERY == 0 && !diary->has_child))
                        poll(NULL, 0, 1);
                people_kill(pids[i]);
                if (diary->has_child)
                        ck_assert_int_eq(write(orphanage[1], "!", 1), 1);
        }
}

START_TEST(clients_killed_at_any_point) {
        uint64_t n_started = 0, n_open = 0, n_of_children = 0, n_dropped = 0, n_exported, n_errors;

        n_clients = (unsigned)unit_amount("SOAK_CLIENTS", USUAL_CLIENTS);
        diaries = mmap(NULL, n_clients * sizeof *diaries, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(diaries, MAP_FAILED);
        ck_assert_int_eq(pipe(orphanage), 0);
        srand((unsigned)getpid());
        harness_open(&harness, NULL);
        for (unsigned first = 0; first < n_clients; first += AT_ONCE)
                kill_some(first);
        for (unsigned i = 0; i < n_clients; i++) {
                while (diaries[i].has_child && !diaries[i].child_done)
                        poll(NULL, 0, 1);
                ck_assert(!diaries[i].child_lost);
                n_of_children += diaries[i].has_child ? CHILD_SPANS : 0;
                n_started += diaries[i].n_started;
                n_open += diaries[i].n_started - diaries[i].n_ended;
                n_dropped += diaries[i].n_dropped;
        }
        harness_await(&harness, "counters.spans_closed", n_started + n_of_children);
        harness_await_exactly(&harness, "conservation.traces.open", 0);
        harness_await_exactly(&harness, "conservation.traces.unsealed", 0);
        harness_await_exactly(&harness, "conservation.traces.sealed", 0);

        n_exported = backend_n_spans(harness.backend);
        n_errors = harness_get(&harness, "counters.spans_exited");
        printf("# %u clients killed: %ju spans said by them and %ju by their children, "
               "%ju exported, %ju closed as errors\n",
               n_clients, (uintmax_t)n_started, (uintmax_t)n_of_children, (uintmax_t)n_exported,
               (uintmax_t)n_errors);
        /* Death may come between saying something and noting it: one start, one end a client. */
        ck_assert_uint_eq(n_dropped, 0);
        ck_assert_uint_eq(harness_get(&harness, "counters.refused_spans"), 0);
        ck_assert_uint_ge(n_exported, n_started + n_of_children);
        ck_assert_uint_le(n_exported, n_started + n_of_children + n_clients);
        ck_assert_uint_ge(n_errors + n_clients, n_open);
        ck_assert_uint_le(n_errors, n_open + n_clients);
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("killed-clients", clients_killed_at_any_point)

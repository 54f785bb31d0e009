/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The daemon is killed under load, again and again, at times while it recovers. Whatever it said
 * was in the journal is exported; batches in flight may be exported twice. SOAK_ROUNDS says how
 * often.
 */

#include "lib/catena.h"
#include "tests/integration/people.h"
#include "tests/integration/raw-client.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
        USUAL_ROUNDS = 50,
        CLIENTS = 4, /* the first one uses the library */
        SPANS_MAX = 4000000,
        SPANS_PER_FLUSH = 16,
        SPANS_PER_ROUND = 2000, /* at most, of all clients */
        RECOVERY_EVERY = 5,     /* rounds in which recovery is hit too */
        RECOVERY_MS = 20,
        PAUSE_MS = 5, /* of a client after each flush: what is said must find room */
        FLUSH_MS = 60000,
};

typedef struct Diary {
        _Atomic uint64_t n_said;
        _Atomic uint64_t n_journaled;
        uint8_t journaled[SPANS_MAX]; /* span i: the daemon said it has it */
        uint8_t exported[SPANS_MAX];
} Diary;

typedef struct Diaries {
        _Atomic bool enough;
        Diary of[CLIENTS];
} Diaries;

static Harness harness;
static Diaries *diaries;
static unsigned n_rounds;

static void note_journaled(Diary *diary, uint64_t first, uint64_t end) {
        memset(diary->journaled + first, 1, end - first);
        diary->n_journaled += end - first;
}

static void name_span(char name[32], const Diary *diary, uint64_t i) {
        snprintf(name, 32, "%u %ju", (unsigned)(diary - diaries->of), (uintmax_t)i);
}

/* ---- the clients ---- */

static void speak_by_library(void *user) {
        Diary *diary = user;
        catena_context *context;
        char name[32];

        people_speak(&harness, "library");
        context = catena_context_new(NULL, NULL);
        while (!diaries->enough && diary->n_said + SPANS_PER_FLUSH <= SPANS_MAX) {
                uint64_t first = diary->n_said;

                for (unsigned i = 0; i < SPANS_PER_FLUSH; i++) {
                        name_span(name, diary, diary->n_said);
                        catena_span_end(catena_span_start(context, name, CATENA_KIND_INTERNAL));
                        diary->n_said++;
                }
                if (catena_flush(FLUSH_MS))
                        note_journaled(diary, first, diary->n_said);
                poll(NULL, 0, PAUSE_MS);
        }
        catena_context_free(context);
        catena_stop(FLUSH_MS);
}

static bool speak_some(RawClient *client, Diary *diary) {
        uint64_t first = diary->n_said;
        char name[32];

        for (unsigned i = 0; i < SPANS_PER_FLUSH; i++) {
                uint64_t id = (uint64_t)(diary - diaries->of) << 32 | diary->n_said;

                name_span(name, diary, diary->n_said++);
                if (!raw_client_span(client, id, RECORD_START, name) ||
                    !raw_client_span(client, id, RECORD_END, NULL))
                        return false;
        }
        if (!raw_client_flush(client))
                return false;
        note_journaled(diary, first, diary->n_said);
        poll(NULL, 0, PAUSE_MS);
        return true;
}

static void speak_by_hand(void *user) {
        Diary *diary = user;
        RawClient client = {.fd = -1};
        bool known = false;

        while (!diaries->enough && diary->n_said + SPANS_PER_FLUSH <= SPANS_MAX) {
                if (client.fd < 0 && !raw_client_connect(&client, harness.socket)) {
                        poll(NULL, 0, 1);
                        continue;
                }
                if (raw_client_hello(&client, "by hand", known)) {
                        known = true;
                        while (!diaries->enough && diary->n_said + SPANS_PER_FLUSH <= SPANS_MAX &&
                               speak_some(&client, diary)) {
                        }
                }
                raw_client_close(&client);
        }
}

/* ---- the killer ---- */

static uint64_t n_journaled(void) {
        uint64_t n = 0;

        for (unsigned i = 0; i < CLIENTS; i++)
                n += diaries->of[i].n_journaled;
        return n;
}

/* So long that something is delivered, else no journal would be large enough. */
static void wait_for_a_moment(void) {
        uint64_t n = n_journaled() + 1 + (uint64_t)rand() % SPANS_PER_ROUND;
        size_t n_requests = backend_n_requests(harness.backend) + 1 + (size_t)rand() % 4;

        while (n_journaled() < n || backend_n_requests(harness.backend) < n_requests)
                poll(NULL, 0, 1);
}

static void kill_again_and_again(void) {
        for (unsigned round = 0; round < n_rounds; round++) {
                wait_for_a_moment();
                harness_kill(&harness);
                if (round % RECOVERY_EVERY == 0) {
                        harness_launch(&harness);
                        poll(NULL, 0, rand() % RECOVERY_MS);
                        harness_kill(&harness);
                }
                harness_start(&harness);
        }
}

/* ---- the reckoning ---- */

static void note_exported(void) {
        const BackendSpan *span;
        unsigned client;
        uintmax_t number;

        for (size_t i = 0; (span = backend_span(harness.backend, i)); i++) {
                ck_assert_int_eq(sscanf(span->span->name, "%u %ju", &client, &number), 2);
                ck_assert_uint_lt(client, CLIENTS);
                ck_assert_uint_lt(number, diaries->of[client].n_said);
                diaries->of[client].exported[number] = 1;
        }
}

START_TEST(daemon_killed_under_load) {
        uint64_t n_said = 0, n_lost = 0, n_exported, n_duplicates;
        pid_t pids[CLIENTS];

        n_rounds = (unsigned)unit_amount("SOAK_ROUNDS", USUAL_ROUNDS);
        diaries = mmap(NULL, sizeof *diaries, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                       -1, 0);
        ck_assert_ptr_ne(diaries, MAP_FAILED);
        srand((unsigned)getpid());
        harness_open(&harness, NULL);
        for (unsigned i = 0; i < CLIENTS; i++)
                pids[i] = people_fork(i ? speak_by_hand : speak_by_library, &diaries->of[i]);
        kill_again_and_again();
        diaries->enough = true;
        for (unsigned i = 0; i < CLIENTS; i++)
                ck_assert_int_eq(people_await(pids[i]), 0);
        harness_await_exactly(&harness, "conservation.traces.open", 0);
        harness_await_exactly(&harness, "conservation.traces.unsealed", 0);
        harness_await_exactly(&harness, "conservation.traces.sealed", 0);

        note_exported();
        for (unsigned i = 0; i < CLIENTS; i++) {
                const Diary *diary = &diaries->of[i];

                n_said += diary->n_said;
                for (uint64_t k = 0; k < diary->n_said; k++)
                        n_lost += diary->journaled[k] && !diary->exported[k];
        }
        n_exported = backend_n_unique(harness.backend);
        n_duplicates = backend_n_spans(harness.backend) - n_exported;
        printf("# daemon killed %u times: %ju spans said, %ju in the journal by its word, "
               "%ju of these lost; %ju exported, %ju duplicates\n",
               n_rounds, (uintmax_t)n_said, (uintmax_t)n_journaled(), (uintmax_t)n_lost,
               (uintmax_t)n_exported, (uintmax_t)n_duplicates);
        ck_assert_uint_eq(harness_get(&harness, "counters.refused_spans"), 0);
        ck_assert_uint_eq(n_lost, 0);
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("killed-daemon", daemon_killed_under_load)

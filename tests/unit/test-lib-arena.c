/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-arena.h"
#include "proto/id.h"
#include "tests/unit/arena-client.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

/* ---- room ---- */

START_TEST(a_full_arena_drops_and_counts) {
        _Atomic uint64_t *lost;
        catena_span span;
        catena_stats known;

        begin(2);
        lost = fake.arenas[0].header->lost;
        span = catena_span_start(context, "s", 0);
        while (!stats().dropped_updates)
                catena_span_set_int(span, "n", 1);
        while (!stats().dropped_ends) /* a smaller one may still fit */
                say_span();
        known = stats();
        ck_assert_uint_eq(known.dropped_arena_full,
                          known.dropped_starts + known.dropped_updates + known.dropped_ends);
        ck_assert_uint_eq(lost[ARENA_LOST_STARTS], known.dropped_starts);
        ck_assert_uint_eq(lost[ARENA_LOST_UPDATES], known.dropped_updates);
        ck_assert_uint_eq(lost[ARENA_LOST_ENDS], known.dropped_ends);

        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0) +
                                  fake_daemon_count(&fake, RECORD_CONTEXT, 0),
                          known.records);
        ck_assert_uint_gt(known.bytes, 2 * ARENA_CHUNK_SIZE - 512);
        say_span(); /* there is room again */
        ck_assert_uint_eq(stats().dropped_arena_full, known.dropped_arena_full);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_LOST, 0), 0);
}
END_TEST

START_TEST(what_no_chunk_can_hold_goes_by_the_stream) {
        static char text[100 * 1024];
        catena_span span;
        FakeSpan *said;

        memset(text, 'x', sizeof text - 1);
        begin(4);
        span = catena_span_start(context, "s", 0);
        catena_span_set_string(span, "big", text);
        catena_span_end(span);
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_str_eq(fake_attribute_string(said->attributes, said->n_attributes, "big"), text);
        fake_span_free(said);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0), 3);
        ck_assert_uint_eq(stats().dropped_updates, 0);
}
END_TEST

/* Attributes of all sizes, so that chunks end in all ways. */
START_TEST(every_size_arrives_whole) {
        static char text[3000];
        catena_span span;
        FakeSpan *said;

        memset(text, 'x', sizeof text);
        begin(2);
        span = catena_span_start(context, "s", 0);
        for (size_t size = 0; size < sizeof text; size += 3) {
                catena_attribute attributes[] = {
                        {.key = "n", .type = CATENA_TYPE_INT, .value.integer = (int64_t)size},
                        {.key = "t",
                         .type = CATENA_TYPE_STRING_N,
                         .value.string = text,
                         .size = size},
                };

                catena_span_set(span, attributes, 2);
                fake_daemon_take(&fake);
                said = fake_daemon_span(&fake, span.span_id);
                ck_assert_int_eq(
                        fake_attribute(said->attributes, said->n_attributes, "n")->int_value, size);
                ck_assert_uint_eq(
                        strlen(fake_attribute_string(said->attributes, said->n_attributes, "t")),
                        size);
                fake_span_free(said);
                fake_daemon_forget(&fake);
        }
        ck_assert_uint_eq(stats().dropped_updates, 0);
}
END_TEST

/* ---- the doorbell ---- */

START_TEST(a_sleeping_daemon_is_woken_once) {
        begin(4);
        say_span();
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_WAKE, 0), 0);
        atomic_store(&fake.arenas[0].header->waiting, 1);
        for (unsigned i = 0; i < 10; i++)
                say_span();
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_WAKE, 0), 1);
        ck_assert_uint_eq(fake.arenas[0].header->waiting, 0);
        ck_assert_uint_eq(n_spans_said(), 11);
}
END_TEST

/* ---- restarts ---- */

START_TEST(a_new_daemon_goes_on_with_the_arena) {
        Catena__V1__Hello *hello;
        catena_span span;

        begin(4);
        span = catena_span_start(context, "over it", 0);
        fake_daemon_take(&fake);
        fake_daemon_die(&fake);
        fake_daemon_listen(&fake);
        say_span(); /* rings, and finds nobody */
        fake_daemon_take(&fake);
        hello = fake_daemon_hello(&fake, 1);
        ck_assert_mem_eq(hello->token.data, FAKE_TOKEN, RECORD_TOKEN_SIZE);
        catena__v1__hello__free_unpacked(hello, NULL);
        ck_assert_uint_eq(n_spans_said(), 1);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_CONTEXT, RECORD_START), 2); /* anew */
        ck_assert_uint_ne(catena__link_read(), 0);

        fake_daemon_forget(&fake);
        catena_span_end(span);
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake.n_arenas, 1);
        ck_assert_uint_eq(fake.records[0].connection, 2);
        ck_assert_uint_eq(n_spans_said(), 1);
        ck_assert_uint_eq(stats().dropped_starts + stats().dropped_ends, 0);
}
END_TEST

START_TEST(a_daemon_that_lost_the_arena_gives_another) {
        unsigned n_arenas;

        begin(4);
        say_span();
        fake_daemon_take(&fake);
        for (unsigned i = 1; i < 5; i++) {
                fake_daemon_die(&fake);
                fake_daemon_listen(&fake);
                fake.arenas[fake.n_arenas - 1].token[0] = '!'; /* it knows it no more */
                fake.n_chunks = 4 + i % 2;
                (void)catena__link_read();
                say_span();
                fake_daemon_take(&fake);
                ck_assert_uint_ne(catena__link_read(), 0);
                n_arenas = fake.n_arenas;
                fake_daemon_forget(&fake);
                say_span();
                atomic_store(&fake.arenas[n_arenas - 1].header->waiting, 0);
                fake_daemon_take(&fake);
                ck_assert_uint_eq(n_arenas, 1 + i);
                ck_assert_uint_eq(n_spans_said(), 1);
                ck_assert_uint_ne(fake.arenas[i].seen[0] | fake.arenas[i].seen[1] |
                                          fake.arenas[i].seen[2] | fake.arenas[i].seen[3],
                                  0);
        }
}
END_TEST

START_TEST(a_daemon_that_vanished_is_missed) {
        struct timespec pause = {.tv_nsec = 1000000};

        begin(4);
        say_span();
        fake_daemon_take(&fake);
        fake_daemon_die(&fake);
        atomic_store(&fake.arenas[0].header->waiting, 0); /* nobody had the time to ring */
        fake_daemon_listen(&fake);
        while (stats().connections < 2) {
                nanosleep(&pause, NULL);
                say_span();
        }
        fake_daemon_take(&fake);
        ck_assert_uint_eq(n_spans_said(), stats().spans_ended);
}
END_TEST

/* ---- who is not to be trusted ---- */

typedef struct Bad {
        off_t size;
        int seals;
        uint32_t magic, version, n_chunks, chunk_size;
} Bad;

START_TEST(what_is_not_an_arena_is_not_mapped) {
        enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };
        const off_t size = (off_t)arena_chunk_offset(4);
        const Bad cases[] = {
                {size, SEALS, 1, ARENA_VERSION, 4, ARENA_CHUNK_SIZE},
                {size, SEALS, ARENA_MAGIC, 2, 4, ARENA_CHUNK_SIZE},
                {size, SEALS, ARENA_MAGIC, ARENA_VERSION, 0, ARENA_CHUNK_SIZE},
                {size, SEALS, ARENA_MAGIC, ARENA_VERSION, ARENA_CHUNKS + 1, ARENA_CHUNK_SIZE},
                {size, SEALS, ARENA_MAGIC, ARENA_VERSION, 4, 2 * ARENA_CHUNK_SIZE},
                {size - 1, SEALS, ARENA_MAGIC, ARENA_VERSION, 4, ARENA_CHUNK_SIZE},
                {8, SEALS, ARENA_MAGIC, ARENA_VERSION, 4, ARENA_CHUNK_SIZE},
                {size, SEALS & ~F_SEAL_SHRINK, ARENA_MAGIC, ARENA_VERSION, 4, ARENA_CHUNK_SIZE},
                {size, SEALS & ~F_SEAL_SEAL, ARENA_MAGIC, ARENA_VERSION, 4, ARENA_CHUNK_SIZE},
                {size, SEALS | F_SEAL_WRITE, ARENA_MAGIC, ARENA_VERSION, 4, ARENA_CHUNK_SIZE},
                {-1, 0, 0, 0, 0, 0}, /* a pipe */
        };
        const Bad *bad = &cases[_i];
        int ends[2], fd;

        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        fd = bad->size < 0 ? ends[0] : memfd_create("bad", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (bad->size >= 0) {
                const uint32_t head[] = {bad->magic, bad->version, bad->n_chunks, bad->chunk_size};

                ck_assert_int_eq(pwrite(fd, head, sizeof head, 0), sizeof head);
                ck_assert_int_eq(ftruncate(fd, bad->size), 0);
                ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, bad->seals), 0);
        }
        context = catena_context_new("w", NULL);
        say_span();
        fake_daemon_take(&fake);
        fake_daemon_answer(fake.connections[0].fd, FAKE_TOKEN, 0, true, fd);
        say_span();
        say_span();
        fake_daemon_take(&fake);
        ck_assert_uint_eq(n_spans_said(), 3);
        ck_assert_uint_eq(stats().connections, 1);
}
END_TEST

/* Words that no honest daemon leaves, while threads write. */
static atomic_bool enough;

static void *scribble(void *user) {
        ArenaHeader *header = user;
        uint64_t random = 1;

        while (!enough) {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                if (random % 3 == 0) /* often one that can be taken */
                        random &= ~UINT64_C(0xfffe0001);
                atomic_store(&header->words[random >> 40 & 3].value, random);
                atomic_store(&header->waiting, (uint32_t)random & 3);
                header->n_chunks = header->chunk_size = header->magic = (uint32_t)random;
        }
        return NULL;
}

START_TEST(a_hostile_daemon_harms_nobody) {
        pthread_t thread;
        uint8_t *page;

        begin(4);
        ck_assert_int_eq(pthread_create(&thread, NULL, scribble, fake.arenas[0].header), 0);
        for (unsigned i = 0; i < 200000; i++) {
                say_span();
                if (i % 64 == 0)
                        while (fake_daemon_read(&fake, 0))
                                ; /* WAKEs */
        }
        enough = true;
        pthread_join(thread, NULL);
        /* The library's map has nothing behind it. */
        page = malloc(ARENA_HEADER_SIZE);
        ck_assert_int_eq(
                pread(fake.arenas[0].fd, page, ARENA_HEADER_SIZE, (off_t)arena_chunk_offset(4)), 0);
        free(page);
        fake.n_arenas = 0; /* nothing in it is to be read */
}
END_TEST

/* ---- threads and handlers on four chunks ---- */

enum { N_THREADS = 100, N_ROUNDS = 300, N_STORM = 40000 };

static atomic_uint n_done;
static catena_span stormed[N_STORM];
static atomic_uint n_stormed;

static void end_one(int signal_number) {
        unsigned i = atomic_fetch_add(&n_stormed, 1);

        (void)signal_number;
        if (i < N_STORM)
                catena_span_end(stormed[i]);
}

static void *work(void *user) {
        catena_span parent = *(catena_span *)user;

        for (unsigned i = 0; i < N_ROUNDS; i++) {
                catena_span span = catena_span_child(parent, "s", 0);

                catena_span_set_int(span, "i", i);
                catena_span_end(span);
                if (i % 8 == 0)
                        sched_yield();
        }
        atomic_fetch_add(&n_done, 1);
        return NULL;
}

START_TEST(threads_and_a_storm_of_signals_share_four_chunks) {
        struct sigaction action = {.sa_handler = end_one, .sa_flags = SA_RESTART};
        struct itimerval often = {{0, 60}, {0, 60}}, never = {0};
        size_t n_children, n_handled;
        pthread_t threads[N_THREADS];
        catena_span parent;
        catena_stats known;

        begin(4);
        parent = catena_span_start(context, "parent", 0);
        for (unsigned i = 0; i < N_STORM; i++) {
                stormed[i] = catena_span_child(parent, "stormed", 0);
                if (i % 256 == 0)
                        fake_daemon_take(&fake);
        }
        sigemptyset(&action.sa_mask);
        ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
        ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
        for (unsigned i = 0; i < N_THREADS; i++)
                ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &parent), 0);
        while (n_done < N_THREADS)
                fake_daemon_take(&fake);
        for (unsigned i = 0; i < N_THREADS; i++)
                pthread_join(threads[i], NULL);
        ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
        fake_daemon_take(&fake);

        known = stats();
        n_handled = n_stormed < N_STORM ? n_stormed : N_STORM;
        n_children = N_THREADS * N_ROUNDS;
        qsort(fake.records, fake.n_records, sizeof *fake.records, compare_records);
        ck_assert_uint_eq(count_once(RECORD_START) + known.dropped_starts,
                          1 + N_STORM + n_children);
        ck_assert_uint_eq(count_once(0) + known.dropped_updates, n_children);
        ck_assert_uint_eq(count_once(RECORD_END) + known.dropped_ends, n_children + n_handled);
        ck_assert_uint_eq(known.dropped_arena_full,
                          known.dropped_starts + known.dropped_updates + known.dropped_ends);
        ck_assert_uint_gt(n_handled, 0);
        for (unsigned i = 0; i < 4; i++)
                ck_assert(!arena_word_is_busy(fake.arenas[0].header->words[i].value));
}
END_TEST

static void *say_one(void *user) {
        catena_span_end(catena_span_child(*(catena_span *)user, "s", 0));
        return NULL;
}

START_TEST(threads_that_end_leave_nothing_behind) {
        enum { N = 500 };
        catena_span parent;
        pthread_t thread;

        begin(4);
        parent = catena_span_start(context, "parent", 0);
        for (unsigned i = 0; i < N; i++) {
                ck_assert_int_eq(pthread_create(&thread, NULL, say_one, &parent), 0);
                pthread_join(thread, NULL);
        }
        fake_daemon_take(&fake);
        ck_assert_uint_eq(n_spans_said(), N);
        for (unsigned i = 0; i < 4; i++)
                ck_assert_uint_eq(arena_word_end(fake.arenas[0].header->words[i].value), 0);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("lib-arena");
        TCase *tcase = tcase_create("lib-arena");

        tcase_add_checked_fixture(tcase, start, stop);
        tcase_set_timeout(tcase, 120);
        tcase_add_test(tcase, a_full_arena_drops_and_counts);
        tcase_add_test(tcase, what_no_chunk_can_hold_goes_by_the_stream);
        tcase_add_test(tcase, every_size_arrives_whole);
        tcase_add_test(tcase, a_sleeping_daemon_is_woken_once);
        tcase_add_test(tcase, a_new_daemon_goes_on_with_the_arena);
        tcase_add_test(tcase, a_daemon_that_lost_the_arena_gives_another);
        tcase_add_test(tcase, a_daemon_that_vanished_is_missed);
        tcase_add_loop_test(tcase, what_is_not_an_arena_is_not_mapped, 0, 11);
        tcase_add_test(tcase, a_hostile_daemon_harms_nobody);
        tcase_add_test(tcase, threads_and_a_storm_of_signals_share_four_chunks);
        tcase_add_test(tcase, threads_that_end_leave_nothing_behind);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The doorbell between a writer that has no fence and a reader that goes to sleep all the time, in
 * DOORBELL_ROUNDS rounds.
 */

#include "daemon/ingest/arena-reader.h"
#include "tests/unit/arena-writer.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>

enum { ROUNDS = 100000, PATIENCE_S = 5, RECORD_BYTES = 256 };

static ArenaReader *reader;
static Writer writer;
static unsigned long n_rounds;
static _Atomic unsigned long n_read;
static _Atomic bool rung;

/* So that either comes at every moment of the other's doings. */
static void linger(unsigned long n) {
        for (volatile unsigned long i = n; i; i--)
                ;
}

static void *write_on(void *user) {
        static const uint8_t data[RECORD_BYTES]; /* stores that take their time */

        (void)user;
        for (unsigned long i = 0; i < n_rounds; i++) {
                uint32_t hint = (uint32_t)i % 3;

                linger(i * 7 % 257);
                while (!writer_put(&writer, hint, data, sizeof data))
                        ck_abort_msg("no chunk is free");
                atomic_signal_fence(memory_order_seq_cst);
                if (atomic_load_explicit(&writer.header->waiting, memory_order_relaxed) &&
                    atomic_exchange(&writer.header->waiting, 0))
                        atomic_store(&rung, true);
                for (unsigned n = 0; atomic_load(&n_read) <= i; n++)
                        if (n % 64 == 63)
                                sched_yield();
        }
        return NULL;
}

static void sleep_until_rung(unsigned long round) {
        time_t begun = time(NULL);

        for (unsigned n = 0; !atomic_load(&rung); n++) {
                if (n % 64 == 63)
                        sched_yield();
                if (n % 65536 == 65535)
                        ck_assert_msg(time(NULL) < begun + PATIENCE_S, "lost in round %lu", round);
        }
}

/* It may be rung for what has been read already: then it sleeps again. */
static void sleep_until_news(unsigned long round) {
        do {
                atomic_store(&rung, false);
                arena_reader_set_waiting(reader, true);
                arena_reader_barrier();
                if (!arena_reader_has_news(reader))
                        sleep_until_rung(round);
        } while (!arena_reader_has_news(reader));
}

static void read_all(void) {
        uint8_t data[ARENA_CHUNK_SIZE];
        uint32_t ends[ARENA_CHUNKS];
        size_t size;

        ck_assert_int_eq(arena_reader_look(reader, ends, &size), 0);
        ck_assert_uint_eq(size, RECORD_BYTES);
        for (uint32_t chunk = 0; chunk < ARENA_CHUNKS; chunk++) {
                if (!ends[chunk])
                        continue;
                ck_assert_int_eq(arena_reader_read(reader, chunk, ends[chunk], data), 0);
                arena_reader_recycle(reader, chunk);
        }
}

START_TEST(no_wake_up_is_lost) {
        Session session = {0};
        pthread_t thread;

        if (!arena_reader_is_possible() ||
            syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) < 0)
                return; /* then no arena is offered, or the client fences */
        n_rounds = unit_amount("DOORBELL_ROUNDS", ROUNDS);
        ck_assert_int_eq(arena_reader_new(&reader, &session), 0);
        writer_init(&writer, dup(reader->fd));
        ck_assert_int_eq(pthread_create(&thread, NULL, write_on, NULL), 0);
        for (unsigned long i = 0; i < n_rounds; i++) {
                linger(i * 11 % 509);
                sleep_until_news(i);
                arena_reader_set_waiting(reader, false);
                read_all();
                atomic_store(&n_read, i + 1);
        }
        pthread_join(thread, NULL);
        writer_deinit(&writer);
        arena_reader_free(reader);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("doorbell");
        TCase *tcase = tcase_create("doorbell");

        tcase_set_timeout(tcase, 0);
        tcase_add_test(tcase, no_wake_up_is_lost);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

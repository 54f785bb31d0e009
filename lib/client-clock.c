/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-clock.h"

#include "lib/client-process.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum {
        NS_PER_S = 1000000000,
        CLOCK_TRIES = 3,
        CLOCK_GAP_NS = 1000,
        CLOCK_TOLERANCE_NS = 20 * 1000 * 1000, /* the coarse clock is up to 10 ms behind */
};

static struct {
        _Atomic int64_t offsets_ns[256]; /* by era */
        _Atomic uint32_t n_eras;
} eras;

static uint64_t clock_read(clockid_t clock) {
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t catena__clock_ns(void) {
        return clock_read(CLOCK_MONOTONIC);
}

uint64_t catena__clock_coarse_ns(void) {
        return clock_read(CLOCK_MONOTONIC_COARSE);
}

uint64_t catena__clock_unix_ns(uint8_t era, uint64_t clock_ns) {
        return clock_ns +
               (uint64_t)atomic_load_explicit(&eras.offsets_ns[era], memory_order_relaxed);
}

/* From the wall clock read between two readings of the other, as close as three tries make them. */
static int64_t clock_offset(void) {
        uint64_t before, wall, after, best_gap = UINT64_MAX;
        int64_t offset = 0;

        for (unsigned i = 0; i < CLOCK_TRIES && best_gap > CLOCK_GAP_NS; i++) {
                before = catena__clock_ns();
                wall = clock_read(CLOCK_REALTIME);
                after = catena__clock_ns();
                if (after - before < best_gap) {
                        best_gap = after - before;
                        offset = (int64_t)(wall - before - best_gap / 2);
                }
        }
        return offset;
}

static uint8_t clock_era_at(uint64_t clock_ns) {
        uint64_t wall = clock_read(CLOCK_REALTIME_COARSE);
        uint32_t n = atomic_load(&eras.n_eras);
        uint8_t era = (uint8_t)(n - 1);
        int64_t off;

        off = (int64_t)(wall - catena__clock_unix_ns(era, clock_ns));
        if (n && off < CLOCK_TOLERANCE_NS && off > -CLOCK_TOLERANCE_NS)
                return era;
        atomic_store(&eras.offsets_ns[(uint8_t)n], clock_offset());
        /* When another thread was first, its era is as good. */
        return (uint8_t)(atomic_compare_exchange_strong(&eras.n_eras, &n, n + 1) ? n : n - 1);
}

uint8_t catena__clock_era(void) {
        return clock_era_at(catena__clock_ns());
}

uint64_t catena__clock_wall_ns(uint64_t clock_ns) {
        return catena__clock_unix_ns(clock_era_at(clock_ns), clock_ns);
}

uint8_t catena__clock_last_era(void) {
        uint32_t n = atomic_load_explicit(&eras.n_eras, memory_order_relaxed);

        return n ? (uint8_t)(n - 1) : catena__clock_era();
}

/* ---- random ---- */

static uint64_t rotate(uint64_t value, unsigned bits) {
        return value << bits | value >> (64 - bits);
}

__attribute__((cold, noinline)) static void random_seed(ProcessThread *thread, uint32_t epoch) {
        if (getrandom(thread->random, sizeof thread->random, GRND_NONBLOCK) !=
            (ssize_t)sizeof thread->random) {
                /* Early at boot, or forbidden: ids that are unlikely to meet must do. */
                thread->random[0] = clock_read(CLOCK_REALTIME);
                thread->random[1] = clock_read(CLOCK_MONOTONIC);
                thread->random[2] = (uint64_t)getpid() << 32 | epoch;
                thread->random[3] = (uint64_t)(uintptr_t)thread;
        }
        thread->random[0] |= !(thread->random[0] | thread->random[1]);
        thread->random_epoch = epoch;
}

/* xoshiro256++ by Blackman and Vigna. */
static uint64_t random_next(uint64_t state[4]) {
        uint64_t result = rotate(state[0] + state[3], 23) + state[0];
        uint64_t shifted = state[1] << 17;

        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = rotate(state[3], 45);
        return result;
}

uint64_t catena__random_word(void) {
        uint32_t epoch = catena__process_epoch();
        ProcessThread *thread = &catena__thread;

        if (thread->random_epoch != epoch)
                random_seed(thread, epoch);
        return random_next(thread->random);
}

void catena__random(void *out, size_t size) {
        for (uint8_t *at = out; size; size -= sizeof(uint64_t), at += sizeof(uint64_t)) {
                uint64_t word = catena__random_word();

                memcpy(at, &word, sizeof word);
        }
}

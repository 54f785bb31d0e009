/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-clock.h"
#include "lib/client-count.h"
#include "lib/client-link.h"
#include "lib/client-process.h"
#include "lib/client-send.h"

#include <stdatomic.h>

enum {
        FLUSH_WAITERS = 16, /* at once; a token's low bits are its place */
        FLUSH_PLACE_BITS = 4,
        FLUSH_EPOCH_SHIFT = 48,
        FLUSH_SLICE_MS = 20, /* another thread may have read the answer */
        FLUSH_LEVEL = 1,
        FLUSH_NS_PER_MS = 1000000,
};

static struct {
        struct {
                _Atomic uint64_t token;   /* 0: free; the epoch on top */
                _Atomic uint32_t reached; /* level + 1; 0: no answer yet */
        } waiters[FLUSH_WAITERS];
        _Atomic uint32_t n_tokens;
        _Atomic uint64_t n_dropped; /* known at the last flush */
} flush_state;

void catena__flush_answered(uint64_t token, uint32_t level) {
        unsigned place = token & (FLUSH_WAITERS - 1);

        if (atomic_load(&flush_state.waiters[place].token) == token)
                atomic_store(&flush_state.waiters[place].reached, level + 1);
}

/* Takes a waiter; 0: all are taken. */
static uint64_t flush_take(void) {
        uint64_t epoch = catena__process_epoch();
        uint64_t n = atomic_fetch_add(&flush_state.n_tokens, 1);

        for (unsigned place = 0; place < FLUSH_WAITERS; place++) {
                uint64_t seen = atomic_load(&flush_state.waiters[place].token);
                uint64_t token = epoch << FLUSH_EPOCH_SHIFT | n << FLUSH_PLACE_BITS | place;

                if (seen >> FLUSH_EPOCH_SHIFT == epoch)
                        continue;
                if (!atomic_compare_exchange_strong(&flush_state.waiters[place].token, &seen,
                                                    token))
                        continue;
                atomic_store(&flush_state.waiters[place].reached, 0);
                return token;
        }
        return 0;
}

static int flush_left_ms(uint64_t until_ns) {
        uint64_t now = catena__clock_ns();

        if (now >= until_ns)
                return 0;
        now = (until_ns - now + FLUSH_NS_PER_MS - 1) / FLUSH_NS_PER_MS;
        return now < FLUSH_SLICE_MS ? (int)now : FLUSH_SLICE_MS;
}

static void flush_write(PbWriter *writer, const void *user) {
        pb_put_varint(writer, FLUSH_LEVEL, *(const uint32_t *)user);
}

/* Whether something was dropped since the last flush: no answer could change that. */
static bool flush_has_dropped(void) {
        return catena__count_dropped() != atomic_load(&flush_state.n_dropped);
}

/* Says FLUSH as soon as it fits. The connection it went by; 0: it did not. */
static uint64_t flush_say(uint64_t token, uint32_t level, uint64_t until_ns) {
        SendMessage message = {
                .type = RECORD_FLUSH,
                .id = token,
                .size = 1 + pb_varint_size(level),
                .write = flush_write,
                .user = &level,
        };
        int left_ms, r;

        for (;;) {
                r = catena__send_by_stream(&message);
                if (!r)
                        return catena__link_read();
                left_ms = flush_left_ms(until_ns);
                if (!left_ms || (r == SEND_E_DOWN && flush_has_dropped()))
                        return 0;
                catena__link_wait(true, left_ms);
        }
}

/* The level reached + 1; 0: none in time. */
static uint32_t flush_wait(uint64_t token, uint32_t level, uint64_t until_ns) {
        _Atomic uint32_t *reached = &flush_state.waiters[token & (FLUSH_WAITERS - 1)].reached;
        uint64_t connection = flush_say(token, level, until_ns);
        int left_ms;

        while (!atomic_load(reached) && connection) {
                left_ms = flush_left_ms(until_ns);
                if (!left_ms)
                        break;
                catena__link_wait(false, left_ms);
                if (catena__link_read() != connection)
                        break; /* what it knew is with another daemon, or nowhere */
        }
        return atomic_load(reached);
}

/* Whether nothing was said, nor should have been. */
static bool flush_is_silent(void) {
        return !catena__process_start() ||
               (!catena__count_has_said() && !catena__count_dropped());
}

static bool flush_to(uint32_t ask, uint32_t need, unsigned timeout_ms) {
        uint64_t until_ns = catena__clock_ns() + (uint64_t)timeout_ms * FLUSH_NS_PER_MS;
        bool silent = flush_is_silent();
        uint64_t dropped, token;
        uint32_t reached;

        if (silent && !catena__link_is_open())
                return true;
        token = flush_take();
        if (!token)
                return false;
        reached = flush_wait(token, ask, until_ns);
        atomic_store(&flush_state.waiters[token & (FLUSH_WAITERS - 1)].token, 0);
        dropped = catena__count_dropped();
        if (atomic_exchange(&flush_state.n_dropped, dropped) != dropped)
                return false;
        return silent || reached > need; /* of one that is silent, the daemon is only heard */
}

bool catena_flush(unsigned timeout_ms) {
        return flush_to(CATENA_SYNCED, CATENA_JOURNALED, timeout_ms);
}

bool catena_flush_to(int level, unsigned timeout_ms) {
        if (level < CATENA_JOURNALED || level > CATENA_DELIVERED) {
                catena__misuse(MISUSE_FLAGS);
                return false;
        }
        return flush_to((uint32_t)level, (uint32_t)level, timeout_ms);
}

/* ---- the end ---- */

static void flush_bye(void) {
        catena__process_stop();
        (void)catena__send_by_stream(&(SendMessage){.type = RECORD_BYE});
        catena__link_close();
}

bool catena_stop(unsigned timeout_ms) {
        bool safe = flush_is_silent() || catena_flush(timeout_ms);

        flush_bye();
        return safe;
}

/* Only for a process that spoke itself: a forked child must not take its parent's leave. */
__attribute__((destructor)) static void flush_at_exit(void) {
        if (catena__process_used() && catena__process_on() && catena__link_is_open())
                flush_bye();
}

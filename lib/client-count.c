/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-count.h"

#include "lib/client-process.h"
#include "proto/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
        COUNT_LANES = 16,
        COUNT_LINE = 64, /* bytes that processors pass around as one */
};

typedef _Atomic uint64_t Counter;

typedef struct CountFlow {
        Counter records, bytes, starts, ends, logs;
} CountFlow;

/* Shared by the threads whose numbers are congruent. */
static struct {
        _Alignas(COUNT_LINE) CountFlow sent;
        Counter connections, refused, orphans, misuse, headers_refused;
        Counter lost[_LOST_N][_LOST_KINDS_N];
} count_lanes[COUNT_LANES];

/* Written by the one that has the arena's chunk. */
static struct { _Alignas(COUNT_LINE) CountFlow published; } count_chunks[ARENA_CHUNKS];

static Counter lost_told[_LOST_N][_LOST_KINDS_N];
static atomic_bool lost_some;

static struct {
        atomic_bool told[_MISUSE_N];
        char where[256]; /* "": nowhere */
} misuse_state;

static const char *const misuse_texts[] = {
#define MISUSE_X(symbol, text) text,
        MISUSES(MISUSE_X)
#undef MISUSE_X
};

static unsigned count_lane(void) {
        unsigned lane = catena__thread.lane;

        return (lane ? lane : catena__process_lane()) % COUNT_LANES;
}

static void count_add(Counter *counter, uint64_t n) {
        atomic_fetch_add(counter, n);
}

void catena__count_sent(const CountSaid *said) {
        CountFlow *flow = &count_lanes[count_lane()].sent;

        count_add(&flow->records, said->records);
        count_add(&flow->bytes, said->bytes);
        if (said->starts)
                count_add(&flow->starts, said->starts);
        if (said->ends)
                count_add(&flow->ends, said->ends);
        if (said->logs)
                count_add(&flow->logs, said->logs);
}

static void count_add_alone(Counter *counter, uint64_t n) {
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                              memory_order_relaxed);
}

void catena__count_published(unsigned chunk, const CountSaid *said) {
        CountFlow *flow = &count_chunks[chunk].published;

        count_add_alone(&flow->records, said->records);
        count_add_alone(&flow->bytes, said->bytes);
        count_add_alone(&flow->starts, said->starts);
        count_add_alone(&flow->ends, said->ends);
        if (said->logs)
                count_add_alone(&flow->logs, said->logs);
}

void catena__count_connection(void) {
        count_add(&count_lanes[count_lane()].connections, 1);
}

void catena__count_refused(uint64_t n) {
        count_add(&count_lanes[count_lane()].refused, n);
}

void catena__count_orphans(uint64_t n) {
        count_add(&count_lanes[count_lane()].orphans, n);
}

static uint64_t count_lost(Lost reason, LostKind kind) {
        uint64_t n = 0;

        for (unsigned i = 0; i < COUNT_LANES; i++)
                n += atomic_load(&count_lanes[i].lost[reason][kind]);
        return n;
}

static uint64_t count_lost_reason(Lost reason) {
        uint64_t n = 0;

        for (unsigned kind = 0; kind < _LOST_KINDS_N; kind++)
                n += count_lost(reason, kind);
        return n;
}

static uint64_t count_lost_kind(LostKind kind) {
        uint64_t n = 0;

        for (unsigned reason = 0; reason < _LOST_N; reason++)
                n += count_lost(reason, kind);
        return n;
}

uint64_t catena__count_dropped(void) {
        uint64_t n = 0;

        for (unsigned i = 0; i < COUNT_LANES; i++)
                n += atomic_load(&count_lanes[i].refused);
        for (unsigned reason = 0; reason < _LOST_N; reason++)
                n += count_lost_reason(reason);
        return n;
}

/* Adds up what has gone over, and what else is counted for each lane. */
static catena_stats count_sum(void) {
        catena_stats sum = {0};

        for (unsigned i = 0; i < COUNT_LANES + ARENA_CHUNKS; i++) {
                const CountFlow *flow = i < COUNT_LANES ? &count_lanes[i].sent
                                                        : &count_chunks[i - COUNT_LANES].published;

                sum.records += atomic_load(&flow->records);
                sum.bytes += atomic_load(&flow->bytes);
                sum.spans_started += atomic_load(&flow->starts);
                sum.spans_ended += atomic_load(&flow->ends);
                sum.logs += atomic_load(&flow->logs);
        }
        for (unsigned i = 0; i < COUNT_LANES; i++) {
                sum.connections += atomic_load(&count_lanes[i].connections);
                sum.refused += atomic_load(&count_lanes[i].refused);
                sum.orphans += atomic_load(&count_lanes[i].orphans);
                sum.misuse += atomic_load(&count_lanes[i].misuse);
                sum.headers_refused += atomic_load(&count_lanes[i].headers_refused);
        }
        return sum;
}

bool catena__count_has_said(void) {
        return count_sum().records;
}

size_t catena_stats_get(catena_stats *stats, size_t size) {
        catena_stats sum = count_sum();

        sum.dropped_starts = count_lost_kind(LOST_STARTS);
        sum.dropped_updates = count_lost_kind(LOST_UPDATES);
        sum.dropped_ends = count_lost_kind(LOST_ENDS);
        sum.dropped_logs = count_lost_kind(LOST_LOGS);
        sum.spans_started += sum.dropped_starts;
        sum.spans_ended += sum.dropped_ends;
        sum.logs += sum.dropped_logs;
        sum.dropped_socket_full = count_lost_reason(LOST_SOCKET_FULL);
        sum.dropped_not_connected = count_lost_reason(LOST_NOT_CONNECTED);
        sum.dropped_too_large = count_lost_reason(LOST_TOO_LARGE);
        sum.dropped_arena_full = count_lost_reason(LOST_ARENA_FULL);
        if (stats)
                memcpy(stats, &sum, size < sizeof sum ? size : sizeof sum);
        return sizeof sum;
}

static void count_zero(Counter *counters, size_t n) {
        for (size_t i = 0; i < n; i++)
                atomic_store(&counters[i], 0);
}

void catena__count_reset(void) {
        for (unsigned i = 0; i < COUNT_LANES; i++)
                count_zero(&count_lanes[i].sent.records, sizeof count_lanes[i] / sizeof(Counter));
        for (unsigned i = 0; i < ARENA_CHUNKS; i++)
                count_zero(&count_chunks[i].published.records,
                           sizeof count_chunks[i] / sizeof(Counter));
        count_zero(lost_told[0], sizeof lost_told / sizeof(Counter));
        atomic_store(&lost_some, false);
}

/* ---- misuse ---- */

void catena__misuse_tell(const char *where) {
        if (where && strlen(where) < sizeof misuse_state.where)
                memcpy(misuse_state.where, where, strlen(where) + 1);
}

static void misuse_write(int fd, const char *text) {
        struct iovec parts[] = {
                {(void *)"catena: ", 8},
                {(void *)text, strlen(text)},
                {(void *)"\n", 1},
        };
        ssize_t r = writev(fd, parts, sizeof parts / sizeof *parts);

        (void)r; /* there is nobody to tell */
}

void catena__misuse(Misuse misuse) {
        unsigned lane = count_lane();
        int saved = errno, fd;

        count_add(misuse == MISUSE_HEADER ? &count_lanes[lane].headers_refused
                                          : &count_lanes[lane].misuse,
                  1);
        if (!*misuse_state.where || atomic_exchange(&misuse_state.told[misuse], true))
                return;
        if (strcmp(misuse_state.where, "stderr") == 0) {
                misuse_write(STDERR_FILENO, misuse_texts[misuse]);
        } else {
                fd = open(misuse_state.where,
                          O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
                if (fd >= 0) {
                        misuse_write(fd, misuse_texts[misuse]);
                        close(fd);
                }
        }
        errno = saved;
}

/* ---- lost ---- */

void catena__lost(Lost reason, LostKind kind) {
        count_add(&count_lanes[count_lane()].lost[reason][kind], 1);
        if (!atomic_load(&lost_some))
                atomic_store(&lost_some, true);
}

bool catena__lost_any(void) {
        return atomic_load_explicit(&lost_some, memory_order_relaxed);
}

/* What has been lost since it was last told. */
static uint64_t lost_untold(Lost reason, LostKind kind) {
        uint64_t all = count_lost(reason, kind), told = atomic_load(&lost_told[reason][kind]);

        do {
                if (all <= told)
                        return 0; /* another was faster */
        } while (!atomic_compare_exchange_weak(&lost_told[reason][kind], &told, all));
        return all - told;
}

bool catena__lost_take(LostCounts *counts) {
        if (!catena__lost_any() || !atomic_exchange(&lost_some, false))
                return false;
        *counts = (LostCounts){0};
        for (unsigned reason = 0; reason < LOST_ARENA_FULL; reason++)
                for (unsigned kind = 0; kind < _LOST_KINDS_N; kind++)
                        counts->n[reason][kind] = lost_untold(reason, kind);
        return true;
}

void catena__lost_give_back(const LostCounts *counts) {
        for (unsigned reason = 0; reason < LOST_ARENA_FULL; reason++)
                for (unsigned kind = 0; kind < _LOST_KINDS_N; kind++)
                        atomic_fetch_sub(&lost_told[reason][kind], counts->n[reason][kind]);
        atomic_store(&lost_some, true);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-count.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { N_COUNTERS = sizeof(catena_stats) / sizeof(uint64_t) };

static _Atomic uint64_t counters[N_COUNTERS];
static _Atomic uint64_t lost[_LOST_N][_LOST_KINDS_N];
static atomic_bool lost_any;

static struct {
        atomic_bool told[_MISUSE_N];
        char where[256]; /* "": nowhere */
} misuse_state;

static const char *const misuse_texts[] = {
#define MISUSE_X(symbol, text) text,
        MISUSES(MISUSE_X)
#undef MISUSE_X
};

void catena__count(size_t counter, uint64_t n) {
        atomic_fetch_add_explicit(&counters[counter], n, memory_order_relaxed);
}

uint64_t catena__counted(size_t counter) {
        return atomic_load(&counters[counter]);
}

uint64_t catena__count_dropped(void) {
        return catena__counted(COUNT(dropped_starts)) + catena__counted(COUNT(dropped_updates)) +
               catena__counted(COUNT(dropped_ends));
}

void catena__count_reset(void) {
        LostCounts ignored;

        for (size_t i = 0; i < N_COUNTERS; i++)
                atomic_store(&counters[i], 0);
        (void)catena__lost_take(&ignored);
}

size_t catena_stats_get(catena_stats *stats, size_t size) {
        uint64_t values[N_COUNTERS];

        for (size_t i = 0; i < N_COUNTERS; i++)
                values[i] = atomic_load(&counters[i]);
        if (stats)
                memcpy(stats, values, size < sizeof values ? size : sizeof values);
        return sizeof values;
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
        int saved = errno, fd;

        catena__count(COUNT(misuse), 1);
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
        static const size_t reasons[] = {
                [LOST_SOCKET_FULL] = COUNT(dropped_socket_full),
                [LOST_NOT_CONNECTED] = COUNT(dropped_not_connected),
                [LOST_TOO_LARGE] = COUNT(dropped_too_large),
        };
        static const size_t kinds[] = {
                [LOST_STARTS] = COUNT(dropped_starts),
                [LOST_UPDATES] = COUNT(dropped_updates),
                [LOST_ENDS] = COUNT(dropped_ends),
        };

        catena__count(reasons[reason], 1);
        catena__count(kinds[kind], 1);
        atomic_fetch_add(&lost[reason][kind], 1);
        atomic_store(&lost_any, true);
}

bool catena__lost_take(LostCounts *counts) {
        if (!atomic_load_explicit(&lost_any, memory_order_relaxed) ||
            !atomic_exchange(&lost_any, false))
                return false;
        for (unsigned reason = 0; reason < _LOST_N; reason++)
                for (unsigned kind = 0; kind < _LOST_KINDS_N; kind++)
                        counts->n[reason][kind] = atomic_exchange(&lost[reason][kind], 0);
        return true;
}

void catena__lost_give_back(const LostCounts *counts) {
        for (unsigned reason = 0; reason < _LOST_N; reason++)
                for (unsigned kind = 0; kind < _LOST_KINDS_N; kind++)
                        atomic_fetch_add(&lost[reason][kind], counts->n[reason][kind]);
        atomic_store(&lost_any, true);
}

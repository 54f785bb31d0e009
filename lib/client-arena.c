/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-arena.h"

#include "lib/client-process.h"
#include "proto/arena.h"
#include "proto/record.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ARENA_LINES_AHEAD = 6 }; /* a record with a few attributes */

static struct {
        _Atomic uint64_t connection; /* whose writers may write; 0: nobody's */
        _Atomic(ArenaHeader *) header;
        _Atomic uint32_t n_chunks; /* as it was when it was mapped */
        _Atomic uint32_t epoch;    /* of the process that mapped it */
        atomic_bool abandoned;     /* the daemon reads it no more */
        bool possible;
        atomic_bool fences; /* publishing must fence: the daemon's membarrier does not reach us */
} arena;

/* ---- the process ---- */

static void arena_register(void) {
        if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0)
                atomic_store(&arena.fences, false);
}

/* In a forked child: what its writers still hold is no longer the parent's arena. */
static void arena_forked(void) {
        ArenaHeader *header = atomic_load(&arena.header);
        int saved = errno;

        if (header)
                (void)mmap(header, ARENA_SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
        arena_register();
        errno = saved;
}

/*
 * At load, when most processes have one thread: to register one that has more takes the kernel some
 * milliseconds, which no call of ours may cost.
 */
__attribute__((constructor)) static void arena_prepare(void) {
        int saved = errno;

        atomic_store(&arena.fences, true);
        arena_register();
        arena.possible = pthread_atfork(NULL, NULL, arena_forked) == 0;
        errno = saved;
}

bool catena__arena_is_possible(void) {
        return arena.possible;
}

/* ---- mapping ---- */

/* How many chunks the arena has; 0: it is not one to map. */
static uint32_t arena_check(int fd) {
        const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
        struct {
                uint32_t magic, version, n_chunks, chunk_size;
        } head;
        struct stat status;
        int seals;

        seals = fcntl(fd, F_GET_SEALS);
        if (seals < 0 || (seals & needed) != needed || fstat(fd, &status) < 0 ||
            pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head)
                return 0;
        if (head.magic != ARENA_MAGIC || head.version != ARENA_VERSION || !head.n_chunks ||
            head.n_chunks > ARENA_CHUNKS || head.chunk_size != ARENA_CHUNK_SIZE ||
            status.st_size != (off_t)arena_chunk_offset(head.n_chunks))
                return 0;
        return head.n_chunks;
}

/* Takes every chunk for good; false: a writer is, or died, at work. */
static bool arena_empty(ArenaHeader *header, uint32_t n_chunks) {
        for (uint32_t i = 0; i < n_chunks; i++) {
                uint64_t word = atomic_load(&header->words[i].value);

                if (arena_word_is_busy(word) ||
                    !atomic_compare_exchange_strong(&header->words[i].value, &word, word | 1))
                        return false;
        }
        return true;
}

/* Where the next arena goes: in the place of the last one, or, that being in use, anywhere. */
static ArenaHeader *arena_place(void) {
        ArenaHeader *header = atomic_load(&arena.header);

        if (header && atomic_load(&arena.epoch) == catena__process_epoch() &&
            arena_empty(header, atomic_load(&arena.n_chunks)))
                return header;
        header = mmap(NULL, ARENA_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                      0);
        return header == MAP_FAILED ? NULL : header;
}

static bool arena_is_read(const ArenaHeader *header, uint32_t n_chunks) {
        for (uint32_t i = 0; i < n_chunks; i++)
                if (arena_word_end(atomic_load(&header->words[i].value)))
                        return false;
        return true;
}

/* How many records that would be nobody knows: it counts as one. */
void catena__arena_abandon(void) {
        if (!catena__arena_is_mapped())
                return;
        if (!arena_is_read(atomic_load(&arena.header), atomic_load(&arena.n_chunks)))
                catena__lost(LOST_NOT_CONNECTED, LOST_UPDATES);
        atomic_store(&arena.abandoned, true);
}

bool catena__arena_map(int fd) {
        uint32_t n_chunks = arena_check(fd);
        ArenaHeader *header;

        catena__arena_close();
        catena__arena_abandon();
        header = n_chunks ? arena_place() : NULL;
        if (!header || mmap(header, arena_chunk_offset(n_chunks), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
                return false;
        atomic_store(&arena.header, header);
        atomic_store(&arena.n_chunks, n_chunks);
        atomic_store(&arena.epoch, catena__process_epoch());
        atomic_store(&arena.abandoned, false);
        return true;
}

bool catena__arena_is_mapped(void) {
        return atomic_load(&arena.epoch) == catena__process_epoch() &&
               !atomic_load(&arena.abandoned);
}

void catena__arena_open(uint64_t connection) {
        atomic_store(&arena.connection, connection);
}

void catena__arena_close(void) {
        atomic_store(&arena.connection, 0);
}

bool catena__arena_is_open(void) {
        return atomic_load_explicit(&arena.connection, memory_order_relaxed) >> 32 ==
               catena__process_epoch();
}

/* ---- writing ---- */

int catena__arena_take(ArenaTicket *ticket, size_t over) {
        uint64_t connection = atomic_load_explicit(&arena.connection, memory_order_acquire);
        uint32_t n_chunks = atomic_load_explicit(&arena.n_chunks, memory_order_relaxed);
        ArenaHeader *header = atomic_load_explicit(&arena.header, memory_order_relaxed);
        unsigned chunk;

        if (connection >> 32 != catena__process_epoch())
                return ARENA_E_NONE;
        if (!catena__thread.lane)
                catena__thread.chunk = (uint16_t)catena__process_lane();
        chunk = catena__thread.chunk;
        if (chunk >= n_chunks)
                chunk %= n_chunks;
        for (uint32_t i = 0; i < n_chunks; i++, chunk = chunk + 1 == n_chunks ? 0 : chunk + 1) {
                _Atomic uint64_t *word = &header->words[chunk].value;
                uint64_t seen = atomic_load_explicit(word, memory_order_relaxed);
                uint32_t end = arena_word_end(seen);

                if (arena_word_is_busy(seen) || end > ARENA_CHUNK_SIZE ||
                    ARENA_CHUNK_SIZE - end <= over ||
                    !atomic_compare_exchange_strong(word, &seen, seen | 1))
                        continue;
                ticket->room = (uint8_t *)header + arena_chunk_offset(chunk) + end;
                ticket->capacity = ARENA_CHUNK_SIZE - end;
                ticket->connection = connection;
                ticket->header = header;
                ticket->word = seen;
                ticket->chunk = chunk;
                if (atomic_load(&arena.connection) == connection)
                        return 0;
                catena__arena_release(ticket);
                return ARENA_E_NONE;
        }
        return ARENA_E_FULL;
}

/* Where the next record goes. The daemon has read there, on another processor. */
static void arena_prefetch(const uint8_t *room) {
        for (unsigned i = 1; i <= ARENA_LINES_AHEAD; i++)
                __builtin_prefetch(room + i * ARENA_LINE, 1);
}

bool catena__arena_publish(const ArenaTicket *ticket, size_t size, const CountSaid *said) {
        _Atomic uint64_t *word = &ticket->header->words[ticket->chunk].value;
        _Atomic uint32_t *waiting = &ticket->header->waiting;
        uint64_t published = ticket->word + size;

        arena_prefetch(ticket->room + size);
        if (ticket->connection >> 32 != catena__process_epoch())
                return false; /* a fork came in between: this is the parent's to publish */
        catena__count_published((unsigned)ticket->chunk, said);
        catena__thread.chunk = (uint16_t)ticket->chunk;
        if (atomic_load_explicit(&arena.fences, memory_order_relaxed)) {
                atomic_store(word, published);
        } else {
                atomic_store_explicit(word, published, memory_order_release);
                atomic_signal_fence(memory_order_seq_cst);
        }
        return atomic_load(waiting) && atomic_exchange(waiting, 0) == 1;
}

void catena__arena_release(const ArenaTicket *ticket) {
        if (ticket->connection >> 32 == catena__process_epoch())
                atomic_store_explicit(&ticket->header->words[ticket->chunk].value, ticket->word,
                                      memory_order_release);
}

void catena__arena_lost(LostKind kind) {
        static const ArenaLost kinds[] = {
                [LOST_STARTS] = ARENA_LOST_STARTS,
                [LOST_UPDATES] = ARENA_LOST_UPDATES,
                [LOST_ENDS] = ARENA_LOST_ENDS,
                [LOST_LOGS] = ARENA_LOST_LOGS,
        };
        ArenaHeader *header = atomic_load(&arena.header);

        atomic_fetch_add(&header->lost[kinds[kind]], 1);
}

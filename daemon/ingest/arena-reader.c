/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/arena-reader.h"

#include "daemon/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ARENA_READER_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static_assert(ARENA_CHUNKS <= 32, "ArenaReader.used has a bit for each");

static long arena_reader_membarrier(int command) {
        return syscall(SYS_membarrier, command, 0, 0);
}

bool arena_reader_is_possible(void) {
        long commands = arena_reader_membarrier(MEMBARRIER_CMD_QUERY);

        return commands > 0 && (commands & MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

void arena_reader_barrier(void) {
        (void)arena_reader_membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

/* ---- lifetime ---- */

static int arena_reader_make(void) {
        int fd = memfd_create("catena-arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        if (fd < 0)
                return -1;
        if (ftruncate(fd, ARENA_SIZE) == 0 && fcntl(fd, F_ADD_SEALS, ARENA_READER_SEALS) == 0)
                return fd;
        close(fd);
        return -1;
}

static bool arena_reader_is_ours(int fd) {
        int seals = fcntl(fd, F_GET_SEALS);
        struct stat status;

        return seals >= 0 && (seals & ARENA_READER_SEALS) == ARENA_READER_SEALS &&
               fstat(fd, &status) == 0 && status.st_size == ARENA_SIZE;
}

/* Takes the descriptor, also where it fails. */
static int arena_reader_open(ArenaReader **readerp, int fd) {
        ArenaReader *reader;
        void *header;

        header = mmap(NULL, ARENA_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (header == MAP_FAILED) {
                close(fd);
                return ARENA_READER_E_REFUSED;
        }
        reader = calloc(1, sizeof *reader);
        if (!reader) {
                munmap(header, ARENA_HEADER_SIZE);
                close(fd);
                return error_origin(-ENOMEM);
        }
        reader->fd = fd;
        reader->header = header;
        *readerp = reader;
        return 0;
}

int arena_reader_new(ArenaReader **readerp, const Session *session) {
        ArenaReader *reader;
        int fd, r;

        fd = arena_reader_make();
        if (fd < 0)
                return ARENA_READER_E_REFUSED;
        r = arena_reader_open(&reader, fd);
        if (r)
                return error_trace(r);
        reader->header->magic = ARENA_MAGIC;
        reader->header->version = ARENA_VERSION;
        reader->header->n_chunks = ARENA_CHUNKS;
        reader->header->chunk_size = ARENA_CHUNK_SIZE;
        for (uint32_t chunk = 0; session->cursors && chunk < ARENA_CHUNKS; chunk++) {
                uint32_t generation = session->cursors[chunk].generation + 1;

                reader->cursors[chunk].generation = generation;
                atomic_store(&reader->header->words[chunk].value, arena_word(generation, 0, false));
        }
        *readerp = reader;
        return 0;
}

int arena_reader_adopt(ArenaReader **readerp, int fd, const Session *session) {
        ArenaReader *reader;
        int r;

        if (!arena_reader_is_ours(fd)) {
                close(fd);
                return ARENA_READER_E_REFUSED;
        }
        r = arena_reader_open(&reader, fd);
        if (r)
                return error_trace(r);
        for (uint32_t chunk = 0; chunk < ARENA_CHUNKS; chunk++) {
                uint64_t word = atomic_load(&reader->header->words[chunk].value);
                SessionCursor cursor = {0};

                if (session->cursors)
                        cursor = session->cursors[chunk];
                /* It was recycled after what the journal tells of: all in it is new. */
                if (arena_word_generation(word) != cursor.generation)
                        cursor = (SessionCursor){arena_word_generation(word), 0};
                reader->cursors[chunk] = cursor;
        }
        reader->used = UINT32_MAX;
        *readerp = reader;
        return 0;
}

ArenaReader *arena_reader_free(ArenaReader *reader) {
        if (!reader)
                return NULL;
        arena_reader_set_waiting(reader, true);
        munmap(reader->header, ARENA_HEADER_SIZE);
        close(reader->fd);
        free(reader);
        return NULL;
}

/* ---- reading ---- */

static uint64_t arena_reader_word(const ArenaReader *reader, uint32_t chunk) {
        return atomic_load_explicit(&reader->header->words[chunk].value, memory_order_acquire);
}

bool arena_reader_has_news(const ArenaReader *reader) {
        for (uint32_t chunk = 0; chunk < ARENA_CHUNKS; chunk++) {
                const SessionCursor *cursor = &reader->cursors[chunk];
                uint64_t read = arena_word(cursor->generation, cursor->offset, false);

                if ((arena_reader_word(reader, chunk) & ~UINT64_C(1)) != read)
                        return true;
        }
        return false;
}

bool arena_reader_has_work(const ArenaReader *reader) {
        uint64_t lost[_ARENA_LOST_N];

        for (uint32_t chunk = 0; chunk < ARENA_CHUNKS; chunk++) {
                const SessionCursor *cursor = &reader->cursors[chunk];
                uint64_t read = arena_word(cursor->generation, cursor->offset, false);
                uint64_t word = arena_reader_word(reader, chunk);

                /* Read whole and free; else somebody is at work in it, or it is news. */
                if (word != read + arena_word_is_busy(word) || (word == read && cursor->offset))
                        return true;
        }
        return arena_reader_lost(reader, lost);
}

int arena_reader_look(ArenaReader *reader, uint32_t ends[ARENA_CHUNKS], size_t *sizep) {
        size_t size = 0;

        for (uint32_t chunk = 0; chunk < ARENA_CHUNKS; chunk++) {
                const SessionCursor *cursor = &reader->cursors[chunk];
                uint64_t word = arena_reader_word(reader, chunk);
                uint32_t end = arena_word_end(word);

                if (arena_word_generation(word) != cursor->generation || end < cursor->offset ||
                    end > ARENA_CHUNK_SIZE)
                        return ARENA_READER_E_WORD;
                ends[chunk] = end > cursor->offset ? end : 0;
                size += end - cursor->offset;
                if (!ends[chunk] && cursor->offset)
                        arena_reader_recycle(reader, chunk);
        }
        *sizep = size;
        return 0;
}

int arena_reader_read(ArenaReader *reader, uint32_t chunk, uint32_t end, uint8_t *data) {
        SessionCursor *cursor = &reader->cursors[chunk];

        while (cursor->offset < end) {
                off_t at = (off_t)(arena_chunk_offset(chunk) + cursor->offset);
                ssize_t n = pread(reader->fd, data, end - cursor->offset, at);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) /* its size is sealed: it is not the client's doing */
                        return error_origin(n < 0 ? -errno : -EIO);
                data += n;
                cursor->offset += (uint32_t)n;
        }
        reader->used |= UINT32_C(1) << chunk;
        reader->recent |= UINT32_C(1) << chunk;
        return 0;
}

void arena_reader_recycle(ArenaReader *reader, uint32_t chunk) {
        SessionCursor *cursor = &reader->cursors[chunk];
        uint64_t word = arena_word(cursor->generation, cursor->offset, false);
        uint64_t next = arena_word(cursor->generation + 1, 0, false);

        if (atomic_compare_exchange_strong(&reader->header->words[chunk].value, &word, next))
                *cursor = (SessionCursor){cursor->generation + 1, 0};
}

/* ---- beside the chunks ---- */

bool arena_reader_lost(const ArenaReader *reader, uint64_t lost[_ARENA_LOST_N]) {
        uint64_t any = 0;

        for (unsigned i = 0; i < _ARENA_LOST_N; i++) {
                lost[i] = atomic_load_explicit(&reader->header->lost[i], memory_order_relaxed);
                any |= lost[i];
        }
        return any;
}

void arena_reader_counted(ArenaReader *reader, const uint64_t lost[_ARENA_LOST_N]) {
        for (unsigned i = 0; i < _ARENA_LOST_N; i++)
                atomic_fetch_sub_explicit(&reader->header->lost[i], lost[i], memory_order_relaxed);
}

void arena_reader_set_waiting(ArenaReader *reader, bool waiting) {
        atomic_store(&reader->header->waiting, waiting);
}

/* Nobody may write meanwhile, so the chunk is taken as a writer takes it. */
static void arena_reader_give_back(ArenaReader *reader, uint32_t chunk) {
        SessionCursor *cursor = &reader->cursors[chunk];
        _Atomic uint64_t *value = &reader->header->words[chunk].value;
        uint64_t word = arena_word(cursor->generation, cursor->offset, false);
        uint64_t taken = arena_word(cursor->generation, cursor->offset, true);

        if (!atomic_compare_exchange_strong(value, &word, taken))
                return;
        (void)fallocate(reader->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                        (off_t)arena_chunk_offset(chunk), ARENA_CHUNK_SIZE);
        *cursor = (SessionCursor){cursor->generation + 1, 0};
        atomic_store(value, arena_word(cursor->generation, 0, false));
        reader->used &= ~(UINT32_C(1) << chunk);
}

void arena_reader_tidy(ArenaReader *reader) {
        uint32_t stale = reader->used & ~reader->recent;

        for (uint32_t chunk = 0; chunk < ARENA_CHUNKS; chunk++)
                if (stale & UINT32_C(1) << chunk)
                        arena_reader_give_back(reader, chunk);
        reader->recent = 0;
        reader->n_tidied++;
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/bench/load-arena.h"

#include "proto/record.h"
#include "tests/bench/load.h"

#include <err.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOAD_ARENA_NAP_US = 50 };

struct LoadArena {
        ArenaHeader *header;
        unsigned chunk; /* the one that was written to last */
        int fd;
};

LoadArena *load_arena_new(int arena_fd, int fd) {
        LoadArena *arena = malloc(sizeof *arena);

        if (!arena || syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) < 0)
                err(EXIT_FAILURE, "an arena");
        *arena = (LoadArena){.fd = fd};
        arena->header = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, arena_fd, 0);
        if (arena->header == MAP_FAILED)
                err(EXIT_FAILURE, "an arena");
        close(arena_fd);
        return arena;
}

static void load_arena_ring(LoadArena *arena) {
        uint8_t wake[RECORD_HEADER_SIZE];
        const RecordHeader header = {.size = RECORD_HEADER_SIZE, .type = RECORD_WAKE};

        record_header_write(wake, &header);
        load_send_all(arena->fd, wake, sizeof wake);
}

static bool load_arena_try(LoadArena *arena, const void *data, size_t size) {
        ArenaHeader *header = arena->header;
        _Atomic uint64_t *word = &header->words[arena->chunk].value;
        uint64_t seen = atomic_load(word);
        uint32_t end = arena_word_end(seen);

        if (arena_word_is_busy(seen) || ARENA_CHUNK_SIZE - end < size ||
            !atomic_compare_exchange_strong(word, &seen, seen | 1))
                return false; /* the daemon may have it, to give its memory back */
        memcpy((uint8_t *)header + arena_chunk_offset(arena->chunk) + end, data, size);
        atomic_store_explicit(word,
                              arena_word(arena_word_generation(seen), end + (uint32_t)size, false),
                              memory_order_release);
        atomic_signal_fence(memory_order_seq_cst);
        if (atomic_load(&header->waiting) && atomic_exchange(&header->waiting, 0))
                load_arena_ring(arena);
        return true;
}

void load_arena_write(LoadArena *arena, const void *data, size_t size) {
        for (unsigned n_tried = 0; !load_arena_try(arena, data, size); n_tried++) {
                arena->chunk = (arena->chunk + 1) % arena->header->n_chunks;
                if (n_tried % ARENA_CHUNKS == ARENA_CHUNKS - 1)
                        usleep(LOAD_ARENA_NAP_US);
        }
}

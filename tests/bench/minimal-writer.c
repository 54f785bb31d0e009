/* SPDX-License-Identifier: Apache-2.0 */

/*
 * minimal-writer [--attributes 0-5] [--threads N] [--spans N]: the floor under a span's cost
 *
 * Writes what the library writes for a span, byte for byte, into an arena, by the protocol of
 * proto/arena.h: two readings of the clock, ids, a START and an END of two chunks' worth of
 * compare-and-swap. There is no context, no check, no choice. Another process reads and recycles.
 * Only bursts are timed, by the thread's CPU clock; between them the arena is emptied.
 */

#include "proto/arena.h"
#include "proto/record.h"

#include <err.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
        WRITER_BURST = 1024, /* spans, of all threads together */
        WRITER_THREADS_MAX = 64,
        WRITER_ATTRIBUTES_MAX = 5,
        WRITER_RECORD_MAX = 512,
        NS_PER_S = 1000000000,
};

typedef struct WriterAttribute {
        const char *key;
        const char *text; /* NULL: the number */
        uint64_t number;
        uint8_t tag; /* of the number */
} WriterAttribute;

typedef struct Writer {
        pthread_t thread;
        unsigned chunk;
        uint64_t random[4];
        uint64_t trace[2], parent;
        uint64_t n_spans, n_burst, cpu_ns, n_measured;
} Writer;

static ArenaHeader *header;
static int arena_fd;
static unsigned n_attributes;

static const WriterAttribute writer_attributes[WRITER_ATTRIBUTES_MAX] = {
        {.key = "http.request.method", .text = "GET"},
        {.key = "http.route", .text = "/api/v1/shops/{shop}"},
        {.key = "server.address", .text = "orders.shop.example"},
        {.key = "http.response.status_code", .number = 200, .tag = 0x18},
        {.key = "cached", .number = 1, .tag = 0x10},
};

static uint64_t writer_clock_ns(clockid_t clock) {
        struct timespec now;

        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t writer_random(uint64_t state[4]) {
        uint64_t result = state[0] + state[3], shifted = state[1] << 17;

        result = (result << 23 | result >> 41) + state[0];
        state[2] ^= state[0];
        state[3] ^= state[1];
        state[1] ^= state[2];
        state[0] ^= state[3];
        state[2] ^= shifted;
        state[3] = state[3] << 45 | state[3] >> 19;
        return result;
}

/* ---- the reader ---- */

static void reader_run(void) {
        static uint8_t data[ARENA_CHUNK_SIZE];
        uint64_t word;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (;;) {
                bool any = false;

                for (uint32_t i = 0; i < ARENA_CHUNKS; i++) {
                        word = atomic_load(&header->words[i].value);
                        if (arena_word_is_busy(word) || !arena_word_end(word))
                                continue;
                        any = true;
                        if (pread(arena_fd, data, arena_word_end(word),
                                  (off_t)arena_chunk_offset(i)) < 0)
                                err(EXIT_FAILURE, "pread");
                        (void)atomic_compare_exchange_strong(
                                &header->words[i].value, &word,
                                arena_word(arena_word_generation(word) + 1, 0, false));
                }
                if (!any)
                        usleep(100);
        }
}

/* ---- the writer ---- */

static uint8_t *put_text(uint8_t *at, uint8_t tag, const char *text) {
        size_t size = strlen(text);

        at[0] = tag;
        at[1] = (uint8_t)size;
        memcpy(at + 2, text, size);
        return at + 2 + size;
}

static uint8_t *put_id(uint8_t *at, uint8_t tag, const void *id, uint8_t size) {
        at[0] = tag;
        at[1] = size;
        memcpy(at + 2, id, size);
        return at + 2 + size;
}

static uint8_t *put_number(uint8_t *at, uint8_t tag, uint64_t number) {
        *at++ = tag;
        for (; number >= 0x80; number >>= 7)
                *at++ = (uint8_t)(number | 0x80);
        *at++ = (uint8_t)number;
        return at;
}

static uint8_t *put_time(uint8_t *at, uint8_t tag) {
        uint64_t now = writer_clock_ns(CLOCK_MONOTONIC);

        *at = tag;
        memcpy(at + 1, &now, sizeof now);
        return at + 1 + sizeof now;
}

static uint8_t *put_attribute(uint8_t *at, const WriterAttribute *attribute) {
        uint8_t *pair = at, *value;

        pair[0] = 0x4a;
        value = put_text(at + 2, 0x0a, attribute->key);
        value[0] = 0x12;
        at = attribute->text ? put_text(value + 2, 0x0a, attribute->text)
                             : put_number(value + 2, attribute->tag, attribute->number);
        value[1] = (uint8_t)(at - value - 2);
        pair[1] = (uint8_t)(at - pair - 2);
        return at;
}

/* Takes a chunk; returns where to write. */
static uint8_t *writer_take(Writer *writer, uint64_t *wordp) {
        for (;; writer->chunk = (writer->chunk + 1) % ARENA_CHUNKS) {
                _Atomic uint64_t *word = &header->words[writer->chunk].value;

                *wordp = atomic_load_explicit(word, memory_order_relaxed);
                if (!arena_word_is_busy(*wordp) &&
                    ARENA_CHUNK_SIZE - arena_word_end(*wordp) >= WRITER_RECORD_MAX &&
                    atomic_compare_exchange_strong(word, wordp, *wordp | 1))
                        return (uint8_t *)header + arena_chunk_offset(writer->chunk) +
                               arena_word_end(*wordp);
        }
}

/* Ends the record and publishes it. */
static void writer_publish(Writer *writer, uint8_t *record, uint8_t *at, uint64_t word,
                           RecordHeader said) {
        said.size = (uint32_t)(at - record);
        while ((at - record) % RECORD_ALIGNMENT)
                *at++ = 0;
        memcpy(record, &said, sizeof said); /* on a little-endian machine */
        atomic_store_explicit(&header->words[writer->chunk].value,
                              word + (uint64_t)(at - record), memory_order_release);
        atomic_signal_fence(memory_order_seq_cst);
        if (atomic_load_explicit(&header->waiting, memory_order_relaxed))
                errx(EXIT_FAILURE, "nobody sleeps here");
}

static void writer_span(Writer *writer) {
        uint64_t word, id = writer_random(writer->random);
        uint8_t *record = writer_take(writer, &word), *at = record + RECORD_HEADER_SIZE;
        const uint32_t flags = 0x103;

        at = put_id(at, 0x0a, writer->trace, sizeof writer->trace);
        at = put_id(at, 0x12, &id, sizeof id);
        at = put_id(at, 0x22, &writer->parent, sizeof writer->parent);
        at = put_number(at, 0x30, 1);
        at = put_time(at, 0x39);
        *at++ = 0x85;
        *at++ = 0x01;
        memcpy(at, &flags, sizeof flags);
        at = put_text(at + sizeof flags, 0x2a, "operation");
        for (unsigned i = 0; i < n_attributes; i++)
                at = put_attribute(at, &writer_attributes[i]);
        writer_publish(writer, record, at, word,
                       (RecordHeader){.type = RECORD_SPAN, .flags = 1, .context = 1, .id = id});

        record = writer_take(writer, &word);
        at = put_time(record + RECORD_HEADER_SIZE, 0x41);
        writer_publish(writer, record, at, word,
                       (RecordHeader){.type = RECORD_SPAN, .flags = 2, .context = 1, .id = id});
}

static void writer_wait(void) {
        for (uint32_t i = 0; i < ARENA_CHUNKS; i++)
                while (arena_word_end(atomic_load(&header->words[i].value)))
                        usleep(50);
}

static void *writer_run(void *userdata) {
        Writer *writer = userdata;
        uint64_t n_warm_up = writer->n_spans / 10;

        for (uint64_t n = 0; n < n_warm_up + writer->n_spans; n += writer->n_burst) {
                uint64_t begin_ns = writer_clock_ns(CLOCK_THREAD_CPUTIME_ID);

                for (uint64_t i = 0; i < writer->n_burst; i++)
                        writer_span(writer);
                if (n >= n_warm_up) {
                        writer->cpu_ns += writer_clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin_ns;
                        writer->n_measured += writer->n_burst;
                }
                writer_wait();
        }
        return NULL;
}

static void arena_make(void) {
        arena_fd = memfd_create("minimal-writer", MFD_CLOEXEC);
        if (arena_fd < 0 || ftruncate(arena_fd, ARENA_SIZE) < 0)
                err(EXIT_FAILURE, "memfd");
        header = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, arena_fd, 0);
        if (header == MAP_FAILED)
                err(EXIT_FAILURE, "mmap");
}

int main(int argc, char **argv) {
        static Writer writers[WRITER_THREADS_MAX];
        uint64_t n_spans = 2000000, cpu_ns = 0, n_measured = 0;
        unsigned n_threads = 1;
        pid_t reader;

        for (int i = 1; i + 1 < argc; i += 2) {
                if (!strcmp(argv[i], "--attributes"))
                        n_attributes = (unsigned)atoi(argv[i + 1]);
                else if (!strcmp(argv[i], "--threads"))
                        n_threads = (unsigned)atoi(argv[i + 1]);
                else if (!strcmp(argv[i], "--spans"))
                        n_spans = strtoull(argv[i + 1], NULL, 10);
                else
                        errx(EXIT_FAILURE, "unknown: %s", argv[i]);
        }
        if (!n_threads || n_threads > WRITER_THREADS_MAX || n_attributes > WRITER_ATTRIBUTES_MAX)
                errx(EXIT_FAILURE, "1 to 64 threads, 0 to 5 attributes");
        arena_make();
        reader = fork();
        if (!reader)
                reader_run();
        for (unsigned i = 0; i < n_threads; i++) {
                writers[i] = (Writer){
                        .chunk = i % ARENA_CHUNKS,
                        .random = {1 + i, 2, 3, 4},
                        .trace = {5, 6},
                        .parent = 7,
                        .n_spans = n_spans / n_threads,
                        .n_burst = WRITER_BURST / n_threads,
                };
                if (pthread_create(&writers[i].thread, NULL, writer_run, &writers[i]))
                        errx(EXIT_FAILURE, "pthread_create");
        }
        for (unsigned i = 0; i < n_threads; i++) {
                pthread_join(writers[i].thread, NULL);
                cpu_ns += writers[i].cpu_ns;
                n_measured += writers[i].n_measured;
        }
        kill(reader, SIGKILL);
        printf("ns_per_span %.1f\n", (double)cpu_ns / (double)n_measured);
        return EXIT_SUCCESS;
}

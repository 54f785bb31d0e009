#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A client's end of an arena, as small as can be: proto/arena.h and nothing more. */

#include "catena.pb-c.h"
#include "proto/arena.h"
#include "tests/unit/ingest.h"

#include <fcntl.h>
#include <sys/mman.h>

typedef struct Writer {
        int memfd;
        ArenaHeader *header;
        uint8_t *chunks;
} Writer;

static inline void writer_init(Writer *writer, int memfd) {
        enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };
        uint8_t *base;

        ck_assert_int_eq(fcntl(memfd, F_GET_SEALS), SEALS);
        base = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
        ck_assert_ptr_ne(base, MAP_FAILED);
        *writer = (Writer){memfd, (ArenaHeader *)(void *)base, base + ARENA_HEADER_SIZE};
        ck_assert_uint_eq(writer->header->magic, ARENA_MAGIC);
        ck_assert_uint_eq(writer->header->version, ARENA_VERSION);
        ck_assert_uint_eq(writer->header->n_chunks, ARENA_CHUNKS);
        ck_assert_uint_eq(writer->header->chunk_size, ARENA_CHUNK_SIZE);
}

static inline void writer_deinit(Writer *writer) {
        munmap(writer->header, ARENA_SIZE);
        close(writer->memfd);
}

/* Takes a chunk with room for `size` bytes, `hint` first; where to write, or NULL: it is full. */
static inline uint8_t *writer_begin(Writer *writer, uint32_t hint, uint32_t *chunkp, size_t size) {
        for (uint32_t i = 0; i < ARENA_CHUNKS; i++) {
                uint32_t chunk = (hint + i) % ARENA_CHUNKS;
                uint64_t word = atomic_load(&writer->header->words[chunk].value);
                uint32_t end = arena_word_end(word);

                if (arena_word_is_busy(word) || end > ARENA_CHUNK_SIZE - size ||
                    !atomic_compare_exchange_strong(&writer->header->words[chunk].value, &word,
                                                    word | 1))
                        continue;
                *chunkp = chunk;
                return writer->chunks + (size_t)chunk * ARENA_CHUNK_SIZE + end;
        }
        return NULL;
}

static inline void writer_publish(Writer *writer, uint32_t chunk, size_t size) {
        uint64_t word = atomic_load(&writer->header->words[chunk].value);

        atomic_store_explicit(&writer->header->words[chunk].value, (word & ~UINT64_C(1)) + size,
                              memory_order_release);
}

/* Whether the doorbell is to be rung. The exchange fences, where others rely on membarrier. */
static inline bool writer_must_wake(Writer *writer) {
        return atomic_exchange(&writer->header->waiting, 0);
}

static inline bool writer_put(Writer *writer, uint32_t hint, const void *data, size_t size) {
        uint32_t chunk;
        uint8_t *at = writer_begin(writer, hint, &chunk, size);

        if (!at)
                return false;
        memcpy(at, data, size);
        writer_publish(writer, chunk, size);
        return true;
}

static inline void client_wake(int fd) {
        Buffer record = BUFFER_NULL;

        put(&record, RECORD_WAKE, 0, 0, "", 0);
        client_send(fd, record.data, record.size);
        buffer_deinit(&record);
}

/* The WELCOME's `arena`, and the descriptor that came along, or -1. */
static inline bool client_receive_welcome(int fd, int *memfdp, uint8_t token[RECORD_TOKEN_SIZE]) {
        uint8_t data[256];
        struct iovec part = {data, sizeof data};
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control;
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof control};
        Catena__V1__Welcome *welcome;
        bool arena;

        ck_assert_int_gt(recvmsg(fd, &message, MSG_CMSG_CLOEXEC), 0);
        ck_assert_uint_eq(record_header_read(data).type, RECORD_WELCOME);
        welcome = catena__v1__welcome__unpack(NULL,
                                              record_header_read(data).size - RECORD_HEADER_SIZE,
                                              data + RECORD_HEADER_SIZE);
        ck_assert_ptr_nonnull(welcome);
        *memfdp = -1;
        if (CMSG_FIRSTHDR(&message))
                memcpy(memfdp, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof *memfdp);
        if (token)
                memcpy(token, welcome->token.data, RECORD_TOKEN_SIZE);
        arena = welcome->arena;
        catena__v1__welcome__free_unpacked(welcome, NULL);
        return arena;
}

/* The same, with the daemon in this thread. */
static inline bool client_welcomed(int fd, int *memfdp, uint8_t token[RECORD_TOKEN_SIZE]) {
        char byte;

        while (recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0)
                uv_run(&loop, UV_RUN_ONCE);
        return client_receive_welcome(fd, memfdp, token);
}

/* Of service.name "shop". */
static inline void client_hello_for_arena(int fd, const uint8_t *token) {
        Opentelemetry__Proto__Resource__V1__Resource resource =
                OPENTELEMETRY__PROTO__RESOURCE__V1__RESOURCE__INIT;
        Opentelemetry__Proto__Common__V1__KeyValue
                pair = OPENTELEMETRY__PROTO__COMMON__V1__KEY_VALUE__INIT,
                *pairs = &pair;
        Opentelemetry__Proto__Common__V1__AnyValue value =
                OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__INIT;
        Catena__V1__Hello hello = CATENA__V1__HELLO__INIT;
        Buffer record = BUFFER_NULL;
        uint8_t body[128];

        value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
        value.string_value = (char *)"shop";
        pair.key = (char *)"service.name";
        pair.value = &value;
        resource.n_attributes = 1;
        resource.attributes = &pairs;
        hello.resource = &resource;

        hello.version = RECORD_VERSION;
        hello.arena = true;
        if (token)
                hello.token = (ProtobufCBinaryData){RECORD_TOKEN_SIZE, (uint8_t *)token};
        put(&record, RECORD_HELLO, 0, 0, body, catena__v1__hello__pack(&hello, body));
        client_send(fd, record.data, record.size);
        buffer_deinit(&record);
}

/* A client with an arena of its own. */
static inline int client_open_arena(Writer *writer, uint8_t token[RECORD_TOKEN_SIZE]) {
        int fd = client_connect(), memfd;

        client_hello_for_arena(fd, NULL);
        ck_assert(client_welcomed(fd, &memfd, token));
        ck_assert_int_ge(memfd, 0);
        writer_init(writer, memfd);
        return fd;
}

/* In a process of its own, whose parent is the daemon. */
static inline int client_await_arena(int fd) {
        int memfd;

        client_hello_for_arena(fd, NULL);
        ck_assert(client_receive_welcome(fd, &memfd, NULL));
        return memfd;
}

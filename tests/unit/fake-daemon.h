#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A daemon in the test's own process: listens where CATENA_SOCKET says, keeps each record as it
 * came, and decodes with protobuf-c. It never blocks, so one thread can be both sides.
 *
 * Where it offers arenas, it answers HELLO by itself. An arena belongs to the token that came with
 * it and outlives the daemon's death, as with a service manager that keeps descriptors.
 */

#include "catena.pb-c.h"
#include "lib/client-link.h"
#include "lib/client-process.h"
#include "otlp/trace.pb-c.h"
#include "proto/arena.h"
#include "proto/pb.h"
#include "proto/record.h"
#include "proto/validate.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

typedef Opentelemetry__Proto__Trace__V1__Span FakeSpan;

typedef struct FakeRecord {
        RecordHeader header;
        uint8_t *body;
        size_t size;
        unsigned connection; /* 1, 2, … */
} FakeRecord;

enum { FAKE_CONNECTIONS_MAX = 256 };

typedef struct FakeConnection {
        int fd; /* -1: it has ended */
        uint8_t *data;
        size_t size;
        bool greeted;
} FakeConnection;

#define FAKE_TOKEN "0123456789abcdef"

typedef struct FakeArena {
        int fd; /* 0: there is none */
        ArenaHeader *header;
        char token[RECORD_TOKEN_SIZE + 1];
        uint64_t seen[ARENA_CHUNKS]; /* generation and offset */
        unsigned connection;
} FakeArena;

typedef struct FakeDaemon {
        char folder[64];
        struct sockaddr_un address;
        int listener;
        FakeConnection connections[FAKE_CONNECTIONS_MAX];
        unsigned n_connections;
        FakeRecord *records;
        size_t n_records;
        uint32_t n_chunks; /* of the arenas that it offers; 0: none */
        FakeArena arenas[FAKE_CONNECTIONS_MAX];
        unsigned n_arenas;
} FakeDaemon;

static inline void fake_daemon_listen(FakeDaemon *daemon) {
        (void)unlink(daemon->address.sun_path);
        daemon->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        ck_assert_int_ge(daemon->listener, 0);
        ck_assert_int_eq(
                bind(daemon->listener, (struct sockaddr *)&daemon->address, sizeof daemon->address),
                0);
        ck_assert_int_eq(listen(daemon->listener, 64), 0);
}

/* Names the socket to the library; nobody listens there yet. */
static inline void fake_daemon_name(FakeDaemon *daemon) {
        *daemon = (FakeDaemon){.listener = -1, .address.sun_family = AF_UNIX};
        strcpy(daemon->folder, "/tmp/catena-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(daemon->folder));
        snprintf(daemon->address.sun_path, sizeof daemon->address.sun_path, "%s/s", daemon->folder);
        ck_assert_int_eq(setenv("CATENA_SOCKET", daemon->address.sun_path, 1), 0);
}

static inline void fake_daemon_open(FakeDaemon *daemon) {
        fake_daemon_name(daemon);
        fake_daemon_listen(daemon);
}

static inline void fake_daemon_forget(FakeDaemon *daemon) {
        for (size_t i = 0; i < daemon->n_records; i++)
                free(daemon->records[i].body);
        free(daemon->records);
        daemon->records = NULL;
        daemon->n_records = 0;
}

/* As a daemon that dies, and may rise again. Who writes to an arena is told by the doorbell. */
static inline void fake_daemon_die(FakeDaemon *daemon) {
        for (unsigned i = 0; i < daemon->n_arenas; i++)
                atomic_store(&daemon->arenas[i].header->waiting, 1);
        for (unsigned i = 0; i < daemon->n_connections; i++) {
                if (daemon->connections[i].fd >= 0)
                        close(daemon->connections[i].fd);
                daemon->connections[i].fd = -1;
                daemon->connections[i].size = 0;
                daemon->connections[i].greeted = true;
        }
        if (daemon->listener >= 0)
                close(daemon->listener);
        daemon->listener = -1;
}

static inline void fake_daemon_close(FakeDaemon *daemon) {
        fake_daemon_die(daemon);
        fake_daemon_forget(daemon);
        for (unsigned i = 0; i < daemon->n_connections; i++)
                free(daemon->connections[i].data);
        for (unsigned i = 0; i < daemon->n_arenas; i++) {
                munmap(daemon->arenas[i].header, ARENA_HEADER_SIZE);
                close(daemon->arenas[i].fd);
        }
        (void)unlink(daemon->address.sun_path);
        (void)rmdir(daemon->folder);
}

/* What the daemon would refuse, the library must not say. */
static inline void fake_daemon_judge(const FakeRecord *record) {
        bool start = record->header.flags & RECORD_START;
        ValidateSummary summary;
        uint8_t id[8];

        memcpy(id, &record->header.id, sizeof id);
        if (record->header.type == RECORD_SPAN)
                ck_assert_int_eq(validate_span(&summary, record->body, record->size, start, id), 0);
        else if (record->header.type == RECORD_SCOPE)
                ck_assert_int_eq(validate_scope(record->body, record->size), 0);
        else if (record->header.type == RECORD_LOG)
                ck_assert_int_eq(validate_log(&summary, record->body, record->size), 0);
}

/* Takes the record at the front; how many bytes it was, 0: there is none whole. */
static inline size_t fake_daemon_parse(FakeDaemon *daemon, unsigned connection, const uint8_t *data,
                                       size_t size) {
        RecordHeader header;
        FakeRecord *record;
        int r = record_frame(&header, data, size);

        if (r == RECORD_E_PARTIAL)
                return 0;
        ck_assert_int_eq(r, 0);
        if (!(daemon->n_records & (daemon->n_records - 1))) { /* there is room up to here */
                size_t n = daemon->n_records ? 2 * daemon->n_records : 1;

                daemon->records = realloc(daemon->records, n * sizeof *record);
                ck_assert_ptr_nonnull(daemon->records);
        }
        record = &daemon->records[daemon->n_records++];
        *record = (FakeRecord){
                .header = header,
                .size = header.size - RECORD_HEADER_SIZE,
                .body = malloc(header.size),
                .connection = connection + 1,
        };
        memcpy(record->body, data + RECORD_HEADER_SIZE, record->size);
        fake_daemon_judge(record);
        return record_stride(header.size);
}

/* Whether anything came; at its end the connection is closed. */
static inline bool fake_daemon_read(FakeDaemon *daemon, unsigned i) {
        enum { ROOM = 65536 };
        FakeConnection *connection = &daemon->connections[i];
        size_t n_taken, at = 0;
        ssize_t n;

        if (connection->fd < 0)
                return false;
        connection->data = realloc(connection->data, connection->size + ROOM);
        ck_assert_ptr_nonnull(connection->data);
        n = recv(connection->fd, connection->data + connection->size, ROOM, MSG_DONTWAIT);
        if (n == 0) {
                close(connection->fd);
                connection->fd = -1;
        }
        if (n <= 0)
                return false;
        connection->size += (size_t)n;
        while ((n_taken =
                        fake_daemon_parse(daemon, i, connection->data + at, connection->size - at)))
                at += n_taken;
        connection->size -= at;
        memmove(connection->data, connection->data + at, connection->size);
        return true;
}

/* ---- arenas ---- */

static inline FakeArena *fake_arena_new(FakeDaemon *daemon, const char token[16]) {
        FakeArena *arena = &daemon->arenas[daemon->n_arenas++];

        arena->fd = memfd_create("arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        ck_assert_int_ge(arena->fd, 0);
        ck_assert_int_eq(ftruncate(arena->fd, (off_t)arena_chunk_offset(daemon->n_chunks)), 0);
        arena->header =
                mmap(NULL, ARENA_HEADER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, arena->fd, 0);
        ck_assert_ptr_ne(arena->header, MAP_FAILED);
        arena->header->magic = ARENA_MAGIC;
        arena->header->version = ARENA_VERSION;
        arena->header->n_chunks = daemon->n_chunks;
        arena->header->chunk_size = ARENA_CHUNK_SIZE;
        ck_assert_int_eq(fcntl(arena->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                         0);
        memcpy(arena->token, token, RECORD_TOKEN_SIZE);
        return arena;
}

static inline FakeArena *fake_arena_find(FakeDaemon *daemon, const uint8_t *token) {
        for (unsigned i = 0; i < daemon->n_arenas; i++)
                if (!memcmp(daemon->arenas[i].token, token, RECORD_TOKEN_SIZE))
                        return &daemon->arenas[i];
        return NULL;
}

/* Sends a record with a descriptor; -1: without any. */
static inline void fake_daemon_pass(int to, const uint8_t *record, size_t size, int fd) {
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {0};
        struct iovec part = {(void *)record, size};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        struct cmsghdr *header = (struct cmsghdr *)control;

        if (fd >= 0) {
                message.msg_control = control;
                message.msg_controllen = sizeof control;
                header->cmsg_len = CMSG_LEN(sizeof fd);
                header->cmsg_level = SOL_SOCKET;
                header->cmsg_type = SCM_RIGHTS;
                memcpy(CMSG_DATA(header), &fd, sizeof fd);
        }
        if (sendmsg(to, &message, MSG_NOSIGNAL) != (ssize_t)size)
                ck_assert_int_eq(errno, EPIPE); /* who asked is gone already */
}

/* WELCOME, on a connection. */
static inline void fake_daemon_answer(int to, const char *token, unsigned all, bool arena, int fd) {
        uint8_t record[128] = {0};
        PbWriter writer = pb_writer(record + RECORD_HEADER_SIZE, 64);
        RecordHeader header = {.type = RECORD_WELCOME};

        pb_put_varint(&writer, 1, RECORD_VERSION);
        pb_put_bytes(&writer, 2, token, RECORD_TOKEN_SIZE);
        pb_put_varint(&writer, 3, all);
        if (arena)
                pb_put_varint(&writer, 4, true);
        header.size = (uint32_t)(writer.at - record);
        record_header_write(record, &header);
        fake_daemon_pass(to, record, record_stride(header.size), fd);
}

/* Answers a HELLO: by going on with the arena of its token, or with a new one. */
static inline void fake_daemon_greet(FakeDaemon *daemon, unsigned connection,
                                     const FakeRecord *record) {
        Catena__V1__Hello *hello = catena__v1__hello__unpack(NULL, record->size, record->body);
        FakeArena *arena = NULL;
        char token[32];
        bool known;

        ck_assert_ptr_nonnull(hello);
        ck_assert(hello->arena);
        if (hello->token.len)
                arena = fake_arena_find(daemon, hello->token.data);
        known = arena;
        snprintf(token, sizeof token, "%s", FAKE_TOKEN);
        token[RECORD_TOKEN_SIZE - 1] = (char)('a' + daemon->n_arenas);
        if (!arena)
                arena = fake_arena_new(daemon, daemon->n_arenas ? token : FAKE_TOKEN);
        arena->connection = connection;
        atomic_store(&arena->header->waiting, 0);
        fake_daemon_answer(daemon->connections[connection].fd, arena->token, 0, true,
                           known ? -1 : arena->fd);
        catena__v1__hello__free_unpacked(hello, NULL);
}

static inline void fake_daemon_greet_all(FakeDaemon *daemon) {
        for (unsigned i = 0; i < daemon->n_connections; i++) {
                if (daemon->connections[i].greeted || daemon->connections[i].fd < 0)
                        continue;
                for (size_t n = 0; n < daemon->n_records; n++) {
                        if (daemon->records[n].connection != i + 1 ||
                            daemon->records[n].header.type != RECORD_HELLO)
                                continue;
                        daemon->connections[i].greeted = true;
                        fake_daemon_greet(daemon, i, &daemon->records[n]);
                        break;
                }
        }
}

static inline void fake_arena_read(FakeDaemon *daemon, FakeArena *arena, uint32_t chunk) {
        static uint8_t data[ARENA_CHUNK_SIZE];
        _Atomic uint64_t *word = &arena->header->words[chunk].value;
        uint64_t now = atomic_load(word), seen = arena->seen[chunk];
        uint32_t at, end = arena_word_end(now);
        size_t n;

        at = arena_word_generation(now) == arena_word_generation(seen) ? arena_word_end(seen) : 0;
        ck_assert_uint_le(at, end);
        ck_assert_uint_le(end, sizeof data);
        ck_assert_int_eq(
                pread(arena->fd, data + at, end - at, (off_t)arena_chunk_offset(chunk) + at),
                end - at);
        while (at < end) {
                n = fake_daemon_parse(daemon, arena->connection, data + at, end - at);
                ck_assert_uint_gt(n, 0); /* whole records only */
                at += (uint32_t)n;
        }
        arena->seen[chunk] = now & ~UINT64_C(1);
        if (end && !arena_word_is_busy(now))
                (void)atomic_compare_exchange_strong(
                        word, &now, arena_word(arena_word_generation(now) + 1, 0, false));
}

/* Takes all that there is. */
static inline void fake_daemon_take(FakeDaemon *daemon) {
        int fd;

        while ((fd = accept4(daemon->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
                ck_assert_uint_lt(daemon->n_connections, FAKE_CONNECTIONS_MAX);
                daemon->connections[daemon->n_connections++] = (FakeConnection){.fd = fd};
        }
        for (unsigned i = 0; i < daemon->n_connections; i++)
                while (fake_daemon_read(daemon, i))
                        ;
        if (daemon->n_chunks)
                fake_daemon_greet_all(daemon);
        for (unsigned i = 0; i < daemon->n_arenas; i++)
                for (uint32_t chunk = 0; chunk < daemon->n_chunks; chunk++)
                        fake_arena_read(daemon, &daemon->arenas[i], chunk);
}

/*
 * Has the library connect and open its arena before it says anything. In a test whose environment
 * the library may read now.
 */
static inline void fake_daemon_open_arena(FakeDaemon *daemon, uint32_t n_chunks) {
        LinkTicket ticket;

        daemon->n_chunks = n_chunks;
        ck_assert(catena__process_start());
        ck_assert_int_eq(catena__link_begin(&ticket, false), 0);
        catena__link_abort(&ticket);
        fake_daemon_take(daemon);
        ck_assert_uint_ne(catena__link_read(), 0);
}

/* On the latest connection. */
static inline void fake_daemon_say(FakeDaemon *daemon, RecordType type, uint64_t id,
                                   const void *body, size_t size) {
        uint8_t record[512] = {0};
        RecordHeader header = {
                .size = (uint32_t)(RECORD_HEADER_SIZE + size),
                .type = (uint16_t)type,
                .id = id,
        };

        ck_assert_uint_le(header.size, sizeof record);
        record_header_write(record, &header);
        memcpy(record + RECORD_HEADER_SIZE, body, size);
        ck_assert_int_eq(send(daemon->connections[daemon->n_connections - 1].fd, record,
                              record_stride(header.size), MSG_NOSIGNAL),
                         (ssize_t)record_stride(header.size));
}

static inline void fake_daemon_welcome(FakeDaemon *daemon, const char token[16], unsigned all) {
        fake_daemon_answer(daemon->connections[daemon->n_connections - 1].fd, token, all, false,
                           -1);
}

/* ---- looking ---- */

static inline size_t fake_daemon_count(const FakeDaemon *daemon, RecordType type, uint16_t flags) {
        size_t n = 0;

        for (size_t i = 0; i < daemon->n_records; i++)
                n += daemon->records[i].header.type == type &&
                     (daemon->records[i].header.flags & flags) == flags;
        return n;
}

/* Whether nothing but HELLO was said. */
static inline bool fake_daemon_is_silent(const FakeDaemon *daemon) {
        return fake_daemon_count(daemon, RECORD_HELLO, 0) == daemon->n_records;
}

/* The n-th record of a type with these flags, from 0; there must be one. */
static inline FakeRecord *fake_daemon_record(FakeDaemon *daemon, RecordType type, uint16_t flags,
                                             size_t n) {
        for (size_t i = 0; i < daemon->n_records; i++)
                if (daemon->records[i].header.type == type &&
                    (daemon->records[i].header.flags & flags) == flags && n-- == 0)
                        return &daemon->records[i];
        ck_abort_msg("no such record");
        return NULL;
}

/* All fragments of a span, merged, by its id; to be freed by fake_span_free(). */
static inline FakeSpan *fake_daemon_span(FakeDaemon *daemon, const uint8_t span_id[8]) {
        uint8_t *whole = NULL;
        size_t size = 0;
        uint64_t id;
        FakeSpan *span;

        memcpy(&id, span_id, sizeof id);
        for (size_t i = 0; i < daemon->n_records; i++) {
                FakeRecord *record = &daemon->records[i];

                if (record->header.type != RECORD_SPAN || record->header.id != id)
                        continue;
                whole = realloc(whole, size + record->size + 1);
                memcpy(whole + size, record->body, record->size);
                size += record->size;
        }
        ck_assert_ptr_nonnull(whole);
        span = opentelemetry__proto__trace__v1__span__unpack(NULL, size, whole);
        ck_assert_ptr_nonnull(span);
        free(whole);
        return span;
}

static inline void fake_span_free(FakeSpan *span) {
        opentelemetry__proto__trace__v1__span__free_unpacked(span, NULL);
}

static inline const Opentelemetry__Proto__Common__V1__AnyValue *
fake_attribute(Opentelemetry__Proto__Common__V1__KeyValue *const *attributes, size_t n,
               const char *key) {
        for (size_t i = n; i-- > 0;)
                if (strcmp(attributes[i]->key, key) == 0)
                        return attributes[i]->value;
        return NULL;
}

static inline const char *
fake_attribute_string(Opentelemetry__Proto__Common__V1__KeyValue *const *attributes, size_t n,
                      const char *key) {
        const Opentelemetry__Proto__Common__V1__AnyValue *value =
                fake_attribute(attributes, n, key);

        return value ? value->string_value : NULL;
}

static inline Catena__V1__Hello *fake_daemon_hello(FakeDaemon *daemon, size_t n) {
        FakeRecord *record = fake_daemon_record(daemon, RECORD_HELLO, 0, n);
        Catena__V1__Hello *hello = catena__v1__hello__unpack(NULL, record->size, record->body);

        ck_assert_ptr_nonnull(hello);
        return hello;
}

/* A record's body as a Context. */
static inline Catena__V1__Context *fake_context(const FakeRecord *record) {
        Catena__V1__Context *context =
                catena__v1__context__unpack(NULL, record->size, record->body);

        ck_assert_ptr_nonnull(context);
        return context;
}

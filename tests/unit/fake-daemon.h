#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A daemon in the test's own process: listens where CATENA_SOCKET says, keeps each record as it
 * came, and decodes with protobuf-c. It never blocks, so one thread can be both sides.
 */

#include "catena.pb-c.h"
#include "otlp/trace.pb-c.h"
#include "proto/pb.h"
#include "proto/record.h"
#include "proto/validate.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

enum { FAKE_CONNECTIONS_MAX = 64 };

typedef struct FakeConnection {
        int fd; /* -1: it has ended */
        uint8_t *data;
        size_t size;
} FakeConnection;

typedef struct FakeDaemon {
        char folder[64];
        struct sockaddr_un address;
        int listener;
        FakeConnection connections[FAKE_CONNECTIONS_MAX];
        unsigned n_connections;
        FakeRecord *records;
        size_t n_records;
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

/* As a daemon that dies. */
static inline void fake_daemon_die(FakeDaemon *daemon) {
        for (unsigned i = 0; i < daemon->n_connections; i++) {
                if (daemon->connections[i].fd >= 0)
                        close(daemon->connections[i].fd);
                daemon->connections[i].fd = -1;
                daemon->connections[i].size = 0;
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
        daemon->records = realloc(daemon->records, (daemon->n_records + 1) * sizeof *record);
        ck_assert_ptr_nonnull(daemon->records);
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
        uint8_t body[64];
        PbWriter writer = pb_writer(body, sizeof body);

        pb_put_varint(&writer, 1, RECORD_VERSION);
        pb_put_bytes(&writer, 2, token, RECORD_TOKEN_SIZE);
        pb_put_varint(&writer, 3, all);
        fake_daemon_say(daemon, RECORD_WELCOME, 0, body, (size_t)(writer.at - body));
}

/* ---- looking ---- */

static inline size_t fake_daemon_count(const FakeDaemon *daemon, RecordType type, uint16_t flags) {
        size_t n = 0;

        for (size_t i = 0; i < daemon->n_records; i++)
                n += daemon->records[i].header.type == type &&
                     (daemon->records[i].header.flags & flags) == flags;
        return n;
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

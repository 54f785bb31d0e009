#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A listener on a socket of its own, a loop, and clients in the same thread. */

#include "daemon/base/buffer.h"
#include "daemon/base/log.h"
#include "daemon/ingest/listener.h"
#include "proto/pb.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static Recorder *listened;
static uv_loop_t loop;
static uv_prepare_t every_turn;
static Listener *listener;
static ListenerOptions options;
static char folder[64], path[96];
static bool closed, failed;

/* ---- the listener ---- */

static inline void on_turn(uv_prepare_t *handle) {
        (void)handle;
        if (listener)
                listener_resume(listener);
}

static inline void on_fail(void *user, int r) {
        (void)user;
        (void)r;
        failed = true;
}

static inline void on_closed(void *user) {
        ck_assert_ptr_eq(user, &closed);
        closed = true;
}

static inline void open_listener(void) {
        ck_assert_int_eq(listener_open(&listener, &loop, listened, &options), 0);
}

static inline void setup(Recorder *of) {
        listened = of;
        log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
        strcpy(folder, "/tmp/catena-ingest-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/socket", folder);
        options = (ListenerOptions){
                .socket = path,
                .mode = 0600,
                .max_clients = 100,
                .clients_per_uid = 100,
                .sink.fail = on_fail,
        };
        ck_assert_int_eq(uv_loop_init(&loop), 0);
        uv_prepare_init(&loop, &every_turn);
        uv_prepare_start(&every_turn, on_turn);
}

static inline void close_listener(void) {
        Listener *gone = listener;

        listener = NULL;
        listener_close(gone, on_closed, &closed);
        while (!closed)
                uv_run(&loop, UV_RUN_ONCE);
        closed = false;
        ck_assert_int_eq(access(path, F_OK), -1);
}

static inline void teardown(void) {
        if (listener)
                close_listener();
        uv_close((uv_handle_t *)&every_turn, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        rmdir(folder);
        ck_assert(!failed);
}

#define RUN_UNTIL(condition)                                                                       \
        while (!(condition))                                                                       \
        uv_run(&loop, UV_RUN_ONCE)

/* All that can be done without waiting. */
static inline void run_dry(void) {
        for (unsigned i = 0; i < 20; i++)
                uv_run(&loop, UV_RUN_NOWAIT);
}

/* ---- a client ---- */

static inline int client_connect(void) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        strcpy(address.sun_path, path);
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        return fd;
}

static inline void client_send(int fd, const void *data, size_t size) {
        ck_assert_int_eq(send(fd, data, size, MSG_NOSIGNAL), (ssize_t)size);
}

static inline void put_record(Buffer *out, const RecordHeader *header, const void *body) {
        uint8_t *room;

        ck_assert_int_eq(buffer_reserve(out, &room, record_stride(header->size)), 0);
        memset(room, 0, record_stride(header->size));
        record_header_write(room, header);
        if (header->size > RECORD_HEADER_SIZE)
                memcpy(room + RECORD_HEADER_SIZE, body, header->size - RECORD_HEADER_SIZE);
        out->size += record_stride(header->size);
}

static inline void put(Buffer *out, RecordType type, unsigned flags, uint64_t id, const void *body,
                       size_t size) {
        RecordHeader header = {
                .size = (uint32_t)(RECORD_HEADER_SIZE + size),
                .type = (uint16_t)type,
                .flags = (uint16_t)flags,
                .id = id,
        };

        put_record(out, &header, body);
}

static inline void put_hello(Buffer *out, unsigned version, const uint8_t *token, size_t size) {
        uint8_t body[64];
        PbWriter writer = pb_writer(body, sizeof body);

        pb_put_varint(&writer, 1, version);
        if (token)
                pb_put_bytes(&writer, 3, token, size);
        put(out, RECORD_HELLO, 0, 0, body, (size_t)(writer.at - body));
}

static inline void client_hello(int fd, const uint8_t *token) {
        Buffer hello = BUFFER_NULL;

        put_hello(&hello, RECORD_VERSION, token, RECORD_TOKEN_SIZE);
        client_send(fd, hello.data, hello.size);
        buffer_deinit(&hello);
}

static inline void client_put(int fd, RecordType type, unsigned flags, uint64_t id) {
        Buffer record = BUFFER_NULL;

        put(&record, type, flags, id, "body", 4);
        client_send(fd, record.data, record.size);
        buffer_deinit(&record);
}

/* Receives one record; its body is left in `body`, NUL-terminated. Type 0: hung up. */
static inline RecordHeader client_receive(int fd, char body[256]) {
        uint8_t data[RECORD_HEADER_SIZE];
        RecordHeader header = {0};
        ssize_t n;

        while ((n = recv(fd, data, sizeof data, MSG_DONTWAIT | MSG_PEEK)) < (ssize_t)sizeof data) {
                if (n == 0 || (n < 0 && errno != EAGAIN))
                        return header;
                uv_run(&loop, UV_RUN_ONCE);
        }
        ck_assert_int_eq(recv(fd, data, sizeof data, 0), sizeof data);
        header = record_header_read(data);
        ck_assert_uint_lt(header.size, 256);
        memset(body, 0, 256);
        n = (ssize_t)record_stride(header.size) - RECORD_HEADER_SIZE;
        if (n)
                ck_assert_int_eq(recv(fd, body, (size_t)n, 0), n);
        return header;
}

static inline void expect_welcome(int fd, uint8_t token[RECORD_TOKEN_SIZE]) {
        char body[256];
        RecordHeader header = client_receive(fd, body);
        PbReader reader = pb_reader(body, header.size - RECORD_HEADER_SIZE);
        PbField field;

        ck_assert_uint_eq(header.type, RECORD_WELCOME);
        ck_assert(pb_next(&reader, &field));
        ck_assert_uint_eq(field.number, 1);
        ck_assert_uint_eq(field.value, RECORD_VERSION);
        ck_assert(pb_next(&reader, &field));
        ck_assert_uint_eq(field.number, 2);
        ck_assert_uint_eq(field.size, RECORD_TOKEN_SIZE);
        if (token)
                memcpy(token, field.data, field.size);
        ck_assert(!pb_next(&reader, &field) && !reader.failed);
}

/* An ERROR that says `why`, and then nothing more. */
static inline void expect_hang_up(int fd, const char *why) {
        char body[256];
        RecordHeader header = client_receive(fd, body);

        if (why) {
                ck_assert_uint_eq(header.type, RECORD_ERROR);
                ck_assert_uint_eq((uint8_t)body[1], header.size - RECORD_HEADER_SIZE - 2);
                ck_assert_msg(strstr(body + 2, why), "says: %s", body + 2);
                header = client_receive(fd, body);
        }
        ck_assert_uint_eq(header.type, 0);
        close(fd);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * minimal-daemon SOCKET PORT none|gzip: the floor under a daemon's cost
 *
 * Takes the records of catenad's clients, copies them once (from the socket), validates each span,
 * joins START and END, and sends OTLP requests of 1 MiB to 127.0.0.1:PORT. Nothing else: no
 * journal, no limits, no contexts, no sessions, no arenas; a FLUSH is answered at once. It trusts
 * its clients, and keeps records in a ring that it takes to be large enough.
 */

#include "daemon/base/map.h"
#include "proto/otlp.h"
#include "proto/pb.h"
#include "proto/record.h"
#include "proto/validate.h"

#include <arpa/inet.h>
#include <err.h>
#include <libdeflate.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
        MINIMAL_RING_SIZE = 256 * 1024 * 1024,
        MINIMAL_READ_SIZE = 256 * 1024,
        MINIMAL_BATCH_BYTES = 1024 * 1024,
        MINIMAL_BODY_SIZE = MINIMAL_BATCH_BYTES + 3 * RECORD_SIZE_MAX,
        MINIMAL_FRONT_SIZE = 32, /* of the body: what stands before the spans */
        MINIMAL_DELAY_MS = 100,
        MINIMAL_EVENTS = 64,
        MINIMAL_GZIP_LEVEL = 1, /* as catenad's */
        MINIMAL_FIELD_SPANS = 2,
};

typedef struct Minimal {
        uint8_t *ring;
        size_t at;
        Map open;        /* span id -> its START in the ring */
        uint8_t *body;   /* of the next request */
        size_t n_bytes;  /* of spans in it */
        uint8_t *packed; /* the body compressed */
        int sink;
        struct libdeflate_compressor *compressor; /* NULL: identity */
} Minimal;

typedef struct MinimalClient {
        int fd;
        size_t n_kept; /* of a record that is not complete */
        uint8_t kept[RECORD_SIZE_MAX];
} MinimalClient;

/* ---- sending ---- */

static void minimal_answer(Minimal *minimal) {
        char answer[4096];

        if (recv(minimal->sink, answer, sizeof answer, 0) <= 0)
                errx(EXIT_FAILURE, "the sink hung up");
}

static void minimal_send_all(int fd, const uint8_t *data, size_t size) {
        while (size) {
                ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);

                if (sent < 0)
                        err(EXIT_FAILURE, "the sink");
                data += sent;
                size -= (size_t)sent;
        }
}

/* The messages that the spans stand in, directly before them. Returns the request's first byte. */
static uint8_t *minimal_front(Minimal *minimal, size_t *sizep) {
        uint8_t front[MINIMAL_FRONT_SIZE];
        PbWriter writer = pb_writer(front, sizeof front);
        size_t size;

        pb_put_prefix(&writer, 1, pb_bytes_size(2, minimal->n_bytes));
        pb_put_prefix(&writer, 2, minimal->n_bytes);
        size = (size_t)(writer.at - front);
        *sizep = size + minimal->n_bytes;
        return memcpy(minimal->body + MINIMAL_FRONT_SIZE - size, front, size);
}

static void minimal_send(Minimal *minimal) {
        const uint8_t *body;
        char head[256];
        size_t size;
        int n;

        if (!minimal->n_bytes)
                return;
        body = minimal_front(minimal, &size);
        if (minimal->compressor) {
                size = libdeflate_gzip_compress(minimal->compressor, body, size, minimal->packed,
                                                MINIMAL_BODY_SIZE);
                body = minimal->packed;
        }
        n = snprintf(head, sizeof head,
                     "POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\n%s"
                     "Content-Type: application/x-protobuf\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     minimal->compressor ? "Content-Encoding: gzip\r\n" : "", size);
        send(minimal->sink, head, (size_t)n, MSG_MORE | MSG_NOSIGNAL);
        minimal_send_all(minimal->sink, body, size);
        minimal_answer(minimal);
        minimal->n_bytes = 0;
}

/* ---- joining ---- */

/*
 * One body, copied: a list of the pieces where they lie, for writev(), costs a fifth more, as they
 * are of a hundred bytes or two.
 */
static void minimal_close(Minimal *minimal, const uint8_t *start, const uint8_t *end) {
        size_t start_size = record_header_read(start).size - RECORD_HEADER_SIZE;
        size_t end_size = end ? record_header_read(end).size - RECORD_HEADER_SIZE : 0;
        uint8_t *at = minimal->body + MINIMAL_FRONT_SIZE + minimal->n_bytes;
        PbWriter writer = pb_writer(at, 16 + start_size + end_size);

        pb_put_prefix(&writer, MINIMAL_FIELD_SPANS, start_size + end_size);
        pb_put_raw(&writer, start + RECORD_HEADER_SIZE, start_size);
        if (end)
                pb_put_raw(&writer, end + RECORD_HEADER_SIZE, end_size);
        minimal->n_bytes += (size_t)(writer.at - at);
        if (minimal->n_bytes >= MINIMAL_BATCH_BYTES)
                minimal_send(minimal);
}

static void minimal_take(Minimal *minimal, const RecordHeader *header, uint8_t *record) {
        bool start = header->flags & RECORD_START;
        uint8_t id[8];
        ValidateSummary summary;
        uint8_t *first;

        if (header->type != RECORD_SPAN)
                return;
        memcpy(id, record + RECORD_HEADER_SIZE - sizeof id, sizeof id);
        if (validate_span(&summary, record + RECORD_HEADER_SIZE, header->size - RECORD_HEADER_SIZE,
                          start, id))
                return;
        if (start && header->flags & RECORD_END) {
                minimal_close(minimal, record, NULL);
        } else if (start) {
                if (map_put(&minimal->open, header->id, record))
                        err(EXIT_FAILURE, "memory");
        } else {
                first = map_remove(&minimal->open, header->id);
                if (first)
                        minimal_close(minimal, first, record);
        }
}

/* ---- clients ---- */

static void minimal_welcome(int fd) {
        uint8_t data[RECORD_HEADER_SIZE + 24] = {0};
        PbWriter writer = pb_writer(data + RECORD_HEADER_SIZE, 24);
        RecordHeader header = {.type = RECORD_WELCOME};

        pb_put_varint(&writer, 1, RECORD_VERSION);
        pb_put_bytes(&writer, 2, "sixteen bytes, a", RECORD_TOKEN_SIZE);
        header.size = (uint32_t)(writer.at - data);
        record_header_write(data, &header);
        send(fd, data, record_stride(header.size), MSG_NOSIGNAL);
}

/* Bodies of FLUSH and FLUSHED are alike. */
static void minimal_flushed(int fd, const RecordHeader *flush, uint8_t *record) {
        RecordHeader header = {.size = flush->size, .type = RECORD_FLUSHED, .id = flush->id};

        record_header_write(record, &header);
        send(fd, record, record_stride(header.size), MSG_NOSIGNAL);
}

static void minimal_read(Minimal *minimal, MinimalClient *client) {
        uint8_t *data, *end;
        RecordHeader header;
        ssize_t n;

        if (minimal->at + RECORD_SIZE_MAX + MINIMAL_READ_SIZE > MINIMAL_RING_SIZE)
                minimal->at = 0;
        data = minimal->ring + minimal->at;
        memcpy(data, client->kept, client->n_kept);
        n = recv(client->fd, data + client->n_kept, MINIMAL_READ_SIZE, MSG_DONTWAIT);
        if (n <= 0) {
                close(client->fd);
                free(client);
                return;
        }
        end = data + client->n_kept + n;
        for (; !record_frame(&header, data, (size_t)(end - data));
             data += record_stride(header.size)) {
                if (header.type == RECORD_HELLO)
                        minimal_welcome(client->fd);
                if (header.type == RECORD_FLUSH)
                        minimal_flushed(client->fd, &header, data);
                minimal_take(minimal, &header, data);
        }
        client->n_kept = (size_t)(end - data);
        memcpy(client->kept, data, client->n_kept);
        minimal->at = (size_t)(data - minimal->ring);
}

static int minimal_listen(const char *path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        unlink(path);
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1024) < 0)
                err(EXIT_FAILURE, "%s", path);
        return fd;
}

static int minimal_connect(uint16_t port) {
        struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_port = htons(port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
                err(EXIT_FAILURE, "port %u", port);
        return fd;
}

static void minimal_accept(int epoll, int listener) {
        MinimalClient *client = calloc(1, sizeof *client);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};

        if (!client)
                err(EXIT_FAILURE, "memory");
        client->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event) < 0)
                err(EXIT_FAILURE, "a client");
}

int main(int argc, char **argv) {
        static Minimal minimal;
        struct epoll_event events[MINIMAL_EVENTS], event = {.events = EPOLLIN};
        struct rlimit files;
        int epoll = epoll_create1(EPOLL_CLOEXEC), listener;

        if (argc != 4)
                errx(EXIT_FAILURE, "usage: minimal-daemon SOCKET PORT none|gzip");
        getrlimit(RLIMIT_NOFILE, &files);
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        map_init(&minimal.open, 1);
        minimal.ring = malloc(MINIMAL_RING_SIZE);
        minimal.body = malloc(MINIMAL_BODY_SIZE);
        minimal.packed = malloc(MINIMAL_BODY_SIZE);
        if (!minimal.ring || !minimal.body || !minimal.packed)
                err(EXIT_FAILURE, "memory");
        minimal.sink = minimal_connect((uint16_t)atoi(argv[2]));
        if (!strcmp(argv[3], "gzip"))
                minimal.compressor = libdeflate_alloc_compressor(MINIMAL_GZIP_LEVEL);
        listener = minimal_listen(argv[1]);
        epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
        for (;;) {
                int n = epoll_wait(epoll, events, MINIMAL_EVENTS, MINIMAL_DELAY_MS);

                if (!n)
                        minimal_send(&minimal);
                for (int i = 0; i < n; i++) {
                        if (events[i].data.ptr)
                                minimal_read(&minimal, events[i].data.ptr);
                        else
                                minimal_accept(epoll, listener);
                }
        }
}

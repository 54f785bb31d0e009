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
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

enum {
        MINIMAL_RING_SIZE = 256 * 1024 * 1024,
        MINIMAL_READ_SIZE = 256 * 1024,
        MINIMAL_BATCH_BYTES = 1024 * 1024,
        MINIMAL_PIECES = 3 * 8192,
        MINIMAL_DELAY_MS = 100,
        MINIMAL_EVENTS = 64,
        MINIMAL_GZIP_LEVEL = 1, /* as catenad's */
        MINIMAL_FIELD_SPANS = 2,
};

typedef struct Minimal {
        uint8_t *ring;
        size_t at;
        Map open;                                /* span id -> its START in the ring */
        struct iovec pieces[MINIMAL_PIECES + 1]; /* the first: what comes before the spans */
        unsigned n_pieces;
        size_t n_bytes;
        uint8_t prefixes[MINIMAL_PIECES][8];
        int sink;
        struct libdeflate_compressor *compressor; /* NULL: identity */
        uint8_t *plain, *packed;
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

static void minimal_send_all(int fd, struct iovec *pieces, size_t n) {
        while (n) {
                ssize_t sent = writev(fd, pieces, n < 1024 ? (int)n : 1024);

                if (sent < 0)
                        err(EXIT_FAILURE, "the sink");
                for (; n && (size_t)sent >= pieces->iov_len; pieces++, n--)
                        sent -= (ssize_t)pieces->iov_len;
                if (n) {
                        pieces->iov_base = (uint8_t *)pieces->iov_base + sent;
                        pieces->iov_len -= (size_t)sent;
                }
        }
}

static void minimal_pack(Minimal *minimal) {
        size_t size = 0;

        for (unsigned i = 0; i <= minimal->n_pieces; i++) {
                memcpy(minimal->plain + size, minimal->pieces[i].iov_base,
                       minimal->pieces[i].iov_len);
                size += minimal->pieces[i].iov_len;
        }
        minimal->pieces[1].iov_base = minimal->packed;
        minimal->pieces[1].iov_len =
                libdeflate_gzip_compress(minimal->compressor, minimal->plain, size, minimal->packed,
                                         2 * MINIMAL_BATCH_BYTES);
}

static void minimal_send(Minimal *minimal) {
        uint8_t around[64];
        char head[256];
        PbWriter writer = pb_writer(around, sizeof around);
        size_t size, n = minimal->n_pieces;
        struct iovec first;

        if (!n)
                return;
        pb_put_prefix(&writer, 1, pb_bytes_size(2, minimal->n_bytes));
        pb_put_prefix(&writer, 2, minimal->n_bytes);
        minimal->pieces[0] = (struct iovec){around, (size_t)(writer.at - around)};
        size = minimal->pieces[0].iov_len + minimal->n_bytes;
        if (minimal->compressor) {
                minimal_pack(minimal);
                size = minimal->pieces[1].iov_len;
                minimal->pieces[0].iov_len = 0;
                n = 1;
        }
        first.iov_base = head;
        first.iov_len =
                (size_t)snprintf(head, sizeof head,
                                 "POST /v1/traces HTTP/1.1\r\nHost: 127.0.0.1\r\n%s"
                                 "Content-Type: application/x-protobuf\r\n"
                                 "Content-Length: %zu\r\n\r\n",
                                 minimal->compressor ? "Content-Encoding: gzip\r\n" : "", size);
        send(minimal->sink, first.iov_base, first.iov_len, MSG_MORE | MSG_NOSIGNAL);
        minimal_send_all(minimal->sink, minimal->pieces, n + 1);
        minimal_answer(minimal);
        minimal->n_pieces = 0;
        minimal->n_bytes = 0;
}

/* ---- joining ---- */

static void minimal_piece(Minimal *minimal, const void *data, size_t size) {
        minimal->pieces[++minimal->n_pieces] = (struct iovec){(void *)data, size};
        minimal->n_bytes += size;
}

static void minimal_close(Minimal *minimal, const uint8_t *start, const uint8_t *end) {
        size_t start_size = record_header_read(start).size - RECORD_HEADER_SIZE;
        size_t end_size = end ? record_header_read(end).size - RECORD_HEADER_SIZE : 0;
        uint8_t *prefix = minimal->prefixes[minimal->n_pieces];
        PbWriter writer = pb_writer(prefix, sizeof *minimal->prefixes);

        pb_put_prefix(&writer, MINIMAL_FIELD_SPANS, start_size + end_size);
        minimal_piece(minimal, prefix, (size_t)(writer.at - prefix));
        minimal_piece(minimal, start + RECORD_HEADER_SIZE, start_size);
        if (end)
                minimal_piece(minimal, end + RECORD_HEADER_SIZE, end_size);
        if (minimal->n_bytes >= MINIMAL_BATCH_BYTES || minimal->n_pieces + 3 > MINIMAL_PIECES)
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
        minimal.sink = minimal_connect((uint16_t)atoi(argv[2]));
        if (!strcmp(argv[3], "gzip")) {
                minimal.compressor = libdeflate_alloc_compressor(MINIMAL_GZIP_LEVEL);
                minimal.plain = malloc(2 * MINIMAL_BATCH_BYTES);
                minimal.packed = malloc(2 * MINIMAL_BATCH_BYTES);
        }
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

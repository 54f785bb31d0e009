/* SPDX-License-Identifier: Apache-2.0 */

/*
 * sink PORT PAGE: a collector that takes everything
 *
 * Answers 200 to whatever is posted to 127.0.0.1:PORT, and counts into the page: requests, bytes,
 * and the spans in them, which it finds by walking over their lengths.
 */

#include "daemon/base/error.h"
#include "daemon/http/http1.h"
#include "proto/otlp.h"
#include "proto/pb.h"
#include "tests/bench/page.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <libdeflate.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
        SINK_BODY_MAX = 64 * 1024 * 1024,
        SINK_READ_SIZE = 256 * 1024,
        SINK_EVENTS = 64,

        /* opentelemetry.proto.collector.trace.v1, .trace.v1 */
        SINK_REQUEST_RESOURCE_SPANS = 1,
        SINK_RESOURCE_SPANS_SCOPE_SPANS = 2,
        SINK_SCOPE_SPANS_SPANS = 2,
};

static const char sink_answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
                                  "Content-Length: 0\r\n\r\n";

typedef struct Sink {
        Page *page;
        struct libdeflate_decompressor *decompressor;
        uint8_t *room; /* SINK_BODY_MAX bytes */
        int epoll;
        int listener;
} Sink;

typedef struct SinkClient {
        int fd;
        Http1 *http;
} SinkClient;

/* ---- what is in a request ---- */

typedef struct SinkSums {
        uint64_t n_spans;
        uint64_t oldest_ns, newest_ns; /* ends */
        bool bad;
} SinkSums;

static void sink_sum_span(SinkSums *sums, const PbField *span) {
        PbReader reader = pb_reader(span->data, span->size);
        PbField field;

        while (pb_next(&reader, &field)) {
                if (field.number != OTLP_SPAN_END_TIME)
                        continue;
                if (field.value < sums->oldest_ns)
                        sums->oldest_ns = field.value;
                if (field.value > sums->newest_ns)
                        sums->newest_ns = field.value;
                return;
        }
        sums->bad = true;
}

static void sink_sum_scope(SinkSums *sums, const PbField *scope, bool times) {
        PbReader reader = pb_reader(scope->data, scope->size);
        PbField field;

        while (pb_next(&reader, &field)) {
                if (field.number != SINK_SCOPE_SPANS_SPANS)
                        continue;
                sums->n_spans++;
                if (times)
                        sink_sum_span(sums, &field);
        }
        sums->bad |= reader.failed;
}

static void sink_sum(SinkSums *sums, const uint8_t *data, size_t size, bool times) {
        PbReader reader = pb_reader(data, size);
        PbField resource, scope;

        while (pb_next(&reader, &resource)) {
                PbReader inner = pb_reader(resource.data, resource.size);

                if (resource.number != SINK_REQUEST_RESOURCE_SPANS)
                        continue;
                while (pb_next(&inner, &scope))
                        if (scope.number == SINK_RESOURCE_SPANS_SCOPE_SPANS)
                                sink_sum_scope(sums, &scope, times);
                sums->bad |= inner.failed;
        }
        sums->bad |= reader.failed;
}

/*
 * When the batch was due: one that was full, with its newest span; another, its delay after its
 * oldest.
 */
static void sink_take_latency(Page *page, const SinkSums *sums, size_t size, uint64_t now_ns) {
        bool full = size >= page->full_bytes;
        uint64_t due_ns = full ? sums->newest_ns : sums->oldest_ns + page->delay_ns;
        uint64_t late_us = now_ns > due_ns ? (now_ns - due_ns) / 1000 : 0;

        page->late_us[late_us < PAGE_BUCKETS ? late_us : PAGE_BUCKETS - 1] += sums->n_spans;
}

static void sink_take(Sink *sink, const Http1 *http, uint64_t now_ns) {
        const Http1Message *message = http1_message(http);
        const char *encoding = http1_header(http, "content-encoding");
        const uint8_t *data = message->body.data;
        size_t size = message->body.size;
        SinkSums sums = {.oldest_ns = UINT64_MAX};
        Page *page = sink->page;

        if (encoding && !strcmp(encoding, "gzip")) {
                sums.bad = libdeflate_gzip_decompress(sink->decompressor, data, size, sink->room,
                                                      SINK_BODY_MAX, &size) != LIBDEFLATE_SUCCESS;
                data = sink->room;
        }
        if (!sums.bad)
                sink_sum(&sums, data, size, page->delay_ns);
        if (page->delay_ns && sums.n_spans)
                sink_take_latency(page, &sums, size, now_ns);
        page->n_requests++;
        page->n_bytes += message->body.size;
        page->n_bad += sums.bad;
        page->n_spans += sums.n_spans;
}

/* ---- connections ---- */

static void sink_accept(Sink *sink) {
        SinkClient *client = malloc(sizeof *client);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        int one = 1;

        if (!client || http1_new(&client->http, HTTP1_REQUEST, SINK_BODY_MAX))
                err(EXIT_FAILURE, "memory");
        client->fd = accept4(sink->listener, NULL, NULL, SOCK_CLOEXEC);
        if (client->fd < 0)
                err(EXIT_FAILURE, "accept");
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_ctl(sink->epoll, EPOLL_CTL_ADD, client->fd, &event);
}

static void sink_hang_up(SinkClient *client) {
        close(client->fd);
        http1_free(client->http);
        free(client);
}

static bool sink_feed(Sink *sink, SinkClient *client, const uint8_t *data, size_t size) {
        uint64_t now_ns = page_now_ns();
        size_t used;

        while (size) {
                if (http1_feed(client->http, &used, data, size))
                        return false;
                data += used;
                size -= used;
                if (!http1_message(client->http))
                        continue;
                /* The answer first: what is counted is read by others, who wait for it. */
                if (send(client->fd, sink_answer, sizeof sink_answer - 1, MSG_NOSIGNAL) < 0)
                        return false;
                sink_take(sink, client->http, now_ns);
                http1_next(client->http);
        }
        return true;
}

static void sink_read(Sink *sink, SinkClient *client) {
        static uint8_t data[SINK_READ_SIZE];
        ssize_t n = recv(client->fd, data, sizeof data, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0 || !sink_feed(sink, client, data, (size_t)n))
                sink_hang_up(client);
}

static int sink_listen(uint16_t port) {
        struct sockaddr_in address = {
                .sin_family = AF_INET,
                .sin_port = htons(port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 64) < 0)
                err(EXIT_FAILURE, "port %u", port);
        return fd;
}

int main(int argc, char **argv) {
        struct epoll_event events[SINK_EVENTS], event = {.events = EPOLLIN};
        Sink sink;

        if (argc != 3)
                errx(EXIT_FAILURE, "usage: sink PORT PAGE");
        sink.page = page_open(argv[2]);
        sink.room = malloc(SINK_BODY_MAX);
        sink.decompressor = libdeflate_alloc_decompressor();
        sink.epoll = epoll_create1(EPOLL_CLOEXEC);
        sink.listener = sink_listen((uint16_t)atoi(argv[1]));
        epoll_ctl(sink.epoll, EPOLL_CTL_ADD, sink.listener, &event);
        for (;;) {
                int n = epoll_wait(sink.epoll, events, SINK_EVENTS, -1);

                for (int i = 0; i < n; i++) {
                        if (events[i].data.ptr)
                                sink_read(&sink, events[i].data.ptr);
                        else
                                sink_accept(&sink);
                }
        }
}

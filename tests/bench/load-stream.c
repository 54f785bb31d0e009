/* SPDX-License-Identifier: Apache-2.0 */

/* Records over catenad's socket or through its arenas, as the library says them. */

#include "proto/pb.h"
#include "proto/record.h"
#include "tests/bench/load-arena.h"
#include "tests/bench/load.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
        LOAD_STREAM_HELLO_VERSION = 1, /* fields of catena.v1.Hello */
        LOAD_STREAM_HELLO_RESOURCE = 2,
        LOAD_STREAM_HELLO_ARENA = 5,
        LOAD_STREAM_RESOURCE_ATTRIBUTES = 1,
        LOAD_STREAM_CONTEXT_ID = 1, /* … of catena.v1.Context */
        LOAD_STREAM_CORRELATION_ID = 2,
        LOAD_STREAM_START_TIME = 6,
};

typedef struct LoadStreamClient {
        int fd;
        LoadArena *arena; /* NULL: none */
} LoadStreamClient;

struct LoadStream {
        Load *load;
        LoadStreamClient *clients; /* [n_clients] */
        unsigned client;
        Template first, last; /* of a span: its START, or the whole; its END */
        TemplateSpan *open;   /* [n_open], a ring */
        uint64_t n_started;
        uint32_t context;
        uint8_t buffer[RECORD_SEND_MAX];
        size_t n_bytes;
        unsigned n_records;
};

static void load_stream_flush(LoadStream *stream) {
        const LoadStreamClient *client = &stream->clients[stream->client];

        if (stream->n_bytes && client->arena)
                load_arena_write(client->arena, stream->buffer, stream->n_bytes);
        else if (stream->n_bytes)
                load_send_all(client->fd, stream->buffer, stream->n_bytes);
        stream->n_bytes = stream->n_records = 0;
}

/* Room for a record's body; its header is written. */
static uint8_t *load_stream_record(LoadStream *stream, RecordHeader *header, size_t size) {
        size_t stride = record_stride(RECORD_HEADER_SIZE + size);
        uint8_t *at;

        if (stream->n_bytes + stride > sizeof stream->buffer ||
            stream->n_records == stream->load->options.n_a_send)
                load_stream_flush(stream);
        at = stream->buffer + stream->n_bytes;
        header->size = (uint32_t)(RECORD_HEADER_SIZE + size);
        memset(at + stride - RECORD_ALIGNMENT, 0, RECORD_ALIGNMENT);
        record_header_write(at, header);
        stream->n_bytes += stride;
        stream->n_records++;
        return at + RECORD_HEADER_SIZE;
}

static void load_stream_span(LoadStream *stream, const Template *template, uint16_t flags,
                             const TemplateSpan *span) {
        RecordHeader header = {
                .type = RECORD_SPAN,
                .flags = flags,
                .context = flags & RECORD_START ? stream->context : 0,
                .id = span->span_id,
        };

        template_write(load_stream_record(stream, &header, template->size), template, span);
}

static void load_stream_start(LoadStream *stream, TemplateSpan *span) {
        unsigned n_chains = stream->load->options.n_chains;

        load_next_span(stream->load, span);
        if (n_chains)
                stream->context = stream->context % n_chains + 1;
        load_stream_span(stream, &stream->first,
                         stream->load->options.part == TEMPLATE_WHOLE ? RECORD_START | RECORD_END
                                                                      : RECORD_START,
                         span);
        stream->n_started++;
}

static void load_stream_end(LoadStream *stream, TemplateSpan *span) {
        span->end_unix_ns = page_now_ns();
        load_stream_span(stream, &stream->last, RECORD_END, span);
}

void load_stream_say(LoadStream *stream, unsigned n) {
        unsigned n_open = stream->load->options.n_open;

        for (unsigned i = 0; i < n; i++) {
                TemplateSpan one, *span = n_open ? &stream->open[stream->n_started % n_open] : &one;

                if (n_open)
                        load_stream_end(stream, span);
                load_stream_start(stream, span);
                if (!n_open && stream->load->options.part != TEMPLATE_WHOLE)
                        load_stream_end(stream, span);
        }
        load_stream_flush(stream);
        stream->client = (stream->client + 1) % stream->load->options.n_clients;
}

/* ---- opening ---- */

static void load_stream_hello(int fd, bool arena) {
        static const char service[] = "\x0a\x0cservice.name\x12\x06\x0a\x04load";
        uint8_t data[256] = {0}, resource[64], *body = data + RECORD_HEADER_SIZE;
        PbWriter attributes = pb_writer(resource, sizeof resource);
        PbWriter hello = pb_writer(body, sizeof data - RECORD_HEADER_SIZE);
        RecordHeader header = {.type = RECORD_HELLO};

        pb_put_bytes(&attributes, LOAD_STREAM_RESOURCE_ATTRIBUTES, service, sizeof service - 1);
        pb_put_varint(&hello, LOAD_STREAM_HELLO_VERSION, RECORD_VERSION);
        pb_put_bytes(&hello, LOAD_STREAM_HELLO_RESOURCE, resource,
                     (size_t)(attributes.at - resource));
        if (arena)
                pb_put_varint(&hello, LOAD_STREAM_HELLO_ARENA, 1);
        header.size = (uint32_t)(hello.at - data);
        record_header_write(data, &header);
        load_send_all(fd, data, record_stride(header.size));
}

/* The descriptor of an arena that came along, or -1. */
static int load_stream_welcome(int fd) {
        union {
                struct cmsghdr header;
                uint8_t bytes[CMSG_SPACE(sizeof(int))];
        } control = {0};
        uint8_t data[256];
        struct iovec piece = {data, RECORD_HEADER_SIZE};
        struct msghdr message = {
                .msg_iov = &piece,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof control,
        };
        RecordHeader header;
        int arena_fd = -1;

        if (recvmsg(fd, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) != RECORD_HEADER_SIZE)
                errx(EXIT_FAILURE, "the daemon hung up");
        if (CMSG_FIRSTHDR(&message))
                memcpy(&arena_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof arena_fd);
        header = record_header_read(data);
        if (header.type != RECORD_WELCOME || header.size > sizeof data)
                errx(EXIT_FAILURE, "not welcome: a record of type %u", header.type);
        recv(fd, data, record_stride(header.size) - RECORD_HEADER_SIZE, MSG_WAITALL);
        return arena_fd;
}

static void load_stream_connect(Load *load, LoadStreamClient *client) {
        const char *path = load->options.socket;
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), arena_fd;

        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
                err(EXIT_FAILURE, "%s", path);
        load_stream_hello(fd, load->options.arena);
        arena_fd = load_stream_welcome(fd);
        client->fd = fd;
        client->arena = arena_fd < 0 ? NULL : load_arena_new(arena_fd, fd);
        load->n_arenas += arena_fd >= 0;
}

/* Contexts are numbered in a session: every client announces them all. */
static void load_stream_contexts(LoadStream *stream) {
        for (unsigned i = 1; i <= stream->load->options.n_chains; i++) {
                RecordHeader header = {.type = RECORD_CONTEXT, .flags = RECORD_START, .context = i};
                uint8_t body[128];
                char id[37];
                PbWriter writer = pb_writer(body, sizeof body);

                snprintf(id, sizeof id, "%08x-0000-4000-8000-%012x", stream->client, i);
                pb_put_bytes(&writer, LOAD_STREAM_CONTEXT_ID, id, sizeof id - 1);
                pb_put_bytes(&writer, LOAD_STREAM_CORRELATION_ID, id, sizeof id - 1);
                pb_put_fixed64(&writer, LOAD_STREAM_START_TIME, page_now_ns());
                memcpy(load_stream_record(stream, &header, (size_t)(writer.at - body)), body,
                       (size_t)(writer.at - body));
        }
        load_stream_flush(stream);
}

LoadStream *load_stream_open(Load *load) {
        const LoadOptions *options = &load->options;
        LoadStream *stream = calloc(1, sizeof *stream);
        struct rlimit files;

        if (!stream)
                err(EXIT_FAILURE, "memory");
        getrlimit(RLIMIT_NOFILE, &files);
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
        stream->load = load;
        stream->clients = calloc(options->n_clients, sizeof *stream->clients);
        stream->open = calloc(options->n_open + 1, sizeof *stream->open);
        if (!stream->clients || !stream->open)
                err(EXIT_FAILURE, "memory");
        template_make(&stream->first,
                      options->part == TEMPLATE_WHOLE ? TEMPLATE_WHOLE : TEMPLATE_START);
        template_make(&stream->last, options->part);
        for (stream->client = 0; stream->client < options->n_clients; stream->client++) {
                load_stream_connect(load, &stream->clients[stream->client]);
                load_stream_contexts(stream);
        }
        stream->client = 0;
        for (unsigned i = 0; i < options->n_open; i++)
                load_stream_start(stream, &stream->open[i]);
        load_stream_flush(stream);
        return stream;
}

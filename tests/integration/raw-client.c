/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/integration/raw-client.h"

#include "catena.pb-c.h"
#include "proto/id.h"
#include "proto/pb.h"
#include "tests/integration/harness.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
        RAW_CLIENT_HELLO_MAX = 512,
        RAW_CLIENT_SPAN_MAX = 512,
};

bool raw_client_connect(RawClient *client, const char *socket_path) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct timeval patience = {HARNESS_PATIENCE_S, 0};

        client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
        setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        if (!connect(client->fd, (struct sockaddr *)&address, sizeof address))
                return true;
        raw_client_close(client);
        return false;
}

void raw_client_close(RawClient *client) {
        if (client->fd >= 0)
                close(client->fd);
        client->fd = -1;
}

/* ---- saying ---- */

bool raw_client_send(RawClient *client, const void *data, size_t size) {
        while (size) {
                ssize_t n = send(client->fd, data, size, MSG_NOSIGNAL);

                if (n <= 0)
                        return false;
                data = (const char *)data + n;
                size -= (size_t)n;
        }
        return true;
}

bool raw_client_record(RawClient *client, uint16_t type, uint16_t flags, uint64_t id,
                       const void *body, size_t size) {
        static uint8_t record[RECORD_SIZE_MAX + RECORD_ALIGNMENT];
        RecordHeader header = {
                .size = (uint32_t)(RECORD_HEADER_SIZE + size),
                .type = type,
                .flags = flags,
                .id = id,
        };

        memset(record, 0, record_stride(header.size));
        record_header_write(record, &header);
        if (size)
                memcpy(record + RECORD_HEADER_SIZE, body, size);
        return raw_client_send(client, record, record_stride(header.size));
}

static uint64_t raw_client_now_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool raw_client_span(RawClient *client, uint64_t id, uint16_t flags, const char *name) {
        uint8_t body[RAW_CLIENT_SPAN_MAX], trace_id[ID_TRACE_SIZE] = "one of trace ids";
        uint64_t span_id = htole64(id);
        PbWriter writer = pb_writer(body, sizeof body);

        if (flags & RECORD_START) {
                pb_put_bytes(&writer, 1, trace_id, sizeof trace_id);
                pb_put_bytes(&writer, 2, &span_id, sizeof span_id);
                pb_put_bytes(&writer, 5, name, strlen(name));
                pb_put_fixed64(&writer, 7, raw_client_now_ns());
        }
        if (flags & RECORD_END)
                pb_put_fixed64(&writer, 8, raw_client_now_ns());
        return raw_client_record(client, RECORD_SPAN, flags, id, body, (size_t)(writer.at - body));
}

/* ---- hearing ---- */

static bool raw_client_read(RawClient *client, void *data, size_t size) {
        return recv(client->fd, data, size, MSG_WAITALL) == (ssize_t)size;
}

/* One record of the daemon's; its body has room for RAW_CLIENT_HELLO_MAX bytes. */
static bool raw_client_hear(RawClient *client, RecordHeader *headerp, uint8_t *body) {
        uint8_t bytes[RECORD_HEADER_SIZE];
        size_t rest;

        if (!raw_client_read(client, bytes, sizeof bytes))
                return false;
        *headerp = record_header_read(bytes);
        rest = record_stride(headerp->size) - sizeof bytes;
        return rest <= RAW_CLIENT_HELLO_MAX && (!rest || raw_client_read(client, body, rest));
}

bool raw_client_hello(RawClient *client, const char *service, bool again) {
        Opentelemetry__Proto__Common__V1__AnyValue value =
                OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__INIT;
        Opentelemetry__Proto__Common__V1__KeyValue attribute =
                OPENTELEMETRY__PROTO__COMMON__V1__KEY_VALUE__INIT;
        Opentelemetry__Proto__Resource__V1__Resource resource =
                OPENTELEMETRY__PROTO__RESOURCE__V1__RESOURCE__INIT;
        Catena__V1__Hello hello = CATENA__V1__HELLO__INIT;
        uint8_t body[RAW_CLIENT_HELLO_MAX];
        Catena__V1__Welcome *welcome;
        RecordHeader header;
        bool welcomed;

        value.value_case = OPENTELEMETRY__PROTO__COMMON__V1__ANY_VALUE__VALUE_STRING_VALUE;
        value.string_value = (char *)service;
        attribute.key = (char[]){"service.name"};
        attribute.value = &value;
        resource.n_attributes = 1;
        resource.attributes = (Opentelemetry__Proto__Common__V1__KeyValue *[]){&attribute};
        hello.version = RECORD_VERSION;
        hello.resource = &resource;
        if (again)
                hello.token = (ProtobufCBinaryData){sizeof client->token, client->token};
        if (!raw_client_record(client, RECORD_HELLO, 0, 0, body,
                               catena__v1__hello__pack(&hello, body)) ||
            !raw_client_hear(client, &header, body) || header.type != RECORD_WELCOME)
                return false;
        welcome = catena__v1__welcome__unpack(NULL, header.size - RECORD_HEADER_SIZE, body);
        welcomed = welcome && welcome->token.len == sizeof client->token;
        if (welcomed)
                memcpy(client->token, welcome->token.data, sizeof client->token);
        catena__v1__welcome__free_unpacked(welcome, NULL);
        return welcomed;
}

bool raw_client_flush(RawClient *client) {
        uint8_t body[RAW_CLIENT_HELLO_MAX];
        RecordHeader header;

        return raw_client_record(client, RECORD_FLUSH, 0, ++client->n_flushes, NULL, 0) &&
               raw_client_hear(client, &header, body) && header.type == RECORD_FLUSHED &&
               header.id == client->n_flushes;
}

bool raw_client_farewell(RawClient *client, char *text, size_t size) {
        uint8_t body[RAW_CLIENT_HELLO_MAX];
        Catena__V1__Error *error;
        RecordHeader header;

        do {
                if (!raw_client_hear(client, &header, body))
                        return false;
        } while (header.type != RECORD_ERROR);
        error = catena__v1__error__unpack(NULL, header.size - RECORD_HEADER_SIZE, body);
        if (!error)
                return false;
        snprintf(text, size, "%s", error->message);
        catena__v1__error__free_unpacked(error, NULL);
        return recv(client->fd, body, 1, 0) <= 0; /* reset, where it left something unread */
}

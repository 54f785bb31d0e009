/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/protocol.h"

#include "daemon/base/error.h"
#include "proto/pb.h"

#include <string.h>

enum {
        PROTOCOL_HELLO_VERSION = 1, /* field numbers of catena.v1 */
        PROTOCOL_HELLO_TOKEN = 3,
        PROTOCOL_HELLO_ARENA = 5,
        PROTOCOL_WELCOME_VERSION = 1,
        PROTOCOL_WELCOME_TOKEN = 2,
        PROTOCOL_WELCOME_RECORDING = 3,
        PROTOCOL_WELCOME_ARENA = 4,
        PROTOCOL_WELCOME_THRESHOLD = 5,
        PROTOCOL_RECORDING_ALL = 1,
        PROTOCOL_FLUSH_LEVEL = 1,
        PROTOCOL_FLUSH_REFUSED = 2,
        PROTOCOL_FLUSH_ORPHANS = 3,
        PROTOCOL_ERROR_MESSAGE = 1,
        PROTOCOL_LOST_STARTS = 1, /* the others behind it, in ArenaLost's order */
        PROTOCOL_LOST_REASON = 5,
        PROTOCOL_LOST_ARENA_FULL = 3,
        PROTOCOL_BODY_MAX = 256,
};

int protocol_read_hello(ProtocolHello *hellop, const uint8_t *body, size_t size) {
        PbReader reader = pb_reader(body, size);
        ProtocolHello hello = {0};
        size_t token_size = 0;
        PbField field;

        while (pb_next(&reader, &field)) {
                if (field.number == PROTOCOL_HELLO_VERSION && field.wire == PB_VARINT) {
                        hello.version = (uint32_t)field.value;
                } else if (field.number == PROTOCOL_HELLO_TOKEN && field.wire == PB_BYTES) {
                        hello.token = field.data;
                        token_size = field.size;
                } else if (field.number == PROTOCOL_HELLO_ARENA && field.wire == PB_VARINT) {
                        hello.arena = field.value;
                }
        }
        if (reader.failed)
                return PROTOCOL_E_ENCODING;
        if (hello.version != RECORD_VERSION)
                return PROTOCOL_E_VERSION;
        if (token_size && token_size != RECORD_TOKEN_SIZE)
                return PROTOCOL_E_TOKEN;
        if (!token_size)
                hello.token = NULL;
        *hellop = hello;
        return 0;
}

const char *protocol_error_text(int error) {
        switch (error) {
        case PROTOCOL_E_ENCODING:
                return "the HELLO is not well-formed protobuf";
        case PROTOCOL_E_VERSION:
                return "the HELLO's version is not spoken here, only version 1 is";
        case PROTOCOL_E_TOKEN:
                return "the HELLO's token is not 16 bytes";
        default:
                return "unknown error";
        }
}

size_t protocol_write_lost(uint8_t *data, const uint64_t lost[_ARENA_LOST_N]) {
        PbWriter writer =
                pb_writer(data + RECORD_HEADER_SIZE, PROTOCOL_LOST_MAX - RECORD_HEADER_SIZE);
        RecordHeader header = {.type = RECORD_LOST};
        size_t stride;

        for (uint32_t i = 0; i < _ARENA_LOST_N; i++)
                if (lost[i])
                        pb_put_varint(&writer, PROTOCOL_LOST_STARTS + i, lost[i]);
        pb_put_varint(&writer, PROTOCOL_LOST_REASON, PROTOCOL_LOST_ARENA_FULL);
        header.size = (uint32_t)(writer.at - data);
        stride = record_stride(header.size);
        memset(writer.at, 0, stride - header.size);
        record_header_write(data, &header);
        return stride;
}

static int protocol_put(Buffer *out, RecordType type, uint64_t id, const uint8_t *body,
                        size_t size) {
        RecordHeader header = {
                .size = (uint32_t)(RECORD_HEADER_SIZE + size),
                .type = (uint16_t)type,
                .id = id,
        };
        size_t stride = record_stride(header.size);
        uint8_t *room;
        int r;

        r = buffer_reserve(out, &room, stride);
        if (r)
                return error_trace(r);
        memset(room, 0, stride);
        record_header_write(room, &header);
        if (size)
                memcpy(room + RECORD_HEADER_SIZE, body, size);
        out->size += stride;
        return 0;
}

static void protocol_write_sampling(PbWriter *writer, const ProtocolSampling *sampling) {
        if (sampling->all)
                pb_put_varint(writer, PROTOCOL_WELCOME_RECORDING, PROTOCOL_RECORDING_ALL);
        if (sampling->threshold)
                pb_put_varint(writer, PROTOCOL_WELCOME_THRESHOLD, sampling->threshold);
}

int protocol_put_sampling(Buffer *out, const ProtocolSampling *sampling) {
        uint8_t body[PROTOCOL_BODY_MAX];
        PbWriter writer = pb_writer(body, sizeof body);

        protocol_write_sampling(&writer, sampling);
        return protocol_put(out, RECORD_SAMPLING, 0, body, (size_t)(writer.at - body));
}

int protocol_put_welcome(Buffer *out, const uint8_t *token, bool arena,
                         const ProtocolSampling *sampling) {
        uint8_t body[PROTOCOL_BODY_MAX];
        PbWriter writer = pb_writer(body, sizeof body);

        pb_put_varint(&writer, PROTOCOL_WELCOME_VERSION, RECORD_VERSION);
        pb_put_bytes(&writer, PROTOCOL_WELCOME_TOKEN, token, RECORD_TOKEN_SIZE);
        protocol_write_sampling(&writer, sampling);
        if (arena)
                pb_put_varint(&writer, PROTOCOL_WELCOME_ARENA, true);
        return protocol_put(out, RECORD_WELCOME, 0, body, (size_t)(writer.at - body));
}

ProtocolLevel protocol_read_flush(const uint8_t *body, size_t size) {
        PbReader reader = pb_reader(body, size);
        uint64_t level = PROTOCOL_LEVEL_JOURNALED;
        PbField field;

        while (pb_next(&reader, &field))
                if (field.number == PROTOCOL_FLUSH_LEVEL && field.wire == PB_VARINT)
                        level = field.value;
        return level < PROTOCOL_LEVEL_DELIVERED ? (ProtocolLevel)level : PROTOCOL_LEVEL_DELIVERED;
}

int protocol_put_flushed(Buffer *out, uint64_t id, const ProtocolFlushed *flushed) {
        uint8_t body[PROTOCOL_BODY_MAX];
        PbWriter writer = pb_writer(body, sizeof body);

        if (flushed->level)
                pb_put_varint(&writer, PROTOCOL_FLUSH_LEVEL, flushed->level);
        if (flushed->n_refused)
                pb_put_varint(&writer, PROTOCOL_FLUSH_REFUSED, flushed->n_refused);
        if (flushed->n_orphans)
                pb_put_varint(&writer, PROTOCOL_FLUSH_ORPHANS, flushed->n_orphans);
        return protocol_put(out, RECORD_FLUSHED, id, body, (size_t)(writer.at - body));
}

int protocol_put_error(Buffer *out, const char *text) {
        uint8_t body[PROTOCOL_BODY_MAX];
        PbWriter writer = pb_writer(body, sizeof body);

        pb_put_bytes(&writer, PROTOCOL_ERROR_MESSAGE, text, strnlen(text, sizeof body - 8));
        return protocol_put(out, RECORD_ERROR, 0, body, (size_t)(writer.at - body));
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/pb.h"

#include <endian.h>
#include <string.h>

enum {
        PB_TAG_MAX = 5, /* bytes, of a tag or a length */
};

static const uint8_t *pb_read_long_varint(uint64_t *valuep, const uint8_t *at, const uint8_t *end,
                                          unsigned max) {
        uint64_t value = 0;

        for (unsigned i = 0; i < max && at < end; i++) {
                uint8_t byte = *at++;

                if (i == PB_VARINT_MAX - 1 && byte > 1)
                        return NULL;
                value |= (uint64_t)(byte & 0x7f) << (7 * i);
                if (!(byte & 0x80)) {
                        *valuep = value;
                        return at;
                }
        }
        return NULL;
}

/* Reads a varint of at most `max` bytes, one as a rule; NULL at a fault. */
static inline const uint8_t *pb_read_varint(uint64_t *valuep, const uint8_t *at, const uint8_t *end,
                                            unsigned max) {
        if (at == end || *at > 0x7f)
                return pb_read_long_varint(valuep, at, end, max);
        *valuep = *at;
        return at + 1;
}

/* Reads what follows the tag; NULL at a fault. */
static const uint8_t *pb_read_value(PbField *field, const uint8_t *at, const uint8_t *end) {
        uint32_t value32;
        uint64_t value;

        switch (field->wire) {
        case PB_VARINT:
                return pb_read_varint(&field->value, at, end, PB_VARINT_MAX);
        case PB_FIXED64:
                if (end - at < (ptrdiff_t)sizeof value)
                        return NULL;
                memcpy(&value, at, sizeof value);
                field->value = le64toh(value);
                return at + sizeof value;
        case PB_FIXED32:
                if (end - at < (ptrdiff_t)sizeof value32)
                        return NULL;
                memcpy(&value32, at, sizeof value32);
                field->value = le32toh(value32);
                return at + sizeof value32;
        case PB_BYTES:
                at = pb_read_varint(&value, at, end, PB_TAG_MAX);
                if (!at || value > (uint64_t)(end - at))
                        return NULL;
                field->data = at;
                field->size = (size_t)value;
                return at + value;
        default:
                return NULL;
        }
}

bool pb_next_any(PbReader *reader, PbField *field) {
        const uint8_t *at;
        uint64_t tag;

        if (reader->at == reader->end || reader->failed)
                return false;
        at = pb_read_varint(&tag, reader->at, reader->end, PB_TAG_MAX);
        if (at && tag >> 3 >= 1 && tag >> 3 <= PB_FIELD_MAX) {
                field->number = (uint32_t)(tag >> 3);
                field->wire = (PbWire)(tag & 7);
                field->start = reader->at;
                at = pb_read_value(field, at, reader->end);
                if (at) {
                        reader->at = at;
                        return true;
                }
        }
        reader->failed = true;
        return false;
}

/* ---- writing ---- */

static uint64_t pb_tag(uint32_t number, PbWire wire) {
        return (uint64_t)number << 3 | wire;
}

/* Whether `size` more bytes fit. */
static bool pb_fits(PbWriter *writer, size_t size) {
        if (size > (size_t)(writer->end - writer->at))
                writer->failed = true;
        return !writer->failed;
}

static void pb_write_varint(PbWriter *writer, uint64_t value) {
        for (; value >= 0x80; value >>= 7)
                *writer->at++ = (uint8_t)(value | 0x80);
        *writer->at++ = (uint8_t)value;
}

static void pb_write(PbWriter *writer, const void *data, size_t size) {
        if (size)
                memcpy(writer->at, data, size);
        writer->at += size;
}

void pb_put_varint(PbWriter *writer, uint32_t number, uint64_t value) {
        uint64_t tag = pb_tag(number, PB_VARINT);

        if (!pb_fits(writer, pb_varint_size(tag) + pb_varint_size(value)))
                return;
        pb_write_varint(writer, tag);
        pb_write_varint(writer, value);
}

void pb_put_fixed64(PbWriter *writer, uint32_t number, uint64_t value) {
        uint64_t tag = pb_tag(number, PB_FIXED64);

        value = htole64(value);
        if (!pb_fits(writer, pb_varint_size(tag) + sizeof value))
                return;
        pb_write_varint(writer, tag);
        pb_write(writer, &value, sizeof value);
}

void pb_put_fixed32(PbWriter *writer, uint32_t number, uint32_t value) {
        uint64_t tag = pb_tag(number, PB_FIXED32);

        value = htole32(value);
        if (!pb_fits(writer, pb_varint_size(tag) + sizeof value))
                return;
        pb_write_varint(writer, tag);
        pb_write(writer, &value, sizeof value);
}

void pb_put_double(PbWriter *writer, uint32_t number, double value) {
        uint64_t bits;

        memcpy(&bits, &value, sizeof bits);
        pb_put_fixed64(writer, number, bits);
}

void pb_put_bytes(PbWriter *writer, uint32_t number, const void *data, size_t size) {
        if (!pb_fits(writer, pb_bytes_size(number, size)))
                return;
        pb_put_prefix(writer, number, size);
        pb_put_raw(writer, data, size);
}

void pb_put_prefix(PbWriter *writer, uint32_t number, size_t size) {
        uint64_t tag = pb_tag(number, PB_BYTES);

        if (!pb_fits(writer, pb_varint_size(tag) + pb_varint_size(size)))
                return;
        pb_write_varint(writer, tag);
        pb_write_varint(writer, size);
}

void pb_put_raw(PbWriter *writer, const void *data, size_t size) {
        if (pb_fits(writer, size))
                pb_write(writer, data, size);
}

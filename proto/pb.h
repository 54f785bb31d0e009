#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Protobuf primitives
 *
 * The wire format of protobuf, read and written in place: no allocation, no lock, fit for signal
 * handlers. A reader stops at the first fault and stays there; a writer that runs out of room
 * writes nothing more and remembers it, so one check at the end is enough.
 *
 * I/O: none.  Threads: any.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum PbWire {
        PB_VARINT = 0,
        PB_FIXED64 = 1,
        PB_BYTES = 2,
        PB_FIXED32 = 5,
} PbWire;

enum {
        PB_VARINT_MAX = 10, /* bytes */
        PB_FIELD_MAX = 0x1fffffff,
        PB_DEPTH_MAX = 64,       /* messages in messages, counted from the request */
        PB_VALUE_DEPTH_MAX = 24, /* attribute values in each other */
};

/* ---- reading ---- */

typedef struct PbReader {
        const uint8_t *at;
        const uint8_t *end;
        bool failed;
} PbReader;

typedef struct PbField {
        uint32_t number;
        PbWire wire;
        uint64_t value;      /* of PB_VARINT, PB_FIXED64, PB_FIXED32 */
        const uint8_t *data; /* of PB_BYTES */
        size_t size;
        const uint8_t *start; /* the field with its tag: [start, reader.at) */
} PbField;

static inline PbReader pb_reader(const void *data, size_t size) {
        return (PbReader){.at = data, .end = (const uint8_t *)data + size};
}

/* pb_next() without its short way. */
bool pb_next_any(PbReader *reader, PbField *field);

/*
 * The next field; false at the end and at a fault (then `failed`). A fault is: a group, a field
 * number of 0 or >= 2^29, a tag or length over 5 bytes, a varint whose tenth byte is over 1, a
 * length beyond the end. After a fault `at` is where the field began.
 */
static inline bool pb_next(PbReader *reader, PbField *field) {
        const uint8_t *at = reader->at;

        /* Most fields are of PB_BYTES, with a tag and a length of one byte each. */
        if (reader->end - at < 2 || (at[0] & 0x87) != PB_BYTES || at[0] < 8 || at[1] > 0x7f ||
            at[1] > reader->end - at - 2)
                return pb_next_any(reader, field);
        field->number = at[0] >> 3;
        field->wire = PB_BYTES;
        field->data = at + 2;
        field->size = at[1];
        field->start = at;
        reader->at = at + 2 + at[1];
        return true;
}

/* ---- writing ---- */

typedef struct PbWriter {
        uint8_t *at;
        uint8_t *end;
        bool failed; /* something did not fit */
} PbWriter;

static inline PbWriter pb_writer(void *data, size_t size) {
        return (PbWriter){.at = data, .end = (uint8_t *)data + size};
}

static inline size_t pb_varint_size(uint64_t value) {
        size_t n = 1;

        while (value >>= 7)
                n++;
        return n;
}

/* The bytes of a whole field, tag included. */
static inline size_t pb_bytes_size(uint32_t number, size_t size) {
        return pb_varint_size((uint64_t)number << 3) + pb_varint_size(size) + size;
}

void pb_put_varint(PbWriter *writer, uint32_t number, uint64_t value);
void pb_put_fixed64(PbWriter *writer, uint32_t number, uint64_t value);
void pb_put_fixed32(PbWriter *writer, uint32_t number, uint32_t value);
void pb_put_double(PbWriter *writer, uint32_t number, double value);
void pb_put_bytes(PbWriter *writer, uint32_t number, const void *data, size_t size);
/* The tag and length of a PB_BYTES field whose `size` bytes the caller writes next. */
void pb_put_prefix(PbWriter *writer, uint32_t number, size_t size);
/* Bytes that are encoded already. */
void pb_put_raw(PbWriter *writer, const void *data, size_t size);

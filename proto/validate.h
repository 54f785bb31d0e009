#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Validation of fragments
 *
 * Decoders differ in what they refuse, and one refused span spoils the whole request that carries
 * it. So nothing enters that any decoder may refuse: a fragment is read once, to full depth, and
 * what reading it teaches is kept in a summary, from which the daemon knows whether fragments can
 * be joined by copying.
 *
 * Refused: any group, field 0 or >= 2^29, a tag or length over 5 bytes, a varint whose tenth byte
 * is over 1, a wrong wire type for a known field, ids that are not exactly 16 and 8 bytes or are
 * all zero, invalid UTF-8 in any string, two members in one AnyValue, attribute values nested
 * deeper than 24.
 *
 * I/O: none.  Threads: any.  Follows opentelemetry-proto 1.11.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(symbol, text) */
#define VALIDATE_ERRORS(X)                                                                         \
        X(ENCODING, "not well-formed protobuf")                                                    \
        X(GROUP, "a group")                                                                        \
        X(FIELD_NUMBER, "a field number of 0 or over 2^29 - 1")                                    \
        X(WIRE_TYPE, "a known field with another wire type")                                       \
        X(UTF8, "a string that is not UTF-8")                                                      \
        X(ID, "an id of the wrong length, of all zeros, out of place, or not the header's")        \
        X(DEPTH, "values nested too deep")                                                         \
        X(ANY_VALUE, "two members in one AnyValue")

enum {
        _VALIDATE_E_SUCCESS,
#define VALIDATE_ERROR_X(symbol, text) VALIDATE_E_##symbol,
        VALIDATE_ERRORS(VALIDATE_ERROR_X)
#undef VALIDATE_ERROR_X
                _VALIDATE_E_N,
};

typedef struct ValidateText {
        const char *data; /* in the fragment; NULL: absent */
        size_t size;
} ValidateText;

/* A bloom of attribute keys: a bit for each key, 256 in all. */
typedef struct ValidateBloom {
        uint64_t bits[4];
} ValidateBloom;

typedef struct ValidateSummary {
        /* What decides between copying and rebuilding. */
        ValidateBloom keys;
        uint32_t n_attributes, n_events, n_links;
        uint32_t most_event_attributes, most_link_attributes; /* of one */
        uint32_t seen;       /* bit n: the singular field n of Span (of LogRecord) is present */
        bool repeated_key;   /* an attribute key may stand twice in this fragment */
        bool repeated_field; /* a singular field does */
        bool unknown;        /* a field that this OTLP version does not have, at any depth */
        uint32_t longest_value_bytes; /* of a string or byte string in an attribute's value */

        /* What is worth indexing. Slices of the fragment, the last of each if there are two. */
        const uint8_t *trace_id, *span_id, *parent_span_id; /* NULL: absent */
        ValidateText name, status_message;                  /* LogRecord: its event name */
        ValidateText exception_type, exception_message;     /* of the last `exception` event */
        uint64_t start_unix_ns, end_unix_ns; /* 0: absent; LogRecord: its two times */
        uint32_t kind, status_code, severity;
} ValidateSummary;

/*
 * A Span fragment. `start`: the START, which must hold the trace id and a span id equal to
 * `span_id` (8 bytes); any other fragment must hold neither, nor a parent id. 0 or VALIDATE_E_*.
 */
int validate_span(ValidateSummary *summary, const uint8_t *data, size_t size, bool start,
                  const uint8_t *span_id);
/* A whole LogRecord. A span id in it implies a trace id. */
int validate_log(ValidateSummary *summary, const uint8_t *data, size_t size);
/* Only whether the bytes may be exported. */
int validate_scope(const uint8_t *data, size_t size);
int validate_resource(const uint8_t *data, size_t size);

const char *validate_error_text(int error);

uint64_t validate_hash(const char *key, size_t size); /* the same for every process: unseeded */
void validate_bloom_add(ValidateBloom *bloom, const char *key, size_t size);

/* Whether two blooms may share a key. */
static inline bool validate_bloom_meet(const ValidateBloom *a, const ValidateBloom *b) {
        return (a->bits[0] & b->bits[0]) | (a->bits[1] & b->bits[1]) | (a->bits[2] & b->bits[2]) |
               (a->bits[3] & b->bits[3]);
}

/* Whether all keys of `part` may be in it. */
static inline bool validate_bloom_holds(const ValidateBloom *bloom, const ValidateBloom *part) {
        return !((part->bits[0] & ~bloom->bits[0]) | (part->bits[1] & ~bloom->bits[1]) |
                 (part->bits[2] & ~bloom->bits[2]) | (part->bits[3] & ~bloom->bits[3]));
}

static inline void validate_bloom_merge(ValidateBloom *into, const ValidateBloom *from) {
        for (unsigned i = 0; i < 4; i++)
                into->bits[i] |= from->bits[i];
}

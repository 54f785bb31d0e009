#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The OTLP messages that clients send, by field number
 *
 * What the validator and the joining of fragments know of a message. A number that is not in the
 * table is a field unknown to our OTLP version.
 *
 * I/O: none.  Threads: any.  Follows opentelemetry-proto 1.11.
 */

#include <stdint.h>

typedef enum OtlpMessage {
        OTLP_NONE,
        OTLP_SPAN,
        OTLP_EVENT,
        OTLP_LINK,
        OTLP_STATUS,
        OTLP_LOG,
        OTLP_SCOPE,
        OTLP_RESOURCE,
        OTLP_ENTITY_REF,
        OTLP_KEY_VALUE,
        OTLP_ANY_VALUE,
        OTLP_ARRAY,
        OTLP_KVLIST,
        _OTLP_MESSAGES_N,
} OtlpMessage;

typedef enum OtlpKind {
        OTLP_UNKNOWN,
        OTLP_VARINT,
        OTLP_FIXED64,
        OTLP_FIXED32,
        OTLP_STRING,
        OTLP_BYTES,
        OTLP_TRACE_ID,
        OTLP_SPAN_ID,
        OTLP_MESSAGE,
        _OTLP_KINDS_N,
} OtlpKind;

/* X(message, field, number, kind, message of the field, ONE or MANY) */
#define OTLP_FIELDS(X)                                                                             \
        X(SPAN, TRACE_ID, 1, TRACE_ID, NONE, ONE)                                                  \
        X(SPAN, SPAN_ID, 2, SPAN_ID, NONE, ONE)                                                    \
        X(SPAN, TRACE_STATE, 3, STRING, NONE, ONE)                                                 \
        X(SPAN, PARENT_SPAN_ID, 4, SPAN_ID, NONE, ONE)                                             \
        X(SPAN, NAME, 5, STRING, NONE, ONE)                                                        \
        X(SPAN, KIND, 6, VARINT, NONE, ONE)                                                        \
        X(SPAN, START_TIME, 7, FIXED64, NONE, ONE)                                                 \
        X(SPAN, END_TIME, 8, FIXED64, NONE, ONE)                                                   \
        X(SPAN, ATTRIBUTES, 9, MESSAGE, KEY_VALUE, MANY)                                           \
        X(SPAN, DROPPED_ATTRIBUTES, 10, VARINT, NONE, ONE)                                         \
        X(SPAN, EVENTS, 11, MESSAGE, EVENT, MANY)                                                  \
        X(SPAN, DROPPED_EVENTS, 12, VARINT, NONE, ONE)                                             \
        X(SPAN, LINKS, 13, MESSAGE, LINK, MANY)                                                    \
        X(SPAN, DROPPED_LINKS, 14, VARINT, NONE, ONE)                                              \
        X(SPAN, STATUS, 15, MESSAGE, STATUS, ONE)                                                  \
        X(SPAN, FLAGS, 16, FIXED32, NONE, ONE)                                                     \
        X(EVENT, TIME, 1, FIXED64, NONE, ONE)                                                      \
        X(EVENT, NAME, 2, STRING, NONE, ONE)                                                       \
        X(EVENT, ATTRIBUTES, 3, MESSAGE, KEY_VALUE, MANY)                                          \
        X(EVENT, DROPPED_ATTRIBUTES, 4, VARINT, NONE, ONE)                                         \
        X(LINK, TRACE_ID, 1, TRACE_ID, NONE, ONE)                                                  \
        X(LINK, SPAN_ID, 2, SPAN_ID, NONE, ONE)                                                    \
        X(LINK, TRACE_STATE, 3, STRING, NONE, ONE)                                                 \
        X(LINK, ATTRIBUTES, 4, MESSAGE, KEY_VALUE, MANY)                                           \
        X(LINK, DROPPED_ATTRIBUTES, 5, VARINT, NONE, ONE)                                          \
        X(LINK, FLAGS, 6, FIXED32, NONE, ONE)                                                      \
        X(STATUS, MESSAGE, 2, STRING, NONE, ONE)                                                   \
        X(STATUS, CODE, 3, VARINT, NONE, ONE)                                                      \
        X(LOG, TIME, 1, FIXED64, NONE, ONE)                                                        \
        X(LOG, SEVERITY, 2, VARINT, NONE, ONE)                                                     \
        X(LOG, SEVERITY_TEXT, 3, STRING, NONE, ONE)                                                \
        X(LOG, BODY, 5, MESSAGE, ANY_VALUE, ONE)                                                   \
        X(LOG, ATTRIBUTES, 6, MESSAGE, KEY_VALUE, MANY)                                            \
        X(LOG, DROPPED_ATTRIBUTES, 7, VARINT, NONE, ONE)                                           \
        X(LOG, FLAGS, 8, FIXED32, NONE, ONE)                                                       \
        X(LOG, TRACE_ID, 9, TRACE_ID, NONE, ONE)                                                   \
        X(LOG, SPAN_ID, 10, SPAN_ID, NONE, ONE)                                                    \
        X(LOG, OBSERVED_TIME, 11, FIXED64, NONE, ONE)                                              \
        X(LOG, EVENT_NAME, 12, STRING, NONE, ONE)                                                  \
        X(SCOPE, NAME, 1, STRING, NONE, ONE)                                                       \
        X(SCOPE, VERSION, 2, STRING, NONE, ONE)                                                    \
        X(SCOPE, ATTRIBUTES, 3, MESSAGE, KEY_VALUE, MANY)                                          \
        X(SCOPE, DROPPED_ATTRIBUTES, 4, VARINT, NONE, ONE)                                         \
        X(RESOURCE, ATTRIBUTES, 1, MESSAGE, KEY_VALUE, MANY)                                       \
        X(RESOURCE, DROPPED_ATTRIBUTES, 2, VARINT, NONE, ONE)                                      \
        X(RESOURCE, ENTITY_REFS, 3, MESSAGE, ENTITY_REF, MANY)                                     \
        X(ENTITY_REF, SCHEMA_URL, 1, STRING, NONE, ONE)                                            \
        X(ENTITY_REF, TYPE, 2, STRING, NONE, ONE)                                                  \
        X(ENTITY_REF, ID_KEYS, 3, STRING, NONE, MANY)                                              \
        X(ENTITY_REF, DESCRIPTION_KEYS, 4, STRING, NONE, MANY)                                     \
        X(KEY_VALUE, KEY, 1, STRING, NONE, ONE)                                                    \
        X(KEY_VALUE, VALUE, 2, MESSAGE, ANY_VALUE, ONE)                                            \
        X(KEY_VALUE, KEY_STRINDEX, 3, VARINT, NONE, ONE)                                           \
        X(ANY_VALUE, STRING, 1, STRING, NONE, ONE)                                                 \
        X(ANY_VALUE, BOOL, 2, VARINT, NONE, ONE)                                                   \
        X(ANY_VALUE, INT, 3, VARINT, NONE, ONE)                                                    \
        X(ANY_VALUE, DOUBLE, 4, FIXED64, NONE, ONE)                                                \
        X(ANY_VALUE, ARRAY, 5, MESSAGE, ARRAY, ONE)                                                \
        X(ANY_VALUE, KVLIST, 6, MESSAGE, KVLIST, ONE)                                              \
        X(ANY_VALUE, BYTES, 7, BYTES, NONE, ONE)                                                   \
        X(ANY_VALUE, STRINDEX, 8, VARINT, NONE, ONE)                                               \
        X(ARRAY, VALUES, 1, MESSAGE, ANY_VALUE, MANY)                                              \
        X(KVLIST, VALUES, 1, MESSAGE, KEY_VALUE, MANY)

/* The numbers: OTLP_SPAN_NAME. */
enum {
#define OTLP_FIELD_X(message, field, number, kind, type, count) OTLP_##message##_##field = (number),
        OTLP_FIELDS(OTLP_FIELD_X)
#undef OTLP_FIELD_X
                OTLP_NUMBER_MAX = 16,
};

/* Status.code */
enum {
        OTLP_CODE_UNSET,
        OTLP_CODE_OK,
        OTLP_CODE_ERROR,
};

typedef struct OtlpField {
        uint8_t kind;     /* OtlpKind */
        uint8_t message;  /* OtlpMessage, of an OTLP_MESSAGE */
        uint8_t repeated; /* else a second one replaces the first */
} OtlpField;

extern const OtlpField otlp_fields[_OTLP_MESSAGES_N][OTLP_NUMBER_MAX + 1];

static inline OtlpField otlp_field(OtlpMessage message, uint32_t number) {
        return otlp_fields[message][number <= OTLP_NUMBER_MAX ? number : 0];
}

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * W3C Trace Context (Level 2) and Baggage
 *
 * The text of the headers, read and written; what they mean for a context is the library's affair.
 *
 * I/O: none.  Threads: any.
 */

#include "proto/id.h"

enum {
        W3C_FLAG_SAMPLED = 0x01,
        W3C_FLAG_RANDOM = 0x02,
        W3C_TRACEPARENT_TEXT = 55, /* without the NUL */
        W3C_TRACESTATE_MEMBERS_MAX = 32,
        W3C_TRACESTATE_TEXT = 512,       /* of what is passed on */
        W3C_TRACESTATE_MEMBER_LONG = 128, /* those beyond are the first to go */
        W3C_BAGGAGE_MEMBERS_MAX = 64,
        W3C_BAGGAGE_BYTES_MAX = 8192,
};

typedef struct W3cTraceparent {
        uint8_t trace_id[ID_TRACE_SIZE];
        uint8_t span_id[ID_SPAN_SIZE];
        uint8_t flags; /* W3C_FLAG_*; unknown ones are cleared */
} W3cTraceparent;

/* False, and nothing written, for a header that must be ignored. */
bool w3c_traceparent_read(W3cTraceparent *out, const char *text, size_t size);
/* Writes 55 characters and a NUL. */
void w3c_traceparent_write(char *text, const W3cTraceparent *traceparent);

/* Whether the header is well-formed as a whole: keys, values, at most 32 members. */
bool w3c_tracestate_is_valid(const char *text, size_t size);
/*
 * What is passed on of a well-formed one: its members without white space and empty ones, at most
 * W3C_TRACESTATE_TEXT bytes. Where that is too little, long members go first, the last ones before
 * others, then the last ones; *wholep tells whether none had to. Returns the bytes.
 */
size_t w3c_tracestate_pack(char *out, bool *wholep, const char *text, size_t size);

typedef struct W3cBaggageReader {
        const char *at;
        const char *end;
        unsigned n_malformed; /* members that were passed over */
} W3cBaggageReader;

typedef struct W3cBaggageMember {
        const char *name; /* a token, as it stands in the header */
        size_t name_size;
        const char *value; /* still percent-encoded, without white space around it */
        size_t value_size;
        const char *properties; /* what follows the first ';', or NULL */
        size_t properties_size;
} W3cBaggageMember;

static inline W3cBaggageReader w3c_baggage_reader(const char *text, size_t size) {
        return (W3cBaggageReader){.at = text, .end = text + size};
}

/* The next well-formed member; those that are not are passed over. False at the end. */
bool w3c_baggage_next(W3cBaggageReader *reader, W3cBaggageMember *member);
bool w3c_baggage_name_is_valid(const char *name, size_t size);
/*
 * Percent-decoding; invalid UTF-8 and NUL come out as U+FFFD. Returns the bytes it takes, also when
 * `out` is NULL; at most 3 * size.
 */
size_t w3c_baggage_decode(char *out, const char *value, size_t size);
/* Percent-encodes '%' and all outside baggage-octet. Returns the bytes; at most 3 * size. */
size_t w3c_baggage_encode(char *out, const char *value, size_t size);

enum { W3C_ENVIRON_NAME_SIZE = 64 };

/*
 * A header's name as an environment variable's: in upper case, '_' for what is neither letter nor
 * digit, and before a digit at the front. Cut to the room, with a NUL.
 */
void w3c_environ_name(char out[W3C_ENVIRON_NAME_SIZE], const char *name);

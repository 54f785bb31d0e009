#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a connection begins with, and what the daemon says on it or in its client's stead
 *
 * Of a HELLO only the version and the token are read here; the rest is the recorder's.
 *
 * I/O: none.
 */

#include "daemon/base/buffer.h"
#include "proto/arena.h"
#include "proto/record.h"

#include <stdbool.h>

typedef struct ProtocolHello {
        uint32_t version;
        const uint8_t *token; /* RECORD_TOKEN_SIZE bytes in the body; NULL: a new session */
        bool arena;           /* it would write to one */
} ProtocolHello;

enum {
        _PROTOCOL_E_SUCCESS,

        PROTOCOL_E_ENCODING, /* not well-formed protobuf */
        PROTOCOL_E_VERSION,  /* a version that is not spoken here */
        PROTOCOL_E_TOKEN,    /* a token that is not 16 bytes */
};

int protocol_read_hello(ProtocolHello *hellop, const uint8_t *body, size_t size);
const char *protocol_error_text(int error);

enum { PROTOCOL_LOST_MAX = 96 };

/* Writes a LOST for an arena's counts, of at most PROTOCOL_LOST_MAX bytes; returns how many. */
size_t protocol_write_lost(uint8_t *data, const uint64_t lost[_ARENA_LOST_N]);

/* What clients are to record. */
typedef struct ProtocolSampling {
        bool all;           /* also what their samplers say no to */
        uint64_t threshold; /* the ceiling (proto/sampling.h) */
} ProtocolSampling;

/* Each appends a record. */
int protocol_put_welcome(Buffer *out, const uint8_t *token, bool arena,
                         const ProtocolSampling *sampling);
int protocol_put_sampling(Buffer *out, const ProtocolSampling *sampling);
/* How far what was said has come, as a FLUSH asks and a FLUSHED tells. */
typedef enum ProtocolLevel {
        PROTOCOL_LEVEL_JOURNALED,
        PROTOCOL_LEVEL_SYNCED,
        PROTOCOL_LEVEL_DELIVERED,
} ProtocolLevel;

/* That a FLUSH asks for. One that is not known is as good as the last. */
ProtocolLevel protocol_read_flush(const uint8_t *body, size_t size);

/* What a FLUSHED tells, the counts since the last one. */
typedef struct ProtocolFlushed {
        ProtocolLevel level;
        uint64_t n_refused; /* records */
        uint64_t n_orphans; /* records about spans that are not there */
} ProtocolFlushed;

int protocol_put_flushed(Buffer *out, uint64_t id, const ProtocolFlushed *flushed);
int protocol_put_error(Buffer *out, const char *text);

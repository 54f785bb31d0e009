#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Records
 *
 * All that a client says, and all that the daemon decides, is a record: a header of 24 bytes,
 * little-endian, then a body that the type names. Records start at multiples of 8; the size in the
 * header counts the header and the body, not the padding behind it. A client's records travel over
 * the stream socket or through an arena, and lie in the journal as they came.
 *
 * I/O: none.  Threads: any.
 */

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
        RECORD_HEADER_SIZE = 24,
        RECORD_ALIGNMENT = 8,
        RECORD_SIZE_MAX = 256 * 1024, /* header and body */
        RECORD_SEND_MAX = 32 * 1024,  /* what one send on the stream may carry */
        RECORD_VERSION = 1,           /* Hello.version and Welcome.version */
        RECORD_TOKEN_SIZE = 16,       /* Welcome.token: names a session across connections */
};

typedef enum RecordType {
        /* between client and daemon */
        RECORD_HELLO = 1,   /* catena.v1.Hello */
        RECORD_WELCOME = 2, /* catena.v1.Welcome */
        RECORD_SCOPE = 3,   /* opentelemetry InstrumentationScope; id: its number in the session */
        RECORD_CONTEXT = 4, /* catena.v1.Context fragment; context: its number */
        RECORD_SPAN = 5,    /* opentelemetry Span fragment; id: the span id's bytes as they stand */
        RECORD_LOG = 6,     /* opentelemetry LogRecord */
        RECORD_LOST = 7,    /* catena.v1.Lost */
        RECORD_FLUSH = 8,   /* catena.v1.Flush; id: a token the client chooses */
        RECORD_FLUSHED = 9, /* catena.v1.Flush with the level reached; id: that token */
        RECORD_WAKE = 10,   /* no body: the doorbell of an arena */
        RECORD_BYE = 11,    /* no body: an orderly goodbye */
        RECORD_ERROR = 12,  /* catena.v1.Error: why the daemon hangs up */
        /* catena.v1.Welcome, of which recording and threshold have changed */
        RECORD_SAMPLING = 13,

        /* the daemon's decisions, only in the journal; `context` holds the session's number */
        RECORD_SESSION = 64,     /* catena.v1.Session: a session begins */
        RECORD_SESSION_END = 65, /* catena.v1.SessionEnd: it is over, its open spans end */
        RECORD_STATE = 66,       /* catena.v1.JournalState: before objects are written anew */
        RECORD_BATCH = 67,       /* catena.v1.Batch: a batch is sealed */
        RECORD_DONE = 68,        /* catena.v1.Done: an exporter's answer for a batch */
        RECORD_DROP = 69,        /* catena.v1.Drop: an exporter is gone, and what it owed */
        RECORD_KEEP = 70,        /* catena.v1.Keep: what sampling decided of traces */
        RECORD_EXPIRED = 71,     /* catena.v1.Expired: a detached span that nobody has ended */
} RecordType;

enum {
        /* the client's flags */
        RECORD_START = 0x0001,    /* SPAN, CONTEXT: the first fragment */
        RECORD_END = 0x0002,      /* SPAN, CONTEXT: the last one; with START: the whole */
        RECORD_DETACHED = 0x0004, /* SPAN: any process of the user may change and end it */
        RECORD_CLIENT_FLAGS = 0x00ff,

        /* the daemon's, written before a block is committed; from a client they must be 0 */
        RECORD_VERDICT_SHIFT = 8,
        RECORD_VERDICT_MASK = 0x0f00, /* RecordVerdict; a refused record keeps only its header */
        RECORD_UNSAMPLED = 0x1000,    /* of a START: its span waits for a KEEP */
        RECORD_SNAPSHOT = 0x8000,     /* replaces every earlier record of its object */
};

/* Why the daemon refused a record. X(symbol, value, name in status and metrics, meaning) */
#define RECORD_VERDICTS(X)                                                                         \
        X(ACCEPTED, 0, "accepted", "taken")                                                        \
        X(MALFORMED, 1, "malformed", "the body breaks a rule of the format")                       \
        X(FULL, 2, "journal_full", "the journal is full, or open spans hold half of it")           \
        X(SHARE, 3, "uid_share", "the client's user holds its whole share of the journal")         \
        X(DUPLICATE, 4, "duplicate_id", "a START with the id of a span that is still held")        \
        X(TOO_LARGE, 5, "object_too_large", "its span or context would pass its bound")            \
        X(UNSUPPORTED, 6, "unsupported", "a detached span of the overflow user, whom many share")

typedef enum RecordVerdict {
#define RECORD_VERDICT_X(symbol, value, name, meaning) RECORD_VERDICT_##symbol = (value),
        RECORD_VERDICTS(RECORD_VERDICT_X)
#undef RECORD_VERDICT_X
                RECORD_VERDICTS_N,
} RecordVerdict;

typedef struct RecordHeader {
        uint32_t size; /* bytes, of header and body */
        uint16_t type; /* RecordType, or a number from a newer version */
        uint16_t flags;
        uint32_t context; /* number of the context in its session; 0: none */
        /*
         * Number of the scope in its session; 0: the application's. A span's is that of its START.
         * Of what else is said of a DETACHED span, the journal has the number of the session that
         * started it here; 0: it was not known.
         */
        uint32_t scope;
        uint64_t id;
} RecordHeader;

/* Why bytes are not a record. */
enum {
        _RECORD_E_SUCCESS,

        RECORD_E_PARTIAL, /* so far fine, but not all of it is there */
        RECORD_E_SIZE,    /* smaller than its header or larger than RECORD_SIZE_MAX */
        RECORD_E_TYPE,    /* not a type that a client may send */
        RECORD_E_FLAGS,   /* flags set that only the daemon may set */
};

/* Bytes from the start of this record to the start of the next. */
static inline size_t record_stride(size_t size) {
        return (size + RECORD_ALIGNMENT - 1) & ~(size_t)(RECORD_ALIGNMENT - 1);
}

/*
 * `data` holds 24 bytes; alignment does not matter. Here and below word by word: processors stall
 * where what was written in halves is read as a whole.
 */
static inline RecordHeader record_header_read(const uint8_t *data) {
        uint64_t kind, place, id;

        memcpy(&kind, data, sizeof kind);
        memcpy(&place, data + 8, sizeof place);
        memcpy(&id, data + 16, sizeof id);
        kind = le64toh(kind);
        place = le64toh(place);
        return (RecordHeader){
                .size = (uint32_t)kind,
                .type = (uint16_t)(kind >> 32),
                .flags = (uint16_t)(kind >> 48),
                .context = (uint32_t)place,
                .scope = (uint32_t)(place >> 32),
                .id = le64toh(id),
        };
}

static inline void record_header_write(uint8_t *data, const RecordHeader *header) {
        uint64_t kind = htole64((uint64_t)header->flags << 48 | (uint64_t)header->type << 32 |
                                header->size);
        uint64_t place = htole64((uint64_t)header->scope << 32 | header->context);
        uint64_t id = htole64(header->id);

        memcpy(data, &kind, sizeof kind);
        memcpy(data + 8, &place, sizeof place);
        memcpy(data + 16, &id, sizeof id);
}

static inline RecordVerdict record_verdict(uint16_t flags) {
        return (RecordVerdict)((flags & RECORD_VERDICT_MASK) >> RECORD_VERDICT_SHIFT);
}

/*
 * Reads the header at the front of `data` and judges the frame as a client's: size, type, flags.
 * RECORD_E_PARTIAL until the record and its padding lie within `size`; *headerp is set as soon as
 * 24 bytes are there and the frame is fine.
 */
int record_frame(RecordHeader *headerp, const uint8_t *data, size_t size);

const char *record_verdict_name(RecordVerdict verdict); /* "malformed" */
const char *record_error_text(int error); /* a RECORD_E_*, as the ERROR record says it */

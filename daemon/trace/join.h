#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Joining
 *
 * Protobuf merges by concatenation, so a span is the bytes of its fragments one behind the other:
 * its START, the updates in the order they came, its END, then its context's attributes. That copy
 * is all there is to it unless the pieces conflict (a key set twice, two names or statuses, a limit
 * passed, a field unknown to our OTLP version). Then the span is rebuilt, once: the last value
 * wins, limits leave dropped counts, unknown fields are removed and counted.
 *
 * I/O: none.  Pure.
 */

#include "daemon/base/buffer.h"
#include "proto/validate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        JOIN_KEYS_MAX = 256,
};

typedef struct JoinPiece {
        const uint8_t *data; /* a validated fragment */
        size_t size;
        bool closes; /* the daemon's own END: its status stands whatever came before, and … */
        bool exempt; /* … its attributes are beside the limit, as the context's are */
} JoinPiece;

/* In the order of catena.v1.SpanLimits. */
typedef struct JoinLimits {
        uint32_t attributes; /* of a span */
        uint32_t events;
        uint32_t links;
        uint32_t value_length;     /* characters, or bytes of bytes; UINT32_MAX: unlimited */
        uint32_t event_attributes; /* of one event */
        uint32_t link_attributes;
        uint32_t log_attributes; /* the same of log records */
        uint32_t log_value_length;
} JoinLimits;

typedef struct JoinReport {
        uint64_t n_unknown_fields; /* removed */
        uint64_t n_dropped;        /* attributes, events and links over a limit */
} JoinReport;

/*
 * Whether an attribute key stands twice in the pieces: exact, for when their blooms meet. Past
 * JOIN_KEYS_MAX attributes it is taken for granted.
 */
bool join_keys_repeat(const JoinPiece *pieces, size_t n_pieces);

/* Whether a later status takes the place of one before it: Ok is final, Error beats Unset. */
bool join_status_wins(uint32_t before, uint32_t status);

size_t join_size(const JoinPiece *pieces, size_t n_pieces);
/* Appends the pieces as they are. */
int join_copy(Buffer *out, const JoinPiece *pieces, size_t n_pieces);

/*
 * Appends one Span message in which each singular field and each attribute key stands once.
 * Attributes keep the place where their key first stood. Status: Ok is final, Error beats Unset, a
 * message only with Error; a piece that closes overrides that. Key order, events and links stay as
 * they came. Beyond a limit the first ones stay, and dropped_*_count grows by the rest. Without
 * limits (NULL) nothing in the pieces is over one, nor unknown: their nested messages are copied.
 */
int join_rebuild_span(Buffer *out, JoinReport *report, const JoinPiece *pieces, size_t n_pieces,
                      const JoinLimits *limits);
/* The same for a LogRecord (one piece, as it came). */
int join_rebuild_log(Buffer *out, JoinReport *report, const JoinPiece *piece,
                     const JoinLimits *limits);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Probability sampling
 *
 * The last 7 bytes of a trace id are a random number R of 56 bits. A ratio p is a threshold T =
 * (1 - p) * 2^56, and a trace is kept where R >= T: so whoever asks decides alike, and what a lower
 * ratio keeps a higher one keeps, too. What was kept tells its threshold in tracestate, as the
 * sub-key `th` of the member `ot`: T in 14 hex digits without the zeros at their end.
 *
 * I/O: none.  Threads: any.  Follows OpenTelemetry's "TraceState: Probability Sampling".
 */

#include "proto/id.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SAMPLING_NEVER (UINT64_C(1) << 56) /* the threshold that no trace reaches */

enum {
        SAMPLING_THRESHOLD_TEXT = 14,  /* without the NUL */
        SAMPLING_TRACESTATE_MORE = 32, /* what a tracestate may grow by, with the NUL */
};

static inline uint64_t sampling_randomness(const uint8_t trace_id[ID_TRACE_SIZE]) {
        uint64_t word;

        memcpy(&word, trace_id + ID_TRACE_SIZE - sizeof word, sizeof word);
        return be64toh(word) & (SAMPLING_NEVER - 1);
}

static inline bool sampling_keeps(uint64_t threshold, const uint8_t trace_id[ID_TRACE_SIZE]) {
        return sampling_randomness(trace_id) >= threshold;
}

/* A decimal number from 0 to 1, as "0.25" or "1e-3", whatever the locale; false: it is none. */
bool sampling_ratio_read(double *ratiop, const char *text);
uint64_t sampling_threshold(double ratio);
/* Writes up to 14 digits and a NUL. */
void sampling_threshold_write(char *text, uint64_t threshold);

/* The threshold that a tracestate tells; false: none. */
bool sampling_tracestate_read(uint64_t *thresholdp, const char *tracestate);
/*
 * Has it tell the threshold, or none any more (SAMPLING_NEVER). `out` has room for the text and
 * SAMPLING_TRACESTATE_MORE. The member that changes goes to the front; of over 32 members the last
 * goes. An empty one comes out where nothing is left to say.
 */
void sampling_tracestate_write(char *out, const char *tracestate, uint64_t threshold);

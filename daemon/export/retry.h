#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Retry
 *
 * What an answer of the collector means for the batch that was sent, and when to try again. A batch
 * that was answered is done with: delivered, or dropped and counted. Only 429, 502, 503, 504 and
 * connections that failed are tried again, later each time, with jitter; Retry-After is honoured.
 *
 * I/O: none.  Clock and randomness: passed in.
 */

#include "daemon/trace/batch.h"

#include <stddef.h>
#include <stdint.h>

enum { RETRY_TEXT_MAX = 255 };

#define RETRY_AFTER_MAX_NS UINT64_C(3600000000000) /* what is honoured of a Retry-After: 1 h */

typedef enum RetryResult {
        RETRY_DELIVERED, /* all of it */
        RETRY_PARTIAL,   /* some of it was rejected, or there is a warning */
        RETRY_REFUSED,   /* all of it is dropped; the like of it would be, too */
        RETRY_LATER,
} RetryResult;

typedef struct RetryVerdict {
        RetryResult result;
        BatchOutcome outcome;          /* but of RETRY_LATER */
        uint64_t delay_ns;             /* of RETRY_LATER: as the collector wishes; 0: no wish */
        char text[RETRY_TEXT_MAX + 1]; /* why; UTF-8 without control characters; "" when well */
} RetryVerdict;

typedef struct RetryResponse {
        unsigned status;
        const char *reason;
        const char *content_type, *retry_after; /* or NULL */
        const uint8_t *body;
        size_t size;
} RetryResponse;

void retry_judge(RetryVerdict *verdict, const RetryResponse *response, uint64_t n_objects,
                 uint64_t now_unix_ns);
/* There was no whole answer: the connection failed. */
void retry_judge_failure(RetryVerdict *verdict, const char *text);
/* There was an answer that nothing can be made of. */
void retry_judge_refusal(RetryVerdict *verdict, const char *text, uint64_t n_objects);

/* How long to wait, doubling from try to try. */
typedef struct Retry {
        uint64_t initial_ns, max_ns;
        uint64_t next_ns; /* 0: the last try was answered */
} Retry;

uint64_t retry_delay(Retry *retry, const RetryVerdict *verdict, uint64_t random);
/* The collector has answered. */
void retry_reset(Retry *retry);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The page
 *
 * What the sink has seen, in a file that the load generator and the driver map too: so nobody has
 * to ask it, and the load generator knows how many spans are under way.
 */

#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>

enum {
        PAGE_BUCKETS = 1000 * 1000, /* of a microsecond each; the last one: and longer */
};

typedef struct Page {
        _Atomic uint64_t n_spans;
        _Atomic uint64_t n_requests;
        _Atomic uint64_t n_bytes;    /* of bodies, as they were sent */
        _Atomic uint64_t n_bad;      /* requests that were not OTLP traces */
        _Atomic uint64_t delay_ns;   /* the batch delay; 0: latencies are not taken */
        _Atomic uint64_t full_bytes; /* a request of so many was sent because its batch was full */
        /* Spans, by how long after their batch was due the last byte of their request came. */
        _Atomic uint64_t late_us[PAGE_BUCKETS];
} Page;

/* Maps the file, which is made if it is not there. Ends the program when that fails. */
Page *page_open(const char *path);

uint64_t page_now_ns(void); /* Unix time */

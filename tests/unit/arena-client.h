#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A client of a fake daemon that gives arenas, for the tests of both. */

#include "lib/catena.h"
#include "tests/unit/fake-daemon.h"
#include "tests/unit/unit.h"

static FakeDaemon fake;
static catena_context *context;

static inline void start(void) {
        fake_daemon_open(&fake);
}

/* Opens an arena of so many chunks. */
static inline void begin(uint32_t n_chunks) {
        fake_daemon_open_arena(&fake, n_chunks);
        context = catena_context_new("w", NULL);
}

static inline void stop(void) {
        catena_context_free(context);
        fake_daemon_close(&fake);
}

static inline catena_stats stats(void) {
        catena_stats known;

        catena_stats_get(&known, sizeof known);
        return known;
}

static inline void say_span(void) {
        catena_span_end(catena_span_start(context, "s", 0));
}

static inline size_t n_spans_said(void) {
        return fake_daemon_count(&fake, RECORD_SPAN, RECORD_END);
}

static inline int compare_records(const void *left, const void *right) {
        const RecordHeader *a = &((const FakeRecord *)left)->header;
        const RecordHeader *b = &((const FakeRecord *)right)->header;

        if (a->id != b->id)
                return a->id < b->id ? -1 : 1;
        return (int)(a->flags & 3) - (int)(b->flags & 3);
}

/* How many fragments of spans the first connection said of a kind; none of them twice. */
static inline size_t count_once(uint16_t flags) {
        uint64_t last = 0;
        size_t n = 0;

        for (size_t i = 0; i < fake.n_records; i++) {
                const RecordHeader *header = &fake.records[i].header;

                if (fake.records[i].connection != 1 || header->type != RECORD_SPAN ||
                    (header->flags & 3) != flags)
                        continue;
                ck_assert_uint_ne(header->id, last);
                last = header->id;
                n++;
        }
        return n;
}

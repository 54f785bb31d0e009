#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Fragments of spans and log records, written as a client would. */

#include "proto/pb.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

typedef struct Fragment {
        uint8_t data[4096];
        PbWriter writer;
} Fragment;

static inline PbWriter *fragment_begin(Fragment *fragment) {
        fragment->writer = pb_writer(fragment->data, sizeof fragment->data);
        return &fragment->writer;
}

static inline void put_text(PbWriter *writer, uint32_t number, const char *text) {
        pb_put_bytes(writer, number, text, strlen(text));
}

static inline void put_attribute(PbWriter *writer, uint32_t number, const char *key,
                                 const char *value) {
        size_t value_size = pb_bytes_size(1, strlen(value));

        pb_put_prefix(writer, number, pb_bytes_size(1, strlen(key)) + pb_bytes_size(2, value_size));
        put_text(writer, 1, key);
        pb_put_prefix(writer, 2, value_size);
        put_text(writer, 1, value);
}

static inline void put_status(PbWriter *writer, unsigned code, const char *message) {
        size_t size = pb_varint_size(code) + 1 + (message ? pb_bytes_size(2, strlen(message)) : 0);

        pb_put_prefix(writer, 15, size);
        if (message)
                put_text(writer, 2, message);
        pb_put_varint(writer, 3, code);
}

static inline void put_event(PbWriter *writer, const char *name, unsigned n_attributes) {
        uint8_t event[2048];
        PbWriter inner = pb_writer(event, sizeof event);
        char key[16];

        pb_put_fixed64(&inner, 1, 1);
        put_text(&inner, 2, name);
        for (unsigned i = 0; i < n_attributes; i++) {
                snprintf(key, sizeof key, "e%u", i);
                put_attribute(&inner, 3, key, "v");
        }
        ck_assert(!inner.failed);
        pb_put_bytes(writer, 11, event, (size_t)(inner.at - event));
}

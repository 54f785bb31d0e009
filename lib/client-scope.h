#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Scopes
 *
 * Who instruments: interned, numbered from 1, never freed.
 *
 * Threads: any.
 */

#include "lib/catena.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
        SCOPE_TEXT_MAX = 256, /* bytes of a name, a version */
};

struct catena_scope {
        catena_scope *next;
        uint32_t number;
        _Atomic uint64_t announced; /* the connection that knows it; 0: none */
        char *schema_url;           /* or NULL */
        size_t size;
        uint8_t encoded[]; /* an InstrumentationScope */
};

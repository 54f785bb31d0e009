/* SPDX-License-Identifier: Apache-2.0 */

#include "catena.h"

/* A second time: harmless. */
#include "catena.h"

int catena_header_c11(void);

int catena_header_c11(void) {
        catena_span span = {0};
        catena_attribute attribute = {.key = "k", .value.string = "v"};

        return span.flags + (int)attribute.type;
}

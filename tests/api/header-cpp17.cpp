// SPDX-License-Identifier: Apache-2.0

#include "catena.h"

int catena_header_cpp17(void);

int catena_header_cpp17(void) {
        catena_span span = {};
        catena_attribute attribute = {};

        attribute.value.string = "v";
        return span.flags + static_cast<int>(attribute.type);
}

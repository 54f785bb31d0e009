// SPDX-License-Identifier: Apache-2.0

#include "catena.hpp"

/* A second time: harmless. */
#include "catena.h"
#include "catena.hpp"

int catena_header_cpp17(void);

int catena_header_cpp17(void) {
        catena_span span = {};
        catena_attribute attribute = {};

        attribute.value.string = "v";

        catena::context context{"order"};
        catena::span scoped{context, "pay"};

        scoped.set("n", 1);
        context.set_tag("region", "eu");
        context.inject([](const char *, const char *) {});
        scoped.inject(context, [](const char *, const char *) {});
        catena::context::extract(
                [](const char *, std::size_t) -> const char * { return nullptr; });
        return span.flags + static_cast<int>(attribute.type) + scoped.run([] { return 0; });
}

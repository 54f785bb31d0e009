#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * OTLP/JSON
 *
 * From encoded OTLP, validated before, to what the OTLP specification says of its JSON: names in
 * lowerCamelCase, ids in hex, enumerations as numbers, 64-bit integers as strings. Repeated fields
 * may lie scattered, as in a span that was joined of its pieces. Unknown fields are left out.
 *
 * I/O: none.
 */

#include "daemon/control/render.h"
#include "proto/otlp.h"

/* The members of a message, into the object that is open. */
void otlp_json_members(Render *render, OtlpMessage message, const uint8_t *data, size_t size);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Durations as people write them
 *
 * I/O: none.
 */

#include <stdbool.h>
#include <stdint.h>

#define DURATION_FORMS "500ms, 5s, 2m or 1h"

/* Reads one of DURATION_FORMS; false on anything else, or over a year. */
bool duration_read(uint64_t *nsp, const char *text);

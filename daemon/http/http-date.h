#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * HTTP dates and Retry-After
 *
 * I/O: none.  Clock: passed in.
 */

#include <stdbool.h>
#include <stdint.h>

/* In any of HTTP's three forms, all of them UTC. False: none of them, or before 1970. */
bool http_date_parse(uint64_t *unix_secondsp, const char *text, uint64_t now_unix_ns);
/* The value of Retry-After, seconds or a date; a date that is past is a delay of 0. */
bool http_date_retry_after(uint64_t *delay_nsp, const char *value, uint64_t now_unix_ns);

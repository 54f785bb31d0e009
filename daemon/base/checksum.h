#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Checksum
 *
 * CRC-32 (ISO-HDLC, as in gzip). The sum of two pieces is the sum of the second, seeded with the
 * sum of the first; whoever does not know the seed cannot make bytes that fit.
 *
 * I/O: none.  Threads: any.
 */

#include <stddef.h>
#include <stdint.h>

/* seed: 0, or the sum of what stands before. */
uint32_t checksum_crc32(uint32_t seed, const void *data, size_t size);

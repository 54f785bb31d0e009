#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Time and chance
 *
 * All times said are the monotonic clock plus an offset to Unix time, so that durations are
 * monotonic without anything kept for a span. When the wall clock has been set or the machine has
 * slept, the offset is taken anew: a new era. A span ends in the era in which it started.
 *
 * Random numbers come from a generator a thread, seeded by the kernel, anew after a fork.
 *
 * Threads: any.  Signal handlers: the clock only.
 */

#include <stddef.h>
#include <stdint.h>

uint64_t catena__clock_ns(void); /* monotonic */
uint64_t
catena__clock_coarse_ns(void); /* the same, up to 10 ms behind, at a quarter of the price */
/* The era that fits the wall clock now. */
uint8_t catena__clock_era(void);
/* The last era that was asked for. */
uint8_t catena__clock_last_era(void);
/* Unix time, at a reading of the monotonic clock just now, in the era that fits. */
uint64_t catena__clock_wall_ns(uint64_t clock_ns);
/* Unix time in an era. */
uint64_t catena__clock_unix_ns(uint8_t era, uint64_t clock_ns);

uint64_t catena__random_word(void);
/* `size`: a multiple of 8. */
void catena__random(void *out, size_t size);

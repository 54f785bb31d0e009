#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Text and attributes, encoded
 *
 * No allocation, fit for signal handlers. Text that is not UTF-8 is written with U+FFFD in it. What
 * is short and plain, as most is, goes a shorter way: text is looked at while it is copied.
 *
 * I/O: none.  Threads: any.
 */

#include "lib/catena.h"
#include "proto/pb.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A string field, tag included. */
size_t catena__text_size(uint32_t number, const char *text, size_t size);
void catena__text_write(PbWriter *writer, uint32_t number, const char *text, size_t size);

/* A KeyValue field, tag included; 0 and false: it cannot be written, and is passed over. */
size_t catena__attribute_size(uint32_t number, const catena_attribute *attribute);
bool catena__attribute_write(PbWriter *writer, uint32_t number, const catena_attribute *attribute);

/* The same for a list; returns how many were passed over. */
size_t catena__attributes_size(uint32_t number, const catena_attribute *attributes, size_t n);
unsigned catena__attributes_write(PbWriter *writer, uint32_t number,
                                  const catena_attribute *attributes, size_t n);

/*
 * The short way, for text that ends with a NUL and attributes that are short and plain: returns
 * the end of what was written, NULL where it must go the other way.
 */
uint8_t *catena__text_write_short(uint8_t *at, const uint8_t *end, uint32_t number,
                                  const char *text);
uint8_t *catena__attribute_write_short(uint8_t *at, const uint8_t *end, uint32_t number,
                                       const catena_attribute *attribute);

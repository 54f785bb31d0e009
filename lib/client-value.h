#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Text and attributes, encoded
 *
 * Sizes first, then the bytes: no allocation, fit for signal handlers. Text that is not UTF-8 is
 * written with U+FFFD in it. An attribute that cannot be written has the size 0 and writes nothing.
 *
 * I/O: none.  Threads: any.
 */

#include "lib/catena.h"
#include "proto/pb.h"

#include <stddef.h>
#include <stdint.h>

/* A string field, tag included. */
size_t catena__text_size(uint32_t number, const char *text, size_t size);
void catena__text_write(PbWriter *writer, uint32_t number, const char *text, size_t size);

/* A KeyValue field, tag included. */
size_t catena__attribute_size(uint32_t number, const catena_attribute *attribute);
void catena__attribute_write(PbWriter *writer, uint32_t number, const catena_attribute *attribute);

/* The same for a list; attributes that cannot be written are passed over and counted. */
size_t catena__attributes_size(uint32_t number, const catena_attribute *attributes, size_t n);
void catena__attributes_write(PbWriter *writer, uint32_t number, const catena_attribute *attributes,
                              size_t n);

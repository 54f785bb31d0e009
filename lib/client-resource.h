#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The resource
 *
 * Who speaks: an encoded OTLP Resource, made once from the program's options, the environment and
 * the kernel, in this order of precedence; only the pid is written anew each time, since a forked
 * child has its own.
 *
 * I/O: reads the environment, the host's name and its own.  Bound: 24 KiB; what is over is left
 * out.
 */

#include "lib/catena.h"
#include "proto/pb.h"

#include <stddef.h>

void catena__resource_build(const catena_options *options);
size_t catena__resource_size(void);
void catena__resource_write(PbWriter *writer);

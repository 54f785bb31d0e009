#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Resources
 *
 * What the daemon adds to the resource of every client, and what it says of itself where it is the
 * one who tells: both as OTLP.
 *
 * I/O: the host's name, randomness.
 */

#include "daemon/base/buffer.h"
#include "daemon/config.h"

/* Appends the configured attributes as in an OTLP Resource: repeated KeyValue attributes = 1. */
int resource_encode_added(Buffer *out, const ConfigResource *config);
/* Appends a Resource: service.name and so on, each unless it is configured, and what is. */
int resource_encode_own(Buffer *out, const ConfigResource *config);

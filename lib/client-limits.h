#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Limits
 *
 * What OTEL_SPAN_*_LIMIT, OTEL_EVENT_…, OTEL_LINK_…, OTEL_LOGRECORD_… and OTEL_ATTRIBUTE_*_LIMIT
 * say. The library keeps none of them: HELLO tells the daemon, which settles what is over.
 *
 * I/O: reads the environment.
 */

#include "proto/pb.h"

void catena__limits_init(void);
/* Writes them as a catena.v1.SpanLimits; nothing where none are set. Fit for signal handlers. */
void catena__limits_write(PbWriter *writer, uint32_t number);

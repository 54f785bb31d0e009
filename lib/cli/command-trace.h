#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the commands that trace have in common
 *
 * I/O: libcatena, stderr.
 */

#include "lib/catena.h"
#include "lib/cli/options.h"

/* The attributes asked for with --attr, "K=V"; false, and told, unless all are such. */
bool command_trace_attributes(catena_attribute attributes[OPTIONS_LIST_MAX],
                              const OptionsList *list, const char *command);
/*
 * Starts the library: as the service named, unless OTEL_SERVICE_NAME names one. NULL: as what runs
 * this process, a script or its shell.
 */
void command_trace_begin(const char *service);
/*
 * Starts a span, as catena_span_start_with() does; the span of catena_span_detached(). What nobody
 * sampled, the daemon may want to record all the same: its word is waited for.
 */
catena_span command_trace_start(catena_context *context, const char *name,
                                const catena_span_options *options);
catena_span command_trace_detached(const char *traceparent);
/* Stops it when all that was said is safe; else tells why not. The exit status. */
int command_trace_end(void);

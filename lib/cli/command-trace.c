/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/command-trace.h"

#include "lib/cli/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMMAND_TRACE_STOP_MS = 1000 };

bool command_trace_attributes(catena_attribute attributes[OPTIONS_LIST_MAX],
                              const OptionsList *list, const char *command) {
        for (size_t i = 0; i < list->n; i++) {
                const char *equals = strchr(list->values[i], '=');

                if (!equals || equals == list->values[i]) {
                        fprintf(stderr, "catena %s: --attr is followed by KEY=VALUE\n", command);
                        return false;
                }
                attributes[i] = (catena_attribute){.key = list->values[i],
                                                   .key_size = (uint32_t)(equals - list->values[i]),
                                                   .value.string = equals + 1};
        }
        return true;
}

static const char *command_trace_parent(char name[32]) {
        char path[64];
        ssize_t n = -1;
        int fd;

        snprintf(path, sizeof path, "/proc/%d/comm", (int)getppid());
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
                n = read(fd, name, 31);
                close(fd);
        }
        if (n <= 0)
                return "shell";
        name[n] = '\0';
        name[strcspn(name, "\n")] = '\0';
        return name;
}

void command_trace_begin(const char *service) {
        const char *given = getenv("OTEL_SERVICE_NAME");
        char parent[32];

        if (!service)
                service = command_trace_parent(parent);
        catena_start(&(catena_options){.service_name = given && *given ? NULL : service});
}

catena_span command_trace_start(catena_context *context, const char *name,
                                const catena_span_options *options) {
        catena_span span = catena_span_start_with(context, name, options);

        if (catena_span_recording(span))
                return span;
        catena_span_end(span);
        catena_flush(COMMAND_TRACE_STOP_MS);
        return catena_span_start_with(context, name, options);
}

catena_span command_trace_detached(const char *traceparent) {
        catena_span span = catena_span_detached(traceparent);

        if (catena_span_recording(span))
                return span;
        catena_flush(COMMAND_TRACE_STOP_MS);
        return catena_span_detached(traceparent);
}

int command_trace_end(void) {
        bool safe = catena_stop(COMMAND_TRACE_STOP_MS);
        catena_stats stats = {0};

        catena_stats_get(&stats, sizeof stats);
        if (stats.orphans) {
                fputs("catena: there is no such span: it is over, was never started, or belongs to "
                      "another user\n",
                      stderr);
                return COMMAND_EXIT_NO;
        }
        if (safe)
                return COMMAND_EXIT_YES;
        if (stats.dropped_not_connected) {
                fputs("catena: no daemon is there to be told\n", stderr);
                return COMMAND_EXIT_NO_DAEMON;
        }
        fputs(stats.refused ? "catena: the daemon has refused it: see `catena status`\n"
                            : "catena: the daemon did not take it in time\n",
              stderr);
        return COMMAND_EXIT_NO;
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/catena.h"
#include "lib/cli/command-trace.h"
#include "lib/cli/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool command_log_severity(uint32_t *severityp, const char *name) {
        static const char *const names[] = {"trace", "debug", "info", "warn", "error", "fatal"};
        static const uint32_t severities[] = {
                CATENA_SEVERITY_TRACE, CATENA_SEVERITY_DEBUG, CATENA_SEVERITY_INFO,
                CATENA_SEVERITY_WARN,  CATENA_SEVERITY_ERROR, CATENA_SEVERITY_FATAL,
        };

        *severityp = CATENA_SEVERITY_INFO;
        if (!name)
                return true;
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                if (!strcmp(names[i], name)) {
                        *severityp = severities[i];
                        return true;
                }
        fputs("catena log: --severity is trace, debug, info, warn, error or fatal\n", stderr);
        return false;
}

static int command_log_run(const CommandOptions *options, char **words) {
        catena_attribute attributes[OPTIONS_LIST_MAX + 1];
        size_t n = options->attributes.n;
        catena_context *context;
        uint32_t severity;

        if (!command_trace_attributes(attributes, &options->attributes, "log") ||
            !command_log_severity(&severity, options->severity))
                return COMMAND_EXIT_USAGE;
        command_trace_begin(NULL);
        /* It shows where we are, and is not told of: a line in a log is no work of its own. */
        context = catena_context_extract_environ(0);
        if (catena_context_causation_id(context))
                attributes[n++] = (catena_attribute){
                        .key = "workflow.correlation_id",
                        .value.string = catena_context_correlation_id(context),
                };
        if (catena_context_parent_span_id(context))
                catena_span_log(catena_span_detached(getenv("TRACEPARENT")), severity, words[0],
                                attributes, n);
        else
                catena_log(NULL, severity, words[0], attributes, n);
        catena_context_free(context);
        return command_trace_end();
}

static const Option command_log_options[] = {
        {"--severity", "SEVERITY", "trace, debug, info (else), warn, error or fatal", OPTION_TEXT,
         offsetof(CommandOptions, severity)},
        COMMAND_OPTION_ATTR,
        COMMAND_OPTION_HELP,
        {0},
};

const Command command_log = {
        .name = "log",
        .words = "MESSAGE",
        .summary = "Says a log record, under the span that TRACEPARENT names",
        .details = "",
        .options = command_log_options,
        .n_words_min = 1,
        .n_words_max = 1,
        .run = command_log_run,
};

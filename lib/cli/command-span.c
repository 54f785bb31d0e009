/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/catena.h"
#include "lib/cli/command-trace.h"
#include "lib/cli/command.h"
#include "lib/cli/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what it is told ---- */

static bool command_span_kind(uint32_t *kindp, const char *name) {
        static const char *const names[] = {
                [CATENA_KIND_INTERNAL] = "internal", [CATENA_KIND_SERVER] = "server",
                [CATENA_KIND_CLIENT] = "client",     [CATENA_KIND_PRODUCER] = "producer",
                [CATENA_KIND_CONSUMER] = "consumer",
        };

        *kindp = CATENA_KIND_INTERNAL;
        if (!name)
                return true;
        for (uint32_t kind = CATENA_KIND_INTERNAL; kind <= CATENA_KIND_CONSUMER; kind++)
                if (!strcmp(names[kind], name)) {
                        *kindp = kind;
                        return true;
                }
        fputs("catena span start: --kind is internal, server, client, producer or consumer\n",
              stderr);
        return false;
}

/* The span that TRACEPARENT names; false, and told: it names none. */
static bool command_span_find(catena_span *spanp, const char *traceparent) {
        static const catena_span none;

        command_trace_begin(NULL);
        *spanp = command_trace_detached(traceparent);
        if (memcmp(spanp, &none, sizeof none))
                return true;
        fputs("catena: the first word is the span's TRACEPARENT, as `catena span start` printed "
              "it\n",
              stderr);
        return false;
}

/* ---- start ---- */

/* For a shell to evaluate. */
static void command_span_print_variable(const char *name) {
        const char *value = getenv(name);

        if (!value) {
                printf("unset %s\n", name);
                return;
        }
        printf("export %s='", name);
        for (; *value; value++)
                if (*value == '\'')
                        fputs("'\\''", stdout);
                else
                        putchar(*value);
        puts("'");
}

static const char *const command_span_variables[] = {"TRACEPARENT", "TRACESTATE", "BAGGAGE"};

enum { N_VARIABLES = sizeof command_span_variables / sizeof *command_span_variables };

static void command_span_print_json(void) {
        static const char *const members[N_VARIABLES] = {"traceparent", "tracestate", "baggage"};

        fputs("{\"v\":1", stdout);
        for (size_t i = 0; i < N_VARIABLES; i++) {
                const char *value = getenv(command_span_variables[i]);

                if (!value)
                        continue;
                printf(",\"%s\":", members[i]);
                text_print_json(stdout, value);
        }
        puts("}");
}

static void command_span_print(const CommandOptions *options) {
        const char *traceparent = getenv("TRACEPARENT");

        if (options->json)
                command_span_print_json();
        else if (options->export)
                for (size_t i = 0; i < N_VARIABLES; i++)
                        command_span_print_variable(command_span_variables[i]);
        else
                puts(traceparent ? traceparent : "");
}

static int command_span_start_run(const CommandOptions *options, char **words) {
        catena_attribute attributes[OPTIONS_LIST_MAX];
        catena_span_options start = {
                .flags = CATENA_DETACHED,
                .attributes = attributes,
                .n_attributes = options->attributes.n,
        };
        catena_context *context;
        int status;

        if (options->json && options->export) {
                fputs("catena span start: --json and --export exclude each other\n", stderr);
                return COMMAND_EXIT_USAGE;
        }
        if (!command_trace_attributes(attributes, &options->attributes, "span start") ||
            !command_span_kind(&start.kind, options->kind))
                return COMMAND_EXIT_USAGE;
        command_trace_begin(NULL);
        context = catena_context_extract_environ(0);
        catena_inject_environ(context, command_trace_start(context, words[0], &start));
        catena_context_free(context);
        status = command_trace_end(); /* before anybody hears of the span */
        command_span_print(options);
        return status;
}

/* ---- what comes after ---- */

static int command_span_event_run(const CommandOptions *options, char **words) {
        catena_attribute attributes[OPTIONS_LIST_MAX];
        catena_span span;

        if (!command_trace_attributes(attributes, &options->attributes, "span event") ||
            !command_span_find(&span, words[0]))
                return COMMAND_EXIT_USAGE;
        catena_span_event(span, words[1], attributes, options->attributes.n);
        return command_trace_end();
}

static int command_span_set_run(const CommandOptions *options, char **words) {
        catena_attribute attributes[OPTIONS_LIST_MAX];
        catena_span span;

        if (!command_trace_attributes(attributes, &options->attributes, "span set") ||
            !command_span_find(&span, words[0]))
                return COMMAND_EXIT_USAGE;
        if (options->name)
                catena_span_set_name(span, options->name);
        catena_span_set(span, attributes, options->attributes.n);
        return command_trace_end();
}

static int command_span_end_run(const CommandOptions *options, char **words) {
        catena_attribute attributes[OPTIONS_LIST_MAX];
        catena_span span;

        if (!command_trace_attributes(attributes, &options->attributes, "span end") ||
            !command_span_find(&span, words[0]))
                return COMMAND_EXIT_USAGE;
        catena_span_set(span, attributes, options->attributes.n);
        if (options->error)
                catena_span_error(span, NULL, options->error, NULL);
        catena_span_end(span);
        return command_trace_end();
}

/* ---- the table ---- */

static const Option command_span_start_options[] = {
        COMMAND_OPTION_ATTR,
        {"--kind", "KIND", "internal, server, client, producer or consumer", OPTION_TEXT,
         offsetof(CommandOptions, kind)},
        {"--export", NULL, "print all three variables, to be evaluated by the shell", OPTION_FLAG,
         offsetof(CommandOptions, export)},
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_HELP,
        {0},
};

static const Option command_span_event_options[] = {
        COMMAND_OPTION_ATTR,
        COMMAND_OPTION_HELP,
        {0},
};

static const Option command_span_set_options[] = {
        COMMAND_OPTION_ATTR,
        {"--name", "NAME", "another name", OPTION_TEXT, offsetof(CommandOptions, name)},
        COMMAND_OPTION_HELP,
        {0},
};

static const Option command_span_end_options[] = {
        COMMAND_OPTION_ATTR,
        {"--error", "MESSAGE", "it has failed, and why", OPTION_TEXT,
         offsetof(CommandOptions, error)},
        COMMAND_OPTION_HELP,
        {0},
};

const Command command_span_start = {
        .name = "span start",
        .words = "NAME",
        .summary = "Starts a span that outlives this process",
        .group = "Starts and ends spans that outlive their process",
        .details = "The span belongs under the one that TRACEPARENT names, if any. Its own\n"
                   "TRACEPARENT is printed: the handle to change and end it, and what programs\n"
                   "need to belong under it. --export prints BAGGAGE and TRACESTATE, too, which\n"
                   "make one chain of the span and what comes under it:\n\n"
                   "  eval \"$(catena span start --export backup)\"\n"
                   "  tar cf /tmp/etc.tar /etc\n"
                   "  catena span end \"$TRACEPARENT\"\n\n"
                   "It may be ended by any process of this user. After 24 hours the daemon does.\n",
        .options = command_span_start_options,
        .n_words_min = 1,
        .n_words_max = 1,
        .run = command_span_start_run,
};

const Command command_span_event = {
        .name = "span event",
        .words = "TRACEPARENT NAME",
        .summary = "Adds an event to a span",
        .details = "",
        .options = command_span_event_options,
        .n_words_min = 2,
        .n_words_max = 2,
        .run = command_span_event_run,
};

const Command command_span_set = {
        .name = "span set",
        .words = "TRACEPARENT",
        .summary = "Sets attributes of a span, or its name",
        .details = "",
        .options = command_span_set_options,
        .n_words_min = 1,
        .n_words_max = 1,
        .run = command_span_set_run,
};

const Command command_span_end = {
        .name = "span end",
        .words = "TRACEPARENT",
        .summary = "Ends a span",
        .details = "",
        .options = command_span_end_options,
        .n_words_min = 1,
        .n_words_max = 1,
        .run = command_span_end_run,
};

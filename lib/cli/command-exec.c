/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/catena.h"
#include "lib/cli/command-request.h"
#include "lib/cli/command-trace.h"
#include "lib/cli/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { COMMAND_EXEC_STOP_MS = 1000 };

static const char *command_exec_basename(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash && slash[1] ? slash + 1 : path;
}

/* ---- the span ---- */

static catena_span command_exec_start(catena_context *context, const CommandOptions *options,
                                      char **words, const catena_attribute *attributes) {
        const char *program = command_exec_basename(words[0]);
        catena_span span;

        span = command_trace_start(context, options->name ? options->name : program, NULL);
        catena_span_set(span,
                        (catena_attribute[]){
                                {.key = "process.command", .value.string = words[0]},
                                {.key = "process.executable.name", .value.string = program},
                        },
                        2);
        catena_span_set(span, attributes, options->attributes.n);
        return span;
}

/* Says how the program ended; returns the status to exit with. */
static int command_exec_ended(catena_span span, int status) {
        const char *name;
        char text[64];

        if (!WIFSIGNALED(status)) {
                catena_span_set_int(span, "process.exit.code", WEXITSTATUS(status));
                snprintf(text, sizeof text, "exit status %d", WEXITSTATUS(status));
                if (WEXITSTATUS(status))
                        catena_span_error(span, "exit", text, NULL);
                return WEXITSTATUS(status);
        }
        name = sigabbrev_np(WTERMSIG(status));
        if (name)
                snprintf(text, sizeof text, "killed by SIG%s", name);
        else
                snprintf(text, sizeof text, "killed by signal %d", WTERMSIG(status));
        catena_span_error(span, "signal", text, NULL);
        return 128 + WTERMSIG(status);
}

static int command_exec_not_started(catena_span span, const char *program, int r) {
        const char *text = strerror(r < 0 ? -r : errno);

        fprintf(stderr, "catena: %s: %s\n", program, text);
        catena_span_error(span, "exec", text, NULL);
        return r == CHILD_E_NOT_FOUND      ? COMMAND_EXIT_NOT_FOUND
               : r == CHILD_E_NOT_RUNNABLE ? COMMAND_EXIT_NOT_RUNNABLE
                                           : COMMAND_EXIT_FAILED;
}

/* ---- the program ---- */

/* Runs it as a span; *chainp is the id of its chain, for the caller to free, or NULL. */
static int command_exec_trace(char **chainp, const CommandOptions *options, char **words,
                              const catena_attribute *attributes, const ChildGuard *guard) {
        catena_context *context;
        catena_span span;
        int status, r;
        pid_t pid;

        command_trace_begin(command_exec_basename(words[0]));
        context = catena_context_extract_environ(0);
        span = command_exec_start(context, options, words, attributes);
        catena_inject_environ(context, span);
        r = child_spawn(&pid, guard, &(ChildOptions){.argv = words, .output_fd = -1});
        if (!r) {
                catena_span_set_int(span, "process.pid", pid);
                r = child_wait(&status, pid, guard);
        }
        status = r ? command_exec_not_started(span, words[0], r) : command_exec_ended(span, status);
        catena_span_end(span);
        *chainp = context ? strdup(catena_context_correlation_id(context)) : NULL;
        catena_context_free(context);
        catena_stop(COMMAND_EXEC_STOP_MS);
        return status;
}

/* The chain as JSON to stdout, after all that the program printed; or drawn, where it errs. */
static void command_exec_show(const Local *local, const char *chain, bool json) {
        Buffer body = BUFFER_NULL;

        if (!chain || command_request_settled_chain(&body, local_control_socket(local), chain))
                return;
        if (json)
                fwrite(body.data, 1, body.size, stdout);
        else
                command_request_draw(stderr, "\n", &body);
        buffer_deinit(&body);
}

static int command_exec_run(const CommandOptions *options, char **words) {
        catena_attribute attributes[OPTIONS_LIST_MAX];
        Local *local = NULL;
        char *chain = NULL;
        ChildGuard guard;
        int status;

        if (!command_trace_attributes(attributes, &options->attributes, "exec"))
                return COMMAND_EXIT_USAGE;
        child_guard_init(&guard);
        if (options->local) {
                if (local_new(&local, &guard)) {
                        child_guard_deinit(&guard);
                        return COMMAND_EXIT_FAILED;
                }
                setenv("CATENA_SOCKET", local_socket(local), 1);
                setenv("CATENA_CONTROL", local_control_socket(local), 1);
        }
        status = command_exec_trace(&chain, options, words, attributes, &guard);
        if (local)
                command_exec_show(local, chain, options->json);
        local_free(local);
        free(chain);
        child_guard_deinit(&guard);
        return status;
}

static const Option command_exec_options[] = {
        {"--name", "NAME", "the span's name (the program's)", OPTION_TEXT,
         offsetof(CommandOptions, name)},
        COMMAND_OPTION_ATTR,
        {"--local", NULL, "start a daemon for this alone, and draw the chain at the end",
         OPTION_FLAG, offsetof(CommandOptions, local)},
        {"--json", NULL, "with --local: print the chain as JSON instead, on stdout", OPTION_FLAG,
         offsetof(CommandOptions, json)},
        COMMAND_OPTION_HELP,
        {0},
};

const Command command_exec = {
        .name = "exec",
        .words = "PROGRAM [ARGUMENT]...",
        .summary = "Runs a program as a span, and exits as it does",
        .details = "The program finds TRACEPARENT, TRACESTATE and BAGGAGE in its environment, so\n"
                   "that what it traces itself belongs under the span. Signals are handed on to\n"
                   "it. If no daemon is there, it runs all the same.\n\n"
                   "Exit status: the program's; 128+n when signal n killed it; 125 if catena\n"
                   "failed, 126 if the program cannot be executed, 127 if there is none.\n",
        .options = command_exec_options,
        .n_words_min = 1,
        .n_words_max = SIZE_MAX,
        .stops_at_word = true,
        .run = command_exec_run,
};

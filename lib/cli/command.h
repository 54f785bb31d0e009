#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The command's commands
 *
 * `catena [OPTION]… COMMAND …`: what all commands share. Each is a table entry with a function that
 * does it and says how the process is to exit.
 *
 * I/O: stdin, stdout, stderr, the control socket.
 */

#include "lib/cli/options.h"

enum {
        COMMAND_EXIT_YES = 0,
        COMMAND_EXIT_NO = 1, /* unhealthy, not safe in time, not found; and our own failures */
        COMMAND_EXIT_USAGE = 2,
        COMMAND_EXIT_NO_DAEMON = 3,
        COMMAND_EXIT_NOT_PERMITTED = 4,
        COMMAND_EXIT_FAILED = 125,       /* exec: our own failures, as env(1) has it, … */
        COMMAND_EXIT_NOT_RUNNABLE = 126, /* … the program cannot be executed, … */
        COMMAND_EXIT_NOT_FOUND = 127,    /* … there is none */
};

typedef struct CommandOptions {
        const char *socket; /* the control socket */
        bool json, help, version;
        const char *name; /* exec, span set: of the span; else of those to be shown */
        OptionsList attributes;
        const char *kind, *error, *severity; /* span start, span end, log */
        bool export;
        bool local;
        bool dot;       /* chain */
        bool watch;     /* status */
        bool delivered; /* flush */
        uint64_t timeout_ns;
        const char *workflow, *session, *service; /* what is to be shown, as below */
        bool errors, running, slow;
        uint64_t min_ns, since_ns, limit; /* 0: unset */
} CommandOptions;

typedef struct Command {
        const char *name; /* one word or two */
        const char *words, *summary;
        const char *group;   /* of the first whose name begins with a word: for all of these */
        const char *details; /* of the help; lines that end with a newline */
        const Option *options;
        size_t n_words_min, n_words_max;
        bool stops_at_word; /* what follows the first word belongs to it */
        int (*run)(const CommandOptions *options, char **words);
} Command;

extern const Command command_chain, command_chains, command_demo, command_exec, command_flush,
        command_log, command_ps, command_span_end, command_span_event, command_span_set,
        command_span_start, command_status, command_tail;

#define COMMAND_OPTION_SOCKET                                                                      \
        {                                                                                          \
                "--socket", "PATH", "the control socket (CATENA_CONTROL, or the daemon's)",        \
                        OPTION_TEXT, offsetof(CommandOptions, socket)                              \
        }
#define COMMAND_OPTION_JSON                                                                        \
        { "--json", NULL, "print JSON, for programs", OPTION_FLAG, offsetof(CommandOptions, json) }
#define COMMAND_OPTION_SERVICE                                                                     \
        {                                                                                          \
                "--service", "NAME", "only of this service", OPTION_TEXT,                          \
                        offsetof(CommandOptions, service)                                          \
        }
#define COMMAND_OPTION_NAME                                                                        \
        { "--name", "NAME", "only spans of this name", OPTION_TEXT, offsetof(CommandOptions, name) }
#define COMMAND_OPTION_MIN                                                                         \
        {                                                                                          \
                "--min", "TIME", "only what took as long: 100ms, 5s, 2m, 1h", OPTION_DURATION,     \
                        offsetof(CommandOptions, min_ns)                                           \
        }
#define COMMAND_OPTION_SINCE                                                                       \
        {                                                                                          \
                "--since", "TIME", "only what is as recent: 30s, 5m, 1h", OPTION_DURATION,         \
                        offsetof(CommandOptions, since_ns)                                         \
        }
#define COMMAND_OPTION_ERRORS                                                                      \
        { "--errors", NULL, "only what failed", OPTION_FLAG, offsetof(CommandOptions, errors) }
#define COMMAND_OPTION_LIMIT                                                                       \
        { "--limit", "N", "at most so many", OPTION_NUMBER, offsetof(CommandOptions, limit) }
#define COMMAND_OPTION_ATTR                                                                        \
        {                                                                                          \
                "--attr", "KEY=VALUE", "an attribute; may be repeated", OPTION_LIST,               \
                        offsetof(CommandOptions, attributes)                                       \
        }
#define COMMAND_OPTION_HELP                                                                        \
        { "--help", NULL, "print this", OPTION_FLAG, offsetof(CommandOptions, help) }

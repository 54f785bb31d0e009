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
        const char *name; /* exec */
        OptionsList attributes;
        bool local;
        bool delivered; /* flush */
        uint64_t timeout_ns;
} CommandOptions;

typedef struct Command {
        const char *name, *words, *summary;
        const char *details; /* of the help; lines that end with a newline */
        const Option *options;
        size_t n_words_min, n_words_max;
        bool stops_at_word; /* what follows the first word belongs to it */
        int (*run)(const CommandOptions *options, char **words);
} Command;

extern const Command command_chain, command_chains, command_demo, command_exec, command_flush,
        command_status;

#define COMMAND_OPTION_SOCKET                                                                      \
        {                                                                                          \
                "--socket", "PATH", "the daemon's control socket", OPTION_TEXT,                    \
                        offsetof(CommandOptions, socket)                                           \
        }
#define COMMAND_OPTION_JSON                                                                        \
        { "--json", NULL, "print JSON, for programs", OPTION_FLAG, offsetof(CommandOptions, json) }
#define COMMAND_OPTION_HELP                                                                        \
        { "--help", NULL, "print this", OPTION_FLAG, offsetof(CommandOptions, help) }

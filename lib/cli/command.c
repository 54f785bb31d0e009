/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/command.h"

#include "lib/cli/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_DEFAULT_SOCKET "/run/catena/control.sock"

static const Command *const commands[] = {
        &command_exec,     &command_span_start, &command_span_event, &command_span_set,
        &command_span_end, &command_log,        &command_status,     &command_chains,
        &command_chain,    &command_ps,         &command_tail,       &command_flush,
        &command_demo,
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const Option command_global_options[] = {
        COMMAND_OPTION_SOCKET,
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_HELP,
        {"--version", NULL, "print the version", OPTION_FLAG, offsetof(CommandOptions, version)},
        {0},
};

/* ---- help ---- */

static void command_print_options(const Option *options) {
        puts("\nOptions:");
        for (; options->name; options++) {
                char left[64];

                snprintf(left, sizeof left, "%s%s%s", options->name, options->value ? " " : "",
                         options->value ? options->value : "");
                printf("  %-18s %s\n", left, options->help);
        }
}

static void command_print_help(void) {
        puts("Usage: catena [OPTION]... COMMAND ...\n\n"
             "Traces what programs do, through the daemon catenad on this machine.\n\n"
             "Commands:");
        for (size_t i = 0; i < N_COMMANDS; i++)
                if (commands[i]->group)
                        printf("  %-18.*s %s\n", (int)strcspn(commands[i]->name, " "),
                               commands[i]->name, commands[i]->group);
                else if (!strchr(commands[i]->name, ' '))
                        printf("  %-18s %s\n", commands[i]->name, commands[i]->summary);
        command_print_options(command_global_options);
        puts("\nExit status: 0 yes, 1 no, 2 usage, 3 no daemon, 4 not permitted.\n"
             "`catena COMMAND --help` tells more.");
}

/* Whether the name begins with the word and goes on with another. */
static bool command_is_of_group(const Command *command, const char *word) {
        size_t size = strlen(word);

        return !strncmp(command->name, word, size) && command->name[size] == ' ';
}

static void command_print_help_of_group(FILE *out, const char *word) {
        fprintf(out, "Usage: catena %s ACTION ...\n\nActions:\n", word);
        for (size_t i = 0; i < N_COMMANDS; i++)
                if (command_is_of_group(commands[i], word))
                        fprintf(out, "  %-18s %s\n", commands[i]->name, commands[i]->summary);
        fprintf(out, "\n`catena %s ACTION --help` tells more.\n", word);
}

static void command_print_help_of(const Command *command) {
        printf("Usage: catena %s [OPTION]... %s%s\n\n%s.\n", command->name,
               command->stops_at_word ? "[--] " : "", command->words, command->summary);
        if (*command->details)
                printf("\n%s", command->details);
        command_print_options(command->options);
}

/* ---- which command ---- */

static int command_usage(const Command *command, const char *problem) {
        fprintf(stderr, "catena%s%s: %s\nTry `catena%s%s --help`.\n", command ? " " : "",
                command ? command->name : "", problem, command ? " " : "",
                command ? command->name : "");
        return COMMAND_EXIT_USAGE;
}

/* How many of the words make up the name; 0: they are others. */
static size_t command_match(const char *name, char *const *words) {
        size_t n = 0, size;

        do {
                size = strcspn(name, " ");
                if (!words[n] || strlen(words[n]) != size || memcmp(words[n], name, size))
                        return 0;
                n++;
                name += size;
        } while (*name++);
        return n;
}

/* *usedp: how many words its name has. */
static const Command *command_find(size_t *usedp, char *const *words) {
        for (size_t i = 0; i < N_COMMANDS; i++) {
                *usedp = command_match(commands[i]->name, words);
                if (*usedp)
                        return commands[i];
        }
        return NULL;
}

/* The first word of a name, and not the second. */
static int command_half(char *const *words) {
        bool help = words[1] && (!strcmp(words[1], "--help") || !strcmp(words[1], "-h"));

        if (words[1] && !help) {
                fprintf(stderr, "catena %s: unknown action ", words[0]);
                text_print(stderr, words[1], 60);
                fputc('\n', stderr);
        }
        command_print_help_of_group(help ? stdout : stderr, words[0]);
        return help ? COMMAND_EXIT_YES : COMMAND_EXIT_USAGE;
}

static int command_unknown(char *const *words) {
        const char *names[N_COMMANDS + 1] = {NULL}, *word = words[0], *nearest;

        for (size_t i = 0; i < N_COMMANDS; i++) {
                if (command_is_of_group(commands[i], word))
                        return command_half(words);
                names[i] = commands[i]->name;
        }
        nearest = text_nearest(word, names);
        fputs("catena: unknown command ", stderr);
        text_print(stderr, word, 60);
        if (nearest)
                fprintf(stderr, "; did you mean %s?", nearest);
        fputs("\nTry `catena --help`.\n", stderr);
        return COMMAND_EXIT_USAGE;
}

static int command_run(const Command *command, CommandOptions *options, char **argv) {
        char problem[OPTIONS_PROBLEM_MAX];
        size_t n_words;

        if (options_read(&n_words, options, problem, command->options, argv,
                         command->stops_at_word))
                return command_usage(command, problem);
        if (options->help) {
                command_print_help_of(command);
                return COMMAND_EXIT_YES;
        }
        if (n_words < command->n_words_min) {
                const char *word = command->words;

                while (n_words--)
                        word += strcspn(word, " ") + 1;
                snprintf(problem, sizeof problem, "%.*s is missing", (int)strcspn(word, " "), word);
                return command_usage(command, problem);
        }
        if (n_words > command->n_words_max)
                return command_usage(command, "too many words");
        return command->run(options, argv);
}

int main(int argc, char **argv) {
        const char *socket = getenv("CATENA_CONTROL");
        CommandOptions options = {.socket = socket && *socket ? socket : COMMAND_DEFAULT_SOCKET};
        char problem[OPTIONS_PROBLEM_MAX];
        const Command *command;
        size_t n_words;
        int status;

        if (argc < 1)
                return COMMAND_EXIT_USAGE;
        if (options_read(&n_words, &options, problem, command_global_options, argv + 1, true))
                return command_usage(NULL, problem);
        if (options.version) {
                puts("catena " CATENA_VERSION);
                return COMMAND_EXIT_YES;
        }
        if (!n_words) {
                if (!options.help)
                        return command_usage(NULL, "a command is missing");
                command_print_help();
                return COMMAND_EXIT_YES;
        }
        command = command_find(&n_words, argv + 1);
        if (!command)
                return command_unknown(argv + 1);
        status = command_run(command, &options, argv + 1 + n_words);
        if (fflush(stdout) && !status)
                status = COMMAND_EXIT_NO;
        return status;
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "lib/cli/command-request.h"
#include "lib/cli/dot.h"
#include "lib/cli/table.h"
#include "lib/cli/text.h"

#include <string.h>

/* ---- catena chains ---- */

/* Of what failed, and of what runs. */
static const char *command_chains_colour(const char *state) {
        if (!state || !command_request_style(stdout).colour)
                return NULL;
        return !strcmp(state, "failed")    ? "\033[31m"
               : !strcmp(state, "running") ? "\033[36m"
                                           : NULL;
}

static void command_chains_row(Table *table, const AnswerLine *line, uint64_t now_unix_ns) {
        uint64_t age_ns = now_unix_ns > line->start_unix_ns ? now_unix_ns - line->start_unix_ns : 0;
        bool runs = line->state && !strcmp(line->state, "running");
        char text[TEXT_DURATION_MAX];

        table_add(table, line->id);
        table_add(table, line->state);
        table_paint(table, command_chains_colour(line->state));
        text_duration(text, age_ns);
        table_add(table, text);
        text_duration(text, runs ? age_ns : line->duration_ns);
        table_add(table, text);
        table_add_number(table, line->n_contexts);
        table_add_number(table, line->n_spans);
        table_add_number(table, line->n_errors);
        table_add(table, line->service);
        table_add(table, line->workflow_id);
}

static int command_chains_print(const AnswerList *list, uint64_t now_unix_ns) {
        static const char *const titles[] = {"CHAIN", "STATE",  "AGE",     "TOOK",    "CONTEXTS",
                                             "SPANS", "ERRORS", "SERVICE", "WORKFLOW"};
        AnswerLine line;
        Table table;
        int r;

        table_init(&table, "llrrrrrll");
        for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
                table_add(&table, titles[i]);
        for (size_t i = 0; i < answer_list_size(list); i++) {
                answer_list_line(list, i, &line);
                command_chains_row(&table, &line, now_unix_ns);
        }
        r = table_print(&table, stdout);
        table_deinit(&table);
        return error_trace(r);
}

static int command_chains_run(const CommandOptions *options, char **words) {
        (void)words;
        return command_request_list(options, "/v1/chains", command_chains_print);
}

static const Option command_chains_options[] = {
        {"--running", NULL, "only what runs", OPTION_FLAG, offsetof(CommandOptions, running)},
        {"--slow", NULL, "the slowest first", OPTION_FLAG, offsetof(CommandOptions, slow)},
        COMMAND_OPTION_ERRORS,
        COMMAND_OPTION_MIN,
        COMMAND_OPTION_SINCE,
        COMMAND_OPTION_SERVICE,
        {"--workflow", "ID", "only of this workflow", OPTION_TEXT,
         offsetof(CommandOptions, workflow)},
        {"--session", "ID", "only of this session", OPTION_TEXT, offsetof(CommandOptions, session)},
        COMMAND_OPTION_LIMIT,
        COMMAND_OPTION_SOCKET,
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_HELP,
        {0},
};

const Command command_chains = {
        .name = "chains",
        .words = "",
        .summary = "Lists recent chains, the newest first",
        .details = "A chain is all work that one thing caused, in however many processes.\n"
                   "One that runs has taken until now; it is recent while it runs.\n",
        .options = command_chains_options,
        .run = command_chains_run,
};

/* ---- catena chain ---- */

static int command_chain_write_dot(const Buffer *body) {
        AnswerChain *answer;
        int r;

        r = answer_chain_new(&answer, body->data, body->size);
        if (!r) {
                r = dot_write(stdout, answer_chain_tree(answer));
                answer_chain_free(answer);
        }
        return r ? command_request_unreadable(r) : COMMAND_EXIT_YES;
}

static int command_chain_run(const CommandOptions *options, char **words) {
        Buffer body = BUFFER_NULL;
        int status;

        if (options->json && options->dot) {
                fputs("catena chain: --json and --dot exclude each other\n", stderr);
                return COMMAND_EXIT_USAGE;
        }
        status = command_request_chain(&body, options->socket, words[0]);
        if (status)
                return status;
        if (options->json)
                fwrite(body.data, 1, body.size, stdout);
        else if (options->dot)
                status = command_chain_write_dot(&body);
        else
                status = command_request_draw(stdout, "", &body);
        buffer_deinit(&body);
        return status;
}

static const Option command_chain_options[] = {
        {"--dot", NULL, "write it for Graphviz: catena chain --dot ID | dot -Tsvg", OPTION_FLAG,
         offsetof(CommandOptions, dot)},
        COMMAND_OPTION_SOCKET,
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_HELP,
        {0},
};

const Command command_chain = {
        .name = "chain",
        .words = "ID",
        .summary = "Draws a chain as a tree: what caused what, times, errors",
        .details = "ID is any id in the chain: its own, or a context's, a trace's or a span's.\n"
                   "In the tree ◆ is a context, ◇ a checkpoint, ✗ an error. Times count from the\n"
                   "chain's start.\n",
        .options = command_chain_options,
        .n_words_min = 1,
        .n_words_max = 1,
        .run = command_chain_run,
};

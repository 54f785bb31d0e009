/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "lib/cli/answer.h"
#include "lib/cli/command-request.h"
#include "lib/cli/table.h"
#include "lib/cli/text.h"

#include <time.h>

static const uint64_t command_chain_timeout_ns = 10000000000;

/* ---- catena chains ---- */

static void command_chains_row(Table *table, const AnswerLine *line, uint64_t now_unix_ns) {
        char text[TEXT_DURATION_MAX];

        table_add(table, line->id);
        table_add(table, line->state);
        text_duration(text,
                      now_unix_ns > line->start_unix_ns ? now_unix_ns - line->start_unix_ns : 0);
        table_add(table, text);
        text_duration(text, line->duration_ns);
        table_add(table, text);
        table_add_number(table, line->n_contexts);
        table_add_number(table, line->n_spans);
        table_add_number(table, line->n_errors);
        table_add(table, line->service);
        table_add(table, line->workflow_id);
}

static int command_chains_print(const Buffer *body) {
        static const char *const titles[] = {"CHAIN", "STATE",  "AGE",     "TOOK",    "CONTEXTS",
                                             "SPANS", "ERRORS", "SERVICE", "WORKFLOW"};
        struct timespec now;
        AnswerLines *answer;
        const AnswerLine *lines;
        Table table;
        size_t n;
        int r;

        r = answer_lines_new(&answer, body->data, body->size);
        if (r)
                return error_trace(r);
        lines = answer_lines(answer, &n);
        clock_gettime(CLOCK_REALTIME, &now);
        table_init(&table, "llrrrrrll");
        for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
                table_add(&table, titles[i]);
        for (size_t i = 0; i < n; i++)
                command_chains_row(&table, &lines[i],
                                   (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
        r = table_print(&table, stdout);
        table_deinit(&table);
        answer_lines_free(answer);
        return error_trace(r);
}

static int command_chains_run(const CommandOptions *options, char **words) {
        Buffer body = BUFFER_NULL;
        int status, r = 0;

        (void)words;
        status = command_request(&body, options->socket, "GET", "/v1/chains",
                                 command_chain_timeout_ns);
        if (status)
                return status;
        if (options->json)
                fwrite(body.data, 1, body.size, stdout);
        else
                r = command_chains_print(&body);
        buffer_deinit(&body);
        return r ? command_request_unreadable(r) : COMMAND_EXIT_YES;
}

static const Option command_chain_options[] = {
        COMMAND_OPTION_SOCKET,
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_HELP,
        {0},
};

const Command command_chains = {
        .name = "chains",
        .words = "",
        .summary = "Lists recent chains, the newest first",
        .details = "A chain is all work that one thing caused, in however many processes.\n",
        .options = command_chain_options,
        .run = command_chains_run,
};

/* ---- catena chain ---- */

static int command_chain_run(const CommandOptions *options, char **words) {
        Buffer body = BUFFER_NULL;
        int status;

        status = command_request_chain(&body, options->socket, words[0]);
        if (status)
                return status;
        if (options->json)
                fwrite(body.data, 1, body.size, stdout);
        else
                status = command_request_draw(stdout, "", &body);
        buffer_deinit(&body);
        return status;
}

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

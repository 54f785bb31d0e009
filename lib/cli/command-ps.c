/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "lib/cli/command-request.h"
#include "lib/cli/table.h"
#include "lib/cli/text.h"

static int command_ps_print(const AnswerList *list, uint64_t now_unix_ns) {
        static const char *const titles[] = {"OPEN FOR", "SERVICE", "PID", "SPAN", "NAME"};
        char text[TEXT_DURATION_MAX];
        TreeSpan span;
        Table table;
        int r;

        table_init(&table, "rlrll");
        for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
                table_add(&table, titles[i]);
        for (size_t i = 0; i < answer_list_size(list); i++) {
                answer_list_span(list, i, &span);
                text_duration(text, now_unix_ns > span.start_unix_ns
                                            ? now_unix_ns - span.start_unix_ns
                                            : 0);
                table_add(&table, text);
                table_add(&table, span.service);
                table_add_number(&table, span.pid);
                table_add(&table, span.id);
                table_add(&table, span.name);
        }
        r = table_print(&table, stdout);
        table_deinit(&table);
        return error_trace(r);
}

static int command_ps_run(const CommandOptions *options, char **words) {
        (void)words;
        return command_request_list(options, "/v1/spans?open", command_ps_print);
}

static const Option command_ps_options[] = {
        COMMAND_OPTION_ERRORS, COMMAND_OPTION_MIN,
        COMMAND_OPTION_SINCE,  COMMAND_OPTION_SERVICE,
        COMMAND_OPTION_NAME,   COMMAND_OPTION_LIMIT,
        COMMAND_OPTION_SOCKET, COMMAND_OPTION_JSON,
        COMMAND_OPTION_HELP,   {0},
};

const Command command_ps = {
        .name = "ps",
        .words = "",
        .summary = "Lists the spans that are open, those open longest first",
        .details = "`catena chain SPAN` draws the chain that one belongs to.\n",
        .options = command_ps_options,
        .run = command_ps_run,
};

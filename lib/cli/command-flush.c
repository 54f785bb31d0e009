/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/answer.h"
#include "lib/cli/command-request.h"

#include <inttypes.h>

enum { COMMAND_FLUSH_MS = 10000 };

/* What the daemon may take longer than it was told to wait. */
static const uint64_t command_flush_grace_ns = 5000000000;

static int command_flush_run(const CommandOptions *options, char **words) {
        uint64_t timeout_ns =
                options->timeout_ns ? options->timeout_ns : COMMAND_FLUSH_MS * UINT64_C(1000000);
        const char *level = options->delivered ? "delivered" : "journaled";
        Buffer body = BUFFER_NULL;
        bool reached = false;
        char target[96];
        int status, r;

        (void)words;
        snprintf(target, sizeof target, "/v1/flush?level=%s&timeout_ms=%" PRIu64, level,
                 timeout_ns / 1000000);
        status = command_request(&body, options->socket, "POST", target,
                                 timeout_ns + command_flush_grace_ns);
        if (status)
                return status;
        r = answer_read_flush(&reached, body.data, body.size);
        if (r) {
                buffer_deinit(&body);
                return command_request_unreadable(r);
        }
        if (options->json)
                fwrite(body.data, 1, body.size, stdout);
        else if (reached)
                printf("all is %s\n", level);
        else
                printf("not all was %s in time\n", level);
        buffer_deinit(&body);
        return reached ? COMMAND_EXIT_YES : COMMAND_EXIT_NO;
}

static const Option command_flush_options[] = {
        {"--delivered", NULL, "wait until every exporter has answered for it", OPTION_FLAG,
         offsetof(CommandOptions, delivered)},
        {"--timeout", "TIME", "wait so long at most: 500ms, 5s, 2m (10s)", OPTION_DURATION,
         offsetof(CommandOptions, timeout_ns)},
        COMMAND_OPTION_SOCKET,
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_HELP,
        {0},
};

const Command command_flush = {
        .name = "flush",
        .words = "",
        .summary = "Waits until all is in the journal, or delivered",
        .details = "Exits with 1 if that takes longer than the timeout.\n",
        .options = command_flush_options,
        .run = command_flush_run,
};

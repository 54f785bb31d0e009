/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/command-request.h"
#include "lib/cli/text.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

enum { COMMAND_TAIL_OWNER = 24 }; /* columns, where names are not longer */

#define COMMAND_TAIL_PLAIN "\033[0m"
#define COMMAND_TAIL_DIM   "\033[2m"
#define COMMAND_TAIL_RED   "\033[31m"

typedef struct CommandTail {
        const CommandOptions *options;
        TreeStyle style;
        uint64_t n_shown;
} CommandTail;

static void command_tail_colour(const CommandTail *tail, const char *colour) {
        if (tail->style.colour)
                fputs(colour, stdout);
}

/* "14:03:27.512": when it ended, UTC as everywhere. */
static void command_tail_time(const CommandTail *tail, uint64_t unix_ns) {
        time_t seconds = (time_t)(unix_ns / 1000000000);
        char text[16] = "--:--:--";
        struct tm time;

        if (gmtime_r(&seconds, &time))
                strftime(text, sizeof text, "%T", &time);
        command_tail_colour(tail, COMMAND_TAIL_DIM);
        printf("%s.%03u", text, (unsigned)(unix_ns / 1000000 % 1000));
        command_tail_colour(tail, COMMAND_TAIL_PLAIN);
}

static void command_tail_span(const CommandTail *tail, const TreeSpan *span) {
        char text[TEXT_DURATION_MAX];
        size_t width;

        command_tail_time(tail, span->end_unix_ns);
        text_duration(text, span->end_unix_ns > span->start_unix_ns
                                    ? span->end_unix_ns - span->start_unix_ns
                                    : 0);
        printf("%*s%s  ", 10 - (int)text_print(NULL, text, SIZE_MAX), "", text);
        width = text_print(stdout, span->service ? span->service : "", COMMAND_TAIL_OWNER);
        width += (size_t)printf("[%" PRIu32 "]", span->pid);
        printf("%*s  ", width < COMMAND_TAIL_OWNER ? (int)(COMMAND_TAIL_OWNER - width) : 0, "");
        if (span->is_error)
                command_tail_colour(tail, COMMAND_TAIL_RED);
        fputs(span->is_error ? "✗ " : "", stdout);
        text_print(stdout, span->name && *span->name ? span->name : "(unnamed)", SIZE_MAX);
        if (span->is_error && span->message) {
                fputs(": ", stdout);
                text_print(stdout, span->message, SIZE_MAX);
        }
        if (span->is_error)
                command_tail_colour(tail, COMMAND_TAIL_PLAIN);
        putchar('\n');
}

static int command_tail_each(void *user, const AnswerList *list, const Buffer *json) {
        CommandTail *tail = user;
        uint64_t limit = tail->options->limit ? tail->options->limit : UINT64_MAX;
        const uint8_t *line = json->data, *end = json->data + json->size;

        for (size_t i = 0; i < answer_list_size(list) && tail->n_shown < limit; i++) {
                const uint8_t *newline = memchr(line, '\n', (size_t)(end - line));
                TreeSpan span;

                answer_list_span(list, i, &span);
                if (tail->options->json)
                        fwrite(line, 1, (size_t)(newline + 1 - line), stdout);
                else
                        command_tail_span(tail, &span);
                line = newline + 1;
                tail->n_shown++;
        }
        if (fflush(stdout) || tail->n_shown == limit)
                return COMMAND_REQUEST_ENOUGH;
        return 0;
}

static int command_tail_run(const CommandOptions *options, char **words) {
        CommandTail tail = {.options = options, .style = command_request_style(stdout)};
        CommandOptions asked = *options;

        (void)words;
        asked.limit = 0; /* counted here */
        return command_request_stream(&asked, "/v1/tail", command_tail_each, &tail);
}

static const Option command_tail_options[] = {
        {"--since", "TIME", "first what has ended since: 30s, 5m, 1h", OPTION_DURATION,
         offsetof(CommandOptions, since_ns)},
        COMMAND_OPTION_ERRORS,
        COMMAND_OPTION_MIN,
        COMMAND_OPTION_SERVICE,
        COMMAND_OPTION_NAME,
        {"--limit", "N", "end after so many", OPTION_NUMBER, offsetof(CommandOptions, limit)},
        COMMAND_OPTION_SOCKET,
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_HELP,
        {0},
};

const Command command_tail = {
        .name = "tail",
        .words = "",
        .summary = "Prints spans as they end",
        .details = "When it ended (UTC), how long it took, whose it was, its name.\n"
                   "Who reads too slowly is cut off.\n",
        .options = command_tail_options,
        .run = command_tail_run,
};

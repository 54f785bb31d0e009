/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/command-request.h"

#include "daemon/base/error.h"
#include "lib/cli/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
        COMMAND_REQUEST_COLUMNS = 100, /* where there is no terminal to ask */
        COMMAND_REQUEST_COLUMNS_MAX = 1000,
        COMMAND_REQUEST_SETTLE_MS = 20,    /* between looks at a chain that runs, … */
        COMMAND_REQUEST_SETTLE_TRIES = 25, /* … so many at most */
};

static const uint64_t command_request_timeout_ns = 10000000000;

static int command_request_failed(int r) {
        fprintf(stderr, "catena: %s\n", strerror(-r));
        return COMMAND_EXIT_NO;
}

int command_request_unreadable(int r) {
        if (r != ANSWER_E_MALFORMED)
                return command_request_failed(r);
        fprintf(stderr, "catena: the daemon's answer makes no sense here\n");
        return COMMAND_EXIT_NO;
}

static int command_request_no_answer(int r, const char *socket) {
        switch (r) {
        case CONTROL_CLIENT_E_PATH:
                fprintf(stderr, "catena: %s: too long for a socket's path\n", socket);
                return COMMAND_EXIT_USAGE;
        case CONTROL_CLIENT_E_NO_DAEMON:
                fprintf(stderr, "catena: no daemon at %s: %s\n", socket, strerror(errno));
                return COMMAND_EXIT_NO_DAEMON;
        case CONTROL_CLIENT_E_REFUSED:
                fprintf(stderr,
                        "catena: %s: not permitted; ask as root, or as a member of the socket's"
                        " group\n",
                        socket);
                return COMMAND_EXIT_NOT_PERMITTED;
        case CONTROL_CLIENT_E_BROKEN:
                fprintf(stderr, "catena: the daemon at %s ended before it answered\n", socket);
                return COMMAND_EXIT_NO_DAEMON;
        case CONTROL_CLIENT_E_TIMEOUT:
                fprintf(stderr, "catena: the daemon at %s did not answer in time\n", socket);
                return COMMAND_EXIT_NO;
        case CONTROL_CLIENT_E_MALFORMED:
                fprintf(stderr, "catena: what answers at %s is no catenad\n", socket);
                return COMMAND_EXIT_NO_DAEMON;
        default:
                return command_request_failed(r);
        }
}

/* Tells of an answer that is no good one, and frees it. */
static int command_request_refused(ControlClientAnswer *answer) {
        char text[ANSWER_TEXT_MAX];

        answer_read_error(text, answer->body.data, answer->body.size);
        fputs("catena: ", stderr);
        if (*text)
                text_print(stderr, text, SIZE_MAX);
        else
                fprintf(stderr, "the daemon answered with status %u", answer->status);
        fputc('\n', stderr);
        buffer_deinit(&answer->body);
        return answer->status == 400 ? COMMAND_EXIT_USAGE : COMMAND_EXIT_NO;
}

int command_request(Buffer *body, const char *socket, const char *method, const char *target,
                    uint64_t timeout_ns) {
        ControlClientAnswer answer;
        int r;

        r = control_client_ask(&answer, socket, method, target, timeout_ns);
        if (r)
                return command_request_no_answer(r, socket);
        if (answer.status == 200) {
                *body = answer.body;
                return COMMAND_EXIT_YES;
        }
        return command_request_refused(&answer);
}

/* ---- targets ---- */

static int command_request_escape(Buffer *target, const char *text) {
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "-._~";
        int r = 0;

        for (; !r && *text; text++)
                r = strchr(plain, *text) ? buffer_append(target, text, 1)
                                         : buffer_printf(target, "%%%02X", (uint8_t)*text);
        return error_trace(r);
}

static int command_request_text(Buffer *target, const char *key, const char *value) {
        int r;

        if (!value)
                return 0;
        r = buffer_printf(target, "&%s=", key);
        return r ? error_trace(r) : error_trace(command_request_escape(target, value));
}

static int command_request_number(Buffer *target, const char *key, uint64_t number,
                                  const char *unit) {
        return number ? error_trace(buffer_printf(target, "&%s=%" PRIu64 "%s", key, number, unit))
                      : 0;
}

static int command_request_flag(Buffer *target, const char *key, bool flag) {
        return flag ? error_trace(buffer_printf(target, "&%s", key)) : 0;
}

/* The path, and what of the options is set. */
static int command_request_target(Buffer *target, const CommandOptions *options, const char *path) {
        int r = buffer_printf(target, "%s%s", path, strchr(path, '?') ? "" : "?");

        r = r ? r : command_request_text(target, "workflow", options->workflow);
        r = r ? r : command_request_text(target, "session", options->session);
        r = r ? r : command_request_text(target, "service", options->service);
        r = r ? r : command_request_text(target, "name", options->name);
        r = r ? r : command_request_flag(target, "errors", options->errors);
        r = r ? r : command_request_flag(target, "running", options->running);
        r = r ? r : command_request_flag(target, "slow", options->slow);
        r = r ? r : command_request_number(target, "min", options->min_ns / 1000000, "ms");
        r = r ? r : command_request_number(target, "since", options->since_ns / 1000000, "ms");
        r = r ? r : command_request_number(target, "limit", options->limit, "");
        return r ? error_trace(r) : error_trace(buffer_append(target, "", 1));
}

static int command_request_print(const Buffer *body,
                                 int (*print)(const AnswerList *list, uint64_t now_unix_ns)) {
        struct timespec now;
        AnswerList *list;
        int r;

        r = answer_list_new(&list, body->data, body->size);
        if (r)
                return error_trace(r);
        clock_gettime(CLOCK_REALTIME, &now);
        r = print(list, (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec);
        answer_list_free(list);
        return error_trace(r);
}

int command_request_list(const CommandOptions *options, const char *path,
                         int (*print)(const AnswerList *list, uint64_t now_unix_ns)) {
        Buffer target = BUFFER_NULL, body = BUFFER_NULL;
        int r = command_request_target(&target, options, path), status;

        status = r ? command_request_failed(r)
                   : command_request(&body, options->socket, "GET", (const char *)target.data,
                                     command_request_timeout_ns);
        buffer_deinit(&target);
        if (status)
                return status;
        if (options->json)
                fwrite(body.data, 1, body.size, stdout);
        else
                r = command_request_print(&body, print);
        buffer_deinit(&body);
        return r ? command_request_unreadable(r) : COMMAND_EXIT_YES;
}

/* ---- streams ---- */

typedef struct CommandStream {
        int (*each)(void *user, const AnswerList *list, const Buffer *json);
        void *user;
} CommandStream;

static int command_request_on_body(void *user, Buffer *body) {
        const CommandStream *stream = user;
        const uint8_t *newline = body->size ? memrchr(body->data, '\n', body->size) : NULL;
        Buffer lines = {.data = body->data};
        AnswerList *list;
        int r;

        if (!newline)
                return 0;
        lines.size = (size_t)(newline + 1 - body->data);
        r = answer_list_new(&list, lines.data, lines.size);
        if (r)
                return r < 0 ? error_trace(r) : CONTROL_CLIENT_E_MALFORMED;
        r = stream->each(stream->user, list, &lines);
        answer_list_free(list);
        buffer_consume(body, lines.size);
        return r;
}

int command_request_stream(const CommandOptions *options, const char *path,
                           int (*each)(void *user, const AnswerList *list, const Buffer *json),
                           void *user) {
        CommandStream stream = {each, user};
        Buffer target = BUFFER_NULL;
        ControlClientAnswer answer = {0};
        int r = command_request_target(&target, options, path);

        if (!r)
                r = control_client_stream(&answer, options->socket, (const char *)target.data,
                                          command_request_on_body, &stream, STDOUT_FILENO);
        buffer_deinit(&target);
        if (r == COMMAND_REQUEST_ENOUGH || r == CONTROL_CLIENT_E_UNREAD)
                return COMMAND_EXIT_YES;
        if (r == CONTROL_CLIENT_E_BROKEN) {
                fputs("catena: cut off: this was read too slowly, or the daemon is gone\n", stderr);
                return COMMAND_EXIT_NO;
        }
        if (r)
                return command_request_no_answer(r, options->socket);
        if (answer.status != 200)
                return command_request_refused(&answer);
        buffer_deinit(&answer.body);
        fputs("catena: the daemon has stopped\n", stderr);
        return COMMAND_EXIT_NO_DAEMON;
}

int command_request_chain(Buffer *body, const char *socket, const char *id) {
        Buffer target = BUFFER_NULL;
        int r = buffer_append_string(&target, "/v1/chains/"), status;

        r = r ? r : command_request_escape(&target, id);
        r = r ? r : buffer_append(&target, "", 1);
        status = r ? command_request_failed(r)
                   : command_request(body, socket, "GET", (const char *)target.data,
                                     command_request_timeout_ns);
        buffer_deinit(&target);
        return status;
}

/* Processes that were killed are known to be gone a moment later than what they said. */
int command_request_settled_chain(Buffer *body, const char *socket, const char *id) {
        const struct timespec pause = {.tv_nsec = COMMAND_REQUEST_SETTLE_MS * 1000000};
        AnswerChain *answer;
        size_t n_open = 1;
        int status;

        status = command_request(body, socket, "POST", "/v1/flush?timeout_ms=5000",
                                 command_request_timeout_ns);
        for (unsigned i = 0; !status && n_open && i < COMMAND_REQUEST_SETTLE_TRIES; i++) {
                if (i)
                        nanosleep(&pause, NULL);
                buffer_deinit(body);
                status = command_request_chain(body, socket, id);
                if (status || answer_chain_new(&answer, body->data, body->size))
                        return status;
                n_open = answer_chain_open(answer);
                answer_chain_free(answer);
        }
        return status;
}

static unsigned command_request_width(int fd) {
        struct winsize size;

        if (isatty(fd) && !ioctl(fd, TIOCGWINSZ, &size) && size.ws_col)
                return size.ws_col < COMMAND_REQUEST_COLUMNS_MAX ? size.ws_col
                                                                 : COMMAND_REQUEST_COLUMNS_MAX;
        return COMMAND_REQUEST_COLUMNS;
}

TreeStyle command_request_style(FILE *out) {
        const char *no_colour = getenv("NO_COLOR");

        return (TreeStyle){
                .width = command_request_width(fileno(out)),
                .colour = isatty(fileno(out)) && !(no_colour && *no_colour),
        };
}

static int command_request_draw_at_once(FILE *out, const char *above, const AnswerChain *answer) {
        TreeStyle style = command_request_style(out);
        char *text = NULL;
        size_t size;
        FILE *memory = open_memstream(&text, &size);
        int r;

        if (!memory)
                return error_origin(-ENOMEM);
        fputs(above, memory);
        r = tree_draw(memory, answer_chain_tree(answer), &style);
        if (fclose(memory) && !r)
                r = error_origin(-ENOMEM);
        if (!r)
                fwrite(text, 1, size, out);
        free(text);
        return error_trace(r);
}

int command_request_draw(FILE *out, const char *above, const Buffer *body) {
        AnswerChain *answer;
        int r;

        r = answer_chain_new(&answer, body->data, body->size);
        if (!r) {
                r = command_request_draw_at_once(out, above, answer);
                answer_chain_free(answer);
        }
        return r ? command_request_unreadable(r) : COMMAND_EXIT_YES;
}

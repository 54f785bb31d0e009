/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/command-request.h"

#include "daemon/base/error.h"
#include "lib/cli/answer.h"
#include "lib/cli/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum {
        COMMAND_REQUEST_COLUMNS = 100, /* where there is no terminal to ask */
        COMMAND_REQUEST_COLUMNS_MAX = 1000,
        COMMAND_REQUEST_TARGET_MAX = 1024,
        COMMAND_REQUEST_SETTLE_MS = 20,    /* between looks at a chain that runs, … */
        COMMAND_REQUEST_SETTLE_TRIES = 25, /* … so many at most */
};

static const uint64_t command_request_chain_ns = 10000000000;

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

int command_request(Buffer *body, const char *socket, const char *method, const char *target,
                    uint64_t timeout_ns) {
        char text[ANSWER_TEXT_MAX];
        ControlClientAnswer answer;
        int r;

        r = control_client_ask(&answer, socket, method, target, timeout_ns);
        if (r)
                return command_request_no_answer(r, socket);
        if (answer.status == 200) {
                *body = answer.body;
                return COMMAND_EXIT_YES;
        }
        answer_read_error(text, answer.body.data, answer.body.size);
        fputs("catena: ", stderr);
        if (*text)
                text_print(stderr, text, SIZE_MAX);
        else
                fprintf(stderr, "the daemon answered with status %u", answer.status);
        fputc('\n', stderr);
        buffer_deinit(&answer.body);
        return COMMAND_EXIT_NO;
}

int command_request_chain(Buffer *body, const char *socket, const char *id) {
        static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                    "-._~";
        char target[COMMAND_REQUEST_TARGET_MAX] = "/v1/chains/";
        size_t size = strlen(target);

        for (; *id; id++) {
                if (size + 4 > sizeof target) {
                        fprintf(stderr, "catena: no id is that long\n");
                        return COMMAND_EXIT_NO;
                }
                if (strchr(plain, *id)) {
                        target[size++] = *id;
                        target[size] = '\0';
                } else {
                        size += (size_t)sprintf(target + size, "%%%02X", (uint8_t)*id);
                }
        }
        return command_request(body, socket, "GET", target, command_request_chain_ns);
}

/* Processes that were killed are known to be gone a moment later than what they said. */
int command_request_settled_chain(Buffer *body, const char *socket, const char *id) {
        const struct timespec pause = {.tv_nsec = COMMAND_REQUEST_SETTLE_MS * 1000000};
        AnswerChain *answer;
        size_t n_open = 1;
        int status;

        status = command_request(body, socket, "POST", "/v1/flush?timeout_ms=5000",
                                 command_request_chain_ns);
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

static int command_request_draw_at_once(FILE *out, const char *above, const AnswerChain *answer) {
        const char *no_colour = getenv("NO_COLOR");
        TreeStyle style = {
                .width = command_request_width(fileno(out)),
                .colour = isatty(fileno(out)) && !(no_colour && *no_colour),
        };
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

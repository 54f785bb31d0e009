#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What commands do with the daemon's answers
 *
 * Each returns a COMMAND_EXIT_* and has told on stderr what went wrong.
 *
 * I/O: the control socket, stderr, `out`.
 */

#include "lib/cli/answer.h"
#include "lib/cli/command.h"
#include "lib/cli/control-client.h"

#include <stdio.h>

enum { COMMAND_REQUEST_ENOUGH = 1000 }; /* unlike any CONTROL_CLIENT_E_* */

/* The body of a good answer, the caller's to deinit; *body stays as it is otherwise. */
int command_request(Buffer *body, const char *socket, const char *method, const char *target,
                    uint64_t timeout_ns);
/*
 * Asks a path for what the options say is to be shown, and has it printed: by `print`, which
 * returns 0 or a failure of our own, or as the JSON that it is.
 */
int command_request_list(const CommandOptions *options, const char *path,
                         int (*print)(const AnswerList *list, uint64_t now_unix_ns));
/*
 * Has each span that ends from now on, and that the options say is to be shown, given to `each`, a
 * list of some at a time with their JSON. Returns when the daemon ends that, or when `each` returns
 * other than 0: a failure of our own, or COMMAND_REQUEST_ENOUGH.
 */
int command_request_stream(const CommandOptions *options, const char *path,
                           int (*each)(void *user, const AnswerList *list, const Buffer *json),
                           void *user);
/* The chain that holds the id. */
int command_request_chain(Buffer *body, const char *socket, const char *id);
/* The same once all of it has ended, or a moment after all that was said is in. */
int command_request_settled_chain(Buffer *body, const char *socket, const char *id);
/*
 * The chain in the answer, drawn under the text `above` for what `out` is: a terminal, in its width
 * and colour, or not. It is written at once, so that those of others do not get into it.
 */
int command_request_draw(FILE *out, const char *above, const Buffer *body);
/* For what `out` is: its width, and whether it shows colours. */
TreeStyle command_request_style(FILE *out);
/* Tells why an answer could not be read: by an ANSWER_E_*, or a failure of our own. */
int command_request_unreadable(int r);

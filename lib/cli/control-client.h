#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Asking a daemon
 *
 * One request over the control socket and its answer, whole or as it comes.
 *
 * I/O: a Unix socket; waits.  Bound: CONTROL_CLIENT_BODY_MAX.  Clock: monotonic, for the timeout.
 */

#include "daemon/base/buffer.h"

#include <stdint.h>

enum {
        _CONTROL_CLIENT_E_SUCCESS,

        CONTROL_CLIENT_E_PATH,      /* no socket can have such a path */
        CONTROL_CLIENT_E_NO_DAEMON, /* nobody listens there; errno tells why */
        CONTROL_CLIENT_E_REFUSED,   /* not permitted */
        CONTROL_CLIENT_E_BROKEN,    /* the connection ended before the answer did */
        CONTROL_CLIENT_E_TIMEOUT,
        CONTROL_CLIENT_E_MALFORMED, /* what answers there does not speak HTTP */
        CONTROL_CLIENT_E_UNREAD,    /* nobody reads any more what a stream is printed to */
};

enum { CONTROL_CLIENT_BODY_MAX = 256 * 1024 * 1024 };

typedef struct ControlClientAnswer {
        unsigned status; /* of HTTP */
        Buffer body;     /* the caller's to deinit */
} ControlClientAnswer;

/* `target`: path and query, as HTTP has it. */
int control_client_ask(ControlClientAnswer *answer, const char *socket, const char *method,
                       const char *target, uint64_t timeout_ns);

/*
 * The same for an answer without an end: what has come of a body with status 200 is given to
 * `each`, which consumes what it can use. Returns when the answer has ended, or what `each` returns
 * when that is not 0; CONTROL_CLIENT_E_BROKEN: the daemon hung up within it; or when the other end
 * of out_fd, a pipe maybe, is closed.
 */
int control_client_stream(ControlClientAnswer *answer, const char *socket, const char *target,
                          int (*each)(void *user, Buffer *body), void *user, int out_fd);

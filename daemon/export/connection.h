#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connection
 *
 * A kept-alive TCP connection to a collector, made and made again as it is needed: looks the host
 * up, tries its addresses in turn, sends one request at a time and reads the answer. A kept
 * connection that the other side has closed meanwhile is replaced and the request sent again.
 *
 * Owns: its sockets, the answer.  Borrows: the loop, the Url, the request while it is on its way.
 * Bound: CONNECTION_ANSWER_MAX.
 */

#include "daemon/base/buffer.h"
#include "daemon/base/error.h"
#include "daemon/http/http1.h"
#include "daemon/http/url.h"

#include <uv.h>

enum {
        CONNECTION_ANSWER_MAX = 4 * 1024 * 1024, /* bytes of an answer's body */
};

enum {
        _CONNECTION_E_SUCCESS,

        CONNECTION_E_FAILED,    /* no whole answer: unreachable, broken off, too slow, not HTTP */
        CONNECTION_E_TOO_LARGE, /* the answer's body is over CONNECTION_ANSWER_MAX */
};

typedef struct Connection Connection;

typedef struct ConnectionAnswer {
        int r;             /* 0 or CONNECTION_E_* */
        const Http1 *http; /* r == 0: with the message */
        const char *error; /* r != 0: why */
        bool sent;         /* the request has left in full */
} ConnectionAnswer;

typedef struct ConnectionOptions {
        const Url *url;
        uint64_t timeout_ns; /* from the request to the end of its answer; 0: none */
        /* The answer lives until this returns; it may send the next request, or close. */
        void (*answered)(void *user, const ConnectionAnswer *answer);
        void *user;
        ErrorSink sink;
} ConnectionOptions;

int connection_open(Connection **connectionp, uv_loop_t *loop, const ConnectionOptions *options);
/*
 * There is no other request on its way. Both buffers stay as they are until the answer, which may
 * come before this returns.
 */
int connection_send(Connection *connection, const Buffer *head, const Buffer *body);
/* The request on its way is given up, unanswered; `closed` runs when the memory is free. */
void connection_close(Connection *connection, void (*closed)(void *user), void *user);

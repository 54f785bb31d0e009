#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Batch
 *
 * What closes joins the open batch of its signal. Sealing gives the batch to every exporter of that
 * signal; it dies when each of them has answered. A batch refers to objects in the journal; its
 * request is encoded when an exporter is about to send it.
 *
 * Owned by the recorder.  I/O: none.
 */

#include "daemon/base/buffer.h"
#include "daemon/base/list.h"
#include "daemon/trace/session.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Object Object;

typedef enum BatchSignal {
        BATCH_TRACES,
        BATCH_LOGS,
        _BATCH_SIGNALS_N,
} BatchSignal;

enum {
        BATCH_REQUEST_MAX = 4 * 1024 * 1024, /* bytes of one request */
        BATCH_EXPORTERS_MAX = 32,
};

/* Why spans or logs were not delivered. X(symbol, value, name in status and metrics, meaning) */
#define BATCH_DROPS(X)                                                                             \
        X(REFUSED, 0, "collector_refused", "an answer that is never retried, such as 400 or 404")  \
        X(PARTIAL, 1, "collector_rejected", "counted as rejected in a partial success")            \
        X(TOO_LARGE, 2, "request_too_large", "a request over the size that may be sent")           \
        X(NO_EXPORTER, 3, "no_exporter", "no exporter is configured for the signal")               \
        X(EXPORTER_GONE, 4, "exporter_gone", "the exporter has left the configuration")            \
        X(DAMAGED, 5, "journal_damaged", "the journal's bytes were damaged")

typedef enum BatchDrop {
#define BATCH_DROP_X(symbol, value, name, meaning) BATCH_DROP_##symbol = (value),
        BATCH_DROPS(BATCH_DROP_X)
#undef BATCH_DROP_X
                _BATCH_DROPS_N,
} BatchDrop;

const char *batch_drop_name(BatchDrop drop);
const char *batch_signal_name(BatchSignal signal); /* "traces", "logs" */

typedef struct Batch {
        BatchSignal signal;
        uint64_t number;  /* 0: of the open batch, in a replay, while it is not known */
        uint32_t owing;   /* bit i: exporter i of the recorder owes an answer */
        bool sealed;      /* its BATCH record has been read */
        bool answered;    /* … while it had not, in a replay */
        Object **objects; /* [n_objects], spans or logs, in the order in which they closed */
        size_t n_objects, n_allocated;
        size_t n_bytes;   /* of their pieces in the journal */
        SessionHold hold; /* of its BATCH record */
        List link;        /* recorder.signals[].sealed, by number */
} Batch;

/* What encoding takes beside the request, kept from one to the next. */
typedef struct BatchEncoder BatchEncoder;

int batch_encoder_new(BatchEncoder **encoderp);
BatchEncoder *batch_encoder_free(BatchEncoder *encoder);

/* Where the next request of a batch begins; all zero: at its first object. */
typedef struct BatchCursor {
        size_t next; /* object to be encoded */
        bool done;   /* there is none */
} BatchCursor;

/*
 * Appends the body of an Export…ServiceRequest of at most BATCH_REQUEST_MAX bytes: each resource
 * and scope once, every object under its own. Objects of one session and scope keep their order.
 * The whole batch is one request as a rule; while the cursor is not done, another has to follow.
 * *n_objectsp: how many objects it holds.
 */
int batch_encode(BatchEncoder *encoder, const Batch *batch, BatchCursor *cursor, Buffer *out,
                 size_t *n_objectsp);

/* What an exporter did with a batch: delivered + all dropped = n_objects. */
typedef struct BatchOutcome {
        uint64_t n_delivered;
        uint64_t n_dropped[_BATCH_DROPS_N];
} BatchOutcome;

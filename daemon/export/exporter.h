#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Exporter
 *
 * Sends sealed batches to one collector and answers for each: delivered, or dropped and why. While
 * the collector is away the batches wait in the journal; the exporter's queue is the recorder's.
 * Metrics are not queued: they are encoded when they are due, and what fails is made good by the
 * next ones.
 *
 * Owns: its connection, its request in flight.  Borrows: the loop, the Recorder, the strings of its
 * options.
 */

#include "daemon/base/error.h"
#include "daemon/trace/recorder.h"

#include <uv.h>

typedef struct Exporter Exporter;

typedef enum ExporterCompression {
        EXPORTER_COMPRESSION_NONE,
        EXPORTER_COMPRESSION_GZIP,
} ExporterCompression;

typedef struct ExporterHeader {
        const char *name, *value;
} ExporterHeader;

enum {
        _EXPORTER_E_SUCCESS,

        EXPORTER_E_ENDPOINT, /* not an http:// URL with a host */
        EXPORTER_E_HEADER,   /* not a header, or one that the exporter sets itself */
};

typedef struct ExporterOptions {
        const char *name;
        const char *endpoint; /* "http://localhost:4318": v1/traces and so on is appended */
        ExporterCompression compression;
        uint64_t timeout_ns;           /* of one request; 0: none */
        const ExporterHeader *headers; /* sent with every request */
        size_t n_headers;
        uint64_t retry_initial_ns, retry_max_ns; /* backoff */
        const char *user_agent;                  /* "catenad/0.1.0 OTel-OTLP-Exporter-C/0.1.0" */
        uint64_t metrics_interval_ns;            /* 0: metrics are not sent */
        /* Appends an ExportMetricsServiceRequest. */
        int (*metrics)(void *user, Buffer *out, size_t *n_pointsp);
        void *metrics_user;
        ErrorSink sink;
} ExporterOptions;

typedef enum ExporterState {
        EXPORTER_IDLE, /* nothing to send */
        EXPORTER_SENDING,
        EXPORTER_WAITING, /* for the next try */
} ExporterState;

/* X(name, meaning) */
#define EXPORTER_COUNTERS(X)                                                                       \
        X(requests, "requests sent in full")                                                       \
        X(retries, "requests sent again")                                                          \
        X(bytes, "bytes of requests' bodies, as sent")

typedef struct ExporterStatus {
        const char *name, *endpoint;
        ExporterState state;
        bool misconfigured; /* the collector refuses spans or logs, and would again */
        bool sends_metrics;
#define EXPORTER_COUNTER_X(name, meaning) uint64_t n_##name;
        EXPORTER_COUNTERS(EXPORTER_COUNTER_X)
#undef EXPORTER_COUNTER_X
        BatchOutcome points;       /* of metrics */
        uint64_t next_try_unix_ns; /* of EXPORTER_WAITING */
        char last_error[256];      /* "" while all is well: "503 Service Unavailable: busy" */
        char metrics_error[256];   /* the same of metrics */
} ExporterStatus;

/* Checks an endpoint without opening anything: 0 or EXPORTER_E_ENDPOINT. */
int exporter_check_endpoint(const char *endpoint);
/* 0 or EXPORTER_E_HEADER. */
int exporter_check_header(const ExporterHeader *header);

int exporter_open(Exporter **exporterp, uv_loop_t *loop, Recorder *recorder,
                  const ExporterOptions *options);
/* Something may have been sealed: sends what the recorder says is owed. Once a turn. */
void exporter_wake(Exporter *exporter);
/* Tries at once, whatever the backoff: used at shutdown and by a flush. */
void exporter_hurry(Exporter *exporter);
/* Sends metrics now, unless the last ones failed: used at shutdown. */
void exporter_measure(Exporter *exporter);
/* Whether metrics are due or on their way. */
bool exporter_is_measuring(const Exporter *exporter);
void exporter_status(const Exporter *exporter, ExporterStatus *status);
/* Gives up the request in flight (the batch stays owed); `closed` runs when its memory is free. */
void exporter_close(Exporter *exporter, void (*closed)(void *user), void *user);

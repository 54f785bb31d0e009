#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Harness
 *
 * A real catenad with its sockets, journal, configuration and log in a private folder, and the
 * backend it exports to. A scenario ends with harness_finish(), which asserts that nothing was lost
 * uncounted. The daemon dies with the test.
 *
 * Owns: the daemon, the folder, the backend.
 */

#include "tests/integration/backend.h"
#include "tests/unit/folder.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum {
        HARNESS_PATIENCE_S = 60, /* until a wait has failed */
        HARNESS_TEST_S = 180,    /* until a test has */
};

typedef struct HarnessOptions {
        const char *compression; /* NULL: none */
        const char *timeout;     /* of one request; NULL: 5s */
        const char *delay;       /* of a batch; NULL: 20ms */
        const char *shutdown;    /* its timeout; NULL: 20s */
        const char *signals;     /* of the exporter: "[traces]"; NULL: all */
        const char *more;        /* YAML: sections that the harness does not write */
        bool refuses;            /* the backend does not listen yet */
        unsigned port;           /* of another collector than the backend; 0: the backend's */
} HarnessOptions;

typedef struct Harness {
        char folder[FOLDER_PATH_SIZE];
        char socket[FOLDER_PATH_SIZE + 32], control[FOLDER_PATH_SIZE + 32];
        char journal[FOLDER_PATH_SIZE + 32], config[FOLDER_PATH_SIZE + 32];
        char log[FOLDER_PATH_SIZE + 32];
        pid_t pid; /* 0: not running */
        Backend *backend;
} Harness;

/* Folder, configuration and backend, but no daemon yet. `options` may be NULL. */
void harness_init(Harness *harness, const HarnessOptions *options);
/* Starts the daemon. */
void harness_launch(Harness *harness);
/* Starts the daemon, and waits until it answers. */
void harness_start(Harness *harness);
/* init and start. */
void harness_open(Harness *harness, const HarnessOptions *options);
/* SIGKILL. */
void harness_kill(Harness *harness);
/* SIGTERM; must end with status 0. */
void harness_stop(Harness *harness);
/*
 * Waits until no span is open and nothing is owed, asserts conservation, also between daemon and
 * backend, stops the daemon, looks for reports of sanitizers, and removes the folder.
 */
void harness_finish(Harness *harness);
/* The end of a test without a daemon: backend and folder. */
void harness_remove(Harness *harness);

/* Runs a catenad with one argument more than the configuration, if any; its exit status. */
int harness_run_daemon(const Harness *harness, const char *argument);
/* Whether the log (of harness_run_daemon() also) has the text. */
bool harness_has_logged(const Harness *harness, const char *text);

/* A number of the status: "counters.spans_accepted". */
uint64_t harness_get(const Harness *harness, const char *path);
/* Waits until it is at least that. */
void harness_await(const Harness *harness, const char *path, uint64_t least);
/* Waits until it is that. */
void harness_await_exactly(const Harness *harness, const char *path, uint64_t value);

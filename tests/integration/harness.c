/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/integration/harness.h"

#include "tests/integration/status-query.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- the folder ---- */

static int harness_remove_file(const char *path, const struct stat *about, int type,
                               struct FTW *where) {
        (void)about;
        (void)type;
        (void)where;
        return remove(path);
}

static void harness_write_config(const Harness *harness, const HarnessOptions *options) {
        FILE *file = fopen(harness->config, "we");

        ck_assert_ptr_nonnull(file);
        fprintf(file, "listen: { socket: \"%s\", mode: \"0600\" }\n", harness->socket);
        fprintf(file, "control: { socket: \"%s\", mode: \"0600\" }\n", harness->control);
        fprintf(file, "journal: { path: \"%s\", max_size: 32MiB }\n", harness->journal);
        fprintf(file, "batch: { delay: %s }\n", options->delay ? options->delay : "20ms");
        fprintf(file, "shutdown: { timeout: %s }\n", options->shutdown ? options->shutdown : "20s");
        fprintf(file,
                "exporters:\n"
                "  - name: default\n"
                "    endpoint: \"http://127.0.0.1:%u\"\n"
                "    compression: %s\n"
                "    timeout: %s\n"
                "    retry: { initial: 20ms, max: 200ms }\n",
                options->port ? options->port : backend_port(harness->backend),
                options->compression ? options->compression : "none",
                options->timeout ? options->timeout : "5s");
        if (options->signals)
                fprintf(file, "    signals: %s\n", options->signals);
        if (options->more)
                fputs(options->more, file);
        ck_assert_int_eq(fclose(file), 0);
}

static void harness_place(const Harness *harness, char path[FOLDER_PATH_SIZE + 32],
                          const char *name) {
        snprintf(path, FOLDER_PATH_SIZE + 32, "%s/%s", harness->folder, name);
}

void harness_init(Harness *harness, const HarnessOptions *options) {
        static const HarnessOptions defaults = {0};

        if (!options)
                options = &defaults;
        *harness = (Harness){.backend = backend_new()};
        folder_make(harness->folder);
        harness_place(harness, harness->socket, "catena.sock");
        harness_place(harness, harness->control, "control.sock");
        harness_place(harness, harness->journal, "journal");
        harness_place(harness, harness->config, "catenad.yaml");
        harness_place(harness, harness->log, "log");
        harness_write_config(harness, options);
        if (!options->refuses)
                backend_listen(harness->backend);
}

/* ---- the daemon ---- */

static pid_t harness_spawn(const Harness *harness, const char *argument) {
        char *argv[] = {(char[]){CATENAD}, (char[]){"--config"}, (char *)harness->config,
                        (char *)argument, NULL};
        pid_t parent = getpid(), pid = fork();
        int log;

        if (pid) {
                ck_assert_int_gt(pid, 0);
                return pid;
        }
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
                _exit(127);
        log = open(harness->log, O_WRONLY | O_CREAT | O_APPEND, 0600);
        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        execv(argv[0], argv);
        _exit(127);
}

static void harness_show_log(const Harness *harness) {
        char line[1024];
        FILE *log = fopen(harness->log, "re");

        while (log && fgets(line, sizeof line, log))
                fprintf(stderr, "catenad: %s", line);
        if (log)
                fclose(log);
}

static void harness_pause(void) {
        poll(NULL, 0, 5);
}

static time_t harness_now_s(void) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec;
}

void harness_launch(Harness *harness) {
        ck_assert_int_eq(harness->pid, 0);
        harness->pid = harness_spawn(harness, NULL);
}

void harness_start(Harness *harness) {
        time_t deadline = harness_now_s() + HARNESS_PATIENCE_S;
        StatusQuery *query;

        harness_launch(harness);
        while (!(query = status_query_new(harness->control, "GET", "/v1/status"))) {
                if (waitpid(harness->pid, NULL, WNOHANG) || harness_now_s() > deadline) {
                        harness_show_log(harness);
                        ck_abort_msg("the daemon does not start");
                }
                harness_pause();
        }
        status_query_free(query);
}

void harness_open(Harness *harness, const HarnessOptions *options) {
        harness_init(harness, options);
        harness_start(harness);
}

void harness_kill(Harness *harness) {
        int status;

        ck_assert_int_eq(waitpid(harness->pid, &status, WNOHANG), 0);
        ck_assert_int_eq(kill(harness->pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(harness->pid, &status, 0), harness->pid);
        harness->pid = 0;
}

void harness_stop(Harness *harness) {
        int status;

        ck_assert_int_eq(kill(harness->pid, SIGTERM), 0);
        ck_assert_int_eq(waitpid(harness->pid, &status, 0), harness->pid);
        harness->pid = 0;
        if (status)
                harness_show_log(harness);
        ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status),
                      "the daemon ended with wait status %#x", status);
}

int harness_run_daemon(const Harness *harness, const char *argument) {
        pid_t pid = harness_spawn(harness, argument);
        int status;

        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool harness_has_logged(const Harness *harness, const char *text) {
        char line[4096];
        FILE *log = fopen(harness->log, "re");
        bool found = false;

        while (log && !found && fgets(line, sizeof line, log))
                found = strstr(line, text);
        if (log)
                fclose(log);
        return found;
}

/* ---- status ---- */

static uint64_t harness_number(const Harness *harness, const StatusQuery *query, const char *path) {
        uint64_t value = 0;

        if (!status_query_number(query, path, &value)) {
                harness_show_log(harness);
                ck_abort_msg("no number %s", path);
        }
        return value;
}

static StatusQuery *harness_query(const Harness *harness) {
        StatusQuery *query = status_query_new(harness->control, "GET", "/v1/status");

        if (!query) {
                harness_show_log(harness);
                ck_abort_msg("the daemon does not answer");
        }
        return query;
}

uint64_t harness_get(const Harness *harness, const char *path) {
        StatusQuery *query = harness_query(harness);
        uint64_t value = harness_number(harness, query, path);

        status_query_free(query);
        return value;
}

static void harness_await_between(const Harness *harness, const char *path, uint64_t least,
                                  uint64_t most) {
        time_t deadline = harness_now_s() + HARNESS_PATIENCE_S;
        uint64_t value;

        while ((value = harness_get(harness, path)) < least || value > most) {
                if (harness_now_s() > deadline) {
                        harness_show_log(harness);
                        ck_abort_msg("%s is %ju, not %ju", path, (uintmax_t)value,
                                     (uintmax_t)least);
                }
                harness_pause();
        }
}

void harness_await(const Harness *harness, const char *path, uint64_t least) {
        harness_await_between(harness, path, least, UINT64_MAX);
}

void harness_await_exactly(const Harness *harness, const char *path, uint64_t value) {
        harness_await_between(harness, path, value, value);
}

/* ---- the end ---- */

#define HARNESS_TRACES   "conservation.traces."
#define HARNESS_EXPORTER HARNESS_TRACES "exporters.0."

static void harness_assert_conservation(const Harness *harness) {
        static const char *const parts[] = {
                HARNESS_TRACES "damaged",  HARNESS_TRACES "open",      HARNESS_TRACES "undecided",
                HARNESS_TRACES "unsealed", HARNESS_TRACES "sealed",    HARNESS_TRACES "finished",
                HARNESS_TRACES "unsampled",
        };
        static const char *const drops[] = {
                "collector_refused", "collector_rejected", "request_too_large",
                "no_exporter",       "exporter_gone",      "journal_damaged",
        };
        StatusQuery *query = harness_query(harness);
        uint64_t sum = 0, delivered;
        char path[128];

        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
                sum += harness_number(harness, query, parts[i]);
        ck_assert_uint_eq(harness_number(harness, query, HARNESS_TRACES "accepted"), sum);

        delivered = harness_number(harness, query, HARNESS_EXPORTER "delivered");
        sum = delivered + harness_number(harness, query, HARNESS_EXPORTER "in_memory");
        for (size_t i = 0; i < sizeof drops / sizeof *drops; i++) {
                snprintf(path, sizeof path, HARNESS_EXPORTER "dropped.%s", drops[i]);
                sum += harness_number(harness, query, path);
        }
        ck_assert_uint_eq(harness_number(harness, query, HARNESS_EXPORTER "owed"), sum);
        ck_assert_uint_eq(harness_number(harness, query, "conservation.holds"), 1);
        status_query_free(query);
        ck_assert_uint_eq(backend_n_unique(harness->backend), delivered);
}

void harness_finish(Harness *harness) {
        harness_await_exactly(harness, HARNESS_TRACES "open", 0);
        harness_await_exactly(harness, HARNESS_TRACES "undecided", 0);
        harness_await_exactly(harness, HARNESS_TRACES "unsealed", 0);
        harness_await_exactly(harness, HARNESS_TRACES "sealed", 0);
        harness_assert_conservation(harness);
        harness_stop(harness);
        if (harness_has_logged(harness, "Sanitizer") ||
            harness_has_logged(harness, "runtime error")) {
                harness_show_log(harness);
                ck_abort_msg("a sanitizer has reported");
        }
        harness_remove(harness);
}

void harness_remove(Harness *harness) {
        backend_free(harness->backend);
        ck_assert_int_eq(nftw(harness->folder, harness_remove_file, 8, FTW_DEPTH | FTW_PHYS), 0);
}

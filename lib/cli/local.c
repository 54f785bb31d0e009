/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/local.h"

#include "daemon/base/error.h"
#include "lib/cli/control-client.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        LOCAL_PATH_MAX = sizeof((struct sockaddr_un){0}.sun_path),
        LOCAL_TRIES = 500,     /* to ask whether it is up, … */
        LOCAL_TRY_MS = 10,     /* … this far apart */
        LOCAL_STOP_MS = 15000, /* until it is killed */
        LOCAL_ASK_NS = 1000000000,
};

struct Local {
        char folder[LOCAL_PATH_MAX - sizeof "/control.sock" + 1];
        char socket[LOCAL_PATH_MAX], control[LOCAL_PATH_MAX];
        char config[LOCAL_PATH_MAX], log[LOCAL_PATH_MAX];
        pid_t pid;
        int pidfd;
};

const char *local_socket(const Local *local) {
        return local->socket;
}

const char *local_control_socket(const Local *local) {
        return local->control;
}

/* ---- the folder ---- */

/* Whether the path may stand between quotes in YAML as it is. */
static bool local_is_plain(const char *path) {
        for (; *path; path++)
                if (*path < 0x20 || *path == 0x7f || *path == '"' || *path == '\\')
                        return false;
        return true;
}

static bool local_make_folder_in(Local *local, const char *parent) {
        int n;

        if (!parent || *parent != '/' || !local_is_plain(parent))
                return false;
        n = snprintf(local->folder, sizeof local->folder, "%s/catena-XXXXXX", parent);
        if (n > 0 && (size_t)n < sizeof local->folder && mkdtemp(local->folder))
                return true;
        *local->folder = '\0';
        return false;
}

static int local_make_folder(Local *local) {
        if (!local_make_folder_in(local, "/dev/shm") &&
            !local_make_folder_in(local, getenv("TMPDIR")) && !local_make_folder_in(local, "/tmp"))
                return LOCAL_E_FAILED;
        snprintf(local->socket, sizeof local->socket, "%s/catena.sock", local->folder);
        snprintf(local->control, sizeof local->control, "%s/control.sock", local->folder);
        snprintf(local->config, sizeof local->config, "%s/config.yaml", local->folder);
        snprintf(local->log, sizeof local->log, "%s/log", local->folder);
        return 0;
}

static int local_remove(const char *path, const struct stat *about, int type, struct FTW *where) {
        (void)about;
        (void)type;
        (void)where;
        remove(path);
        return 0;
}

static int local_write_config(const Local *local) {
        FILE *file = fopen(local->config, "we");
        bool failed;

        if (!file)
                return LOCAL_E_FAILED;
        fprintf(file,
                "listen: { socket: \"%s\", mode: \"0600\" }\n"
                "control: { socket: \"%s\", mode: \"0600\" }\n"
                "journal: { path: \"%s/journal\", max_size: 16MiB }\n"
                "exporters: []\n",
                local->socket, local->control, local->folder);
        failed = ferror(file);
        return fclose(file) || failed ? LOCAL_E_FAILED : 0;
}

/* ---- the daemon ---- */

/* Beside this program, or where a build tree has it; else along PATH. */
static void local_find_daemon(char path[PATH_MAX]) {
        static const char *const places[] = {"catenad", "../sbin/catenad", "../../daemon/catenad"};
        static const char in_build_tree[] = "/lib/cli";
        char own[PATH_MAX];
        ssize_t size = readlink("/proc/self/exe", own, sizeof own - 1);
        size_t n_places = sizeof places / sizeof *places;
        char *slash;

        own[size < 0 ? 0 : size] = '\0';
        slash = strrchr(own, '/');
        if (slash) {
                *slash = '\0';
                size = slash - own - (ssize_t)strlen(in_build_tree);
                if (size < 0 || strcmp(own + size, in_build_tree))
                        n_places--;
                for (size_t i = 0; i < n_places; i++)
                        if (snprintf(path, PATH_MAX, "%s/%s", own, places[i]) < PATH_MAX &&
                            !access(path, X_OK))
                                return;
        }
        strcpy(path, "catenad");
}

static int local_start(Local *local, const ChildGuard *guard) {
        char path[PATH_MAX];
        char *argv[] = {path, (char[]){"--config"}, local->config, NULL};
        int fd, r;

        local_find_daemon(path);
        fd = open(local->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (fd < 0)
                return LOCAL_E_FAILED;
        r = child_spawn(&local->pid, guard, &(ChildOptions){argv, fd, true});
        close(fd);
        if (r > 0) {
                fprintf(stderr, "catena: cannot run %s: %s\n", path, strerror(errno));
                return LOCAL_E_FAILED;
        }
        if (r < 0)
                return error_trace(r);
        local->pidfd = (int)syscall(SYS_pidfd_open, local->pid, 0);
        return local->pidfd < 0 ? error_origin(-errno) : 0;
}

/* Whether the daemon has ended after at most so long. */
static bool local_has_ended(const Local *local, int timeout_ms) {
        struct pollfd wait = {.fd = local->pidfd, .events = POLLIN};

        return poll(&wait, 1, timeout_ms) > 0;
}

static int local_await(const Local *local) {
        ControlClientAnswer answer;
        int r;

        for (unsigned i = 0; i < LOCAL_TRIES; i++) {
                if (local_has_ended(local, LOCAL_TRY_MS))
                        return LOCAL_E_FAILED;
                r = control_client_ask(&answer, local->control, "GET", "/v1/status", LOCAL_ASK_NS);
                if (r < 0)
                        return error_trace(r);
                if (!r) {
                        buffer_deinit(&answer.body);
                        return answer.status == 200 ? 0 : LOCAL_E_FAILED;
                }
        }
        return LOCAL_E_FAILED;
}

static void local_show_log(const Local *local) {
        char data[4096];
        FILE *log = fopen(local->log, "re");
        size_t n;

        fprintf(stderr, "catena: the private daemon did not start\n");
        if (!log)
                return;
        while ((n = fread(data, 1, sizeof data, log)))
                fwrite(data, 1, n, stderr);
        fclose(log);
}

int local_new(Local **localp, const ChildGuard *guard) {
        Local *local = calloc(1, sizeof *local);
        int r;

        if (!local)
                return error_origin(-ENOMEM);
        local->pidfd = -1;
        r = local_make_folder(local);
        if (!r)
                r = local_write_config(local);
        if (r) {
                fprintf(stderr, "catena: no folder for a private daemon: %s\n", strerror(errno));
                local_free(local);
                return r;
        }
        r = local_start(local, guard);
        if (!r) {
                r = local_await(local);
                if (r > 0)
                        local_show_log(local);
        }
        if (r) {
                local_free(local);
                return error_trace(r);
        }
        *localp = local;
        return 0;
}

Local *local_free(Local *local) {
        if (!local)
                return NULL;
        if (local->pid) {
                kill(local->pid, SIGTERM);
                if (local->pidfd < 0 || !local_has_ended(local, LOCAL_STOP_MS))
                        kill(local->pid, SIGKILL);
                waitpid(local->pid, NULL, 0);
        }
        if (local->pidfd >= 0)
                close(local->pidfd);
        if (*local->folder)
                nftw(local->folder, local_remove, 8, FTW_DEPTH | FTW_PHYS);
        free(local);
        return NULL;
}

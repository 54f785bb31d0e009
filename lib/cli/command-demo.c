/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/catena.h"
#include "lib/cli/command-request.h"
#include "lib/cli/local.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        COMMAND_DEMO_FLUSH_MS = 5000,
        COMMAND_DEMO_UPLOAD_MS = 30, /* until the upload is killed */
};

static const char command_demo_story[] =
        "A nightly report: which kinds of files are in /usr/share? A shell pipeline counts them,\n"
        "each of its programs a traced process. Another process uploads the result, and is killed\n"
        "by SIGKILL half-way. A last one tells of it, and fails.\n\n";

typedef struct CommandDemo {
        ChildGuard guard;
        catena_context *context;
        char self[PATH_MAX]; /* this program */
} CommandDemo;

/* Runs a script under a span of its own; in it, $0 is this program. */
static void command_demo_script(CommandDemo *demo, const char *name, const char *script) {
        catena_span span = catena_span_start(demo->context, name, CATENA_KIND_INTERNAL);
        char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, strdup(script), demo->self, NULL};
        int status;
        pid_t pid;

        catena_inject_environ(demo->context, span);
        if (!argv[2] ||
            child_spawn(&pid, &demo->guard, &(ChildOptions){.argv = argv, .output_fd = -1}) ||
            child_wait(&status, pid, &demo->guard))
                catena_span_error(span, "exec", "the shell could not be run", NULL);
        catena_span_end(span);
        free(argv[2]);
}

/* Copies this program into memory, as a stand-in for a network. */
static void command_demo_transfer(catena_span span) {
        int from = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        int to = memfd_create("upload", MFD_CLOEXEC);
        char data[65536];
        int64_t sum = 0;
        ssize_t n;

        while (from >= 0 && to >= 0 && (n = read(from, data, sizeof data)) > 0)
                sum += write(to, data, (size_t)n) > 0 ? n : 0;
        catena_span_set_int(span, "upload.bytes", sum);
        close(from);
        close(to);
}

/* In the process that is to be killed: tells through `fd` when it has come half-way. */
static void command_demo_upload(const CommandDemo *demo, int fd) {
        catena_context *context = catena_context_child(demo->context);
        catena_span upload = catena_span_start(context, "upload", CATENA_KIND_CLIENT);
        catena_span part = catena_span_start(context, "part 1", CATENA_KIND_CLIENT);

        command_demo_transfer(part);
        catena_span_end(part);
        catena_context_checkpoint(context, "half-way");
        catena_span_start(context, "part 2", CATENA_KIND_CLIENT);
        catena_span_event(upload, "waiting for the network", NULL, 0);
        catena_flush(COMMAND_DEMO_FLUSH_MS);
        if (write(fd, "", 1) == 1)
                pause();
        _exit(1);
}

static void command_demo_publish(const CommandDemo *demo) {
        catena_span span = catena_span_start(demo->context, "publish", CATENA_KIND_INTERNAL);
        pid_t pid, parent = getpid();
        char byte;
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0) {
                catena_span_end(span);
                return;
        }
        pid = fork();
        if (!pid) {
                child_become(&demo->guard, parent, SIGKILL);
                close(fds[0]);
                command_demo_upload(demo, fds[1]);
        }
        close(fds[1]);
        if (pid > 0) {
                if (read(fds[0], &byte, 1) == 1)
                        poll(NULL, 0, COMMAND_DEMO_UPLOAD_MS);
                kill(pid, SIGKILL);
                waitpid(pid, NULL, 0);
                catena_span_error(span, "upload", "the upload was killed", NULL);
        }
        close(fds[0]);
        catena_span_end(span);
}

/* The workload; returns the id of its chain, for the caller to free, or NULL. */
static char *command_demo_work(CommandDemo *demo) {
        catena_span report;
        char *chain;

        catena_start(&(catena_options){.service_name = "demo"});
        demo->context = catena_context_new("nightly-report", NULL);
        if (!demo->context)
                return NULL;
        chain = strdup(catena_context_correlation_id(demo->context));
        report = catena_span_start(demo->context, "report", CATENA_KIND_INTERNAL);
        command_demo_script(demo, "count",
                            "\"$0\" exec find /usr/share -maxdepth 3 -type f |"
                            "\"$0\" exec sed 's/.*[./]//' |"
                            "\"$0\" exec sort |"
                            "\"$0\" exec uniq -c >/dev/null");
        catena_context_checkpoint(demo->context, "counted");
        command_demo_publish(demo);
        catena_context_checkpoint(demo->context, "published");
        command_demo_script(demo, "notify", "\"$0\" exec --name mail sh -c 'sleep 0.02; exit 3'");
        catena_span_end(report);
        catena_context_free(demo->context);
        catena_stop(COMMAND_DEMO_FLUSH_MS);
        return chain;
}

static int command_demo_show(const Local *local, const char *chain, bool json) {
        Buffer body = BUFFER_NULL;
        int status;

        status = command_request_settled_chain(&body, local_control_socket(local), chain);
        if (status)
                return status;
        if (json)
                fwrite(body.data, 1, body.size, stdout);
        else
                status = command_request_draw(stdout, "", &body);
        buffer_deinit(&body);
        return status;
}

static int command_demo_run(const CommandOptions *options, char **words) {
        CommandDemo demo = {0};
        int status = COMMAND_EXIT_NO;
        Local *local;
        char *chain;

        (void)words;
        if (readlink("/proc/self/exe", demo.self, sizeof demo.self - 1) < 0) {
                perror("catena: /proc/self/exe");
                return COMMAND_EXIT_NO;
        }
        child_guard_init(&demo.guard);
        if (!local_new(&local, &demo.guard)) {
                if (!options->json)
                        fputs(command_demo_story, stdout);
                fflush(stdout);
                setenv("CATENA_SOCKET", local_socket(local), 1);
                chain = command_demo_work(&demo);
                if (chain)
                        status = command_demo_show(local, chain, options->json);
                free(chain);
                local_free(local);
        }
        child_guard_deinit(&demo.guard);
        return status;
}

static const Option command_demo_options[] = {
        COMMAND_OPTION_JSON,
        COMMAND_OPTION_HELP,
        {0},
};

const Command command_demo = {
        .name = "demo",
        .words = "",
        .summary = "Traces a small workload, and draws its chain",
        .details = "Several processes, one of which is killed in the middle of its work, and a "
                   "daemon\n"
                   "of its own. Nothing is left behind.\n",
        .options = command_demo_options,
        .run = command_demo_run,
};

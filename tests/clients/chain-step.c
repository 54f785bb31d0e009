/* SPDX-License-Identifier: Apache-2.0 */

/*
 * chain-step NAME [COMMAND [ARGUMENT]...]: a program in a chain. It goes on with what its
 * environment says, and runs the command, if any, as a part of its own span.
 */

#include <catena.h>

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_MS = 30000 };

static int run(char **command) {
        int status;
        pid_t pid = fork();

        if (!pid) {
                execvp(command[0], command);
                _exit(127);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid)
                return 126;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}

int main(int argc, char **argv) {
        catena_context *context;
        catena_span span;
        int status = 0;

        if (argc < 2) {
                fputs("chain-step NAME [COMMAND [ARGUMENT]...]\n", stderr);
                return 2;
        }
        catena_start(&(catena_options){.service_name = argv[1]});
        context = catena_context_extract_environ(0);
        span = catena_span_start(context, argv[1], CATENA_KIND_INTERNAL);
        catena_inject_environ(context, span);
        if (argc > 2)
                status = run(argv + 2);
        catena_span_end(span);
        catena_context_free(context);
        return catena_stop(STOP_MS) ? status : 1;
}

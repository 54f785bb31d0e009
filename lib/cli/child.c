/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/child.h"

#include "daemon/base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void child_guard_init(ChildGuard *guard) {
        static const int signals[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM,
                                      SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGWINCH};
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigset_t blocked;

        sigemptyset(&guard->handed_on);
        for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
                sigaddset(&guard->handed_on, signals[i]);
        blocked = guard->handed_on;
        sigaddset(&blocked, SIGCHLD);
        sigprocmask(SIG_BLOCK, &blocked, &guard->mask);
        sigaction(SIGCHLD, &action, &guard->child);
        action.sa_handler = SIG_IGN;
        sigaction(SIGPIPE, &action, &guard->pipe);
}

void child_guard_deinit(ChildGuard *guard) {
        sigaction(SIGCHLD, &guard->child, NULL);
        sigaction(SIGPIPE, &guard->pipe, NULL);
        sigprocmask(SIG_SETMASK, &guard->mask, NULL);
}

void child_become(const ChildGuard *guard, pid_t parent, int death_signal) {
        if (death_signal) {
                prctl(PR_SET_PDEATHSIG, death_signal);
                if (getppid() != parent)
                        _exit(1);
        }
        sigaction(SIGCHLD, &guard->child, NULL);
        sigaction(SIGPIPE, &guard->pipe, NULL);
        sigprocmask(SIG_SETMASK, &guard->mask, NULL);
}

/* In the child. Tells through `fd` why there is no program. */
static void child_execute(const ChildGuard *guard, const ChildOptions *options, pid_t parent,
                          int fd) {
        int reason;

        if (options->is_servant)
                setsid();
        if (options->output_fd >= 0) {
                int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

                if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
                    dup2(options->output_fd, STDOUT_FILENO) < 0 ||
                    dup2(options->output_fd, STDERR_FILENO) < 0)
                        goto failed;
        }
        child_become(guard, parent, options->is_servant ? SIGTERM : 0);
        execvp(options->argv[0], options->argv);
failed:
        reason = errno;
        if (write(fd, &reason, sizeof reason) < 0)
                _exit(126);
        _exit(127);
}

int child_spawn(pid_t *pidp, const ChildGuard *guard, const ChildOptions *options) {
        pid_t pid, parent = getpid();
        int fds[2], reason;
        ssize_t n;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return error_origin(-errno);
        pid = fork();
        if (pid < 0) {
                reason = errno;
                close(fds[0]);
                close(fds[1]);
                return error_origin(-reason);
        }
        if (!pid)
                child_execute(guard, options, parent, fds[1]);
        close(fds[1]);
        do
                n = read(fds[0], &reason, sizeof reason);
        while (n < 0 && errno == EINTR);
        close(fds[0]);
        if (n == sizeof reason) {
                waitpid(pid, NULL, 0);
                errno = reason;
                return reason == ENOENT ? CHILD_E_NOT_FOUND : CHILD_E_NOT_RUNNABLE;
        }
        *pidp = pid;
        return 0;
}

/* Whether it came from the kernel, which sends what the terminal says to the child as well. */
static bool child_has_it_too(const siginfo_t *info) {
        return info->si_code == SI_KERNEL;
}

int child_wait(int *statusp, pid_t pid, const ChildGuard *guard) {
        sigset_t awaited = guard->handed_on;
        siginfo_t info;
        int status;
        pid_t r;

        sigaddset(&awaited, SIGCHLD);
        for (;;) {
                r = waitpid(pid, &status, WNOHANG | WUNTRACED);
                if (r < 0 && errno != EINTR)
                        return error_origin(-errno);
                if (r == pid && !WIFSTOPPED(status)) {
                        *statusp = status;
                        return 0;
                }
                if (r == pid && WSTOPSIG(status) != SIGSTOP) {
                        raise(SIGSTOP);
                        continue;
                }
                if (sigwaitinfo(&awaited, &info) < 0) {
                        if (errno != EINTR)
                                return error_origin(-errno);
                } else if (info.si_signo != SIGCHLD && !child_has_it_too(&info)) {
                        kill(pid, info.si_signo);
                }
        }
}

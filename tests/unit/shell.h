#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Scripts for a test, in which "$C" is the command as it is built. */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

/* What the last script printed, on stdout and stderr. */
static char shell_output[65536];

/* Runs a script; returns its exit status. */
static inline int shell(const char *script) {
        FILE *out;
        size_t n;
        int status;

        setenv("C", COMMAND_EXECUTABLE, 1);
        setenv("SCRIPT", script, 1);
        out = popen("exec 2>&1; eval \"$SCRIPT\"", "r");
        ck_assert_ptr_nonnull(out);
        n = fread(shell_output, 1, sizeof shell_output - 1, out);
        shell_output[n] = '\0';
        status = pclose(out);
        ck_assert(WIFEXITED(status));
        return WEXITSTATUS(status);
}

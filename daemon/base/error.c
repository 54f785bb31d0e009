/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"

#include <string.h>

enum { ERROR_FRAMES_MAX = 16 };

static struct {
        int code;
        unsigned n_frames;
        struct {
                const char *file;
                int line;
        } frames[ERROR_FRAMES_MAX];
} error_way;

int error_note(int r, int origin, const char *file, int line) {
        if (r >= 0)
                return r;
        if (origin) {
                error_way.code = r;
                error_way.n_frames = 0;
        }
        if (error_way.n_frames < ERROR_FRAMES_MAX) {
                error_way.frames[error_way.n_frames].file = file;
                error_way.frames[error_way.n_frames].line = line;
                error_way.n_frames++;
        }
        return r;
}

void error_print(FILE *out) {
        if (!error_way.n_frames)
                return;
        fprintf(out, "%s, at", strerror(-error_way.code));
        for (unsigned i = 0; i < error_way.n_frames; i++)
                fprintf(out, " %s:%d", error_way.frames[i].file, error_way.frames[i].line);
        fputc('\n', out);
}

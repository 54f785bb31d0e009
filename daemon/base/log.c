/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
        LOG_MESSAGE_MAX = 1024,
        LOG_ESCAPED_MAX = 6, /* the longest escape of one byte: \u001f */
        LOG_LINE_MAX = LOG_MESSAGE_MAX * LOG_ESCAPED_MAX + 128,
};

static LogLevel log_level = LOG_LEVEL_INFO;
static LogFormat log_format = LOG_FORMAT_TEXT;

static const char *log_level_name(LogLevel level) {
        switch (level) {
        case LOG_LEVEL_ERROR:
                return "error";
        case LOG_LEVEL_WARNING:
                return "warning";
        case LOG_LEVEL_INFO:
                return "info";
        default:
                return "debug";
        }
}

void log_configure(LogLevel level, LogFormat format) {
        log_level = level;
        log_format = format;
}

static int log_format_json(char *line, LogLevel level, const char *message) {
        struct timespec now;
        struct tm tm;
        int n;

        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        n = (int)strftime(line, LOG_LINE_MAX, "{\"time\":\"%Y-%m-%dT%H:%M:%S", &tm);
        n += sprintf(line + n, ".%03ldZ\",\"level\":\"%s\",\"message\":\"", now.tv_nsec / 1000000,
                     log_level_name(level));
        for (const unsigned char *c = (const unsigned char *)message; *c; c++) {
                if (*c == '"' || *c == '\\')
                        n += sprintf(line + n, "\\%c", *c);
                else if (*c < 0x20)
                        n += sprintf(line + n, "\\u%04x", *c);
                else
                        line[n++] = (char)*c;
        }
        return n + sprintf(line + n, "\"}\n");
}

static int log_format_text(char *line, LogLevel level, const char *message) {
        char priority[16];

        if (getenv("JOURNAL_STREAM"))
                snprintf(priority, sizeof priority, "<%d>", (int)level);
        else
                snprintf(priority, sizeof priority, "%s: ", log_level_name(level));
        return sprintf(line, "%s%s\n", priority, message);
}

void log_write(LogLevel level, const char *format, ...) {
        char message[LOG_MESSAGE_MAX], line[LOG_LINE_MAX];
        va_list args;
        int n;

        if (level > log_level)
                return;
        va_start(args, format);
        vsnprintf(message, sizeof message, format, args);
        va_end(args);
        if (log_format == LOG_FORMAT_JSON)
                n = log_format_json(line, level, message);
        else
                n = log_format_text(line, level, message);
        if (write(STDERR_FILENO, line, (size_t)n) < 0)
                return; /* a log that cannot be written has nobody to tell */
}

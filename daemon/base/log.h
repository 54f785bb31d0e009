#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Log
 *
 * One line an event, to stderr. As text it begins with the syslog priority (`<4>`) when systemd
 * reads it, else with the level's name; as JSON each line is an object with time, level, message.
 * Only those who decide log: peer, exporter, control, daemon.
 *
 * I/O: stderr.  Threads: any.
 */

typedef enum LogLevel {
        LOG_LEVEL_ERROR = 3, /* syslog's numbers */
        LOG_LEVEL_WARNING = 4,
        LOG_LEVEL_INFO = 6,
        LOG_LEVEL_DEBUG = 7,
} LogLevel;

typedef enum LogFormat {
        LOG_FORMAT_TEXT,
        LOG_FORMAT_JSON,
} LogFormat;

void log_configure(LogLevel level, LogFormat format);
void log_write(LogLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-clock.h"
#include "lib/client-context.h"
#include "lib/client-count.h"
#include "lib/client-link.h"
#include "lib/client-process.h"
#include "lib/client-send.h"
#include "lib/client-span.h"
#include "lib/client-value.h"
#include "proto/otlp.h"
#include "proto/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
        LOG_FIXED_MAX = 128, /* bytes of all but text and attributes */
        LOG_FORMAT_MAX = 2048,
};

typedef struct Log {
        const catena_span *span;
        uint32_t severity;
        uint64_t unix_ns;
        const char *text;
        catena_attribute correlation; /* without a value: none */
        const catena_attribute *attributes;
        size_t n_attributes;
        unsigned n_bad; /* attributes that were passed over in the last writing */
} Log;

/* As OTLP's SeverityNumber has them, less the prefix. */
static const char log_severities[][8] = {
        "",       "TRACE",  "TRACE2", "TRACE3", "TRACE4", "DEBUG",  "DEBUG2", "DEBUG3", "DEBUG4",
        "INFO",   "INFO2",  "INFO3",  "INFO4",  "WARN",   "WARN2",  "WARN3",  "WARN4",  "ERROR",
        "ERROR2", "ERROR3", "ERROR4", "FATAL",  "FATAL2", "FATAL3", "FATAL4",
};

enum { LOG_SEVERITY_MAX = sizeof log_severities / sizeof *log_severities - 1 };

/* At least the bytes that it takes. */
static size_t log_size(const Log *log) {
        return LOG_FIXED_MAX +
               catena__text_size(OTLP_ANY_VALUE_STRING, log->text, strlen(log->text)) +
               catena__attribute_size(OTLP_LOG_ATTRIBUTES, &log->correlation) +
               catena__attributes_size(OTLP_LOG_ATTRIBUTES, log->attributes, log->n_attributes);
}

static void log_write_severity(PbWriter *writer, uint32_t severity) {
        const char *text = log_severities[severity];

        if (!severity)
                return;
        pb_put_varint(writer, OTLP_LOG_SEVERITY, severity);
        pb_put_bytes(writer, OTLP_LOG_SEVERITY_TEXT, text, strlen(text));
}

static void log_write_ids(PbWriter *writer, const catena_span *span) {
        if (id_is_zero(span->trace_id, ID_TRACE_SIZE))
                return;
        pb_put_fixed32(writer, OTLP_LOG_FLAGS, span->flags);
        pb_put_bytes(writer, OTLP_LOG_TRACE_ID, span->trace_id, ID_TRACE_SIZE);
        if (!id_is_zero(span->span_id, ID_SPAN_SIZE))
                pb_put_bytes(writer, OTLP_LOG_SPAN_ID, span->span_id, ID_SPAN_SIZE);
}

static void log_write(PbWriter *writer, const void *user) {
        Log *log = (Log *)user;
        size_t size = strlen(log->text);

        pb_put_fixed64(writer, OTLP_LOG_TIME, log->unix_ns);
        pb_put_fixed64(writer, OTLP_LOG_OBSERVED_TIME, log->unix_ns);
        log_write_severity(writer, log->severity);
        log_write_ids(writer, log->span);
        pb_put_prefix(writer, OTLP_LOG_BODY,
                      catena__text_size(OTLP_ANY_VALUE_STRING, log->text, size));
        catena__text_write(writer, OTLP_ANY_VALUE_STRING, log->text, size);
        (void)catena__attribute_write(writer, OTLP_LOG_ATTRIBUTES, &log->correlation);
        log->n_bad = catena__attributes_write(writer, OTLP_LOG_ATTRIBUTES, log->attributes,
                                              log->n_attributes);
}

static void log_send(Log *log) {
        SendMessage message = {
                .type = RECORD_LOG,
                .context = log->span->context,
                .slot = catena__slot_find(log->span->context),
                .write = log_write,
                .user = log,
        };

        if (catena__send_direct(&message) == SEND_E_ELSEWHERE) {
                message.size = log_size(log);
                (void)catena__send_by_stream(&message);
        }
        for (unsigned i = 0; i < log->n_bad; i++)
                catena__misuse(MISUSE_ATTRIBUTE);
}

/* What was asked for, as far as it makes sense. */
static void log_check(Log *log) {
        if (log->severity > LOG_SEVERITY_MAX) {
                catena__misuse(MISUSE_FLAGS);
                log->severity = 0;
        }
        if (!log->text) {
                catena__misuse(MISUSE_NAME);
                log->text = "";
        }
        if (!log->attributes && log->n_attributes) {
                catena__misuse(MISUSE_ATTRIBUTE);
                log->n_attributes = 0;
        }
}

/* `body`, held: of the span's context; NULL: there is none, or it was freed. */
static void log_say(Log *log, const ContextBody *body) {
        SpanStamp stamp = catena__span_stamp(log->span);

        log_check(log);
        if (catena__link_is_away()) {
                catena__lost(LOST_NOT_CONNECTED, LOST_LOGS);
                return;
        }
        log->unix_ns = catena__span_clock();
        log->unix_ns = catena__clock_unix_ns(stamp.epoch ? stamp.era : catena__clock_last_era(),
                                             log->unix_ns);
        log->correlation.key = "workflow.correlation_id";
        log->correlation.value.string = body ? body->correlation_id : NULL;
        log_send(log);
}

void catena_log(catena_context *context, uint32_t severity, const char *text,
                const catena_attribute *attributes, size_t n) {
        catena_span span = {0};
        Log log = {
                .span = &span,
                .severity = severity,
                .text = text,
                .attributes = attributes,
                .n_attributes = n,
        };
        ContextBody *body = NULL;

        if (!catena__process_start())
                return;
        if (context && catena__context_slot(&span.context, context))
                body = catena__slot_hold(span.context);
        if (body)
                (void)catena__span_current(&span, body, span.context);
        log_say(&log, body);
        if (body)
                catena__slot_release();
}

void catena_logf(catena_context *context, uint32_t severity, const char *format, ...) {
        char text[LOG_FORMAT_MAX] = "";
        va_list arguments;
        int n = 0;

        if (format) {
                va_start(arguments, format);
                n = vsnprintf(text, sizeof text, format, arguments);
                va_end(arguments);
        }
        if (n >= (int)sizeof text)
                text[utf8_truncate(text, sizeof text - 1, sizeof text - 2)] = 0;
        catena_log(context, severity, format && n >= 0 ? text : NULL, NULL, 0);
}

void catena_span_log(catena_span span, uint32_t severity, const char *text,
                     const catena_attribute *attributes, size_t n) {
        Log log = {
                .span = &span,
                .severity = severity,
                .text = text,
                .attributes = attributes,
                .n_attributes = n,
        };
        ContextBody *body;

        if (!catena__process_start())
                return;
        if (!catena__span_is(&span)) {
                catena__misuse(MISUSE_SPAN);
                span = (catena_span){0};
        }
        body = catena__slot_hold(span.context);
        log_say(&log, body);
        if (body)
                catena__slot_release();
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/export/retry.h"

#include "daemon/http/http-date.h"
#include "proto/pb.h"
#include "proto/utf8.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- the text ---- */

/* Appends the first line of what a collector says, made fit for a log. */
static void retry_add_text(RetryVerdict *verdict, const void *data, size_t size) {
        char line[3 * RETRY_TEXT_MAX];
        size_t used = strlen(verdict->text), n = 0;

        if (size > RETRY_TEXT_MAX)
                size = utf8_truncate(data, size, RETRY_TEXT_MAX);
        while (n < size && !memchr("\r\n", ((const char *)data)[n], 3))
                n++;
        n = utf8_replace(line, data, n);
        n = utf8_truncate(line, n, RETRY_TEXT_MAX - used);
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
                        line[i] = ' ';
        memcpy(verdict->text + used, line, n);
        verdict->text[used + n] = '\0';
}

static void retry_add_detail(RetryVerdict *verdict, const void *data, size_t size) {
        if (!size)
                return;
        retry_add_text(verdict, ": ", 2);
        retry_add_text(verdict, data, size);
}

/* ---- protobuf ---- */

/* Field 2 of a google.rpc.Status; an empty message where there is none. */
static void retry_status_message(PbField *message, const uint8_t *body, size_t size) {
        PbReader reader = pb_reader(body, size);
        PbField field;

        *message = (PbField){.size = 0};
        while (pb_next(&reader, &field))
                if (field.number == 2 && field.wire == PB_BYTES)
                        *message = field;
}

typedef struct RetryPartial {
        uint64_t n_rejected;
        PbField message;
} RetryPartial;

/* Export{Trace,Logs}PartialSuccess; they have the same shape. */
static bool retry_read_partial(RetryPartial *partial, const uint8_t *data, size_t size) {
        PbReader reader = pb_reader(data, size);
        PbField field;

        while (pb_next(&reader, &field)) {
                if (field.number == 1 && field.wire == PB_VARINT)
                        partial->n_rejected = (int64_t)field.value < 0 ? 0 : field.value;
                else if (field.number == 2 && field.wire == PB_BYTES)
                        partial->message = field;
                else if (field.number <= 2)
                        return false;
        }
        return !reader.failed;
}

/* Export{Trace,Logs}ServiceResponse. False: it is not one. */
static bool retry_read_response(RetryPartial *partial, const uint8_t *data, size_t size) {
        PbReader reader = pb_reader(data, size);
        PbField field;

        *partial = (RetryPartial){.n_rejected = 0};
        while (pb_next(&reader, &field))
                if (field.number == 1 && (field.wire != PB_BYTES ||
                                          !retry_read_partial(partial, field.data, field.size)))
                        return false;
        return !reader.failed;
}

/* ---- verdicts ---- */

static void retry_accept(RetryVerdict *verdict, const RetryResponse *response, uint64_t n_objects) {
        BatchOutcome *outcome = &verdict->outcome;
        RetryPartial partial;
        uint64_t n;

        if (!retry_read_response(&partial, response->body, response->size)) {
                verdict->result = RETRY_REFUSED;
                outcome->n_dropped[BATCH_DROP_REFUSED] = n_objects;
                retry_add_detail(verdict, "the answer is not OTLP",
                                 strlen("the answer is not OTLP"));
                return;
        }
        n = partial.n_rejected < n_objects ? partial.n_rejected : n_objects;
        outcome->n_dropped[BATCH_DROP_PARTIAL] = n;
        outcome->n_delivered = n_objects - n;
        if (!n && !partial.message.size) {
                verdict->result = RETRY_DELIVERED;
                verdict->text[0] = '\0';
                return;
        }
        verdict->result = RETRY_PARTIAL;
        snprintf(verdict->text, sizeof(verdict->text), "%" PRIu64 " of %" PRIu64 " rejected", n,
                 n_objects);
        retry_add_detail(verdict, partial.message.data, partial.message.size);
}

static void retry_explain(RetryVerdict *verdict, const RetryResponse *response) {
        const char *type = response->content_type;
        PbField message;

        if (type &&
            !strncasecmp(type, "application/x-protobuf", strlen("application/x-protobuf"))) {
                retry_status_message(&message, response->body, response->size);
                retry_add_detail(verdict, message.data, message.size);
        } else {
                retry_add_detail(verdict, response->body, response->size);
        }
}

void retry_judge(RetryVerdict *verdict, const RetryResponse *response, uint64_t n_objects,
                 uint64_t now_unix_ns) {
        *verdict = (RetryVerdict){.result = RETRY_REFUSED};
        snprintf(verdict->text, sizeof(verdict->text), "%u ", response->status);
        retry_add_text(verdict, response->reason, strlen(response->reason));
        if (response->status / 100 == 2) {
                retry_accept(verdict, response, n_objects);
                return;
        }
        retry_explain(verdict, response);
        switch (response->status) {
        case 429:
        case 502:
        case 503:
        case 504:
                verdict->result = RETRY_LATER;
                if (response->retry_after)
                        http_date_retry_after(&verdict->delay_ns, response->retry_after,
                                              now_unix_ns);
                break;
        default:
                verdict->outcome.n_dropped[BATCH_DROP_REFUSED] = n_objects;
        }
}

void retry_judge_failure(RetryVerdict *verdict, const char *text) {
        *verdict = (RetryVerdict){.result = RETRY_LATER};
        retry_add_text(verdict, text, strlen(text));
}

void retry_judge_refusal(RetryVerdict *verdict, const char *text, uint64_t n_objects) {
        *verdict = (RetryVerdict){.result = RETRY_REFUSED};
        verdict->outcome.n_dropped[BATCH_DROP_REFUSED] = n_objects;
        retry_add_text(verdict, text, strlen(text));
}

/* ---- backoff ---- */

/* The wish of the collector and a little, so that not all come back at once; else half to all of
 * a time that doubles. */
uint64_t retry_delay(Retry *retry, const RetryVerdict *verdict, uint64_t random) {
        uint64_t wish =
                verdict->delay_ns < RETRY_AFTER_MAX_NS ? verdict->delay_ns : RETRY_AFTER_MAX_NS;
        uint64_t backoff = retry->next_ns ? retry->next_ns : retry->initial_ns;

        if (backoff > retry->max_ns)
                backoff = retry->max_ns;
        retry->next_ns = backoff > retry->max_ns / 2 ? retry->max_ns : backoff * 2;
        if (wish)
                return wish + random % (wish / 8 + 1);
        return backoff / 2 + random % (backoff - backoff / 2 + 1);
}

void retry_reset(Retry *retry) {
        retry->next_ns = 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/trace/recorder-internal.h"
#include "proto/pb.h"

#include <string.h>

static const uint64_t EXPIRY_NS = RECORDER_DETACHED_HOURS * UINT64_C(3600000000000);
static const char EXPIRY_REASON[] = "expired";

static uint64_t expiry_of(const Span *span) {
        return span->since_unix_ns < UINT64_MAX - EXPIRY_NS ? span->since_unix_ns + EXPIRY_NS
                                                            : UINT64_MAX;
}

void recorder_expect_expiry(Recorder *recorder, const Span *span) {
        if (expiry_of(span) < recorder->expiry_unix_ns)
                recorder->expiry_unix_ns = expiry_of(span);
}

uint64_t recorder_expiry_due_unix_ns(const Recorder *recorder) {
        return recorder->expiry_unix_ns;
}

static bool expiry_may_hit(const Span *span) {
        return span->started && !span->ended && !span->closed;
}

static int expiry_decide(Recorder *recorder, const Span *span, uint64_t now_unix_ns) {
        Catena__V1__Expired message = CATENA__V1__EXPIRED__INIT;
        uint8_t closing[128];
        uint64_t key = span->key;
        int r;

        message.span_id = (ProtobufCBinaryData){sizeof key, (uint8_t *)&key};
        message.closing.data = closing;
        message.closing.len =
                recorder_write_closing(closing, sizeof closing, EXPIRY_REASON, false, now_unix_ns);
        r = recorder_decide(recorder, RECORD_EXPIRED, span->object.session->number, &message.base,
                            now_unix_ns);
        return r < 0 ? error_trace(r) : r;
}

/* Those of a user whose time has come; the others are expected. */
static int expiry_decide_due(Recorder *recorder, const SessionUser *user, uint64_t now_unix_ns) {
        map_for_each (slot, &user->detached) {
                const Span *span = slot->value;
                int r;

                if (!expiry_may_hit(span))
                        continue;
                if (expiry_of(span) > now_unix_ns) {
                        recorder_expect_expiry(recorder, span);
                        continue;
                }
                r = expiry_decide(recorder, span, now_unix_ns); /* it stays in the map */
                if (r)
                        return r < 0 ? error_trace(r) : r;
        }
        return 0;
}

int recorder_expire(Recorder *recorder, uint64_t now_unix_ns) {
        if (now_unix_ns < recorder->expiry_unix_ns)
                return 0;
        recorder->expiry_unix_ns = UINT64_MAX;
        map_for_each (slot, &recorder->users) {
                int r = expiry_decide_due(recorder, slot->value, now_unix_ns);
                if (r) {
                        recorder->expiry_unix_ns = now_unix_ns; /* the rest of them soon */
                        return r < 0 ? error_trace(r) : r;
                }
        }
        return 0;
}

int recorder_read_expired(Recorder *recorder, const RecorderRecord *record) {
        Session *session = recorder_find_session(recorder, record->header.context);
        RecorderClosing closing = {
                .fragment = {.hold = recorder_hold(record),
                             .flags = FRAGMENT_END | FRAGMENT_CLOSES},
                .reason = EXPIRY_REASON,
                .counter = &recorder->counters.spans_expired,
        };
        PbReader reader = pb_reader(record->body, record->size);
        uint64_t key = 0;
        PbField field;
        Span *span;
        int r;

        while (pb_next(&reader, &field)) {
                if (field.number == 1 && field.wire == PB_BYTES && field.size == sizeof key)
                        memcpy(&key, field.data, sizeof key);
                if (field.number == 2 && field.wire == PB_BYTES) {
                        closing.fragment.hold.position += (uint64_t)(field.data - record->body);
                        closing.fragment.hold.size = (uint32_t)field.size;
                }
        }
        span = session ? map_find(&session->user->detached, key) : NULL;
        if (!span || span->object.session != session || !expiry_may_hit(span))
                return 0;
        r = recorder_close_for(recorder, span, &closing, record->time_unix_ns);
        return r ? error_trace(r) : 0;
}

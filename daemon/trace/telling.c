/* SPDX-License-Identifier: Apache-2.0 */

/* Telling whoever watches of what ends. */

#include "daemon/base/error.h"
#include "daemon/trace/recorder-internal.h"

void recorder_watch(Recorder *recorder, RecorderWatch watch, void *user) {
        recorder->watch = watch;
        recorder->watch_user = user;
}

int recorder_tell_watch(Recorder *recorder, Span *span) {
        Object *object = &span->object;
        Buffer *joined = &recorder->scratch;
        ValidateSummary summary;
        JoinReport report = {0};
        RecorderEnded ended = {
                .session = object->session,
                .context = object->context ? object->context->chain : NULL,
                .summary = &summary,
        };
        int r;

        joined->size = 0;
        r = object_pieces_in_context(object, &recorder->pieces);
        if (!r)
                r = object_join(object, &recorder->pieces, joined, &report);
        if (r)
                return error_trace(r);
        if (validate_span(&summary, joined->data, joined->size, true, (const uint8_t *)&span->key))
                return 0; /* a damaged journal */
        ended.data = joined->data;
        ended.size = joined->size;
        return error_trace(recorder->watch(recorder->watch_user, &ended));
}

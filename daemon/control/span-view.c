/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/span-view.h"

#include "daemon/base/error.h"
#include "daemon/control/render.h"
#include "daemon/trace/context.h"
#include "daemon/trace/span.h"
#include "proto/id.h"

#include <errno.h>
#include <stdlib.h>

static int span_view_compare(const void *left, const void *right) {
        const Span *a = *(const Span *const *)left, *b = *(const Span *const *)right;

        return a->start_unix_ns < b->start_unix_ns ? -1 : a->start_unix_ns > b->start_unix_ns;
}

/* Its name as it is now, if the chain still has it, else as it began. */
static void span_view_name(Render *render, const Span *span, const ValidateSummary *summary) {
        if (span->chain)
                render_text(render, "name", span->chain->name);
        else
                render_text_sized(render, "name", summary->name.data, summary->name.size);
}

static int span_view_line(Buffer *out, const Span *span) {
        const Session *session = span->object.session;
        const Context *context = span->object.context;
        ValidateSummary summary;
        Render render;

        if (!span_summary(span, &summary))
                return 0;
        render_init(&render);
        render_hex(&render, "traceId", summary.trace_id, ID_TRACE_SIZE);
        render_hex(&render, "spanId", summary.span_id, ID_SPAN_SIZE);
        if (summary.parent_span_id)
                render_hex(&render, "parentSpanId", summary.parent_span_id, ID_SPAN_SIZE);
        span_view_name(&render, span, &summary);
        render_number(&render, "kind", summary.kind);
        if (summary.start_unix_ns)
                render_u64(&render, "startTimeUnixNano", summary.start_unix_ns);
        if (context && context->chain)
                render_text(&render, "contextId", context->chain->context_id);
        render_text(&render, "service", session->service);
        render_number(&render, "pid", session->credentials.pid);
        return error_trace(render_finish(&render, out));
}

int span_view_open(Buffer *out, const RecorderView *view, size_t limit) {
        const Span **spans = malloc((view->n_spans_open + 1) * sizeof *spans);
        size_t n = 0;
        int r = 0;

        if (!spans)
                return error_origin(-ENOMEM);
        list_for_each (session_link, view->sessions) {
                const Session *session = list_entry(session_link, Session, link);

                list_for_each (link, &session->open)
                        if (n < view->n_spans_open)
                                spans[n++] = (const Span *)list_entry(link, Object, link);
        }
        qsort(spans, n, sizeof *spans, span_view_compare);
        for (size_t i = 0; !r && i < n && i < limit; i++)
                r = span_view_line(out, spans[i]);
        free(spans);
        return error_trace(r);
}

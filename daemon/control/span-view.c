/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/span-view.h"

#include "daemon/base/error.h"
#include "daemon/control/otlp-json.h"
#include "daemon/control/render.h"
#include "daemon/trace/context.h"
#include "daemon/trace/span.h"
#include "proto/id.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool span_view_is_error(const ValidateSummary *summary) {
        return summary->status_code == OTLP_CODE_ERROR;
}

static int span_view_compare(const void *left, const void *right) {
        const Span *a = *(const Span *const *)left, *b = *(const Span *const *)right;

        return a->start_unix_ns < b->start_unix_ns ? -1 : a->start_unix_ns > b->start_unix_ns;
}

/* As it is now, if the chain still has it, else as it began. */
static ValidateText span_view_name(const Span *span, const ValidateSummary *summary) {
        const char *name = span->chain ? span->chain->name : NULL;

        return name ? (ValidateText){name, strlen(name)} : summary->name;
}

/* What OTLP does not have. */
static void span_view_owner(Render *render, const Session *session, const ChainContext *context) {
        if (context)
                render_text(render, "contextId", context->context_id);
        render_text(render, "service", session->service);
        render_number(render, "pid", session->credentials.pid);
}

/* ---- open ones ---- */

static int span_view_line(Buffer *out, const Span *span, const ValidateSummary *summary) {
        ValidateText name = span_view_name(span, summary);
        const Context *context = span->object.context;
        Render render;

        render_init(&render);
        render_hex(&render, "traceId", summary->trace_id, ID_TRACE_SIZE);
        render_hex(&render, "spanId", summary->span_id, ID_SPAN_SIZE);
        if (summary->parent_span_id)
                render_hex(&render, "parentSpanId", summary->parent_span_id, ID_SPAN_SIZE);
        render_text_sized(&render, "name", name.data, name.size);
        render_number(&render, "kind", summary->kind);
        if (summary->start_unix_ns)
                render_u64(&render, "startTimeUnixNano", summary->start_unix_ns);
        span_view_owner(&render, span->object.session, context ? context->chain : NULL);
        return error_trace(render_finish(&render, out));
}

static bool span_view_wants(const Query *query, const Span *span, const ValidateSummary *summary,
                            uint64_t now_unix_ns) {
        const QuerySpan asked = {
                .name = span_view_name(span, summary),
                .service = span->object.session->service,
                .is_error = span->chain ? span->chain->status_code == OTLP_CODE_ERROR
                                        : span_view_is_error(summary),
                .start_unix_ns = summary->start_unix_ns,
                .end_unix_ns = now_unix_ns,
        };

        return query_wants_span(query, &asked, now_unix_ns);
}

/* All that are open, those open longest first; `spans` has room for view->n_spans_open. */
static size_t span_view_collect(const Span **spans, const RecorderView *view) {
        size_t n = 0;

        list_for_each (session_link, view->sessions) {
                const Session *session = list_entry(session_link, Session, link);

                list_for_each (link, &session->open)
                        if (n < view->n_spans_open)
                                spans[n++] = (const Span *)list_entry(link, Object, link);
        }
        qsort(spans, n, sizeof *spans, span_view_compare);
        return n;
}

int span_view_open(Buffer *out, const RecorderView *view, const Query *query,
                   uint64_t now_unix_ns) {
        const Span **spans = malloc((view->n_spans_open + 1) * sizeof *spans);
        size_t n, n_shown = 0;
        int r = 0;

        if (!spans)
                return error_origin(-ENOMEM);
        n = span_view_collect(spans, view);
        for (size_t i = 0; !r && i < n && n_shown < query->limit; i++) {
                ValidateSummary summary;

                if (!span_summary(spans[i], &summary) ||
                    !span_view_wants(query, spans[i], &summary, now_unix_ns))
                        continue;
                n_shown++;
                r = span_view_line(out, spans[i], &summary);
        }
        free(spans);
        return error_trace(r);
}

/* ---- ended ones ---- */

int span_view_ended(Buffer *out, const RecorderEnded *ended) {
        Render render;

        render_init(&render);
        otlp_json_members(&render, OTLP_SPAN, ended->data, ended->size);
        span_view_owner(&render, ended->session, ended->context);
        return error_trace(render_finish(&render, out));
}

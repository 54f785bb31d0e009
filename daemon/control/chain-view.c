/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/chain-view.h"

#include "daemon/base/error.h"
#include "daemon/control/render.h"

static void chain_view_time(Render *render, const char *key, uint64_t unix_ns) {
        if (unix_ns)
                render_u64(render, key, unix_ns);
}

/* A chain bears the names of the first context, or span, that has them. */
static void chain_view_names(Render *render, const Chain *chain) {
        const char *workflow_id = NULL, *session_id = NULL, *service = NULL;

        list_for_each (link, &chain->contexts) {
                const ChainContext *context = list_entry(link, ChainContext, link);

                workflow_id = workflow_id ? workflow_id : context->workflow_id;
                session_id = session_id ? session_id : context->session_id;
                service = service ? service : context->service;
                if (workflow_id && session_id && service)
                        break;
        }
        if (!service && !list_is_empty(&chain->spans))
                service = list_entry(list_first(&chain->spans), ChainSpan, link)->service;
        render_text(render, "workflow_id", workflow_id);
        render_text(render, "session_id", session_id);
        render_text(render, "service", service);
}

static void chain_view_head(Render *render, const Chain *chain) {
        const char *done = chain->n_errors ? "failed" : "ok";

        render_text(render, "id", chain->id);
        chain_view_names(render, chain);
        chain_view_time(render, "start_time_unix_nano", chain->start_unix_ns);
        chain_view_time(render, "end_time_unix_nano", chain->end_unix_ns);
        render_u64(render, "duration_nano", chain->end_unix_ns - chain->start_unix_ns);
        render_u64(render, "open", chain->n_open);
        render_u64(render, "errors", chain->n_errors);
        render_u64(render, "left_out", chain->n_left_out);
        render_text(render, "state", chain->n_open ? "running" : done);
}

static void chain_view_context(Render *render, const ChainContext *context) {
        render_open_object(render, NULL);
        render_text(render, "context_id", context->context_id);
        render_open_array(render, "causation_ids");
        for (size_t i = 0; i < context->n_causes; i++)
                render_text(render, NULL, context->causation_ids[i]);
        render_close(render);
        render_text(render, "workflow_id", context->workflow_id);
        render_text(render, "session_id", context->session_id);
        render_text(render, "service", context->service);
        render_number(render, "pid", context->pid);
        chain_view_time(render, "start_time_unix_nano", context->start_unix_ns);
        chain_view_time(render, "end_time_unix_nano", context->end_unix_ns);
        render_open_array(render, "checkpoints");
        list_for_each (link, &context->checkpoints) {
                const ChainCheckpoint *checkpoint = list_entry(link, ChainCheckpoint, link);

                render_open_object(render, NULL);
                render_text(render, "name", checkpoint->name);
                chain_view_time(render, "time_unix_nano", checkpoint->time_unix_ns);
                render_close(render);
        }
        render_close(render);
        render_close(render);
}

static void chain_view_attributes(Render *render, const ChainSpan *span) {
        render_open_array(render, "attributes");
        if (span->end_reason) {
                render_open_object(render, NULL);
                render_text(render, "key", "catena.end");
                render_open_object(render, "value");
                render_text(render, "stringValue", span->end_reason);
                render_close(render);
                render_close(render);
        }
        render_close(render);
}

static void chain_view_span_members(Render *render, const ChainSpan *span) {
        render_hex(render, "traceId", span->trace_id, ID_TRACE_SIZE);
        render_hex(render, "spanId", span->span_id, ID_SPAN_SIZE);
        if (!id_is_zero(span->parent_span_id, ID_SPAN_SIZE))
                render_hex(render, "parentSpanId", span->parent_span_id, ID_SPAN_SIZE);
        render_text(render, "name", span->name);
        render_number(render, "kind", span->kind);
        chain_view_time(render, "startTimeUnixNano", span->start_unix_ns);
        chain_view_time(render, "endTimeUnixNano", span->end_unix_ns);
        chain_view_attributes(render, span);
        render_open_object(render, "status");
        render_text(render, "message", span->status_message);
        if (span->status_code)
                render_number(render, "code", span->status_code);
        render_close(render);
        if (span->context)
                render_text(render, "contextId", span->context->context_id);
        render_text(render, "exception", span->exception);
        render_text(render, "service", span->service);
        render_number(render, "pid", span->pid);
}

int chain_view_span(Buffer *out, const ChainSpan *span) {
        Render render;

        render_init(&render);
        chain_view_span_members(&render, span);
        return error_trace(render_finish(&render, out));
}

int chain_view_line(Buffer *out, const Chain *chain) {
        Render render;

        render_init(&render);
        chain_view_head(&render, chain);
        render_u64(&render, "contexts", chain->n_contexts);
        render_u64(&render, "spans", chain->n_spans);
        return error_trace(render_finish(&render, out));
}

int chain_view_whole(Buffer *out, const Chain *chain) {
        Render render;

        render_init(&render);
        render_open_object(&render, "chain");
        chain_view_head(&render, chain);
        render_open_array(&render, "contexts");
        list_for_each (link, &chain->contexts)
                chain_view_context(&render, list_entry(link, ChainContext, link));
        render_close(&render);
        render_open_array(&render, "spans");
        list_for_each (link, &chain->spans) {
                render_open_object(&render, NULL);
                chain_view_span_members(&render, list_entry(link, ChainSpan, link));
                render_close(&render);
        }
        render_close(&render);
        render_close(&render);
        return error_trace(render_finish(&render, out));
}

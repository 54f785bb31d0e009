/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/routes.h"

#include "daemon/base/error.h"
#include "daemon/control/chain-list.h"
#include "daemon/control/chain-view.h"
#include "daemon/control/metric-writer.h"
#include "daemon/control/render.h"
#include "daemon/control/span-view.h"
#include "daemon/control/status.h"
#include "daemon/http/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        ROUTES_CHAINS_DEFAULT = 20,
        ROUTES_SPANS_DEFAULT = 1000,
        ROUTES_TIMEOUT_DEFAULT_MS = 10 * 1000,
};

#define ROUTES_JSON  "application/json"
#define ROUTES_LINES "application/x-ndjson"

int routes_error(RoutesAnswer *answer, unsigned status, const char *text) {
        Render render;

        answer->status = status;
        answer->content_type = ROUTES_JSON;
        render_init(&render);
        render_text(&render, "error", text);
        return error_trace(render_finish(&render, &answer->body));
}

int routes_flushed(RoutesAnswer *answer, const char *level, bool reached) {
        Render render;

        answer->status = 200;
        answer->content_type = ROUTES_JSON;
        render_init(&render);
        render_text(&render, "level", level);
        render_bool(&render, "reached", reached);
        return error_trace(render_finish(&render, &answer->body));
}

typedef struct RoutesQuestion {
        const ControlOptions *sources;
        const char *rest; /* of the path */
        Query query;
        uint64_t now_unix_ns;
} RoutesQuestion;

/* ---- the paths ---- */

/* `exporter` and `signal`: what is still in batches that await its answer. */
static uint64_t routes_pending(Recorder *recorder, unsigned exporter, BatchSignal signal) {
        const Batch *batch = NULL;
        uint64_t n = 0;

        while ((batch = recorder_next_batch(recorder, exporter, signal, batch)))
                n += batch->n_objects;
        return n;
}

static int routes_status(RoutesAnswer *answer, const RoutesQuestion *question) {
        const ControlOptions *sources = question->sources;
        ExporterStatus *exporters = calloc(sources->n_exporters + 1, sizeof *exporters);
        Status status = {
                .pid = (uint32_t)getpid(),
                .start_unix_ns = sources->start_unix_ns,
                .now_unix_ns = question->now_unix_ns,
                .report = sources->journal_report,
                .listener = listener_counters(sources->listener),
                .tail = sources->tail,
                .exporters = exporters,
                .n_exporters = sources->n_exporters,
        };
        int r;

        if (!exporters)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < sources->n_exporters; i++)
                exporter_status(sources->exporters[i], &exporters[i]);
        recorder_view(sources->recorder, &status.view);
        for (unsigned i = 0; i < status.view.n_exporters; i++)
                for (unsigned k = 0; k < _BATCH_SIGNALS_N; k++)
                        status.n_pending[i][k] =
                                routes_pending(sources->recorder, i, (BatchSignal)k);
        chains_usage(sources->chains, &status.chains);
        answer->content_type = ROUTES_JSON;
        r = status_render(&answer->body, &status);
        free(exporters);
        return error_trace(r);
}

static int routes_chains(RoutesAnswer *answer, const RoutesQuestion *question) {
        answer->content_type = ROUTES_LINES;
        return error_trace(chain_list(&answer->body, question->sources->chains, &question->query,
                                      question->now_unix_ns));
}

static int routes_chain(RoutesAnswer *answer, const RoutesQuestion *question) {
        const Chain *chain = chains_find(question->sources->chains, question->rest);

        if (!chain)
                return error_trace(routes_error(answer, 404, "no chain has that id in it"));
        answer->content_type = ROUTES_JSON;
        return error_trace(chain_view_whole(&answer->body, chain));
}

static int routes_spans(RoutesAnswer *answer, const RoutesQuestion *question) {
        RecorderView view;

        if (!question->query.open)
                return error_trace(routes_error(answer, 400, "only open spans: ?open"));
        recorder_view(question->sources->recorder, &view);
        answer->content_type = ROUTES_LINES;
        return error_trace(
                span_view_open(&answer->body, &view, &question->query, question->now_unix_ns));
}

static int routes_tail(RoutesAnswer *answer, const RoutesQuestion *question) {
        answer->content_type = ROUTES_LINES;
        answer->tail = true;
        answer->query = question->query;
        if (!question->query.since_ns)
                return 0;
        return error_trace(chain_list_ended(&answer->body, question->sources->chains,
                                            &question->query, question->now_unix_ns));
}

static int routes_flush(RoutesAnswer *answer, const RoutesQuestion *question) {
        const char *level = question->query.level;

        answer->timeout_ms = question->query.timeout_ms;
        answer->delivered = !strcmp(level, "delivered");
        if (*level && !answer->delivered && strcmp(level, "journaled"))
                return error_trace(routes_error(answer, 400, "level: journaled or delivered"));
        answer->flush = true;
        return 0;
}

static int routes_metrics(RoutesAnswer *answer, const RoutesQuestion *question) {
        answer->content_type = METRIC_TEXT_TYPE;
        return error_trace(metrics_view_text(question->sources->metrics, &answer->body,
                                             question->now_unix_ns));
}

/* ---- finding them ---- */

typedef struct Route {
        const char *method;
        const char *path; /* what ends in a slash is followed by something more */
        int (*answer)(RoutesAnswer *answer, const RoutesQuestion *question);
        unsigned known; /* the parameters that its query may have */
        uint32_t limit; /* unless the query says another */
} Route;

static const Route routes[] = {
        {"GET", "/v1/status", routes_status, 0, 0},
        {"GET", "/v1/chains", routes_chains,
         QUERY_WORKFLOW | QUERY_SESSION | QUERY_SERVICE | QUERY_ERRORS | QUERY_RUNNING |
                 QUERY_SLOW | QUERY_MIN | QUERY_SINCE | QUERY_LIMIT,
         ROUTES_CHAINS_DEFAULT},
        {"GET", "/v1/chains/", routes_chain, 0, 0},
        {"GET", "/v1/spans", routes_spans,
         QUERY_OPEN | QUERY_SERVICE | QUERY_NAME | QUERY_ERRORS | QUERY_MIN | QUERY_SINCE |
                 QUERY_LIMIT,
         ROUTES_SPANS_DEFAULT},
        {"GET", "/v1/tail", routes_tail,
         QUERY_SERVICE | QUERY_NAME | QUERY_ERRORS | QUERY_MIN | QUERY_SINCE, 0},
        {"POST", "/v1/flush", routes_flush, QUERY_LEVEL | QUERY_TIMEOUT_MS, 0},
        {"GET", "/metrics", routes_metrics, 0, 0},
};

static bool routes_match(const Route *route, const char *path, const char **restp) {
        size_t size = strlen(route->path);

        if (strncmp(path, route->path, size))
                return false;
        *restp = path + size;
        return (route->path[size - 1] == '/') == (**restp != '\0');
}

static int routes_follow(RoutesAnswer *answer, const Route *route, RoutesQuestion *question,
                         const Http1Message *request) {
        char problem[QUERY_PROBLEM_MAX];

        if (strcmp(request->method, route->method))
                return error_trace(routes_error(answer, 405, "another method is needed"));
        question->query.limit = route->limit;
        question->query.timeout_ms = ROUTES_TIMEOUT_DEFAULT_MS;
        if (query_read(&question->query, problem, route->known, request->target))
                return error_trace(routes_error(answer, 400, problem));
        return error_trace(route->answer(answer, question));
}

int routes_answer(RoutesAnswer *answer, const ControlOptions *sources, const Http1Message *request,
                  uint64_t now_unix_ns) {
        RoutesQuestion question = {.sources = sources, .now_unix_ns = now_unix_ns};
        char path[URL_PATH_MAX + 1];

        *answer = (RoutesAnswer){.status = 200};
        if (url_target_path(path, sizeof path, request->target))
                return error_trace(routes_error(answer, 400, "malformed path"));
        for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
                if (routes_match(&routes[i], path, &question.rest) &&
                    (!sources->tcp || routes[i].answer == routes_metrics))
                        return error_trace(routes_follow(answer, &routes[i], &question, request));
        return error_trace(routes_error(answer, 404, "no such path"));
}

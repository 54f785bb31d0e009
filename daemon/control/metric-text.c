/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/control/metric-writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- names ---- */

static void metric_text_add_suffix(char name[METRIC_NAME_MAX], const char *suffix) {
        size_t size = strlen(name), n = strlen(suffix);

        if (*suffix && (size < n || strcmp(name + size - n, suffix)))
                snprintf(name + size, METRIC_NAME_MAX - size, "%s", suffix);
}

static void metric_text_mangle(char *name) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789_";

        while (*(name += strspn(name, allowed)))
                *name = '_';
}

/* "traces.span.metrics.calls" becomes traces_span_metrics_calls_total, and so on. */
static void metric_text_name(char name[METRIC_NAME_MAX], const Metric *metric) {
        const char *unit = !strcmp(metric->unit, "ms")   ? "_milliseconds"
                           : !strcmp(metric->unit, "By") ? "_bytes"
                                                         : "";

        snprintf(name, METRIC_NAME_MAX, "%s", metric->name);
        metric_text_mangle(name);
        metric_text_add_suffix(name, unit);
        if (metric->type == METRIC_COUNTER)
                metric_text_add_suffix(name, "_total");
}

/* ---- texts ---- */

/* A quote ends a label's value only; other control characters would end the whole scrape. */
static int metric_text_escape(Buffer *out, const char *text, size_t size, bool label) {
        size_t begun = 0;
        int r = 0;

        for (size_t i = 0; !r && i < size; i++) {
                unsigned char c = (unsigned char)text[i];

                if (c >= 0x20 && c != 0x7f && c != '\\' && !(c == '"' && label))
                        continue;
                r = buffer_append(out, text + begun, i - begun);
                begun = i + 1;
                if (r)
                        break;
                if (c == '\n')
                        r = buffer_append_string(out, "\\n");
                else if (c == '\\' || c == '"')
                        r = buffer_printf(out, "\\%c", c);
                else
                        r = buffer_printf(out, "\\\\x%02x", c);
        }
        if (!r)
                r = buffer_append(out, text + begun, size - begun);
        return error_trace(r);
}

/* {a="x",b="y" of a point, and no end: a bucket has one label more. */
static int metric_text_labels(Buffer *out, const MetricPoint *point) {
        char key[METRIC_NAME_MAX];
        int r = 0;

        for (size_t i = 0; !r && i < point->n_labels; i++) {
                const MetricsLabel *label = &point->labels[i];

                snprintf(key, sizeof key, "%s", label->key);
                metric_text_mangle(key);
                r = buffer_printf(out, "%c%s=\"", i ? ',' : '{', key);
                if (!r && label->text)
                        r = metric_text_escape(out, label->text, label->size, true);
                else if (!r)
                        r = buffer_append_string(out, "true");
                if (!r)
                        r = buffer_append_string(out, "\"");
        }
        return error_trace(r);
}

/* ---- the writer ---- */

static int metric_text_begin(MetricWriter *writer, const Metric *metric) {
        writer->metric = metric;
        writer->begun = false;
        metric_text_name(writer->name, metric);
        for (size_t i = 0; i < metric->n_bounds; i++)
                snprintf(writer->bounds[i], sizeof writer->bounds[i], "%.15g", metric->bounds[i]);
        return 0;
}

/* A metric without points is left out. */
static int metric_text_head(MetricWriter *writer) {
        static const char *const types[] = {
                [METRIC_COUNTER] = "counter",
                [METRIC_GAUGE] = "gauge",
                [METRIC_HISTOGRAM] = "histogram",
        };
        const Metric *metric = writer->metric;
        int r;

        if (writer->begun)
                return 0;
        writer->begun = true;
        r = buffer_printf(&writer->out, "# HELP %s ", writer->name);
        if (!r)
                r = metric_text_escape(&writer->out, metric->text, strlen(metric->text), false);
        if (!r)
                r = buffer_printf(&writer->out, "\n# TYPE %s %s\n", writer->name,
                                  types[metric->type]);
        return error_trace(r);
}

/* One line, its labels having been rendered before; there may be tens of thousands. */
static int metric_text_sample(MetricWriter *writer, const char *suffix, const char *le,
                              const char *value) {
        bool labels = writer->points.size;
        const struct {
                const void *data;
                size_t size;
        } parts[] = {
                {writer->name, strlen(writer->name)},
                {suffix, strlen(suffix)},
                {writer->points.data, writer->points.size},
                {labels ? ",le=\"" : "{le=\"", le ? 5 : 0},
                {le, le ? strlen(le) : 0},
                {"\"", le ? 1 : 0},
                {"}", labels || le ? 1 : 0},
                {" ", 1},
                {value, strlen(value)},
                {"\n", 1},
        };
        size_t size = 0;
        uint8_t *room;
        int r;

        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
                size += parts[i].size;
        r = buffer_reserve(&writer->out, &room, size);
        if (r)
                return error_trace(r);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
                if (parts[i].size)
                        memcpy(room, parts[i].data, parts[i].size);
                room += parts[i].size;
        }
        writer->out.size += size;
        return 0;
}

/* Buckets are cumulative: each counts what the smaller ones do. */
static int metric_text_buckets(MetricWriter *writer, const MetricPoint *point) {
        const Metric *metric = writer->metric;
        char value[32];
        uint64_t n = 0;
        int r = 0;

        for (size_t i = 0; !r && i <= metric->n_bounds; i++) {
                n += point->buckets[i];
                snprintf(value, sizeof value, "%" PRIu64, n);
                r = metric_text_sample(writer, "_bucket",
                                       i < metric->n_bounds ? writer->bounds[i] : "+Inf", value);
        }
        snprintf(value, sizeof value, "%.17g", point->sum);
        if (!r)
                r = metric_text_sample(writer, "_sum", NULL, value);
        return error_trace(r);
}

static int metric_text_point(MetricWriter *writer, const MetricPoint *point) {
        bool histogram = writer->metric->type == METRIC_HISTOGRAM;
        char value[32];
        int r;

        writer->n_points++;
        writer->points.size = 0;
        snprintf(value, sizeof value, "%" PRIu64, point->value);
        r = metric_text_head(writer);
        if (!r)
                r = metric_text_labels(&writer->points, point);
        if (!r && histogram)
                r = metric_text_buckets(writer, point);
        if (!r)
                r = metric_text_sample(writer, histogram ? "_count" : "", NULL, value);
        return error_trace(r);
}

static int metric_text_end(MetricWriter *writer) {
        (void)writer;
        return 0;
}

void metric_text_init(MetricWriter *writer) {
        *writer = (MetricWriter){
                .begin = metric_text_begin,
                .point = metric_text_point,
                .end = metric_text_end,
        };
}

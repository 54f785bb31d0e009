/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/error.h"
#include "daemon/control/metric-writer.h"
#include "proto/pb.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

/* opentelemetry-proto 1.11: metrics.proto and metrics_service.proto */
enum {
        METRIC_OTLP_POINT_START = 2,
        METRIC_OTLP_POINT_TIME = 3,
        METRIC_OTLP_POINT_INT = 6,
        METRIC_OTLP_POINT_ATTRIBUTES = 7,
        METRIC_OTLP_HISTOGRAM_COUNT = 4,
        METRIC_OTLP_HISTOGRAM_SUM = 5,
        METRIC_OTLP_HISTOGRAM_BUCKETS = 6,
        METRIC_OTLP_HISTOGRAM_BOUNDS = 7,
        METRIC_OTLP_HISTOGRAM_ATTRIBUTES = 9,
        METRIC_OTLP_NAME = 1,
        METRIC_OTLP_TEXT = 2,
        METRIC_OTLP_UNIT = 3,
        METRIC_OTLP_GAUGE = 5,
        METRIC_OTLP_SUM = 7,
        METRIC_OTLP_HISTOGRAM = 9,
        METRIC_OTLP_POINTS = 1, /* of all three */
        METRIC_OTLP_TEMPORALITY = 2,
        METRIC_OTLP_MONOTONIC = 3,
        METRIC_OTLP_CUMULATIVE = 2,
        METRIC_OTLP_IN_SCOPE = 2, /* of ScopeMetrics */
        METRIC_OTLP_SCOPE = 1,
        METRIC_OTLP_SCOPES = 2, /* of ResourceMetrics */
        METRIC_OTLP_RESOURCE = 1,
        METRIC_OTLP_REQUEST = 1,
};

enum { METRIC_OTLP_POINT_MAX = 2048 };

static void metric_otlp_put_text(PbWriter *writer, uint32_t number, const char *text) {
        pb_put_bytes(writer, number, text, strlen(text));
}

/* A KeyValue; keys and texts are short, so each length takes the bytes that are measured here. */
static void metric_otlp_put_label(PbWriter *writer, uint32_t number, const MetricsLabel *label) {
        size_t value = label->text ? pb_bytes_size(1, label->size) : 2;

        pb_put_prefix(writer, number,
                      pb_bytes_size(1, strlen(label->key)) + pb_bytes_size(2, value));
        metric_otlp_put_text(writer, 1, label->key);
        pb_put_prefix(writer, 2, value);
        if (label->text)
                pb_put_bytes(writer, 1, label->text, label->size);
        else
                pb_put_varint(writer, 2, 1);
}

/* Fixed64s and doubles alike, packed. */
static void metric_otlp_put_packed(PbWriter *writer, uint32_t number, const void *words, size_t n) {
        const uint8_t *at = words;
        uint64_t word;

        pb_put_prefix(writer, number, n * sizeof word);
        for (size_t i = 0; i < n; i++) {
                memcpy(&word, at + i * sizeof word, sizeof word);
                word = htole64(word);
                pb_put_raw(writer, &word, sizeof word);
        }
}

static int metric_otlp_begin(MetricWriter *writer, const Metric *metric) {
        writer->metric = metric;
        writer->points.size = 0;
        return 0;
}

static int metric_otlp_point(MetricWriter *writer, const MetricPoint *point) {
        const Metric *metric = writer->metric;
        bool histogram = metric->type == METRIC_HISTOGRAM;
        uint8_t data[METRIC_OTLP_POINT_MAX], prefix[16];
        PbWriter pb = pb_writer(data, sizeof data), before = pb_writer(prefix, sizeof prefix);
        int r;

        if (metric->type != METRIC_GAUGE)
                pb_put_fixed64(&pb, METRIC_OTLP_POINT_START, point->start_unix_ns);
        pb_put_fixed64(&pb, METRIC_OTLP_POINT_TIME, writer->now_unix_ns);
        if (histogram) {
                pb_put_fixed64(&pb, METRIC_OTLP_HISTOGRAM_COUNT, point->value);
                pb_put_double(&pb, METRIC_OTLP_HISTOGRAM_SUM, point->sum);
                metric_otlp_put_packed(&pb, METRIC_OTLP_HISTOGRAM_BUCKETS, point->buckets,
                                       metric->n_bounds + 1);
                metric_otlp_put_packed(&pb, METRIC_OTLP_HISTOGRAM_BOUNDS, metric->bounds,
                                       metric->n_bounds);
        } else {
                pb_put_fixed64(&pb, METRIC_OTLP_POINT_INT, point->value);
        }
        for (size_t i = 0; i < point->n_labels; i++)
                metric_otlp_put_label(&pb,
                                      histogram ? METRIC_OTLP_HISTOGRAM_ATTRIBUTES
                                                : METRIC_OTLP_POINT_ATTRIBUTES,
                                      &point->labels[i]);
        assert(!pb.failed);
        pb_put_prefix(&before, METRIC_OTLP_POINTS, (size_t)(pb.at - data));
        r = buffer_append(&writer->points, prefix, (size_t)(before.at - prefix));
        if (!r)
                r = buffer_append(&writer->points, data, (size_t)(pb.at - data));
        writer->n_points++;
        return error_trace(r);
}

/* A metric without points is left out. */
static int metric_otlp_end(MetricWriter *writer) {
        const Metric *metric = writer->metric;
        uint32_t kind = metric->type == METRIC_COUNTER ? METRIC_OTLP_SUM
                        : metric->type == METRIC_GAUGE ? METRIC_OTLP_GAUGE
                                                       : METRIC_OTLP_HISTOGRAM;
        size_t data_size, size;
        uint8_t tail[8], *room;
        PbWriter pb = pb_writer(tail, sizeof tail);
        int r;

        if (!writer->points.size)
                return 0;
        if (metric->type != METRIC_GAUGE)
                pb_put_varint(&pb, METRIC_OTLP_TEMPORALITY, METRIC_OTLP_CUMULATIVE);
        if (metric->type == METRIC_COUNTER)
                pb_put_varint(&pb, METRIC_OTLP_MONOTONIC, 1);
        r = buffer_append(&writer->points, tail, (size_t)(pb.at - tail));
        if (r)
                return error_trace(r);
        data_size = writer->points.size;
        size = pb_bytes_size(METRIC_OTLP_NAME, strlen(metric->name)) +
               pb_bytes_size(METRIC_OTLP_TEXT, strlen(metric->text)) +
               pb_bytes_size(METRIC_OTLP_UNIT, strlen(metric->unit)) +
               pb_bytes_size(kind, data_size);
        r = buffer_reserve(&writer->out, &room, pb_bytes_size(METRIC_OTLP_IN_SCOPE, size));
        if (r)
                return error_trace(r);
        pb = pb_writer(room, pb_bytes_size(METRIC_OTLP_IN_SCOPE, size));
        pb_put_prefix(&pb, METRIC_OTLP_IN_SCOPE, size);
        metric_otlp_put_text(&pb, METRIC_OTLP_NAME, metric->name);
        metric_otlp_put_text(&pb, METRIC_OTLP_TEXT, metric->text);
        metric_otlp_put_text(&pb, METRIC_OTLP_UNIT, metric->unit);
        pb_put_bytes(&pb, kind, writer->points.data, data_size);
        assert(!pb.failed && pb.at == pb.end);
        writer->out.size += (size_t)(pb.at - room);
        return 0;
}

void metric_otlp_init(MetricWriter *writer, uint64_t now_unix_ns) {
        *writer = (MetricWriter){
                .begin = metric_otlp_begin,
                .point = metric_otlp_point,
                .end = metric_otlp_end,
                .now_unix_ns = now_unix_ns,
        };
}

int metric_otlp_finish(MetricWriter *writer, const Buffer *resource, Buffer *out) {
        size_t scope = pb_bytes_size(1, strlen("catenad")) +
                       pb_bytes_size(2, strlen(CATENA_VERSION)),
               of_scope = pb_bytes_size(METRIC_OTLP_SCOPE, scope) + writer->out.size,
               of_resource = pb_bytes_size(METRIC_OTLP_RESOURCE, resource->size) +
                             pb_bytes_size(METRIC_OTLP_SCOPES, of_scope),
               size = pb_bytes_size(METRIC_OTLP_REQUEST, of_resource);
        uint8_t *room;
        PbWriter pb;
        int r;

        r = buffer_reserve(out, &room, size);
        if (r)
                return error_trace(r);
        pb = pb_writer(room, size);
        pb_put_prefix(&pb, METRIC_OTLP_REQUEST, of_resource);
        pb_put_bytes(&pb, METRIC_OTLP_RESOURCE, resource->data, resource->size);
        pb_put_prefix(&pb, METRIC_OTLP_SCOPES, of_scope);
        pb_put_prefix(&pb, METRIC_OTLP_SCOPE, scope);
        metric_otlp_put_text(&pb, 1, "catenad");
        metric_otlp_put_text(&pb, 2, CATENA_VERSION);
        pb_put_raw(&pb, writer->out.data, writer->out.size);
        assert(!pb.failed && pb.at == pb.end);
        out->size += size;
        return 0;
}

void metric_writer_deinit(MetricWriter *writer) {
        buffer_deinit(&writer->out);
        buffer_deinit(&writer->points);
}

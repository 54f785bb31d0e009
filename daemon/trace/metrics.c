/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/metrics.h"

#include "daemon/base/error.h"
#include "proto/otlp.h"
#include "proto/pb.h"
#include "proto/utf8.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { METRICS_KEY_MAX = METRICS_LABELS_MAX * (1 + METRICS_TEXT_MAX) };

typedef struct MetricsTable {
        List series; /* MetricsSeries.link */
        size_t n_series;
        MetricsSeries *overflow; /* or NULL: not needed yet */
} MetricsTable;

struct Metrics {
        uint64_t start_unix_ns; /* 0: not started */
        IdIndex by_key;         /* of both tables */
        MetricsTable tables[_METRICS_KINDS_N];
        ValidateBloom primitive; /* the keys that a primitive's span has */
};

typedef struct MetricsShape {
        size_t n_series_max;
        const char *keys[METRICS_LABELS_MAX];
        double bounds[METRICS_BOUNDS_MAX];
        size_t n_bounds;
} MetricsShape;

static const MetricsShape metrics_shapes[_METRICS_KINDS_N] = {
        [METRICS_SPANS] = {METRICS_SPANS_MAX,
                           {"service.name", "span.name", "span.kind", "status.code"},
                           {2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000,
                            15000},
                           16},
        [METRICS_PRIMITIVES] = {METRICS_PRIMITIVES_MAX,
                                {"primitive.name", "primitive.type", "primitive.status"},
                                {10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000},
                                10},
};

static const char metrics_duration[] = "primitive.duration_ms";

static const char *const metrics_kinds[] = {
        "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER",
        "SPAN_KIND_CLIENT",      "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER",
};
static const char *const metrics_statuses[] = {
        "STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"};

/* ---- lifetime ---- */

int metrics_new(Metrics **metricsp, uint64_t seed) {
        const char *const *keys = metrics_shapes[METRICS_PRIMITIVES].keys;
        Metrics *metrics = calloc(1, sizeof *metrics);

        if (!metrics)
                return error_origin(-ENOMEM);
        id_index_init(&metrics->by_key, seed);
        for (unsigned kind = 0; kind < _METRICS_KINDS_N; kind++)
                list_init(&metrics->tables[kind].series);
        for (unsigned i = 0; i < METRICS_LABELS_MAX && keys[i]; i++)
                validate_bloom_add(&metrics->primitive, keys[i], strlen(keys[i]));
        *metricsp = metrics;
        return 0;
}

Metrics *metrics_free(Metrics *metrics) {
        if (!metrics)
                return NULL;
        for (unsigned kind = 0; kind < _METRICS_KINDS_N; kind++)
                list_for_each_safe (link, &metrics->tables[kind].series)
                        free(list_entry(link, MetricsSeries, link));
        id_index_deinit(&metrics->by_key);
        free(metrics);
        return NULL;
}

void metrics_start(Metrics *metrics, uint64_t now_unix_ns) {
        if (!metrics->start_unix_ns)
                metrics->start_unix_ns = now_unix_ns;
}

uint64_t metrics_start_unix_ns(const Metrics *metrics) {
        return metrics->start_unix_ns;
}

/* ---- counting ---- */

/* What a series is known by, in the making. */
typedef struct MetricsKey {
        size_t size;
        uint8_t bytes[METRICS_KEY_MAX];
} MetricsKey;

static void metrics_key_add(MetricsKey *key, ValidateText text) {
        if (text.size > METRICS_TEXT_MAX)
                text.size = utf8_truncate(text.data, text.size, METRICS_TEXT_MAX);
        key->bytes[key->size] = (uint8_t)text.size;
        memcpy(key->bytes + key->size + 1, text.data, text.size);
        key->size += 1 + text.size;
}

static int metrics_series_new(Metrics *metrics, MetricsKind kind, MetricsSeries **seriesp,
                              const MetricsKey *key) {
        MetricsTable *table = &metrics->tables[kind];
        size_t key_size = key ? key->size : 0;
        MetricsSeries *series = calloc(1, sizeof *series + key_size);
        int r;

        if (!series)
                return error_origin(-ENOMEM);
        series->kind = kind;
        series->overflow = !key;
        if (key) {
                series->key_size = key_size;
                memcpy(series->key, key->bytes, key_size);
                r = id_index_put(&metrics->by_key, &series->by_key, kind, series->key, key_size);
                if (r) {
                        free(series);
                        return error_trace(r);
                }
                table->n_series++;
        }
        list_append(&table->series, &series->link);
        *seriesp = series;
        return 0;
}

static int metrics_find(Metrics *metrics, MetricsKind kind, MetricsSeries **seriesp,
                        const MetricsKey *key) {
        IdIndexEntry *entry = id_index_find(&metrics->by_key, kind, key->bytes, key->size);
        MetricsTable *table = &metrics->tables[kind];

        if (entry) {
                *seriesp = list_entry(entry, MetricsSeries, by_key);
                return 0;
        }
        if (table->n_series < metrics_shapes[kind].n_series_max)
                return error_trace(metrics_series_new(metrics, kind, seriesp, key));
        if (!table->overflow) {
                int r = metrics_series_new(metrics, kind, &table->overflow, NULL);

                if (r)
                        return error_trace(r);
        }
        *seriesp = table->overflow;
        return 0;
}

static int metrics_count(Metrics *metrics, MetricsKind kind, const MetricsKey *key,
                         double duration_ms) {
        const MetricsShape *shape = &metrics_shapes[kind];
        MetricsSeries *series = NULL;
        size_t i = 0;
        int r;

        r = metrics_find(metrics, kind, &series, key);
        if (r)
                return error_trace(r);
        while (i < shape->n_bounds && duration_ms > shape->bounds[i])
                i++;
        series->buckets[i]++;
        series->count++;
        series->sum_ms += duration_ms;
        return 0;
}

/* ---- spans ---- */

static int metrics_count_span(Metrics *metrics, const Span *span, double duration_ms) {
        const Session *session = span->object.session;
        const char *service = session->service ? session->service : "unknown_service";
        uint8_t kind = span->kind < sizeof metrics_kinds / sizeof *metrics_kinds ? span->kind : 0;
        uint8_t status = span->status_code < sizeof metrics_statuses / sizeof *metrics_statuses
                                 ? span->status_code
                                 : 0;
        ValidateText name = {"", 0};
        MetricsKey key;

        if (span->name)
                name = (ValidateText){(const char *)journal_at(session->journal, span->name),
                                      span->name_size};
        key.size = 0;
        metrics_key_add(&key, (ValidateText){service, strlen(service)});
        metrics_key_add(&key, name);
        metrics_key_add(&key, (ValidateText){(const char *)&kind, 1});
        metrics_key_add(&key, (ValidateText){(const char *)&status, 1});
        return error_trace(metrics_count(metrics, METRICS_SPANS, &key, duration_ms));
}

/* ---- primitives ---- */

typedef struct MetricsPrimitive {
        ValidateText texts[METRICS_LABELS_MAX]; /* NULL: not seen, or no string */
        double duration_ms;
} MetricsPrimitive;

/* A number that can be a duration; else what stands there stays. */
static void metrics_read_duration(double *durationp, const PbField *member) {
        double duration;

        if (member->number == OTLP_ANY_VALUE_INT)
                duration = (double)(int64_t)member->value;
        else if (member->number == OTLP_ANY_VALUE_DOUBLE)
                memcpy(&duration, &member->value, sizeof duration);
        else
                return;
        if (isfinite(duration) && duration >= 0)
                *durationp = duration;
}

static void metrics_read_attribute(MetricsPrimitive *primitive, const PbField *attribute) {
        const char *const *keys = metrics_shapes[METRICS_PRIMITIVES].keys;
        PbReader reader = pb_reader(attribute->data, attribute->size);
        PbField key = {.size = 0}, value = {.size = 0}, member = {.size = 0}, field;

        while (pb_next(&reader, &field))
                if (field.number == OTLP_KEY_VALUE_KEY)
                        key = field;
                else if (field.number == OTLP_KEY_VALUE_VALUE)
                        value = field;
        reader = pb_reader(value.data, value.size);
        while (pb_next(&reader, &field))
                member = field;
        if (key.size == strlen(metrics_duration) && !memcmp(key.data, metrics_duration, key.size))
                metrics_read_duration(&primitive->duration_ms, &member);
        for (unsigned i = 0; i < METRICS_LABELS_MAX && keys[i]; i++) {
                if (key.size != strlen(keys[i]) || memcmp(key.data, keys[i], key.size))
                        continue;
                primitive->texts[i] = (ValidateText){0};
                if (member.number == OTLP_ANY_VALUE_STRING)
                        primitive->texts[i] =
                                (ValidateText){(const char *)member.data, member.size};
        }
}

static void metrics_read_piece(MetricsPrimitive *primitive, const JoinPiece *piece) {
        PbReader reader = pb_reader(piece->data, piece->size);
        PbField field;

        while (pb_next(&reader, &field))
                if (field.number == OTLP_SPAN_ATTRIBUTES)
                        metrics_read_attribute(primitive, &field);
}

/* The keys may be those of a primitive's span. Its pieces tell; they have been validated. */
static int metrics_count_primitive(Metrics *metrics, const Span *span, double duration_ms,
                                   ObjectPieces *pieces) {
        MetricsPrimitive primitive = {.duration_ms = duration_ms};
        MetricsKey key;
        int r;

        r = object_pieces(&span->object, pieces);
        if (r)
                return error_trace(r);
        for (size_t i = 0; i < pieces->n_pieces; i++)
                metrics_read_piece(&primitive, &pieces->list[i]);
        key.size = 0;
        for (unsigned i = 0; i < METRICS_LABELS_MAX; i++) {
                if (!metrics_shapes[METRICS_PRIMITIVES].keys[i])
                        break;
                if (!primitive.texts[i].data)
                        return 0;
                metrics_key_add(&key, primitive.texts[i]);
        }
        return error_trace(
                metrics_count(metrics, METRICS_PRIMITIVES, &key, primitive.duration_ms));
}

int metrics_close_span(Metrics *metrics, const Span *span, uint64_t end_unix_ns,
                       ObjectPieces *pieces) {
        double duration_ms = 0;
        int r;

        if (!metrics || !metrics->start_unix_ns)
                return 0;
        if (span->start_unix_ns && end_unix_ns > span->start_unix_ns)
                duration_ms = (double)(end_unix_ns - span->start_unix_ns) / 1e6;
        r = metrics_count_span(metrics, span, duration_ms);
        if (!r && validate_bloom_holds(&span->keys, &metrics->primitive))
                r = metrics_count_primitive(metrics, span, duration_ms, pieces);
        return error_trace(r);
}

/* ---- looking in ---- */

const List *metrics_series(const Metrics *metrics, MetricsKind kind) {
        return &metrics->tables[kind].series;
}

const double *metrics_bounds(MetricsKind kind, size_t *np) {
        *np = metrics_shapes[kind].n_bounds;
        return metrics_shapes[kind].bounds;
}

unsigned metrics_labels(const MetricsSeries *series, MetricsLabel labels[METRICS_LABELS_MAX]) {
        const uint8_t *at = series->key;
        unsigned n = 0;

        for (; at < series->key + series->key_size; at += 1 + at[0], n++)
                labels[n] = (MetricsLabel){metrics_shapes[series->kind].keys[n],
                                           (const char *)at + 1, at[0]};
        if (n && series->kind == METRICS_SPANS) {
                labels[2].text = metrics_kinds[(uint8_t)*labels[2].text];
                labels[2].size = strlen(labels[2].text);
                labels[3].text = metrics_statuses[(uint8_t)*labels[3].text];
                labels[3].size = strlen(labels[3].text);
        }
        return n;
}

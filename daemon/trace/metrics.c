/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/metrics.h"

#include "daemon/base/error.h"
#include "daemon/trace/span.h"
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

static const char metrics_prefix[] = "primitive.";
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

/* What else a series is known by. */
static uint64_t metrics_scope(MetricsKind kind, unsigned span_kind, unsigned status_code) {
        return (uint64_t)kind << 16 | span_kind << 8 | status_code;
}

static int metrics_series_new(Metrics *metrics, MetricsKind kind, MetricsSeries **seriesp,
                              uint64_t scope, const MetricsKey *key) {
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
                r = id_index_put(&metrics->by_key, &series->by_key, scope, series->key, key_size);
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
                        uint64_t scope, const MetricsKey *key) {
        IdIndexEntry *entry = id_index_find(&metrics->by_key, scope, key->bytes, key->size);
        MetricsTable *table = &metrics->tables[kind];

        if (entry) {
                *seriesp = list_entry(entry, MetricsSeries, by_key);
                return 0;
        }
        if (table->n_series < metrics_shapes[kind].n_series_max)
                return error_trace(metrics_series_new(metrics, kind, seriesp, scope, key));
        if (!table->overflow) {
                int r = metrics_series_new(metrics, kind, &table->overflow, scope, NULL);

                if (r)
                        return error_trace(r);
        }
        *seriesp = table->overflow;
        return 0;
}

static void metrics_count(MetricsSeries *series, double duration_ms) {
        const MetricsShape *shape = &metrics_shapes[series->kind];
        size_t i = 0;

        while (i < shape->n_bounds && duration_ms > shape->bounds[i])
                i++;
        series->buckets[i]++;
        series->count++;
        series->sum_ms += duration_ms;
}

/* ---- spans ---- */

static ValidateText metrics_name(const Span *span) {
        const Journal *journal = span->object.session->journal;

        if (!span->name)
                return (ValidateText){"", 0};
        return (ValidateText){(const char *)journal_at(journal, span->name), span->name_size};
}

/* Of a session, and so of a service, that is known. */
static bool metrics_is_of(const MetricsSeries *series, uint64_t scope, ValidateText name) {
        const uint8_t *known = series->key + 1 + series->key[0];

        return series->by_key.scope == scope && known[0] == name.size &&
               !memcmp(known + 1, name.data, name.size);
}

/* A session's spans are of few kinds: most are found where the last ones were. */
static int metrics_count_span(Metrics *metrics, const Span *span, double duration_ms) {
        bool kind = span->kind < sizeof metrics_kinds / sizeof *metrics_kinds;
        bool status = span->status_code < sizeof metrics_statuses / sizeof *metrics_statuses;
        uint64_t scope = metrics_scope(METRICS_SPANS, kind ? span->kind : 0,
                                       status ? span->status_code : 0);
        Session *session = span->object.session;
        const char *service = session->service ? session->service : "unknown_service";
        ValidateText name = metrics_name(span);
        MetricsSeries **last = &session->series[(name.size ^ scope >> 8) % SESSION_SERIES_N];
        MetricsSeries *series = *last;
        MetricsKey key;
        int r;

        if (!series || !metrics_is_of(series, scope, name)) {
                key.size = 0;
                metrics_key_add(&key, (ValidateText){service, strlen(service)});
                metrics_key_add(&key, name);
                r = metrics_find(metrics, METRICS_SPANS, &series, scope, &key);
                if (r)
                        return error_trace(r);
                if (!series->overflow)
                        *last = series;
        }
        metrics_count(series, duration_ms);
        return 0;
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
        if (key.size < strlen(metrics_prefix) ||
            memcmp(key.data, metrics_prefix, strlen(metrics_prefix)))
                return;
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
        MetricsSeries *series = NULL;
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
        r = metrics_find(metrics, METRICS_PRIMITIVES, &series,
                         metrics_scope(METRICS_PRIMITIVES, 0, 0), &key);
        if (r)
                return error_trace(r);
        metrics_count(series, primitive.duration_ms);
        return 0;
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

static MetricsLabel metrics_literal(const MetricsSeries *series, unsigned n, const char *text) {
        return (MetricsLabel){metrics_shapes[series->kind].keys[n], text, strlen(text)};
}

unsigned metrics_labels(const MetricsSeries *series, MetricsLabel labels[METRICS_LABELS_MAX]) {
        const uint8_t *at = series->key;
        uint64_t scope = series->by_key.scope;
        unsigned n = 0;

        if (series->overflow)
                return 0;
        for (; at < series->key + series->key_size; at += 1 + at[0], n++)
                labels[n] = (MetricsLabel){metrics_shapes[series->kind].keys[n],
                                           (const char *)at + 1, at[0]};
        if (series->kind == METRICS_SPANS) {
                labels[2] = metrics_literal(series, 2, metrics_kinds[scope >> 8 & 0xff]);
                labels[3] = metrics_literal(series, 3, metrics_statuses[scope & 0xff]);
                n = 4;
        }
        return n;
}

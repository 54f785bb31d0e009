/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A stock OpenTelemetry Collector as the backend: what it writes to its file equals, field by
 * field, what a client of the library has said. argv[1] builds the collector, or says why not.
 */

#include "lib/catena.h"
#include "proto/id.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"
#include "tests/interop/stock-collector.h"

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum {
        FLUSH_MS = 60000,
};

#define START_NS UINT64_C(1700000000000000001)
#define TRACE    "0af7651916cd43dd8448eb211c80319c"

static const char *collector_binary;
static Harness harness;
static StockCollector collector;

/* ---- what is expected, in the collector's JSON ---- */

static json_t *text_of(const char *key, const char *value) {
        return json_pack("{s:s, s:{s:s}}", "key", key, "value", "stringValue", value);
}

static json_t *time_of(uint64_t ns) {
        return json_sprintf("%ju", (uintmax_t)ns);
}

static json_t *id_of(const uint8_t *id, size_t size) {
        char hex[ID_TRACE_HEX + 1];

        id_to_hex(hex, id, size);
        return json_string(hex);
}

/* The attributes that a context gives to each of its spans. */
static void add_context(json_t *attributes, catena_context *context) {
        const char *const pairs[][2] = {
                {"workflow.id", catena_context_workflow_id(context)},
                {"workflow.session_id", catena_context_session_id(context)},
                {"workflow.correlation_id", catena_context_correlation_id(context)},
                {"workflow.causation_id", catena_context_causation_id(context)},
                {"workflow.context_id", catena_context_id(context)},
        };

        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
                if (pairs[i][1])
                        json_array_append_new(attributes, text_of(pairs[i][0], pairs[i][1]));
}

/* Equal but for the order of attributes. */
static void assert_same(const json_t *actual, const json_t *expected) {
        char *actual_text = json_dumps(actual, JSON_SORT_KEYS | JSON_INDENT(1));
        char *expected_text = json_dumps(expected, JSON_SORT_KEYS | JSON_INDENT(1));

        ck_assert_str_eq(actual_text, expected_text);
        free(actual_text);
        free(expected_text);
}

/* ---- what is said ---- */

static const catena_attribute list[] = {
        {.type = CATENA_TYPE_INT, .value.integer = -1},
        {.value.string = "two"},
};
static const catena_attribute map[] = {
        {.key = "deep", .type = CATENA_TYPE_ARRAY, .value.list = list, .size = 2},
};
static const catena_attribute attributes[] = {
        {.key = "a.string", .value.string = "Gr\xc3\xbc\xc3\x9f"},
        {.key = "b.int", .type = CATENA_TYPE_INT, .value.integer = INT64_MIN},
        {.key = "c.double", .type = CATENA_TYPE_DOUBLE, .value.real = 0.5},
        {.key = "d.bool", .type = CATENA_TYPE_BOOL, .value.boolean = true},
        {.key = "e.string_n", .type = CATENA_TYPE_STRING_N, .value.string = "abcd", .size = 3},
        {.key = "f.bytes", .type = CATENA_TYPE_BYTES, .value.bytes = "\0\xff\x10", .size = 3},
        {.key = "g.array", .type = CATENA_TYPE_ARRAY, .value.list = list, .size = 2},
        {.key = "h.map", .type = CATENA_TYPE_MAP, .value.list = map, .size = 1},
};
static const catena_attribute detail[] = {
        {.key = "attempt", .type = CATENA_TYPE_INT, .value.integer = 2},
};

typedef struct Said {
        catena_context *context, *part;
        catena_span server, client;
} Said;

static void say(Said *said) {
        setenv("TRACEPARENT", "00-" TRACE "-b7ad6b7169203331-01", 1);
        setenv("TRACESTATE", "vendor=opaque", 1);
        setenv("BAGGAGE", "workflow.id=order-4711,workflow.session_id=session-9", 1);
        people_speak(&harness, "shop");
        said->context = catena_context_extract_environ(0);
        said->server = catena_span_start_with(said->context, "POST /order",
                                              &(catena_span_options){
                                                      .scope = catena_scope_get("web", "1.2", NULL),
                                                      .kind = CATENA_KIND_SERVER,
                                                      .start_unix_ns = START_NS,
                                                      .attributes = attributes,
                                                      .n_attributes = 4,
                                              });
        catena_span_set(said->server, attributes + 4, 4);
        catena_span_event_at(said->server, "retry", START_NS + 5, detail, 1);
        said->part = catena_context_child(said->context);
        said->client =
                catena_span_start_with(said->part, "to be renamed",
                                       &(catena_span_options){
                                               .kind = CATENA_KIND_CLIENT,
                                               .start_unix_ns = START_NS + 10,
                                               .links = &(catena_link){said->server, detail, 1},
                                               .n_links = 1,
                                       });
        catena_span_set_name(said->client, "charge");
        catena_span_set_string(said->client, "twice", "first");
        catena_span_set_string(said->client, "twice", "last");
        catena_span_set_status(said->client, CATENA_STATUS_ERROR, "declined");
        catena_span_end_at(said->client, START_NS + 20);
        catena_span_end_at(said->server, START_NS + 30);
        ck_assert(catena_flush(FLUSH_MS));
}

/* ---- what is written ---- */

static void assert_server(const Said *said) {
        json_t *span = stock_collector_find(&collector, "POST /order", "web", "1.2");
        json_t *detailed =
                json_pack("[{s:s, s:{s:s}}]", "key", "attempt", "value", "intValue", "2");
        json_t *array = json_pack("{s:{s:[{s:s}, {s:s}]}}", "arrayValue", "values", "intValue",
                                  "-1", "stringValue", "two");
        json_t *attached = json_array(), *expected;

        json_array_append_new(attached, text_of("a.string", "Gr\xc3\xbc\xc3\x9f"));
        json_array_append_new(attached, json_pack("{s:s, s:{s:s}}", "key", "b.int", "value",
                                                  "intValue", "-9223372036854775808"));
        json_array_append_new(attached, json_pack("{s:s, s:{s:f}}", "key", "c.double", "value",
                                                  "doubleValue", 0.5));
        json_array_append_new(
                attached, json_pack("{s:s, s:{s:b}}", "key", "d.bool", "value", "boolValue", 1));
        json_array_append_new(attached, text_of("e.string_n", "abc"));
        json_array_append_new(attached, json_pack("{s:s, s:{s:s}}", "key", "f.bytes", "value",
                                                  "bytesValue", "AP8Q"));
        json_array_append_new(attached, json_pack("{s:s, s:O}", "key", "g.array", "value", array));
        json_array_append_new(attached,
                              json_pack("{s:s, s:{s:{s:[{s:s, s:O}]}}}", "key", "h.map", "value",
                                        "kvlistValue", "values", "key", "deep", "value", array));
        add_context(attached, said->context);
        stock_collector_sort(attached);
        expected = json_pack(
                "{s:s, s:o, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:[{s:o, s:s, s:o}], s:{}, s:i}",
                "traceId", TRACE, "spanId", id_of(said->server.span_id, 8), "traceState",
                "vendor=opaque", "parentSpanId", "b7ad6b7169203331", "name", "POST /order", "kind",
                CATENA_KIND_SERVER, "startTimeUnixNano", time_of(START_NS), "endTimeUnixNano",
                time_of(START_NS + 30), "attributes", attached, "events", "timeUnixNano",
                time_of(START_NS + 5), "name", "retry", "attributes", detailed, "status", "flags",
                0x301);
        assert_same(span, expected);
        json_decref(span);
        json_decref(array);
        json_decref(expected);
}

static void assert_client(const Said *said) {
        json_t *span = stock_collector_find(&collector, "charge", NULL, NULL);
        json_t *attached = json_array(), *link, *expected;

        json_array_append_new(attached, text_of("twice", "last"));
        add_context(attached, said->part);
        stock_collector_sort(attached);
        link = json_pack("{s:s, s:o, s:[{s:s, s:{s:s}}], s:i}", "traceId", TRACE, "spanId",
                         id_of(said->server.span_id, 8), "attributes", "key", "attempt", "value",
                         "intValue", "2", "flags", 0x101);
        expected = json_pack(
                "{s:s, s:o, s:s, s:o, s:s, s:i, s:o, s:o, s:o, s:[o], s:{s:s, s:i}, "
                "s:i}",
                "traceId", TRACE, "spanId", id_of(said->client.span_id, 8), "traceState",
                "vendor=opaque", "parentSpanId", id_of(said->server.span_id, 8), "name", "charge",
                "kind", CATENA_KIND_CLIENT, "startTimeUnixNano", time_of(START_NS + 10),
                "endTimeUnixNano", time_of(START_NS + 20), "attributes", attached, "links", link,
                "status", "message", "declined", "code", CATENA_STATUS_ERROR, "flags", 0x101);
        assert_same(span, expected);
        json_decref(span);
        json_decref(expected);
}

START_TEST(collector_writes_what_the_client_said) {
        Said said;

        stock_collector_open(&collector, collector_binary);
        harness_init(&harness, &(HarnessOptions){.compression = "gzip", .port = collector.port});
        harness_start(&harness);
        say(&said);
        harness_await(&harness, "conservation.traces.exporters.0.delivered", 2);
        ck_assert_uint_eq(harness_get(&harness, "conservation.holds"), 1);
        harness_stop(&harness);
        stock_collector_stop(&collector);
        ck_assert_uint_eq(stock_collector_n(&collector, STOCK_COLLECTOR_SPANS), 2);
        ck_assert_str_eq(stock_collector_service(&collector), "shop");
        assert_server(&said);
        assert_client(&said);
        stock_collector_close(&collector);
        harness_remove(&harness);
}
END_TEST

int main(int argc, char **argv) {
        const TTest *const tests[] = {collector_writes_what_the_client_said};

        if (argc != 2)
                return EXIT_FAILURE;
        collector_binary = argv[1];
        return scenario_run("interop", tests, sizeof tests / sizeof *tests);
}

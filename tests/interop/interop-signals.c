/* SPDX-License-Identifier: Apache-2.0 */

/*
 * All signals at a stock OpenTelemetry Collector: what it writes of primitives, their logs and
 * metrics, and of traces that were sampled or kept. argv[1]: the collector.
 */

#include "lib/catena.h"
#include "proto/id.h"
#include "proto/sampling.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"
#include "tests/integration/work.h"
#include "tests/interop/stock-collector.h"

#include <check.h>
#include <jansson.h>
#include <string.h>

enum {
        FLUSH_MS = 60000,
        ROOTS = 64,
        CUMULATIVE = 2,
};

static const char *collector_binary;
static Harness harness;
static StockCollector collector;

static void open_both(const char *more) {
        stock_collector_open(&collector, collector_binary);
        harness_init(&harness, &(HarnessOptions){
                                       .compression = "gzip",
                                       .port = collector.port,
                                       .more = more,
                               });
        harness_start(&harness);
}

/* Everything has been delivered by then, and metrics that tell of it. */
static void stop_both(void) {
        harness_await_exactly(&harness, "conservation.traces.open", 0);
        harness_await_exactly(&harness, "conservation.traces.undecided", 0);
        harness_stop(&harness);
        stock_collector_stop(&collector);
}

static void close_both(void) {
        stock_collector_close(&collector);
        harness_remove(&harness);
}

static json_t *written(StockCollectorKind kind, const char *name) {
        json_t *record = stock_collector_last(&collector, kind, name);

        ck_assert_msg(record != NULL, "the collector has no %s", name);
        return record;
}

static const char *text_in(const json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

/* ---- primitives ---- */

static void check_out(void) {
        catena_primitive *branches[] = {primitive_of("mail", "SendMail", succeed),
                                        primitive_of("pay", "ChargeCard", decline)};
        catena_primitive *steps[] = {primitive_of("reserve", "ReserveStock", succeed),
                                     catena_parallel(branches, 2, NULL)};
        catena_primitive *checkout = catena_sequential(steps, 2);
        catena_context *order;

        people_speak(&harness, "shop");
        order = catena_context_new_with(&(catena_context_options){
                .workflow_id = "order-4711",
                .correlation_id = "ticket-9",
        });
        ck_assert_int_eq(catena_execute(checkout, order, NULL, NULL), 1);
        catena_context_free(order);
        catena_primitive_unref(checkout);
        for (size_t i = 0; i < 2; i++) {
                catena_primitive_unref(branches[i]);
                catena_primitive_unref(steps[i]);
        }
        ck_assert(catena_stop(FLUSH_MS));
}

static void assert_declined(void) {
        json_t *span = written(STOCK_COLLECTOR_SPANS, "pay.execute"), *event;
        const char *type = NULL;
        size_t i;

        ck_assert_str_eq(stock_collector_string(span, "primitive.name"), "pay");
        ck_assert_str_eq(stock_collector_string(span, "primitive.type"), "ChargeCard");
        ck_assert_str_eq(stock_collector_string(span, "primitive.status"), "error");
        ck_assert_str_eq(stock_collector_string(span, "error.type"), "CardDeclined");
        ck_assert_str_eq(stock_collector_string(span, "workflow.id"), "order-4711");
        ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(span, "status"),
                                                            "code")),
                         CATENA_STATUS_ERROR);
        json_array_foreach(json_object_get(span, "events"), i, event) {
                if (!strcmp(text_in(event, "name"), "exception"))
                        type = stock_collector_string(event, "exception.type");
        }
        ck_assert_pstr_eq(type, "CardDeclined");
}

static void assert_logged(const char *text, const char *span_name) {
        json_t *log = written(STOCK_COLLECTOR_LOGS, text);
        json_t *span = written(STOCK_COLLECTOR_SPANS, span_name);

        ck_assert_str_eq(text_in(log, "traceId"), text_in(span, "traceId"));
        ck_assert_str_eq(text_in(log, "spanId"), text_in(span, "spanId"));
        ck_assert_str_eq(stock_collector_string(log, "workflow.correlation_id"), "ticket-9");
}

/* The data point of the primitive. */
static json_t *point_of(const json_t *aggregation, const char *primitive) {
        json_t *point;
        size_t i;

        ck_assert_int_eq(
                json_integer_value(json_object_get(aggregation, "aggregationTemporality")),
                CUMULATIVE);
        json_array_foreach(json_object_get(aggregation, "dataPoints"), i, point) {
                if (!strcmp(stock_collector_string(point, "primitive.name"), primitive))
                        return point;
        }
        ck_abort_msg("no data point of %s", primitive);
}

static void assert_measured(void) {
        json_t *count = written(STOCK_COLLECTOR_METRICS, "primitive.execution.count");
        json_t *duration = written(STOCK_COLLECTOR_METRICS, "primitive.execution.duration");
        json_t *spans = written(STOCK_COLLECTOR_METRICS, "catena.spans_accepted"), *point;
        json_t *bounds = json_pack("[f, f, f, f, f, f, f, f, f, f]", 10., 25., 50., 100., 250.,
                                   500., 1000., 2500., 5000., 10000.);

        point = point_of(json_object_get(count, "sum"), "pay");
        ck_assert_str_eq(text_in(point, "asInt"), "1");
        ck_assert_str_eq(stock_collector_string(point, "primitive.type"), "ChargeCard");
        ck_assert_str_eq(stock_collector_string(point, "primitive.status"), "error");
        ck_assert(json_is_true(
                json_object_get(json_object_get(count, "sum"), "isMonotonic")));
        ck_assert_str_eq(text_in(duration, "unit"), "ms");
        point = point_of(json_object_get(duration, "histogram"), "mail");
        ck_assert_str_eq(text_in(point, "count"), "1");
        for (size_t i = 0; i < json_array_size(bounds); i++)
                ck_assert_double_eq(
                        json_number_value(json_array_get(bounds, i)),
                        json_number_value(json_array_get(
                                json_object_get(point, "explicitBounds"), i)));
        ck_assert_uint_eq(json_array_size(json_object_get(point, "explicitBounds")),
                          json_array_size(bounds));
        ck_assert_uint_eq(json_array_size(json_object_get(point, "bucketCounts")),
                          json_array_size(bounds) + 1);
        json_decref(bounds);
        point = json_array_get(json_object_get(json_object_get(spans, "sum"), "dataPoints"), 0);
        ck_assert_str_eq(text_in(point, "asInt"), "5");
        written(STOCK_COLLECTOR_METRICS, "traces.span.metrics.calls");
        written(STOCK_COLLECTOR_METRICS, "traces.span.metrics.duration");
}

START_TEST(collector_writes_the_work_of_primitives) {
        open_both("metrics: { interval: 1h }\n"); /* and when the daemon stops */
        check_out();
        harness_await(&harness, "conservation.traces.exporters.0.delivered", 5);
        stop_both();
        ck_assert_uint_eq(stock_collector_n(&collector, STOCK_COLLECTOR_SPANS), 5);
        assert_declined();
        assert_logged("reserve completed", "reserve.execute");
        assert_logged("mail completed", "mail.execute");
        assert_logged("pay failed", "pay.execute");
        assert_logged("SequentialPrimitive failed", "SequentialPrimitive.execute");
        assert_logged("sequential_step_start", "SequentialPrimitive.execute");
        assert_logged("sequential_step_complete", "SequentialPrimitive.execute");
        assert_logged("parallel_execution_start", "ParallelPrimitive.execute");
        assert_logged("parallel_execution_failed", "ParallelPrimitive.execute");
        assert_measured();
        close_both();
}
END_TEST

/* ---- sampling ---- */

static catena_span say_root(const char *name, bool fails) {
        catena_context *context = catena_context_new(NULL, NULL);
        catena_span span = catena_span_start(context, name, CATENA_KIND_SERVER);

        if (fails)
                catena_span_error(span, "timeout", "no answer", NULL);
        catena_span_end(span);
        catena_context_free(context);
        return span;
}

START_TEST(collector_writes_the_traces_that_were_sampled) {
        catena_span roots[ROOTS];
        char name[16], hex[ID_TRACE_HEX + 1];
        size_t n_sampled = 0;

        open_both(NULL);
        setenv("OTEL_TRACES_SAMPLER", "traceidratio", 1);
        setenv("OTEL_TRACES_SAMPLER_ARG", "0.5", 1);
        people_speak(&harness, "sampler");
        for (unsigned i = 0; i < ROOTS; i++) {
                snprintf(name, sizeof name, "root %u", i);
                roots[i] = say_root(name, false);
                n_sampled += sampling_keeps(sampling_threshold(0.5), roots[i].trace_id);
        }
        ck_assert(n_sampled && n_sampled < ROOTS);
        ck_assert(catena_flush(FLUSH_MS));
        harness_await(&harness, "conservation.traces.exporters.0.delivered", n_sampled);
        stop_both();
        ck_assert_uint_eq(stock_collector_n(&collector, STOCK_COLLECTOR_SPANS), n_sampled);
        for (unsigned i = 0; i < ROOTS; i++) {
                json_t *span;

                snprintf(name, sizeof name, "root %u", i);
                span = stock_collector_last(&collector, STOCK_COLLECTOR_SPANS, name);
                ck_assert_int_eq(span != NULL,
                                 sampling_keeps(sampling_threshold(0.5), roots[i].trace_id));
                if (!span)
                        continue;
                id_to_hex(hex, roots[i].trace_id, ID_TRACE_SIZE);
                ck_assert_str_eq(text_in(span, "traceId"), hex);
                ck_assert_str_eq(text_in(span, "traceState"), "ot=th:8");
        }
        close_both();
}
END_TEST

START_TEST(collector_writes_the_errors_that_nobody_sampled) {
        open_both("sampling: { keep_errors: true }\n");
        setenv("OTEL_TRACES_SAMPLER", "always_off", 1);
        people_speak(&harness, "shop");
        while (!catena_span_recording(say_root("before the daemon's word", false)))
                ;
        say_root("good", false);
        say_root("bad", true);
        ck_assert(catena_flush(FLUSH_MS));
        harness_await(&harness, "counters.spans_kept", 1);
        stop_both();
        ck_assert_uint_eq(stock_collector_n(&collector, STOCK_COLLECTOR_SPANS), 1);
        ck_assert_int_eq(json_integer_value(json_object_get(
                                 written(STOCK_COLLECTOR_SPANS, "bad"), "flags")) &
                                 1,
                         0);
        close_both();
}
END_TEST

int main(int argc, char **argv) {
        const TTest *const tests[] = {
                collector_writes_the_work_of_primitives,
                collector_writes_the_traces_that_were_sampled,
                collector_writes_the_errors_that_nobody_sampled,
        };

        if (argc != 2)
                return EXIT_FAILURE;
        collector_binary = argv[1];
        return scenario_run("interop-signals", tests, sizeof tests / sizeof *tests);
}

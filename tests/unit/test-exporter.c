/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/http/gzip.h"
#include "otlp/trace_service.pb-c.h"
#include "tests/unit/exporter-rig.h"

/* ---- what is sent ---- */

START_TEST(sends_both_signals_on_one_connection) {
        static const Step steps[] = {{.answer = OK}, {.answer = OK}, {.answer = OK}};
        ExporterHeader extra = {"X-Extra", "shop"};
        char authority[64];

        set_up();
        run.options.headers = &extra;
        run.options.n_headers = 1;
        owe(BATCH_TRACES, 100);
        owe(BATCH_TRACES, 1);
        owe(BATCH_LOGS, 300000);
        START(steps);
        run_exporter();
        check_total(3 * OBJECTS, 0, 0);
        ck_assert_uint_eq(collector.n_connections, 1);
        ck_assert_str_eq(collector.seen[0].target, "/v1/traces");
        ck_assert_str_eq(collector.seen[1].target, "/v1/logs");
        ck_assert_str_eq(collector.seen[2].target, "/v1/traces");
        snprintf(authority, sizeof(authority), "127.0.0.1:%u", collector.port);
        ck_assert_str_eq(collector.seen[0].authority, authority);
        ck_assert_str_eq(collector.seen[0].type, "application/x-protobuf");
        ck_assert_str_eq(collector.seen[0].agent, "catenad/1 OTel-OTLP-Exporter-C/1");
        ck_assert_str_eq(collector.seen[0].extra, "shop");
        ck_assert_str_eq(collector.seen[0].encoding, "");
        ck_assert_uint_eq(collector.seen[0].body.size, 100);
        ck_assert_uint_eq(collector.seen[1].body.size, 300000);
        ck_assert_uint_eq(collector.seen[1].body.data[8], 2 + 1);
        ck_assert_uint_eq(run.last.n_requests, 3);
        ck_assert_uint_eq(run.last.n_bytes, 300101);
        ck_assert_uint_eq(run.last.n_retries, 0);
        collector_finish();
}
END_TEST

START_TEST(compresses) {
        static const Step steps[] = {{.answer = UNAVAILABLE}, {.answer = OK}};
        Buffer plain = BUFFER_NULL;

        set_up();
        run.options.compression = EXPORTER_COMPRESSION_GZIP;
        owe(BATCH_TRACES, 100000);
        START(steps);
        run_exporter();
        check_total(OBJECTS, 0, 0);
        for (int i = 0; i < 2; i++) {
                Buffer *body = &collector.seen[i].body;

                plain.size = 0;
                ck_assert_str_eq(collector.seen[i].encoding, "gzip");
                ck_assert_uint_lt(body->size, 10000);
                ck_assert_int_eq(gzip_decompress(&plain, body->data, body->size, 1 << 20), 0);
                ck_assert_uint_eq(plain.size, 100000);
                ck_assert_uint_eq(plain.data[99999], 99999 % 7);
        }
        buffer_deinit(&plain);
        collector_finish();
}
END_TEST

START_TEST(finds_a_host_by_name_and_tries_its_addresses) {
        static const Step steps[] = {{.answer = OK}};

        set_up();
        snprintf(run.endpoint, sizeof(run.endpoint), "http://localhost:%u/", collector.port);
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(OBJECTS, 0, 0);
        collector_finish();
}
END_TEST

START_TEST(sends_nothing_too_large_and_nothing_empty) {
        static const Step steps[] = {{.answer = OK}};

        set_up();
        owe(BATCH_TRACES, BATCH_REQUEST_MAX + 1);
        owe(BATCH_TRACES, BATCH_REQUEST_MAX);
        owe(BATCH_LOGS, 0);
        START(steps);
        run_exporter();
        check_total(OBJECTS, 0, 0);
        ck_assert_uint_eq(recorder.total.n_dropped[BATCH_DROP_TOO_LARGE], OBJECTS);
        ck_assert_uint_eq(collector.n_seen, 1);
        ck_assert_uint_eq(collector.seen[0].body.size, BATCH_REQUEST_MAX);
        collector_finish();
}
END_TEST

START_TEST(a_batch_of_two_requests_is_answered_for_once) {
        static const Step steps[] = {
                {.answer = OK},
                {.answer = UNAVAILABLE},
                {.answer = "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n"},
                {.answer = OK},
        };

        set_up();
        owe(BATCH_TRACES, 100);
        recorder.halved[0] = true;
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(OBJECTS + OBJECTS / 2, OBJECTS / 2, 0);
        ck_assert_uint_eq(collector.n_seen, 4);
        for (int i = 0; i < 3; i++)
                ck_assert_uint_eq(collector.seen[i].body.size, 50);
        collector_finish();
}
END_TEST

/* ---- answers ---- */

START_TEST(partial_success_is_counted_and_not_sent_again) {
        typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse Response;
        typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTracePartialSuccess Partial;
        Response response =
                OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_SERVICE_RESPONSE__INIT;
        Partial partial =
                OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__EXPORT_TRACE_PARTIAL_SUCCESS__INIT;
        char plain[256], answer[1024];
        uint8_t *packed;
        size_t size;
        Gzip *gzip;

        set_up();
        response.partial_success = &partial;
        partial.rejected_spans = 4;
        partial.error_message = (char *)"four were too old";
        size = opentelemetry__proto__collector__trace__v1__export_trace_service_response__pack(
                &response, (uint8_t *)plain);
        ck_assert_int_eq(gzip_new(&gzip), 0);
        packed = malloc(gzip_bound(gzip, size));
        if (_i) {
                size = gzip_compress(gzip, packed, plain, size);
                memcpy(plain, packed, size);
        }
        gzip_free(gzip);
        free(packed);

        owe(BATCH_TRACES, 10);
        Step steps[] = {{.answer = answer}};
        steps[0].size = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", size,
                                _i ? "Content-Encoding: gzip\r\n" : "");
        memcpy(answer + steps[0].size, plain, size);
        steps[0].size += size;
        START(steps);
        run_exporter();
        check_total(OBJECTS - 4, 0, 4);
        ck_assert_uint_eq(collector.n_seen, 1);
        ck_assert_str_eq(run.last.last_error, "4 of 10 rejected: four were too old");
        ck_assert(!run.last.misconfigured);
        collector_finish();
}
END_TEST

static const struct {
        const char *answer, *error;
} refusals[] = {
        {"HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-protobuf\r\n"
         "Content-Length: 9\r\n\r\n\x08\x03\x12\x05"
         "wrong",
         "400 Bad Request: wrong"},
        {"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 19\r\n\r\n"
         "404 page not found\n",
         "404 Not Found: 404 page not found"},
        {"HTTP/1.1 413 \r\nContent-Length: 0\r\n\r\n", "413 "},
        {"HTTP/1.1 301 Moved\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", "301 Moved"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", "200 OK: the answer is not OTLP"},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\n\x1f\x8b!!!!",
         "200 OK: the answer is not OTLP"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 4194305\r\n\r\n", "200, with an answer over 4 MiB"},
};

START_TEST(refusals_drop_and_mark_until_all_is_well) {
        Step steps[] = {{.answer = refusals[_i].answer}, {.answer = OK}};
        Step only[] = {steps[0]};

        set_up();
        owe(BATCH_TRACES, 10);
        START(only);
        run_exporter();
        check_total(0, OBJECTS, 0);
        ck_assert_str_eq(run.last.last_error, refusals[_i].error);
        ck_assert(run.last.misconfigured);
        collector_finish();

        set_up();
        owe(BATCH_TRACES, 10);
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(OBJECTS, OBJECTS, 0);
        ck_assert_str_eq(run.last.last_error, "");
        ck_assert(!run.last.misconfigured);
        ck_assert_uint_eq(run.last.n_retries, 0);
        collector_finish();
}
END_TEST

START_TEST(an_endless_answer_is_cut_off) {
        static const Step steps[] = {
                {.how = STEP_FLOOD, .answer = "HTTP/1.1 200 OK\r\n\r\n"},
                {.answer = OK},
        };

        set_up();
        owe(BATCH_TRACES, 10);
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(OBJECTS, OBJECTS, 0);
        collector_finish();
}
END_TEST

START_TEST(an_early_refusal_counts_though_the_body_was_not_read) {
        static const Step steps[] = {
                {.how = STEP_EARLY,
                 .answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"},
                {.answer = OK},
        };

        set_up();
        owe(BATCH_TRACES, BATCH_REQUEST_MAX);
        owe(BATCH_TRACES, 10);
        START(steps);
        run_exporter();
        check_total(OBJECTS, OBJECTS, 0);
        ck_assert_uint_eq(collector.n_connections, 2);
        collector_finish();
}
END_TEST

/* ---- options ---- */

START_TEST(bad_options_are_refused) {
        ExporterHeader header = {"Content-Length", "1"};
        uv_loop_t loop;

        set_up();
        ck_assert_int_eq(exporter_check_endpoint("http://localhost:4318"), 0);
        ck_assert_int_eq(exporter_check_endpoint("localhost:4318"), EXPORTER_E_ENDPOINT);
        ck_assert_int_eq(exporter_check_endpoint("https://localhost"), EXPORTER_E_ENDPOINT);
        ck_assert_int_eq(exporter_check_header(&(ExporterHeader){"X-Scope-OrgID", "shop"}), 0);
        ck_assert_int_eq(exporter_check_header(&header), EXPORTER_E_HEADER);
        ck_assert_int_eq(exporter_check_header(&(ExporterHeader){"X: y", "z"}), EXPORTER_E_HEADER);
        ck_assert_int_eq(exporter_check_header(&(ExporterHeader){"X", "y\n"}), EXPORTER_E_HEADER);

        ck_assert_int_eq(uv_loop_init(&loop), 0);
        run.options.headers = &header;
        run.options.n_headers = 1;
        ck_assert_int_eq(exporter_open(&run.exporter, &loop, &recorder, &run.options),
                         EXPORTER_E_HEADER);
        run.options.n_headers = 0;
        run.options.endpoint = "nonsense";
        ck_assert_int_eq(exporter_open(&run.exporter, &loop, &recorder, &run.options),
                         EXPORTER_E_ENDPOINT);
        ck_assert_int_eq(uv_loop_close(&loop), 0);
        collector_finish();
}
END_TEST

int main(void) {
        Suite *suite = suite_create("exporter");
        TCase *tcase = tcase_create("exporter");

        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, sends_both_signals_on_one_connection);
        tcase_add_test(tcase, compresses);
        tcase_add_test(tcase, finds_a_host_by_name_and_tries_its_addresses);
        tcase_add_test(tcase, sends_nothing_too_large_and_nothing_empty);
        tcase_add_test(tcase, a_batch_of_two_requests_is_answered_for_once);
        tcase_add_loop_test(tcase, partial_success_is_counted_and_not_sent_again, 0, 2);
        tcase_add_loop_test(tcase, refusals_drop_and_mark_until_all_is_well, 0, N_STEPS(refusals));
        tcase_add_test(tcase, an_endless_answer_is_cut_off);
        tcase_add_test(tcase, an_early_refusal_counts_though_the_body_was_not_read);
        tcase_add_test(tcase, bad_options_are_refused);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Who watches spans as they end, quickly or slowly. */

#include "lib/catena.h"
#include "tests/integration/people.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
        WAVES = 100,
        WAVE_SPANS = 100,
        FLUSH_MS = HARNESS_PATIENCE_S * 1000,
};

static Harness harness;
static char heard[1024 * 1024];
static size_t n_heard;

static int tail(const char *query) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        memcpy(address.sun_path, harness.control, sizeof address.sun_path - 1);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){HARNESS_PATIENCE_S, 0},
                   sizeof(struct timeval));
        ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
        ck_assert_int_gt(dprintf(fd, "GET /v1/tail%s HTTP/1.1\r\nHost: x\r\n\r\n", query), 0);
        return fd;
}

/* False: the daemon has hung up. */
static bool hear_more(int fd) {
        ssize_t n = recv(fd, heard + n_heard, sizeof heard - n_heard - 1, 0);

        ck_assert_int_ge(n, 0);
        n_heard += (size_t)n;
        heard[n_heard] = '\0';
        return n;
}

/* Reads until the text has come, and forgets what came. */
static void hear_of(int fd, const char *text) {
        *heard = '\0';
        n_heard = 0;
        while (!strstr(heard, text))
                ck_assert_msg(hear_more(fd), "no %s in %s", text, heard);
}

/* Reads as many lines. */
static void hear_lines(int fd, size_t n_lines) {
        const char *at = heard;

        *heard = '\0';
        n_heard = 0;
        while (n_lines) {
                const char *end = strstr(at, "}\n");

                if (end) {
                        at = end + 1;
                        n_lines--;
                } else {
                        ck_assert(hear_more(fd));
                }
        }
        ck_assert_ptr_null(strstr(at, "}\n"));
}

START_TEST(tail_sees_a_span_end) {
        catena_context *context;
        catena_span span;
        int fd;

        harness_open(&harness, NULL);
        fd = tail("?service=shop&name=pay&errors");
        harness_await(&harness, "tail.readers", 1);
        people_speak(&harness, "shop");
        context = catena_context_new("order", NULL);
        span = catena_span_start(context, "pay", CATENA_KIND_CLIENT);
        catena_span_set_int(span, "amount", 42);
        catena_span_end(catena_span_child(span, "pay", CATENA_KIND_CLIENT)); /* no error */
        catena_span_error(span, "timeout", "no answer", NULL);
        ck_assert(catena_flush(FLUSH_MS));
        harness_await(&harness, "counters.spans_closed", 1);
        ck_assert_uint_eq(harness_get(&harness, "tail.spans"), 0);
        catena_span_end(span);
        ck_assert(catena_flush(FLUSH_MS));
        hear_of(fd, "}\n");
        ck_assert_ptr_nonnull(strstr(heard, "\"name\":\"pay\""));
        ck_assert_ptr_nonnull(
                strstr(heard, "{\"key\":\"amount\",\"value\":{\"intValue\":\"42\"}}"));
        ck_assert_ptr_nonnull(strstr(heard, "\"message\":\"no answer\",\"code\":2"));
        ck_assert_ptr_nonnull(strstr(heard, "\"service\":\"shop\""));
        close(fd);
        harness_await_exactly(&harness, "tail.readers", 0);
        ck_assert_uint_eq(harness_get(&harness, "tail.spans"), 1);
        catena_context_free(context);
        catena_stop(FLUSH_MS);
        harness_finish(&harness);
}
END_TEST

START_TEST(a_slow_reader_is_cut_off_while_spans_flow) {
        catena_context *context;
        char text[401];
        int slow, quick;

        memset(text, 't', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        harness_open(&harness, NULL);
        slow = tail("");
        quick = tail("?name=wave");
        harness_await(&harness, "tail.readers", 2);
        people_speak(&harness, "sea");
        context = catena_context_new(NULL, NULL);
        for (unsigned i = 0; i < WAVES; i++) {
                for (unsigned k = 0; k < WAVE_SPANS; k++) {
                        catena_span span = catena_span_start(context, "wave", CATENA_KIND_INTERNAL);

                        catena_span_set_string(span, "text", text);
                        catena_span_end(span);
                }
                ck_assert(catena_flush(FLUSH_MS));
                hear_lines(quick, WAVE_SPANS);
        }
        harness_await_exactly(&harness, "tail.cut_off", 1);
        harness_await_exactly(&harness, "tail.readers", 1);
        n_heard = 0;
        while (hear_more(slow))
                n_heard = 0;
        close(slow);
        close(quick);
        catena_context_free(context);
        catena_stop(FLUSH_MS);
        harness_await(&harness, "conservation.traces.finished", WAVES * WAVE_SPANS);
        ck_assert_uint_eq(backend_n_unique(harness.backend), WAVES * WAVE_SPANS);
        harness_finish(&harness);
}
END_TEST

START_TEST(the_tail_ends_with_the_daemon) {
        int fd;

        harness_open(&harness, NULL);
        fd = tail("");
        harness_await(&harness, "tail.readers", 1);
        harness_stop(&harness);
        hear_of(fd, "\r\n0\r\n\r\n");
        ck_assert(!hear_more(fd));
        close(fd);
        harness_start(&harness);
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("scenario-tail", tail_sees_a_span_end, a_slow_reader_is_cut_off_while_spans_flow,
             the_tail_ends_with_the_daemon)

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What clients may not send. Each bad one has a well-behaved neighbour, who has a span open all the
 * while and loses nothing; the bad one is told why it is hung up on, or what it sent is counted.
 */

#include "proto/pb.h"
#include "tests/integration/people.h"
#include "tests/integration/raw-client.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Harness harness;
static RawClient villain;

static void begin(const HarnessOptions *options) {
        harness_open(&harness, options);
        people_neighbour_begins(&harness);
        ck_assert(raw_client_connect(&villain, harness.socket));
}

static void end(void) {
        raw_client_close(&villain);
        people_neighbour_ends(&harness);
        people_neighbour_lost_nothing(&harness);
        harness_finish(&harness);
}

/* What was said before the fault counts: one whole span. */
static void begin_with_hello(const HarnessOptions *options) {
        begin(options);
        ck_assert(raw_client_hello(&villain, "villain", false));
        ck_assert(raw_client_span(&villain, 1, RECORD_START | RECORD_END, "before the fault"));
}

static void assert_hung_up(const char *why, const char *counter) {
        char text[512];

        ck_assert(raw_client_farewell(&villain, text, sizeof text));
        ck_assert_msg(strstr(text, why), "\"%s\" does not say \"%s\"", text, why);
        ck_assert_uint_eq(harness_get(&harness, counter), 1);
}

static void send_header(uint32_t size, uint16_t type, uint16_t flags) {
        uint8_t bytes[RECORD_HEADER_SIZE];

        record_header_write(bytes, &(RecordHeader){.size = size, .type = type, .flags = flags});
        ck_assert(raw_client_send(&villain, bytes, sizeof bytes));
}

/* ---- what is not a record ---- */

START_TEST(length_below_a_header) {
        begin_with_hello(NULL);
        send_header(8, RECORD_SPAN, 0);
        assert_hung_up("smaller than its header", "listener.hung_up_protocol");
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_accepted"), 2);
        end();
}
END_TEST

START_TEST(length_over_the_limit) {
        begin_with_hello(NULL);
        send_header(0xffffffff, RECORD_SPAN, 0);
        assert_hung_up("larger than 256 KiB", "listener.hung_up_protocol");
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_accepted"), 2);
        end();
}
END_TEST

START_TEST(unknown_type) {
        begin_with_hello(NULL);
        send_header(RECORD_HEADER_SIZE, 999, 0);
        assert_hung_up("not a type", "listener.hung_up_protocol");
        end();
}
END_TEST

START_TEST(decision_of_the_daemon) {
        begin_with_hello(NULL);
        send_header(RECORD_HEADER_SIZE, RECORD_BATCH, 0);
        assert_hung_up("not a type", "listener.hung_up_protocol");
        end();
}
END_TEST

START_TEST(flags_of_the_daemon) {
        begin_with_hello(NULL);
        send_header(RECORD_HEADER_SIZE, RECORD_SPAN, RECORD_SNAPSHOT);
        assert_hung_up("flags that only the daemon may set", "listener.hung_up_protocol");
        end();
}
END_TEST

START_TEST(no_hello_first) {
        begin(NULL);
        ck_assert(raw_client_span(&villain, 1, RECORD_START | RECORD_END, "rude"));
        assert_hung_up("the first record is not a HELLO", "listener.hung_up_protocol");
        end();
}
END_TEST

START_TEST(second_hello) {
        begin_with_hello(NULL);
        ck_assert(raw_client_record(&villain, RECORD_HELLO, 0, 0, "\x08\x01", 2));
        assert_hung_up("a second HELLO", "listener.hung_up_protocol");
        end();
}
END_TEST

START_TEST(hello_of_another_version) {
        begin(NULL);
        ck_assert(raw_client_record(&villain, RECORD_HELLO, 0, 0, "\x08\x63", 2));
        assert_hung_up("version", "listener.hung_up_hello");
        end();
}
END_TEST

START_TEST(hello_that_is_garbage) {
        begin(NULL);
        ck_assert(raw_client_record(&villain, RECORD_HELLO, 0, 0, "\xff\xff\xff\xff\xff\xff", 6));
        assert_hung_up("HELLO", "listener.hung_up_hello");
        end();
}
END_TEST

START_TEST(noise) {
        uint8_t bytes[4096];

        begin(NULL);
        srand(1);
        for (size_t i = 0; i < sizeof bytes; i++)
                bytes[i] = (uint8_t)rand();
        raw_client_send(&villain, bytes, sizeof bytes);
        harness_await(&harness, "listener.hung_up_protocol", 1);
        end();
}
END_TEST

START_TEST(half_a_record_and_silence) {
        begin_with_hello(NULL);
        send_header(RECORD_HEADER_SIZE + 64, RECORD_SPAN, RECORD_START);
        assert_hung_up("half a record", "listener.hung_up_partial");
        end();
}
END_TEST

START_TEST(half_a_record_and_the_end) {
        begin_with_hello(NULL);
        send_header(RECORD_HEADER_SIZE + 64, RECORD_SPAN, RECORD_START);
        end();
}
END_TEST

/* ---- records whose bodies break a rule: refused and counted, the client stays ---- */

static void send_fragment(const void *body, size_t size) {
        ck_assert(
                raw_client_record(&villain, RECORD_SPAN, RECORD_START | RECORD_END, 2, body, size));
}

static void assert_refused(const char *counter) {
        ck_assert(raw_client_span(&villain, 3, RECORD_START | RECORD_END, "after the fault"));
        ck_assert(raw_client_flush(&villain));
        ck_assert_uint_eq(harness_get(&harness, counter), 1);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_accepted"), 3);
        end();
}

static void put_ids(PbWriter *writer) {
        pb_put_bytes(writer, 1, "one of trace ids", 16);
        pb_put_bytes(writer, 2, "\2\0\0\0\0\0\0\0", 8);
}

START_TEST(malformed_fragment) {
        begin_with_hello(NULL);
        send_fragment("\x0a\xff\xff\xff\xff\x7f", 6);
        assert_refused("counters.refused_malformed");
}
END_TEST

START_TEST(group_in_a_fragment) {
        uint8_t body[64];
        PbWriter writer = pb_writer(body, sizeof body);

        begin_with_hello(NULL);
        put_ids(&writer);
        pb_put_raw(&writer, "\x1b\x1c", 2);
        send_fragment(body, (size_t)(writer.at - body));
        assert_refused("counters.refused_malformed");
}
END_TEST

START_TEST(invalid_utf8) {
        uint8_t body[64];
        PbWriter writer = pb_writer(body, sizeof body);

        begin_with_hello(NULL);
        put_ids(&writer);
        pb_put_bytes(&writer, 5, "\xc0\xaf", 2);
        send_fragment(body, (size_t)(writer.at - body));
        assert_refused("counters.refused_malformed");
}
END_TEST

/* An attribute whose value is an array in an array and so on. */
START_TEST(over_deep_fragment) {
        static uint8_t body[4096], inner[4096];
        PbWriter writer = pb_writer(body, sizeof body);
        size_t size = 0;

        begin_with_hello(NULL);
        for (unsigned depth = 0; depth < 2 * (PB_VALUE_DEPTH_MAX + 1); depth++) {
                PbWriter outer = pb_writer(body, sizeof body);

                pb_put_bytes(&outer, depth % 2 ? 5 : 1, inner, size);
                size = (size_t)(outer.at - body);
                memcpy(inner, body, size);
        }
        put_ids(&writer);
        pb_put_prefix(&writer, 9, 3 + pb_bytes_size(2, size));
        pb_put_bytes(&writer, 1, "k", 1);
        pb_put_bytes(&writer, 2, inner, size);
        ck_assert(!writer.failed);
        send_fragment(body, (size_t)(writer.at - body));
        assert_refused("counters.refused_malformed");
}
END_TEST

START_TEST(id_unlike_the_header) {
        uint8_t body[64];
        PbWriter writer = pb_writer(body, sizeof body);

        begin_with_hello(NULL);
        pb_put_bytes(&writer, 1, "one of trace ids", 16);
        pb_put_bytes(&writer, 2, "another1", 8);
        send_fragment(body, (size_t)(writer.at - body));
        assert_refused("counters.refused_malformed");
}
END_TEST

START_TEST(same_id_twice) {
        begin_with_hello(NULL);
        ck_assert(raw_client_span(&villain, 2, RECORD_START, "first"));
        ck_assert(raw_client_span(&villain, 2, RECORD_START, "second"));
        ck_assert(raw_client_span(&villain, 2, RECORD_END, NULL));
        ck_assert(raw_client_flush(&villain));
        ck_assert_uint_eq(harness_get(&harness, "counters.refused_duplicate"), 1);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_accepted"), 3);
        end();
}
END_TEST

/* The neighbour's span has an id; here it is ended and changed by somebody else. */
START_TEST(span_id_of_another) {
        static const uint8_t error[] = {0x7a, 0x02, 0x18, 0x02};
        uint64_t id;

        begin_with_hello(NULL);
        id = people_neighbour_span_id();
        ck_assert(raw_client_record(&villain, RECORD_SPAN, RECORD_END, id, error, sizeof error));
        ck_assert(raw_client_flush(&villain));
        harness_await(&harness, "counters.orphans", 1);
        ck_assert(raw_client_span(&villain, id, RECORD_START | RECORD_END, "of the same id"));
        ck_assert(raw_client_flush(&villain));
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_accepted"), 3);
        end();
}
END_TEST

/* ---- too much ---- */

enum {
        FLOOD_UID = 54321,
        FLOOD_RECORDS = 3000,
        FLOOD_BODY = 30 * 1024,
};

/* As another user, who has a share of his own: 90 MB, as fast as they are taken. */
static void flood(void *user) {
        static uint8_t body[FLOOD_BODY + 256], text[FLOOD_BODY];
        PbWriter writer;

        (void)user;
        memset(text, 'x', sizeof text);
        if (setgid(FLOOD_UID) || setuid(FLOOD_UID) ||
            !raw_client_connect(&villain, harness.socket) ||
            !raw_client_hello(&villain, "flood", false))
                _exit(1);
        for (uint64_t id = 1; id <= FLOOD_RECORDS; id++) {
                uint64_t span_id = htole64(id);

                writer = pb_writer(body, sizeof body);
                pb_put_bytes(&writer, 1, "one of trace ids", 16);
                pb_put_bytes(&writer, 2, &span_id, 8);
                pb_put_bytes(&writer, 3, text, sizeof text);
                if (!raw_client_record(&villain, RECORD_SPAN, RECORD_START | RECORD_END, id, body,
                                       (size_t)(writer.at - body)))
                        _exit(1);
        }
        if (!raw_client_flush(&villain))
                _exit(1);
}

START_TEST(a_megabyte_a_millisecond) {
        const HarnessOptions options = {
                .more = "limits: { bytes_per_uid: 8MiB }\n",
                .refuses = true,
        };
        pid_t pid;

        if (geteuid() != 0) {
                fprintf(stderr, "# skipped: only root can be two users\n");
                return;
        }
        harness_open(&harness, &options);
        ck_assert_int_eq(chmod(harness.folder, 0711), 0);
        ck_assert_int_eq(chmod(harness.socket, 0666), 0);
        people_neighbour_begins(&harness);
        pid = people_fork(flood, NULL);
        ck_assert_int_eq(people_await(pid), 0);
        ck_assert_uint_gt(harness_get(&harness, "counters.refused_share"), 0);
        ck_assert_uint_eq(harness_get(&harness, "counters.spans_accepted") - 1 +
                                  harness_get(&harness, "counters.refused_spans"),
                          FLOOD_RECORDS);
        backend_listen(harness.backend);
        villain.fd = -1;
        end();
}
END_TEST

SCENARIO_RUN("bad-input", length_below_a_header, length_over_the_limit, unknown_type,
             decision_of_the_daemon, flags_of_the_daemon, no_hello_first, second_hello,
             hello_of_another_version, hello_that_is_garbage, noise, half_a_record_and_silence,
             half_a_record_and_the_end, malformed_fragment, group_in_a_fragment, invalid_utf8,
             over_deep_fragment, id_unlike_the_header, same_id_twice, span_id_of_another,
             a_megabyte_a_millisecond)

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A journal of format 1 that was written once, and the OTLP request that comes of it, byte by byte.
 * With UNIT_GOLDEN_WRITE in the environment both are written anew.
 */

#include "tests/unit/trace-script.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GOLDEN_FOLDER  UNIT_GOLDEN "/replay-v1"
#define GOLDEN_SEGMENT "0000000000000001.segment"

enum { GOLDEN_MAX = 64 * 1024 };

static Script script;
static uint8_t golden[GOLDEN_MAX], made[GOLDEN_MAX];

static void setup(void) {
        script_init(&script);
}

static void teardown(void) {
        script_assert_conservation(&script);
        script_deinit(&script);
}

static size_t read_file(const char *folder, const char *name, uint8_t *data) {
        char path[512];
        size_t size;
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", folder, name);
        file = fopen(path, "rb");
        ck_assert_msg(file != NULL, "%s", path);
        size = fread(data, 1, GOLDEN_MAX, file);
        fclose(file);
        return size;
}

static void write_file(const char *folder, const char *name, const uint8_t *data, size_t size,
                       off_t length) {
        char path[512];
        FILE *file;

        snprintf(path, sizeof path, "%s/%s", folder, name);
        file = fopen(path, "wb");
        ck_assert_msg(file != NULL, "%s", path);
        ck_assert_uint_eq(fwrite(data, 1, size, file), size);
        ck_assert_int_eq(fflush(file), 0);
        ck_assert_int_eq(ftruncate(fileno(file), length), 0);
        fclose(file);
}

/* Two processes of one chain; one dies with a span open, one sets a key twice. */
static void live(void) {
        Session *shop, *bank;

        script_open(&script);
        shop = script_session(&script, 1, "shop");
        bank = script_session(&script, 2, "bank");
        script_context(&script, 1, "order", "order", NULL);
        script_span_start(&script, 1, 0x11, "order");
        script_span_attribute(&script, 0x11, "tier", "gold");
        ck_assert_int_eq(script_take(&script, shop, JOURNAL_PASS_END), 0);
        script_context(&script, 7, "payment", "order", "order");
        script_span_start(&script, 7, 0x21, "pay");
        script_span_attribute(&script, 0x21, "try", "1");
        script_span_attribute(&script, 0x21, "try", "2");
        script_span_end(&script, 0x21);
        ck_assert_int_eq(script_take(&script, bank, 0), 0);
        script_span_start(&script, 7, 0x22, "notify");
        ck_assert_int_eq(script_take(&script, bank, JOURNAL_CUT_2 | JOURNAL_PASS_END), 0);
        ck_assert_int_eq(recorder_session_end(script.recorder, &bank, SESSION_EXITED, script.now++),
                         0);
        script_span_end(&script, 0x11);
        script_context_end(&script, 1);
        ck_assert_int_eq(script_take(&script, shop, JOURNAL_PASS_END), 0);
        script_say_raw(&script, RECORD_SPAN, RECORD_START, 0, 3, "\x0b", 1);
        ck_assert_int_eq(script_take(&script, shop, JOURNAL_PASS_END), 0);
        ck_assert_int_eq(recorder_seal(script.recorder, script.now++, true), 0);
}

static void encode(Buffer *body) {
        Batch *batch = recorder_next_batch(script.recorder,
                                           recorder_exporter_index(script.recorder, "default"),
                                           BATCH_TRACES, NULL);
        BatchCursor cursor = {0};
        BatchEncoder *encoder;
        size_t n_objects;

        ck_assert_ptr_nonnull(batch);
        ck_assert_int_eq(batch_encoder_new(&encoder), 0);
        ck_assert_int_eq(batch_encode(encoder, batch, &cursor, body, &n_objects), 0);
        batch_encoder_free(encoder);
        ck_assert(cursor.done);
        ck_assert_uint_eq(n_objects, 3);
}

START_TEST(the_same_life_writes_the_same_journal) {
        JournalUsage usage;
        Buffer body = BUFFER_NULL;
        size_t size;

        live();
        journal_usage(script.journal, &usage);
        size = read_file(script.path, GOLDEN_SEGMENT, made);
        while (size && !made[size - 1])
                size--;
        if (getenv("UNIT_GOLDEN_WRITE")) {
                encode(&body);
                write_file(GOLDEN_FOLDER, GOLDEN_SEGMENT, made, size, (off_t)size);
                write_file(GOLDEN_FOLDER, "traces.bin", body.data, body.size, (off_t)body.size);
                buffer_deinit(&body);
        }
        ck_assert_uint_eq(read_file(GOLDEN_FOLDER, GOLDEN_SEGMENT, golden), size);
        ck_assert_mem_eq(made, golden, size);
}
END_TEST

START_TEST(the_golden_journal_exports_the_golden_request) {
        Buffer body = BUFFER_NULL;
        RecorderView view;
        size_t size;

        size = read_file(GOLDEN_FOLDER, GOLDEN_SEGMENT, golden);
        write_file(script.path, GOLDEN_SEGMENT, golden, size, JOURNAL_SEGMENT_SIZE);
        script_open(&script);
        ck_assert_uint_eq(script.report.n_lost_blocks, 0);
        recorder_view(script.recorder, &view);
        ck_assert_uint_eq(view.counters.spans_accepted, 3);
        ck_assert_uint_eq(view.counters.spans_exited, 1);
        ck_assert_uint_eq(view.counters.spans_rebuilt, 1);
        ck_assert_uint_eq(view.counters.refused_malformed, 1);
        encode(&body);
        ck_assert_uint_eq(read_file(GOLDEN_FOLDER, "traces.bin", made), body.size);
        ck_assert_mem_eq(made, body.data, body.size);
        buffer_deinit(&body);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 0x22),
                         "bank notify status=2 catena.end=process exited workflow.id=unknown "
                         "workflow.session_id=unknown workflow.correlation_id=order "
                         "workflow.causation_id=order workflow.context_id=payment [exception]");
}
END_TEST

/* Whatever is cut off its end, the rest is read and the sums hold. */
START_TEST(every_prefix_of_the_golden_journal_starts) {
        size_t size = read_file(GOLDEN_FOLDER, GOLDEN_SEGMENT, golden);

        for (size_t cut = 0; cut <= size; cut += 8) {
                write_file(script.path, GOLDEN_SEGMENT, golden, cut, JOURNAL_SEGMENT_SIZE);
                script_open(&script);
                script_deliver(&script);
                script_assert_conservation(&script);
                script_deinit(&script);
                script_init(&script);
        }
        script_open(&script);
}
END_TEST

START_TEST(every_flipped_byte_of_the_golden_journal_starts) {
        size_t size = read_file(GOLDEN_FOLDER, GOLDEN_SEGMENT, golden);

        for (size_t i = 0; i < size; i++) {
                golden[i] ^= (uint8_t)(1 << (i % 8));
                write_file(script.path, GOLDEN_SEGMENT, golden, size, JOURNAL_SEGMENT_SIZE);
                golden[i] ^= (uint8_t)(1 << (i % 8));
                script_open(&script);
                script_deliver(&script);
                script_assert_conservation(&script);
                script_deinit(&script);
                script_init(&script);
        }
        script_open(&script);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("replay-golden");
        TCase *tcase = tcase_create("replay-golden");

        tcase_set_timeout(tcase, 60);
        tcase_add_checked_fixture(tcase, setup, teardown);
        tcase_add_test(tcase, the_same_life_writes_the_same_journal);
        tcase_add_test(tcase, the_golden_journal_exports_the_golden_request);
        tcase_add_test(tcase, every_prefix_of_the_golden_journal_starts);
        tcase_add_test(tcase, every_flipped_byte_of_the_golden_journal_starts);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

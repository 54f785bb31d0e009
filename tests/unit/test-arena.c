/* SPDX-License-Identifier: Apache-2.0 */

/* From an arena through the journal to what an exporter sends. */

#include "tests/unit/arena-writer.h"
#include "tests/unit/trace-script.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static Script script;

static void setup_all(void) {
        script_init(&script);
        script_open(&script);
        setup(script.recorder);
        options.arena_bytes_per_uid = SIZE_MAX;
        open_listener();
}

static void teardown_all(void) {
        teardown();
        script_deinit(&script);
}

/* What was said so far goes to the arena instead of the recorder; `chunk` is taken if it may be. */
static void write_script(Writer *writer, uint32_t chunk) {
        ck_assert(writer_put(writer, chunk, script.records.data, script.records.size));
        script.records.size = 0;
}

static void send_script(int fd) {
        client_send(fd, script.records.data, script.records.size);
        script.records.size = 0;
}

static RecorderCounters counters(void) {
        RecorderView view;

        recorder_view(script.recorder, &view);
        return view.counters;
}

static void flush(int fd) {
        char body[256];

        client_put(fd, RECORD_FLUSH, 0, 1);
        ck_assert_uint_eq(client_receive(fd, body).type, RECORD_FLUSHED);
}

static void crash(void) {
        script_crash(&script);
        script_open(&script);
        listened = script.recorder;
}

/* Turns of the loop until every arena sleeps. */
static void run_until_asleep(const Writer *writer) {
        RUN_UNTIL(atomic_load(&writer->header->waiting));
}

START_TEST(spans_come_out_as_they_were_written) {
        Writer writer;
        int fd = client_open_arena(&writer, NULL);

        script_span_end(&script, 0x21);
        write_script(&writer, 0);
        script_span_attribute(&script, 0x21, "a", "one");
        write_script(&writer, 7);
        script_span_start(&script, 0, 0x21, "first");
        write_script(&writer, 31);
        script_span_start(&script, 0, 0x22, "by socket");
        send_script(fd);
        script_span_end(&script, 0x22);
        write_script(&writer, 3);
        RUN_UNTIL(counters().spans_closed == 2);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 0x21), "shop first status=0 a=one");
        ck_assert_str_eq(script_exported(&script, 0x22), "shop by socket status=0");
        ck_assert_uint_eq(counters().orphans + counters().late, 0);
        script_assert_conservation(&script);
        close(fd);
        writer_deinit(&writer);
}
END_TEST

START_TEST(a_chunk_that_was_read_is_free_again) {
        enum { ROUNDS = 300 };
        Writer writer;
        int fd = client_open_arena(&writer, NULL);
        char name[8001] = {0};
        struct stat status;

        memset(name, 'n', sizeof name - 1);
        for (uint64_t id = 1; id <= ROUNDS; id++) { /* more than an arena holds */
                script_span_start(&script, 0, id, name);
                script_span_end(&script, id);
                write_script(&writer, (uint32_t)id % 2);
                flush(fd);
                if (id % 50 == 0)
                        script_deliver(&script);
        }
        for (uint32_t i = 0; i < 2; i++) {
                uint64_t word = atomic_load(&writer.header->words[i].value);
                ck_assert_uint_eq(arena_word_end(word), 0);
                ck_assert_uint_eq(arena_word_generation(word), ROUNDS / 2);
        }
        run_until_asleep(&writer);
        script_deliver(&script);
        ck_assert_uint_eq(script.n_spans, ROUNDS);
        ck_assert_int_eq(fstat(writer.memfd, &status), 0);
        ck_assert_int_lt(status.st_blocks * 512, 64 * 1024);
        close(fd);
        writer_deinit(&writer);
}
END_TEST

START_TEST(what_sleeps_is_woken_by_the_doorbell) {
        Writer writer;
        int fd = client_open_arena(&writer, NULL);

        for (uint64_t id = 1; id <= 5; id++) {
                run_until_asleep(&writer);
                run_dry();
                ck_assert_uint_eq(counters().spans_accepted, id - 1);
                script_span_start(&script, 0, id, "span");
                write_script(&writer, 0);
                ck_assert(writer_must_wake(&writer));
                ck_assert(!writer_must_wake(&writer));
                client_wake(fd);
                RUN_UNTIL(counters().spans_accepted == id);
        }
        close(fd);
        writer_deinit(&writer);
}
END_TEST

START_TEST(what_a_client_could_not_write_is_counted) {
        Writer writer;
        int fd = client_open_arena(&writer, NULL);

        atomic_fetch_add(&writer.header->lost[ARENA_LOST_STARTS], 3);
        atomic_fetch_add(&writer.header->lost[ARENA_LOST_ENDS], 5);
        RUN_UNTIL(counters().lost_starts);
        run_until_asleep(&writer);
        ck_assert_uint_eq(counters().lost_starts, 3);
        ck_assert_uint_eq(counters().lost_updates, 0);
        ck_assert_uint_eq(counters().lost_ends, 5);
        ck_assert_uint_eq(atomic_load(&writer.header->lost[ARENA_LOST_STARTS]), 0);
        close_listener();
        crash();
        ck_assert_uint_eq(counters().lost_ends, 5);
        close(fd);
        writer_deinit(&writer);
}
END_TEST

/* Also what a thread left half written takes nothing along but itself. */
START_TEST(a_killed_client_loses_nothing_it_has_published) {
        pid_t child = fork();

        if (child == 0) {
                Writer writer;
                int fd = client_connect(), memfd;
                uint8_t data[256];
                uint32_t chunk;
                union {
                        struct cmsghdr header;
                        char room[CMSG_SPACE(sizeof(int))];
                } control;
                struct iovec part = {data, sizeof data};
                struct msghdr message = {.msg_iov = &part,
                                         .msg_iovlen = 1,
                                         .msg_control = &control,
                                         .msg_controllen = sizeof control};

                client_hello_for_arena(fd, NULL);
                ck_assert_int_gt(recvmsg(fd, &message, 0), 0);
                memcpy(&memfd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof memfd);
                writer_init(&writer, memfd);
                script_span_start(&script, 0, 0x21, "done");
                script_span_end(&script, 0x21);
                write_script(&writer, 4);
                script_span_start(&script, 0, 0x22, "open");
                write_script(&writer, 4);
                memset(writer_begin(&writer, 4, &chunk, 64), 0xff, 64);
                kill(getpid(), SIGKILL);
        }
        RUN_UNTIL(counters().spans_exited);
        waitpid(child, NULL, 0);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 0x21), "shop done status=0");
        ck_assert_str_eq(script_exported(&script, 0x22),
                         "shop open status=2 catena.end=process exited [exception]");
        ck_assert_uint_eq(listener_counters(listener)->hung_up_protocol, 0);
        script_assert_conservation(&script);
}
END_TEST

START_TEST(an_arena_outlives_its_connection) {
        uint8_t token[RECORD_TOKEN_SIZE];
        Writer writer;
        int fd = client_open_arena(&writer, token), memfd;

        script_span_start(&script, 0, 0x21, "long");
        write_script(&writer, 0);
        close(fd);
        RUN_UNTIL(!listener_counters(listener)->n_clients);
        script_span_attribute(&script, 0x21, "a", "alone");
        write_script(&writer, 1);
        run_until_asleep(&writer);
        ck_assert(writer_must_wake(&writer));

        fd = client_connect();
        client_hello_for_arena(fd, token);
        ck_assert(client_welcomed(fd, &memfd, NULL));
        ck_assert_int_eq(memfd, -1); /* it goes on with the one it has */
        script_span_end(&script, 0x21);
        write_script(&writer, 0);
        flush(fd);
        RUN_UNTIL(counters().spans_closed);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 0x21), "shop long status=0 a=alone");
        ck_assert_uint_eq(counters().sessions, 1);
        close(fd);
        writer_deinit(&writer);
}
END_TEST

START_TEST(a_user_has_only_so_many) {
        Writer writers[2];
        int fds[3], memfd;

        close_listener();
        options.arena_bytes_per_uid = 2 * ARENA_SIZE;
        open_listener();
        fds[0] = client_open_arena(&writers[0], NULL);
        fds[1] = client_open_arena(&writers[1], NULL);
        fds[2] = client_connect();
        client_hello_for_arena(fds[2], NULL);
        ck_assert(!client_welcomed(fds[2], &memfd, NULL));
        ck_assert_int_eq(memfd, -1);
        ck_assert_uint_eq(listener_counters(listener)->refused_arenas, 1);
        script_span_start(&script, 0, 0x21, "by socket");
        script_span_end(&script, 0x21);
        send_script(fds[2]);
        RUN_UNTIL(counters().spans_closed);
        for (unsigned i = 0; i < 2; i++)
                writer_deinit(&writers[i]);
        for (unsigned i = 0; i < 3; i++)
                close(fds[i]);
}
END_TEST

/* What no honest client does to its arena, and what it is told. */
static void wild_generation(Writer *writer) {
        atomic_store(&writer->header->words[3].value, arena_word(9, 0, false));
}

static void wild_end(Writer *writer) {
        atomic_store(&writer->header->words[3].value, arena_word(0, ARENA_CHUNK_SIZE + 8, true));
}

static void wild_all_ones(Writer *writer) {
        atomic_store(&writer->header->words[3].value, UINT64_MAX);
}

static void end_goes_back(Writer *writer) {
        script_span_start(&script, 0, 0x99, "read");
        write_script(writer, 3);
        writer_begin(writer, 3, &(uint32_t){0}, 8); /* busy, so that it is not recycled */
        RUN_UNTIL(counters().spans_accepted);
        atomic_store(&writer->header->words[3].value, arena_word(0, 8, true));
}

static void no_records(Writer *writer) {
        atomic_store(&writer->header->words[3].value, arena_word(0, 4096, false));
}

static void half_a_record(Writer *writer) {
        RecordHeader header = {.size = 400, .type = RECORD_SPAN};
        uint8_t data[RECORD_HEADER_SIZE];

        record_header_write(data, &header);
        writer_put(writer, 3, data, sizeof data);
}

static void punched_holes(Writer *writer) {
        script_span_start(&script, 0, 0x99, "gone");
        write_script(writer, 3);
        ck_assert_int_eq(fallocate(writer->memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                   ARENA_HEADER_SIZE, ARENA_SIZE - ARENA_HEADER_SIZE),
                         0);
}

static const struct {
        void (*act)(Writer *writer);
        const char *why;
} crimes[] = {
        {wild_generation, "word"},  {wild_end, "word"},      {wild_all_ones, "word"},
        {end_goes_back, "word"},    {no_records, "smaller"}, {half_a_record, "not complete"},
        {punched_holes, "smaller"},
};

START_TEST(a_crime_ends_the_connection_and_nothing_else) {
        Writer writer, other;
        int fd, bystander = client_open_arena(&other, NULL), memfd;
        uint8_t token[RECORD_TOKEN_SIZE];

        fd = client_open_arena(&writer, token);
        crimes[_i].act(&writer);
        expect_hang_up(fd, crimes[_i].why);
        ck_assert_uint_eq(listener_counters(listener)->hung_up_protocol, 1);
        ck_assert_uint_eq(atomic_load(&writer.header->waiting), 1);
        writer_deinit(&writer);

        script_span_start(&script, 0, 0x21, "other");
        script_span_end(&script, 0x21);
        write_script(&other, 0);
        flush(bystander);
        /* It may come back, to an arena as new. */
        fd = client_connect();
        client_hello_for_arena(fd, token);
        ck_assert(client_welcomed(fd, &memfd, NULL));
        writer_init(&writer, memfd);
        script_span_start(&script, 0, 0x22, "again");
        script_span_end(&script, 0x22);
        write_script(&writer, 3);
        RUN_UNTIL(counters().spans_closed == 2);
        close(fd);
        close(bystander);
        writer_deinit(&writer);
        writer_deinit(&other);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("arena");
        TCase *tcase = tcase_create("arena");

        tcase_add_checked_fixture(tcase, setup_all, teardown_all);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, spans_come_out_as_they_were_written);
        tcase_add_test(tcase, a_chunk_that_was_read_is_free_again);
        tcase_add_test(tcase, what_sleeps_is_woken_by_the_doorbell);
        tcase_add_test(tcase, what_a_client_could_not_write_is_counted);
        tcase_add_test(tcase, a_killed_client_loses_nothing_it_has_published);
        tcase_add_test(tcase, an_arena_outlives_its_connection);
        tcase_add_test(tcase, a_user_has_only_so_many);
        tcase_add_loop_test(tcase, a_crime_ends_the_connection_and_nothing_else, 0,
                            sizeof crimes / sizeof crimes[0]);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

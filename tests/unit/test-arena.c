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
                int fd = client_connect();
                uint32_t chunk;

                writer_init(&writer, client_await_arena(fd));
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

/* A store of the test's own: of what was kept last. */
static char kept_name[64];
static int kept_fd = -1;
static unsigned n_forgotten;

static bool store_keep(void *user, const char *name, int fd) {
        ck_assert_ptr_eq(user, &kept_fd);
        snprintf(kept_name, sizeof kept_name, "%s", name);
        kept_fd = dup(fd);
        return true;
}

static void store_forget(void *user, const char *name) {
        ck_assert_ptr_eq(user, &kept_fd);
        ck_assert_str_eq(name, kept_name);
        n_forgotten++;
}

static int store_take(void *user, const char *name) {
        ck_assert_ptr_eq(user, &kept_fd);
        return strcmp(name, kept_name) ? -1 : dup(kept_fd);
}

static void open_listener_with_store(void) {
        options.store = (ListenerStore){store_keep, store_forget, store_take, &kept_fd};
        open_listener();
}

/* Between the two, clients write on. */
static void leave(void) {
        close_listener();
        crash();
}

START_TEST(an_arena_outlives_its_daemon) {
        uint8_t token[RECORD_TOKEN_SIZE];
        Writer writer;
        uint32_t busy;
        int fd, memfd;

        close_listener();
        open_listener_with_store();
        fd = client_open_arena(&writer, token);
        script_span_start(&script, 0, 0x21, "long");
        script_span_start(&script, 0, 0x22, "read once");
        script_span_end(&script, 0x22);
        write_script(&writer, 5);
        script_span_start(&script, 0, 0x23, "recycled");
        write_script(&writer, 6);
        ck_assert_ptr_nonnull(writer_begin(&writer, 5, &busy, 8)); /* it stays where it is */
        RUN_UNTIL(kept_fd >= 0);
        leave();
        ck_assert_uint_eq(atomic_load(&writer.header->waiting), 1);
        writer_publish(&writer, busy, 0);
        script_span_attribute(&script, 0x21, "a", "unread");
        write_script(&writer, 5);
        script_span_end(&script, 0x23);
        write_script(&writer, 6);

        open_listener();
        ck_assert_uint_eq(listener_counters(listener)->lost_arenas, 0);
        RUN_UNTIL(counters().spans_closed == 2); /* without a connection */
        close(fd);
        fd = client_connect();
        client_hello_for_arena(fd, token);
        ck_assert(client_welcomed(fd, &memfd, NULL));
        ck_assert_int_eq(memfd, -1);
        script_span_end(&script, 0x21);
        write_script(&writer, 5);
        RUN_UNTIL(counters().spans_closed == 3);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 0x21), "shop long status=0 a=unread");
        ck_assert_str_eq(script_exported(&script, 0x22), "shop read once status=0");
        ck_assert_str_eq(script_exported(&script, 0x23), "shop recycled status=0");
        ck_assert_uint_eq(counters().refused_duplicate + counters().late + counters().orphans, 0);
        ck_assert_uint_eq(listener_counters(listener)->hung_up_protocol, 0);
        script_assert_conservation(&script);
        ck_assert_uint_eq(n_forgotten, 0);
        client_put(fd, RECORD_BYE, 0, 0);
        RUN_UNTIL(n_forgotten);
        close(fd);
        writer_deinit(&writer);
}
END_TEST

START_TEST(without_a_store_a_client_gets_a_new_arena) {
        uint8_t token[RECORD_TOKEN_SIZE];
        Writer writer;
        int fd = client_open_arena(&writer, token), memfd;

        script_span_start(&script, 0, 0x21, "long");
        write_script(&writer, 5);
        RUN_UNTIL(counters().spans_accepted);
        leave();
        script_span_attribute(&script, 0x21, "a", "lost");
        write_script(&writer, 5);
        open_listener();
        ck_assert_uint_eq(listener_counters(listener)->lost_arenas, 1);
        close(fd);
        writer_deinit(&writer);
        fd = client_connect();
        client_hello_for_arena(fd, token);
        ck_assert(client_welcomed(fd, &memfd, NULL));
        writer_init(&writer, memfd);
        script_span_end(&script, 0x21);
        write_script(&writer, 5);
        RUN_UNTIL(counters().spans_closed);
        script_deliver(&script);
        ck_assert_str_eq(script_exported(&script, 0x21), "shop long status=0");
        close(fd);
        writer_deinit(&writer);
}
END_TEST

START_TEST(an_arena_is_read_to_its_end_when_its_process_went_while_no_daemon_was_there) {
        Writer writer;
        pid_t child;
        char byte;
        int go[2];

        close_listener(); /* the child holds nothing of it, nor of the journal */
        ck_assert_int_eq(pipe(go), 0);
        child = fork();
        if (child == 0) {
                script_crash(&script);
                ck_assert_int_eq(read(go[0], &byte, 1), 1);
                writer_init(&writer, client_await_arena(client_connect()));
                script_span_start(&script, 0, 0x21, "long");
                write_script(&writer, 1);
                ck_assert_int_eq(read(go[0], &byte, 1), 1);
                script_span_end(&script, 0x21);
                write_script(&writer, 2);
                _exit(0);
        }
        open_listener_with_store();
        ck_assert_int_eq(write(go[1], "g", 1), 1);
        RUN_UNTIL(kept_fd >= 0 && counters().spans_accepted);
        leave();
        ck_assert_int_eq(write(go[1], "g", 1), 1);
        waitpid(child, NULL, 0);
        open_listener();
        ck_assert_uint_eq(counters().spans_closed, 1);
        ck_assert_uint_eq(counters().spans_exited, 0);
        ck_assert_uint_eq(n_forgotten, 1);
}
END_TEST

START_TEST(cursors_are_in_the_snapshot_of_a_session) {
        enum { ROUNDS = 2000 };
        Writer writer;
        int fd = client_open_arena(&writer, NULL);
        RecorderView view;
        Session *session;
        char name[8001] = {0};

        memset(name, 'n', sizeof name - 1);
        script_span_start(&script, 0, 0x99, "first");
        write_script(&writer, 30);
        for (uint64_t id = 0x100; id < 0x100 + ROUNDS; id++) { /* the journal goes round */
                script_span_start(&script, 0, id, name);
                script_span_end(&script, id);
                write_script(&writer, 7);
                flush(fd);
                script_deliver(&script);
                script_forget(&script);
                ck_assert_int_ge(recorder_reclaim(script.recorder, script.now++), 0);
        }
        run_until_asleep(&writer);
        recorder_view(script.recorder, &view);
        ck_assert_uint_lt(view.journal.n_segments, 8);
        leave();
        recorder_view(script.recorder, &view);
        session = list_entry(list_first(view.sessions), Session, link);
        ck_assert_ptr_nonnull(session->cursors);
        ck_assert_uint_eq(session->cursors[30].generation, 0);
        ck_assert_uint_gt(session->cursors[30].offset, RECORD_HEADER_SIZE);
        ck_assert_uint_eq(session->cursors[7].generation, ROUNDS - 1);
        open_listener();
        close(fd);
        writer_deinit(&writer);
}
END_TEST

/* The loop has nothing to wait for but descriptors. */
START_TEST(idle_clients_cost_nothing) {
        enum { CLIENTS = 40 };
        Writer writers[CLIENTS];
        int fds[CLIENTS];
        struct stat status;

        for (unsigned i = 0; i < CLIENTS; i++) {
                fds[i] = client_open_arena(&writers[i], NULL);
                for (uint64_t id = 1; id < 50; id++) {
                        script_span_start(&script, 0, id, "span");
                        script_span_end(&script, id);
                        write_script(&writers[i], (uint32_t)id);
                }
        }
        RUN_UNTIL(uv_backend_timeout(&loop) < 0);
        ck_assert_uint_eq(counters().spans_closed, CLIENTS * 49);
        for (unsigned i = 0; i < CLIENTS; i++) {
                ck_assert_uint_eq(atomic_load(&writers[i].header->waiting), 1);
                ck_assert_int_eq(fstat(writers[i].memfd, &status), 0);
                ck_assert_int_eq(status.st_blocks * 512, ARENA_HEADER_SIZE);
                close(fds[i]);
                writer_deinit(&writers[i]);
        }
}
END_TEST

START_TEST(a_saturated_arena_leaves_others_their_turn) {
        static uint8_t span[2000];
        RecordHeader header = {.size = sizeof span, .type = RECORD_LOST};
        Writer full, other;
        int fd = client_open_arena(&full, NULL), bystander = client_open_arena(&other, NULL);
        char body[256];
        unsigned n = 0;

        record_header_write(span, &header);
        while (writer_put(&full, 0, span, sizeof span)) /* two megabytes */
                n++;
        ck_assert_uint_gt(n, 1000);
        script_span_start(&script, 0, 0x21, "other");
        script_span_end(&script, 0x21);
        write_script(&other, 0);
        client_put(bystander, RECORD_FLUSH, 0, 5);
        while (recv(bystander, body, sizeof body, MSG_DONTWAIT | MSG_PEEK) < 0) {
                uv_run(&loop, UV_RUN_ONCE);
                while (writer_put(&full, 0, span, sizeof span)) /* and all that becomes free */
                        n++;
        }
        flush(fd); /* its passes come to an end, too */
        run_until_asleep(&full);
        ck_assert_uint_gt(listener_counters(listener)->bytes, n * sizeof span);
        close(fd);
        close(bystander);
        writer_deinit(&full);
        writer_deinit(&other);
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
        tcase_add_test(tcase, an_arena_outlives_its_daemon);
        tcase_add_test(tcase, without_a_store_a_client_gets_a_new_arena);
        tcase_add_test(tcase,
                       an_arena_is_read_to_its_end_when_its_process_went_while_no_daemon_was_there);
        tcase_add_test(tcase, cursors_are_in_the_snapshot_of_a_session);
        tcase_add_test(tcase, idle_clients_cost_nothing);
        tcase_add_test(tcase, a_saturated_arena_leaves_others_their_turn);
        tcase_add_test(tcase, a_user_has_only_so_many);
        tcase_add_loop_test(tcase, a_crime_ends_the_connection_and_nothing_else, 0,
                            sizeof crimes / sizeof crimes[0]);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

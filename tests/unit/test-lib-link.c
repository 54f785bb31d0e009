/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/catena.h"
#include "proto/id.h"
#include "tests/unit/fake-client.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define TOKEN "0123456789abcdef"

static void say_span(void) {
        catena_span_end(catena_span_start(context, "s", 0));
}

/* The library's descriptor: a socket whose peer has the fake's address. */
static int library_fd(void) {
        for (int fd = 3; fd < 256; fd++) {
                struct sockaddr_un peer = {0};
                socklen_t size = sizeof peer;

                if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0 &&
                    peer.sun_family == AF_UNIX && strcmp(peer.sun_path, fake.address.sun_path) == 0)
                        return fd;
        }
        ck_abort_msg("the library has no connection");
        return -1;
}

/* Sums up what LOST said. */
static Catena__V1__Lost lost_in_all(void) {
        Catena__V1__Lost all = CATENA__V1__LOST__INIT, *lost;

        for (size_t i = 0; i < fake.n_records; i++) {
                if (fake.records[i].header.type != RECORD_LOST)
                        continue;
                lost = catena__v1__lost__unpack(NULL, fake.records[i].size, fake.records[i].body);
                ck_assert_ptr_nonnull(lost);
                all.starts += lost->starts;
                all.updates += lost->updates;
                all.ends += lost->ends;
                all.reason = lost->reason;
                catena__v1__lost__free_unpacked(lost, NULL);
        }
        return all;
}

START_TEST(a_full_socket_drops_and_counts) {
        Catena__V1__Lost lost;
        catena_span span = catena_span_start(context, "s", 0);
        uint64_t n_said = 0;

        while (!stats().dropped_updates && n_said < 1000000) {
                catena_span_set_int(span, "n", (int64_t)n_said);
                n_said++;
        }
        ck_assert_uint_eq(stats().dropped_updates, 1);
        say_span();
        ck_assert_uint_eq(stats().dropped_socket_full, 3);
        ck_assert_uint_eq(stats().dropped_starts, 1);
        ck_assert_uint_eq(stats().dropped_ends, 1);

        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_LOST, 0), 0);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0), n_said);
        fake_daemon_forget(&fake);
        say_span();
        fake_daemon_take(&fake);
        ck_assert_uint_eq(fake.records[0].header.type, RECORD_LOST);
        lost = lost_in_all();
        ck_assert_uint_eq(lost.starts, 1);
        ck_assert_uint_eq(lost.updates, 1);
        ck_assert_uint_eq(lost.ends, 1);
        ck_assert_int_eq(lost.reason, CATENA__V1__LOST_REASON__LOST_SOCKET_FULL);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_LOST, 0), 1);
}
END_TEST

START_TEST(a_missing_daemon_drops_and_counts) {
        Catena__V1__Lost lost;
        uint64_t n_before;

        fake_daemon_die(&fake);
        for (unsigned i = 0; i < 1000; i++)
                say_span();
        ck_assert_uint_eq(stats().dropped_not_connected, 2000);
        ck_assert_uint_eq(stats().spans_started, 1000);
        ck_assert(!catena_flush(10000)); /* at once, since nothing could make it true */

        fake_daemon_listen(&fake);
        n_before = stats().connections;
        while (stats().connections == n_before) { /* it is not tried before its time */
                poll(NULL, 0, 5);
                say_span();
        }
        fake_daemon_take(&fake);
        lost = lost_in_all();
        ck_assert_uint_eq(lost.starts, stats().dropped_starts);
        ck_assert_uint_eq(lost.ends, stats().dropped_ends);
        ck_assert_int_eq(lost.reason, CATENA__V1__LOST_REASON__LOST_NOT_CONNECTED);
}
END_TEST

START_TEST(a_new_daemon_is_told_anew) {
        const catena_scope *scope = catena_scope_get("lib", NULL, NULL);
        Catena__V1__Hello *hello;
        Catena__V1__Context *said;

        signal(SIGPIPE, SIG_DFL);
        catena_span_start_with(context, "s", &(catena_span_options){.scope = scope});
        catena_context_checkpoint(context, "half");
        fake_daemon_take(&fake);
        hello = fake_daemon_hello(&fake, 0);
        ck_assert_uint_eq(hello->version, RECORD_VERSION);
        ck_assert_uint_eq(hello->token.len, 0);
        catena__v1__hello__free_unpacked(hello, NULL);
        fake_daemon_welcome(&fake, TOKEN, 0);
        say_span();

        fake_daemon_take(&fake);
        fake_daemon_die(&fake);
        fake_daemon_listen(&fake);
        fake_daemon_forget(&fake);
        catena_span_start_with(context, "s", &(catena_span_options){.scope = scope});
        catena_span_end(catena_span_start(context, "s", 0));
        fake_daemon_take(&fake);
        ck_assert_uint_eq(stats().connections, 2);
        ck_assert_uint_eq(catena_stats_get(NULL, 0), sizeof(catena_stats));
        hello = fake_daemon_hello(&fake, 0);
        ck_assert_uint_eq(hello->token.len, RECORD_TOKEN_SIZE);
        ck_assert_mem_eq(hello->token.data, TOKEN, RECORD_TOKEN_SIZE);
        catena__v1__hello__free_unpacked(hello, NULL);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SCOPE, 0), 1);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_CONTEXT, RECORD_START), 1);
        said = fake_context(fake_daemon_record(&fake, RECORD_CONTEXT, RECORD_START, 0));
        ck_assert_str_eq(said->context_id, catena_context_id(context));
        ck_assert_uint_eq(said->n_checkpoints, 1);
        ck_assert_str_eq(said->checkpoints[0]->name, "half");
        catena__v1__context__free_unpacked(said, NULL);
        ck_assert_uint_eq(stats().dropped_starts, 0);
}
END_TEST

START_TEST(a_token_is_read_at_the_last_moment) {
        Catena__V1__Hello *hello;

        say_span();
        fake_daemon_take(&fake);
        fake_daemon_welcome(&fake, TOKEN, 0); /* nothing is said until it is gone */
        fake_daemon_die(&fake);
        fake_daemon_listen(&fake);
        say_span();
        fake_daemon_take(&fake);
        hello = fake_daemon_hello(&fake, 1);
        ck_assert_mem_eq(hello->token.data, TOKEN, RECORD_TOKEN_SIZE);
        catena__v1__hello__free_unpacked(hello, NULL);
        ck_assert_uint_eq(stats().dropped_starts, 0);
}
END_TEST

/* ---- long records ---- */

static char *text_of(size_t size) {
        char *text = malloc(size + 1);

        ck_assert_ptr_nonnull(text);
        memset(text, 'x', size);
        text[size] = 0;
        return text;
}

START_TEST(a_big_value_goes_in_parts) {
        catena_span span = catena_span_start(context, "s", 0);
        char *text = text_of(200 * 1024);
        unsigned n_big = 0;
        FakeSpan *said;

        /* The socket takes some whole and the last in part; then nobody may come in between. */
        while (!stats().dropped_updates && n_big < 1000) {
                catena_span_set_string(span, "big", text);
                n_big++;
        }
        ck_assert_uint_lt(n_big, 1000);
        n_big--; /* the last found no room */
        catena_span_set_int(span, "dropped", 1);
        ck_assert_uint_eq(stats().dropped_socket_full, 2);

        while (fake_daemon_count(&fake, RECORD_SPAN, 0) < 1 + n_big) {
                fake_daemon_take(&fake);
                catena_span_set_int(span, "after", 1);
                fake_daemon_take(&fake);
        }
        fake_daemon_take(&fake);
        said = fake_daemon_span(&fake, span.span_id);
        ck_assert_ptr_null(fake_attribute(said->attributes, said->n_attributes, "dropped"));
        ck_assert_ptr_nonnull(fake_attribute(said->attributes, said->n_attributes, "after"));
        ck_assert_str_eq(fake_attribute_string(said->attributes, said->n_attributes, "big"), text);
        fake_span_free(said);
        free(text);
}
END_TEST

START_TEST(what_no_record_can_hold_is_dropped) {
        catena_span span = catena_span_start(context, "s", 0);
        char *text = text_of(RECORD_SIZE_MAX);
        Catena__V1__Lost lost;

        catena_span_set_string(span, "big", text);
        ck_assert_uint_eq(stats().dropped_too_large, 1);
        catena_span_end(span);
        fake_daemon_take(&fake);
        lost = lost_in_all();
        ck_assert_uint_eq(lost.updates, 1);
        ck_assert_int_eq(lost.reason, CATENA__V1__LOST_REASON__LOST_TOO_LARGE);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, 0), 2);
        free(text);
}
END_TEST

START_TEST(every_size_up_to_the_split_arrives) {
        catena_span span = catena_span_start(context, "s", 0);
        char *text = text_of(40000);
        FakeSpan *said;

        for (size_t size = 31500; size < 33500; size += 7) {
                catena_attribute attribute = {
                        .key = "n",
                        .type = CATENA_TYPE_STRING_N,
                        .value.string = text,
                        .size = size,
                };

                catena_span_set(span, &attribute, 1);
                fake_daemon_take(&fake);
                said = fake_daemon_span(&fake, span.span_id);
                ck_assert_uint_eq(
                        strlen(fake_attribute_string(said->attributes, said->n_attributes, "n")),
                        size);
                fake_span_free(said);
                fake_daemon_forget(&fake);
        }
        ck_assert_uint_eq(stats().dropped_updates, 0);
        free(text);
}
END_TEST

/* ---- manners ---- */

START_TEST(the_descriptor_is_not_inherited) {
        say_span();
        ck_assert_int_ge(library_fd(), 3);
        ck_assert_int_eq(fcntl(library_fd(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}
END_TEST

START_TEST(a_descriptor_that_the_program_reused_is_left_alone) {
        int pair[2], fd;
        char byte;

        say_span();
        fake_daemon_take(&fake);
        fake_daemon_welcome(&fake, TOKEN, 0);
        say_span();
        fd = library_fd();
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
        ck_assert_int_eq(dup2(pair[0], fd), fd);
        close(pair[0]);
        say_span();
        ck_assert_int_eq(recv(pair[1], &byte, 1, 0), -1);
        ck_assert_int_eq(errno, EAGAIN); /* neither written nor closed */
        fake_daemon_take(&fake);
        ck_assert_uint_eq(stats().connections, 2);
        ck_assert_uint_eq(fake_daemon_count(&fake, RECORD_SPAN, RECORD_END), 3);
        close(pair[1]);
        close(fd);
}
END_TEST

START_TEST(the_standard_descriptors_are_left_free) {
        pid_t child = fork();
        int status;

        if (child == 0) {
                close(STDIN_FILENO);
                close(STDERR_FILENO);
                say_span();
                _exit(stats().connections == 1 && fcntl(STDIN_FILENO, F_GETFD) < 0 &&
                                      fcntl(STDERR_FILENO, F_GETFD) < 0
                              ? 0
                              : 1);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_strange_user_is_not_trusted) {
        struct stat folder;

        if (geteuid() != 0)
                return; /* only root can be several users */
        fake_daemon_die(&fake);
        ck_assert_int_eq(chown(fake.folder, 1001, 1001), 0);
        ck_assert_int_eq(chmod(fake.folder, 0777), 0);
        ck_assert_int_eq(seteuid(1001), 0);
        fake_daemon_listen(&fake);
        ck_assert_int_eq(chmod(fake.address.sun_path, 0666), 0);
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(seteuid(1002), 0);
        say_span();
        ck_assert_uint_eq(stats().connections, 0);
        ck_assert_uint_eq(stats().misuse, 1);

        /* Where only that user may write, the socket is his. */
        ck_assert_int_eq(seteuid(0), 0);
        ck_assert_int_eq(chmod(fake.folder, 0755), 0);
        ck_assert_int_eq(stat(fake.folder, &folder), 0);
        ck_assert_int_eq(seteuid(1002), 0);
        for (unsigned i = 0; i < 1000 && !stats().connections; i++) {
                poll(NULL, 0, 5);
                say_span();
        }
        ck_assert_uint_eq(stats().connections, 1);
        ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(nonsense_from_the_daemon_ends_the_connection) {
        catena_span span;
        uint8_t zeros[64] = {0};

        say_span();
        fake_daemon_take(&fake);
        ck_assert_int_eq(send(fake.connections[0].fd, zeros, sizeof zeros, MSG_NOSIGNAL),
                         (ssize_t)sizeof zeros);
        span = catena_span_start(context, "s", 0); /* reads it */
        catena_span_end(span);
        fake_daemon_take(&fake);
        ck_assert_int_lt(fake.connections[0].fd, 0);
}
END_TEST

START_TEST(long_and_unknown_answers_are_passed_over) {
        uint8_t body[480] = {0};
        Catena__V1__Hello *hello;

        say_span();
        fake_daemon_take(&fake);
        fake_daemon_say(&fake, RECORD_ERROR, 0, body, sizeof body);
        fake_daemon_say(&fake, (RecordType)60, 0, body, 5);
        fake_daemon_welcome(&fake, TOKEN, 0);
        say_span();
        fake_daemon_take(&fake);
        fake_daemon_die(&fake);
        fake_daemon_listen(&fake);
        say_span();
        fake_daemon_take(&fake);
        hello = fake_daemon_hello(&fake, 1);
        ck_assert_mem_eq(hello->token.data, TOKEN, RECORD_TOKEN_SIZE);
        catena__v1__hello__free_unpacked(hello, NULL);
}
END_TEST

/* What holds whatever carries the records. */
static void add_tests(Suite *suite, const char *name, void (*begin)(void)) {
        TCase *tcase = tcase_create(name);

        tcase_add_checked_fixture(tcase, begin, stop);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, a_missing_daemon_drops_and_counts);
        tcase_add_test(tcase, what_no_record_can_hold_is_dropped);
        tcase_add_test(tcase, every_size_up_to_the_split_arrives);
        tcase_add_test(tcase, the_descriptor_is_not_inherited);
        tcase_add_test(tcase, the_standard_descriptors_are_left_free);
        suite_add_tcase(suite, tcase);
}

/* What the stream alone shows, or before WELCOME. */
static void add_stream_tests(Suite *suite) {
        TCase *tcase = tcase_create("stream only");

        tcase_add_checked_fixture(tcase, start, stop);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, a_full_socket_drops_and_counts);
        tcase_add_test(tcase, a_new_daemon_is_told_anew);
        tcase_add_test(tcase, a_token_is_read_at_the_last_moment);
        tcase_add_test(tcase, a_big_value_goes_in_parts);
        tcase_add_test(tcase, a_descriptor_that_the_program_reused_is_left_alone);
        tcase_add_test(tcase, a_strange_user_is_not_trusted);
        tcase_add_test(tcase, nonsense_from_the_daemon_ends_the_connection);
        tcase_add_test(tcase, long_and_unknown_answers_are_passed_over);
        suite_add_tcase(suite, tcase);
}

int main(void) {
        Suite *suite = suite_create("lib-link");

        add_tests(suite, "stream", start);
        add_tests(suite, "arena", start_with_arena);
        add_stream_tests(suite);
        return unit_run(suite);
}

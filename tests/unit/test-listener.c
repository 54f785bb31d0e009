/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/process.h"
#include "tests/unit/fake-recorder.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* In a child, so without its loop: says HELLO and reads nothing. */
static int child_connect(void) {
        int fd = client_connect();

        client_hello(fd, NULL);
        return fd;
}

/* A child that holds nothing of the listener's, as after exec. */
static pid_t fork_client(void) {
        pid_t child = fork();

        for (int fd = 3; child == 0 && fd < 256; fd++)
                if (fcntl(fd, F_GETFD) == FD_CLOEXEC)
                        close(fd);
        return child;
}

static Session *session_number(uint32_t number) {
        list_for_each (link, &recorder.sessions) {
                Session *session = list_entry(link, Session, link);
                if (session->number == number)
                        return session;
        }
        return NULL;
}

/* ---- the socket ---- */

START_TEST(refuses_a_socket_in_use) {
        Listener *second;

        open_listener();
        ck_assert_int_eq(listener_open(&second, &loop, &recorder, &options), LISTENER_E_IN_USE);
        options.socket = "/nonexistent/socket";
        ck_assert_int_eq(listener_open(&second, &loop, &recorder, &options), LISTENER_E_PATH);
        ck_assert_int_eq(errno, ENOENT);
        options.group = "no such group";
        ck_assert_int_eq(listener_open(&second, &loop, &recorder, &options), LISTENER_E_GROUP);
        close(client_open());
}
END_TEST

START_TEST(replaces_a_stale_socket) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct stat status;

        strcpy(address.sun_path, path);
        ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
        close(fd);
        options.mode = 0666;
        open_listener();
        ck_assert_int_eq(stat(path, &status), 0);
        ck_assert_uint_eq(status.st_mode & 07777, 0666);
        close(client_open());
}
END_TEST

START_TEST(raises_the_limit_of_descriptors) {
        struct rlimit limit;

        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = 64;
        setrlimit(RLIMIT_NOFILE, &limit);
        open_listener();
        getrlimit(RLIMIT_NOFILE, &limit);
        ck_assert_uint_eq(limit.rlim_cur, limit.rlim_max);
}
END_TEST

START_TEST(waits_for_descriptors) {
        struct rlimit limit, none;
        int waiting;

        open_listener();
        close(client_open());
        run_dry();
        waiting = client_connect();
        client_hello(waiting, NULL);
        getrlimit(RLIMIT_NOFILE, &limit);
        none = limit;
        none.rlim_cur = 0;
        setrlimit(RLIMIT_NOFILE, &none);
        for (unsigned i = 0; i < 20; i++)
                uv_run(&loop, UV_RUN_NOWAIT);
        ck_assert_uint_eq(listener_counters(listener)->connections, 1);
        ck_assert(uv_backend_timeout(&loop) > 0); /* it sleeps meanwhile */
        setrlimit(RLIMIT_NOFILE, &limit);
        expect_welcome(waiting, NULL);
        close(waiting);
}
END_TEST

/* ---- how many ---- */

START_TEST(max_clients_are_let_in) {
        int fds[3];

        options.max_clients = 3;
        open_listener();
        for (unsigned i = 0; i < 3; i++)
                fds[i] = client_open();
        expect_hang_up(client_connect(), "max_clients");
        ck_assert_uint_eq(listener_counters(listener)->refused_clients, 1);
        client_put(fds[0], RECORD_BYE, 0, 0);
        expect_hang_up(fds[0], NULL);
        fds[0] = client_open();
        for (unsigned i = 0; i < 3; i++)
                close(fds[i]);
}
END_TEST

START_TEST(each_user_has_a_share_of_the_clients) {
        int first, second;

        options.clients_per_uid = 2;
        open_listener();
        first = client_open();
        second = client_open();
        expect_hang_up(client_connect(), "clients_per_uid");
        ck_assert_uint_eq(listener_counters(listener)->refused_uid_clients, 1);
        ck_assert_uint_eq(listener_counters(listener)->refused_clients, 0);
        close(first);
        close(second);
}
END_TEST

/* Sessions that live on count, too: their processes are watched. */
START_TEST(sessions_without_connection_count) {
        pid_t children[2];

        options.clients_per_uid = 2;
        open_listener();
        for (unsigned i = 0; i < 2; i++) {
                children[i] = fork_client();
                if (children[i] == 0) {
                        close(child_connect());
                        pause();
                }
        }
        RUN_UNTIL(recorder.n_sessions == 2 && listener_counters(listener)->n_clients == 0);
        expect_hang_up(child_connect(), "clients_per_uid");
        ck_assert_uint_eq(recorder.n_sessions, 2);
        for (unsigned i = 0; i < 2; i++)
                kill(children[i], SIGKILL);
        RUN_UNTIL(session_number(1)->state == SESSION_EXITED &&
                  session_number(2)->state == SESSION_EXITED);
        close(client_open());
        for (unsigned i = 0; i < 2; i++)
                waitpid(children[i], NULL, 0);
}
END_TEST

/* ---- sessions and connections ---- */

START_TEST(a_session_outlives_its_connection) {
        uint8_t token[RECORD_TOKEN_SIZE], again[RECORD_TOKEN_SIZE];
        int fd;

        open_listener();
        fd = client_connect();
        client_hello(fd, NULL);
        expect_welcome(fd, token);
        client_put(fd, RECORD_SPAN, RECORD_START, 1);
        close(fd);
        RUN_UNTIL(listener_counters(listener)->n_clients == 0);
        ck_assert_int_eq(recorder.last->session.state, SESSION_ALIVE);
        ck_assert_ptr_null(recorder.last->session.peer);

        fd = client_connect();
        client_hello(fd, token);
        expect_welcome(fd, again);
        ck_assert_mem_eq(again, token, sizeof token);
        client_put(fd, RECORD_SPAN, RECORD_END, 1);
        RUN_UNTIL(recorder.last->n_closed == 1);
        ck_assert_uint_eq(recorder.n_sessions, 1);
        ck_assert_uint_eq(listener_counters(listener)->resumed, 1);
        close(fd);
}
END_TEST

/* The poll then tells of an error, while there is still something to be read. */
START_TEST(a_client_may_close_with_answers_unread) {
        int fd;

        open_listener();
        for (unsigned i = 0; i < 20; i++) {
                fd = child_connect();
                RUN_UNTIL(recorder.n_sessions == i + 1);
                client_put(fd, RECORD_SPAN, RECORD_START | RECORD_END, 1);
                close(fd);
                RUN_UNTIL(listener_counters(listener)->n_clients == 0);
                ck_assert_uint_eq(recorder.last->n_closed, 1);
        }
}
END_TEST

START_TEST(a_new_connection_replaces_the_old_one) {
        uint8_t token[RECORD_TOKEN_SIZE];
        int old, fd;

        open_listener();
        old = client_connect();
        client_hello(old, NULL);
        expect_welcome(old, token);
        fd = client_connect();
        client_hello(fd, token);
        client_put(old, RECORD_SPAN, RECORD_START | RECORD_END, 1); /* not lost */
        expect_welcome(fd, NULL);
        expect_hang_up(old, NULL);
        ck_assert_uint_eq(recorder.last->n_closed, 1);
        client_put(fd, RECORD_SPAN, RECORD_START | RECORD_END, 2);
        RUN_UNTIL(recorder.last->n_closed == 2);
        ck_assert_uint_eq(recorder.n_sessions, 1);
        close(fd);
}
END_TEST

START_TEST(a_token_is_good_for_its_own_process_only) {
        uint8_t token[RECORD_TOKEN_SIZE];
        int fd = -1;
        pid_t child;

        open_listener();
        fd = client_connect();
        client_hello(fd, NULL);
        expect_welcome(fd, token);
        child = fork_client();
        if (child == 0) {
                int own = client_connect();
                client_hello(own, token);
                pause();
                _exit(own);
        }
        RUN_UNTIL(recorder.n_sessions == 2);
        ck_assert_ptr_nonnull(session_number(1)->peer);
        ck_assert_uint_eq(session_number(2)->credentials.pid, (uint32_t)child);
        kill(child, SIGKILL);
        RUN_UNTIL(session_number(2)->state == SESSION_EXITED);
        ck_assert_int_eq(session_number(1)->state, SESSION_ALIVE);
        waitpid(child, NULL, 0);

        token[0] ^= 1;
        close(fd);
        fd = client_connect();
        client_hello(fd, token);
        expect_welcome(fd, NULL);
        ck_assert_uint_eq(recorder.n_sessions, 3);
        ck_assert_uint_eq(listener_counters(listener)->resumed, 0);
        close(fd);
}
END_TEST

START_TEST(exec_ends_the_session) {
        int fd, second;

        open_listener();
        fd = client_open();
        client_put(fd, RECORD_SPAN, RECORD_START, 1);
        second = client_open(); /* another copy of the library: both live */
        ck_assert_int_eq(session_number(1)->state, SESSION_ALIVE);
        close(fd);
        close(second);
        fd = client_open(); /* their ends are not read yet */
        ck_assert_int_eq(session_number(1)->state, SESSION_EXITED);
        ck_assert_int_eq(session_number(2)->state, SESSION_EXITED);
        ck_assert_int_eq(session_number(3)->state, SESSION_ALIVE);
        ck_assert_uint_eq(list_entry(session_number(1), FakeSession, session)->taken.size, 32);
        close(fd);
}
END_TEST

/* ---- processes ---- */

/* Its own child keeps a copy of the socket until the listener hangs up. */
static void die_with_a_copy_left(void) {
        int fd = child_connect();

        if (fork() == 0) {
                char byte;
                while (recv(fd, &byte, 1, 0) > 0)
                        continue;
                _exit(0);
        }
        for (unsigned i = 0; i < 100; i++)
                client_put(fd, RECORD_SPAN, RECORD_START | RECORD_END, i);
        kill(getpid(), SIGKILL);
}

START_TEST(a_dead_process_ends_its_session_whoever_holds_the_socket) {
        pid_t child;

        open_listener();
        child = fork_client();
        if (child == 0)
                die_with_a_copy_left();
        if (_i)
                waitpid(child, NULL, 0); /* it is gone before anyone looks */
        RUN_UNTIL(recorder.last && recorder.last->session.state == SESSION_EXITED);
        ck_assert_uint_eq(recorder.last->n_closed, 100);
        ck_assert_uint_eq(recorder.last->session.credentials.pid, (uint32_t)child);
        run_dry();
        ck_assert_uint_eq(listener_counters(listener)->n_clients, 0);
        if (!_i)
                waitpid(child, NULL, 0);
}
END_TEST

START_TEST(an_end_waits_for_room) {
        pid_t child;

        open_listener();
        child = fork_client();
        if (child == 0) {
                int fd = child_connect();
                client_put(fd, RECORD_SPAN, RECORD_START | RECORD_END, 1);
                pause();
        }
        RUN_UNTIL(recorder.last && recorder.last->n_closed == 1);
        recorder.full = true;
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        run_dry();
        ck_assert_int_eq(recorder.last->session.state, SESSION_ALIVE);
        recorder.full = false;
        run_dry();
        ck_assert_int_eq(recorder.last->session.state, SESSION_EXITED);
        ck_assert_uint_eq(listener_counters(listener)->n_clients, 0);
}
END_TEST

/* The process is seen to be gone before its last words are read. */
START_TEST(a_bye_is_heard_after_the_death) {
        pid_t child;

        open_listener();
        child = fork_client();
        if (child == 0) {
                int fd = child_connect();
                char byte;
                ck_assert_int_eq(recv(fd, &byte, 1, 0), 1); /* of the WELCOME */
                raise(SIGSTOP);
                client_put(fd, RECORD_SPAN, RECORD_START, 1);
                client_put(fd, RECORD_BYE, 0, 0);
                _exit(0);
        }
        RUN_UNTIL(recorder.n_sessions == 1);
        waitpid(child, NULL, WUNTRACED);
        recorder.full = true;
        kill(child, SIGCONT);
        waitpid(child, NULL, 0);
        run_dry();
        ck_assert_int_eq(recorder.last->session.state, SESSION_ALIVE);
        recorder.full = false;
        run_dry();
        ck_assert_int_eq(recorder.last->session.state, SESSION_SAID_BYE);
        ck_assert_uint_gt(recorder.last->taken.size, 0);
}
END_TEST

static FakeSession *recover(const SessionCredentials *credentials) {
        FakeSession *fake = calloc(1, sizeof *fake);

        fake->session.number = ++recorder.n_sessions;
        fake->session.credentials = *credentials;
        list_append(&recorder.sessions, &fake->session.link);
        return fake;
}

START_TEST(recovered_sessions_are_watched) {
        SessionCredentials living, dead, later, unseen = {.uid = getuid()};
        int sockets[2], pidfd;
        pid_t child;

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
        child = fork();
        if (child == 0)
                _exit(0);
        waitpid(child, NULL, 0);
        ck_assert_int_eq(process_of_connection(&living, &pidfd, sockets[0]), 0);
        close(pidfd);
        later = dead = living; /* this very process */
        later.process_start--;
        dead.pid = (uint32_t)child;
        recover(&living)->n_cut2_ends = 1; /* their pass did not come */
        recover(&later);
        recover(&dead);
        recover(&unseen);
        recover(&living)->session.state = SESSION_SAID_BYE;
        open_listener();
        ck_assert_int_eq(session_number(1)->state, SESSION_ALIVE);
        ck_assert_uint_eq(list_entry(session_number(1), FakeSession, session)->n_closed, 1);
        ck_assert_int_eq(session_number(2)->state, SESSION_EXITED);
        ck_assert_int_eq(session_number(3)->state, SESSION_EXITED);
        ck_assert_int_eq(session_number(4)->state, SESSION_EXITED);
        ck_assert_int_eq(session_number(5)->state, SESSION_SAID_BYE);
        close(sockets[0]);
        close(sockets[1]);
}
END_TEST

/* A daemon that is gone, and another one after it, with a client that lives on. */
START_TEST(a_client_goes_on_after_a_restart) {
        uint8_t token[RECORD_TOKEN_SIZE];
        char body[256];
        pid_t child;
        int fd;

        open_listener();
        fd = client_connect();
        client_hello(fd, NULL);
        expect_welcome(fd, token);
        client_put(fd, RECORD_SPAN, RECORD_START, 1);
        child = fork_client();
        if (child == 0) {
                child_connect();
                pause();
        }
        RUN_UNTIL(recorder.n_sessions == 2);
        close_listener(); /* takes what is there */
        ck_assert_uint_eq(list_entry(session_number(1), FakeSession, session)->taken.size, 32);
        ck_assert_uint_eq(client_receive(fd, body).type, 0);
        close(fd);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        ck_assert_int_eq(session_number(2)->state, SESSION_ALIVE);

        open_listener();
        ck_assert_int_eq(session_number(2)->state, SESSION_EXITED);
        fd = client_connect();
        client_hello(fd, token);
        expect_welcome(fd, NULL);
        client_put(fd, RECORD_SPAN, RECORD_END, 1);
        RUN_UNTIL(list_entry(session_number(1), FakeSession, session)->n_closed == 1);
        ck_assert_uint_eq(listener_counters(listener)->resumed, 1);
        close(fd);
}
END_TEST

START_TEST(a_recovered_session_ends_with_its_process) {
        SessionCredentials credentials;
        pid_t child;

        open_listener();
        child = fork_client();
        if (child == 0) {
                child_connect();
                pause();
        }
        RUN_UNTIL(recorder.n_sessions == 1);
        credentials = recorder.last->session.credentials;
        ck_assert_uint_eq(credentials.pid, (uint32_t)child);
        close_listener();
        open_listener();
        ck_assert_int_eq(recorder.last->session.state, SESSION_ALIVE);
        kill(child, SIGKILL);
        RUN_UNTIL(recorder.last->session.state == SESSION_EXITED);
        waitpid(child, NULL, 0);
}
END_TEST

/* In a pid namespace of its own: tells when it listens, and leaves when all was as it should. */
static void listen_apart(int ready) {
        int status = 1;
        pid_t child;

        if (unshare(CLONE_NEWPID) < 0)
                _exit(0); /* only root may */
        child = fork();
        if (child == 0) {
                open_listener();
                ck_assert_int_eq(write(ready, "", 1), 1);
                RUN_UNTIL(recorder.last && recorder.last->session.state == SESSION_EXITED);
                ck_assert_uint_eq(recorder.last->session.credentials.pid, 0);
                ck_assert_uint_eq(recorder.last->n_closed, 1);
                close_listener();
                _exit(0);
        }
        waitpid(child, &status, 0);
        _exit(status != 0);
}

START_TEST(an_unseen_process_ends_with_its_connection) {
        int ready[2], status;
        pid_t child;
        char byte;

        ck_assert_int_eq(pipe(ready), 0);
        child = fork();
        if (child == 0)
                listen_apart(ready[1]);
        close(ready[1]);
        if (read(ready[0], &byte, 1) == 1) {
                int fd = child_connect();
                client_put(fd, RECORD_SPAN, RECORD_START | RECORD_END, 1);
                close(fd);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
        ck_assert_int_eq(status, 0);
        close(ready[0]);
}
END_TEST

START_TEST(closing_takes_the_last_words) {
        int fd, late;

        open_listener();
        fd = client_open();
        client_put(fd, RECORD_SPAN, RECORD_START | RECORD_END, 1);
        late = child_connect();
        uv_run(&loop, UV_RUN_NOWAIT);
        close_listener();
        ck_assert_uint_eq(list_entry(session_number(1), FakeSession, session)->n_closed, 1);
        ck_assert_int_eq(session_number(1)->state, SESSION_ALIVE);
        close(fd);
        close(late);
}
END_TEST

int main(void) {
        Suite *suite = suite_create("listener");
        TCase *tcase = tcase_create("listener");

        tcase_add_checked_fixture(tcase, fake_setup, fake_teardown);
        tcase_set_timeout(tcase, 30);
        tcase_add_test(tcase, refuses_a_socket_in_use);
        tcase_add_test(tcase, replaces_a_stale_socket);
        tcase_add_test(tcase, raises_the_limit_of_descriptors);
        tcase_add_test(tcase, waits_for_descriptors);
        tcase_add_test(tcase, max_clients_are_let_in);
        tcase_add_test(tcase, each_user_has_a_share_of_the_clients);
        tcase_add_test(tcase, sessions_without_connection_count);
        tcase_add_test(tcase, a_session_outlives_its_connection);
        tcase_add_test(tcase, a_client_may_close_with_answers_unread);
        tcase_add_test(tcase, a_new_connection_replaces_the_old_one);
        tcase_add_test(tcase, a_token_is_good_for_its_own_process_only);
        tcase_add_test(tcase, exec_ends_the_session);
        tcase_add_loop_test(tcase, a_dead_process_ends_its_session_whoever_holds_the_socket, 0, 2);
        tcase_add_test(tcase, an_end_waits_for_room);
        tcase_add_test(tcase, a_bye_is_heard_after_the_death);
        tcase_add_test(tcase, recovered_sessions_are_watched);
        tcase_add_test(tcase, a_client_goes_on_after_a_restart);
        tcase_add_test(tcase, a_recovered_session_ends_with_its_process);
        tcase_add_test(tcase, an_unseen_process_ends_with_its_connection);
        tcase_add_test(tcase, closing_takes_the_last_words);
        suite_add_tcase(suite, tcase);
        return unit_run(suite);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/peer.h"

#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/ingest/peer-arena.h"
#include "daemon/ingest/peer-flush.h"
#include "daemon/ingest/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PEER_UNREAD "answers are not read"

enum {
        PEER_TURN_MAX = 1024 * 1024, /* bytes from one client before others have their turn */
        PEER_LOG_PAUSE_MS = 1000,
};

uint64_t peer_now_unix_ns(void) {
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- answers ---- */

static int peer_fault(Peer *peer, uint64_t *counter, const char *fault) {
        peer->fault_counter = counter;
        peer->intake.fault = fault;
        return INTAKE_E_FAULT;
}

/* Whether all of it fits. To one that has gone everything does: its end is still to be read. */
static bool peer_send(int fd, const Buffer *records) {
        ssize_t n = send(fd, records->data, records->size, MSG_DONTWAIT | MSG_NOSIGNAL);

        return n < 0 ? errno != EAGAIN && errno != ENOBUFS : (size_t)n == records->size;
}

static int peer_answer(Peer *peer, const Buffer *records) {
        if (peer_send(peer->fd, records))
                return 0;
        return peer_fault(peer, &peer->host->counters.hung_up_unread, PEER_UNREAD);
}

/* Whether all of it fits, with a descriptor beside it. */
static bool peer_send_with(int fd, const Buffer *record, int beside) {
        struct iovec part = {.iov_base = record->data, .iov_len = record->size};
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof beside)];
        } control = {0};
        struct msghdr message = {
                .msg_iov = &part,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof control,
        };
        ssize_t n;

        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof beside),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&control.header), &beside, sizeof beside);
        n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        return n < 0 ? errno != EAGAIN && errno != ENOBUFS : (size_t)n == record->size;
}

/* `hello_arena`: the client asks for one. It goes on with the one it has, or gets one. */
static int peer_welcome(Peer *peer, bool hello_arena) {
        bool had = peer->session->arena;
        Buffer record = BUFFER_NULL;
        int r;

        r = hello_arena ? peer_arena_get(peer) : 0;
        peer->intake.arena = peer->session->arena;
        hello_arena = hello_arena && peer->intake.arena;
        if (!r)
                r = protocol_put_welcome(&record, peer->session->token, hello_arena,
                                         &peer->host->sampling);
        if (!r && hello_arena && !had) {
                if (!peer_send_with(peer->fd, &record, peer->intake.arena->fd))
                        r = peer_fault(peer, &peer->host->counters.hung_up_unread, PEER_UNREAD);
        } else if (!r) {
                r = peer_answer(peer, &record);
        }
        buffer_deinit(&record);
        return error_trace(r);
}

/* Answers every FLUSH that a complete pass leaves due. */
static int peer_answer_flushes(Peer *peer) {
        Buffer records = BUFFER_NULL;
        int r;

        r = peer_flush_passed(peer, &records);
        if (!r && records.size)
                r = peer_answer(peer, &records);
        buffer_deinit(&records);
        return error_trace(r);
}

void peer_refuse(int fd, const char *why) {
        Buffer record = BUFFER_NULL;

        if (protocol_put_error(&record, why) == 0)
                (void)peer_send(fd, &record);
        buffer_deinit(&record);
        close(fd);
}

/* ---- the end ---- */

static void peer_handle_closed(uv_handle_t *handle) {
        Peer *peer = handle->data;
        PeerHost *host = peer->host;

        if (--peer->n_handles)
                return;
        free(peer);
        host->closed(host);
}

static void peer_close_pidfd(Peer *peer) {
        if (peer->pidfd >= 0)
                close(peer->pidfd);
        peer->pidfd = -1;
}

/* `why` is told to the client, unless it is NULL. */
static void peer_disconnect(Peer *peer, const char *why) {
        if (peer->fd < 0)
                return;
        uv_close((uv_handle_t *)&peer->poll, peer_handle_closed);
        if (why)
                peer_refuse(peer->fd, why);
        else
                close(peer->fd);
        peer->fd = peer->intake.fd = -1;
        peer->host->counters.n_clients--;
}

static void peer_close_saying(Peer *peer, const char *why) {
        peer_flush_forget(peer);
        intake_deinit(&peer->intake, peer->session);
        if (peer->session)
                peer->session->peer = NULL;
        peer->session = NULL;
        list_unlink(&peer->link);
        list_unlink(&peer->stalled_link);
        list_unlink(&peer->awake_link);
        uv_close((uv_handle_t *)&peer->timer, peer_handle_closed);
        peer_disconnect(peer, why);
        peer_close_pidfd(peer);
}

void peer_close(Peer *peer) {
        peer_close_saying(peer, NULL);
}

/* The session is over if it has said so, or ends with its connection. */
static bool peer_is_over(Peer *peer) {
        Watch *watch = &peer->host->watch;

        if (peer->intake.said_bye)
                watch_over(watch, peer->session, SESSION_SAID_BYE);
        else if (!watch_has_process(watch, peer->session))
                watch_over(watch, peer->session, SESSION_EXITED);
        return !watch_is_alive(watch, peer->session);
}

/* Closes. Another may read on the arena of a session that is not over, unless it is told why not.
 */
static int peer_leave(Peer *peer, const char *why) {
        Watch *watch = &peer->host->watch;
        Session *session = peer->session;
        uint64_t now = peer_now_unix_ns();
        int r = 0;

        if (session) {
                if (why || peer_is_over(peer))
                        peer_arena_drop(peer->host, session);
                /* Where an arena is read on, what came before an END may still be in it. */
                if (!session->arena)
                        r = intake_settle(&peer->intake, session, now);
                if (!r)
                        r = peer_answer_flushes(peer);
        }
        peer_close_saying(peer, why);
        if (r < 0)
                return error_trace(r);
        return error_trace(watch_settle(watch, now));
}

/* At most one line in a while: no client shall fill the log, or have us wait for it. */
static void peer_log_hang_up(const Peer *peer, const char *why) {
        PeerHost *host = peer->host;
        uint64_t now_ms = uv_now(host->loop);

        if (now_ms < host->quiet_until_ms) {
                host->n_unlogged++;
                return;
        }
        if (host->n_unlogged)
                log_info("%u more clients were hung up on meanwhile", host->n_unlogged);
        log_info("client with pid %u of uid %u: hung up: %s", peer->credentials.pid,
                 peer->credentials.uid, why);
        host->quiet_until_ms = now_ms + PEER_LOG_PAUSE_MS;
        host->n_unlogged = 0;
}

static int peer_hang_up(Peer *peer, uint64_t *counter, const char *why) {
        (*counter)++;
        peer_log_hang_up(peer, why);
        return error_trace(peer_leave(peer, why));
}

/* ---- what reading has led to ---- */

static int peer_start_poll(Peer *peer);
static void peer_start_timer(Peer *peer);

static void peer_stall(Peer *peer) {
        if (!list_is_empty(&peer->stalled_link))
                return;
        if (peer->fd >= 0)
                uv_poll_stop(&peer->poll);
        uv_timer_stop(&peer->timer);
        list_unlink(&peer->awake_link);
        list_append(&peer->host->stalled, &peer->stalled_link);
}

/* The connection is gone; its arena is read on, or to the end. */
static int peer_lose_connection(Peer *peer) {
        int r;

        if (peer_is_over(peer))
                return error_trace(peer_finish(peer));
        r = peer_answer_flushes(peer);
        if (r < 0)
                return error_trace(r);
        peer_disconnect(peer, NULL);
        peer_flush_forget(peer);
        buffer_deinit(&peer->intake.partial);
        uv_timer_stop(&peer->timer);
        peer_arena_wake(peer);
        return 0;
}

/* A HELLO, and a record that has begun, must be whole in time; once it may be read at all. */
static void peer_set_timer(Peer *peer) {
        bool waits = !peer->session || peer->intake.partial.size;

        if (!waits)
                uv_timer_stop(&peer->timer);
        else if (!uv_is_active((uv_handle_t *)&peer->timer) ||
                 peer->timed_partial != peer->intake.n_partials)
                peer_start_timer(peer);
        peer->timed_partial = peer->intake.n_partials;
}

static void peer_count_bytes(Peer *peer) {
        peer->host->counters.bytes += peer->intake.n_bytes;
        peer->intake.n_bytes = 0;
}

/* The peer may be closed in here. INTAKE_E_FULL: it is stalled. */
static int peer_after(Peer *peer, int r) {
        peer_count_bytes(peer);
        if (r < 0)
                return error_trace(r);
        if (r == INTAKE_E_FULL) {
                peer_stall(peer);
                return r;
        }
        if (r == 0)
                r = peer_answer_flushes(peer);
        if (r < 0)
                return error_trace(r);
        if (r == INTAKE_E_FAULT)
                return error_trace(peer_hang_up(peer, peer->fault_counter, peer->intake.fault));
        list_unlink(&peer->stalled_link);
        if (r == INTAKE_E_END && peer->intake.arena)
                return error_trace(peer_lose_connection(peer));
        if (r == INTAKE_E_END || (r == 0 && peer->intake.said_bye))
                return error_trace(peer_leave(peer, NULL));
        peer_set_timer(peer);
        if (peer->intake.arena)
                peer_arena_wake(peer);
        /* It was stalled; or libuv has stopped it: the client closed with answers unread. */
        if (peer->fd >= 0 && !uv_is_active((uv_handle_t *)&peer->poll))
                return error_trace(peer_start_poll(peer));
        return 0;
}

/* What no pass has led to. The peer may be closed in here. */
static int peer_say(Peer *peer, const Buffer *records) {
        int r = records->size ? peer_answer(peer, records) : 0;

        if (r == INTAKE_E_FAULT)
                r = peer_hang_up(peer, peer->fault_counter, peer->intake.fault);
        return error_trace(r);
}

int peer_answer_deliveries(Peer *peer) {
        Buffer records = BUFFER_NULL;
        int r;

        r = peer_flush_delivered(peer, &records);
        if (!r)
                r = peer_say(peer, &records);
        buffer_deinit(&records);
        return error_trace(r);
}

int peer_tell_sampling(Peer *peer) {
        Buffer record = BUFFER_NULL;
        int r;

        if (!peer->session || peer->fd < 0)
                return 0; /* its WELCOME will tell */
        r = protocol_put_sampling(&record, &peer->host->sampling);
        if (!r)
                r = peer_say(peer, &record);
        buffer_deinit(&record);
        return error_trace(r);
}

/* ---- the HELLO ---- */

/*
 * The process begins anew (exec) if it has closed its earlier connections; whether it has may not
 * have been looked at yet. One that is open belongs to another copy of the library.
 */
static int peer_supersede(Peer *peer) {
        PeerHost *host = peer->host;
        int r;

        list_for_each_safe (link, &host->peers) {
                Peer *other = list_entry(link, Peer, link);

                if (other == peer || !other->session ||
                    !process_is_same(&other->credentials, &peer->credentials) ||
                    intake_is_silent(&other->intake))
                        continue;
                r = intake_drain(&other->intake, other->session, peer_now_unix_ns());
                if (r == INTAKE_E_END && !other->intake.said_bye)
                        watch_over(&host->watch, other->session, SESSION_EXITED);
                if (r == INTAKE_E_END)
                        r = peer_leave(other, NULL);
                else
                        r = peer_after(other, r);
                if (r)
                        return error_trace(r);
        }
        watch_supersede(&host->watch, &peer->credentials);
        return error_trace(watch_settle(&host->watch, peer_now_unix_ns()));
}

static int peer_begin(Peer *peer, const uint8_t *hello, size_t size) {
        PeerHost *host = peer->host;
        uint8_t token[RECORD_TOKEN_SIZE];
        int r, pidfd;

        r = peer_supersede(peer);
        if (r)
                return error_trace(r);
        if (watch_n_alive(&host->watch) >= host->max_clients)
                return peer_fault(peer, &host->counters.refused_clients, PEER_REFUSED);
        if (watch_n_alive_of(&host->watch, peer->credentials.uid) >= host->clients_per_uid)
                return peer_fault(peer, &host->counters.refused_uid_clients, PEER_REFUSED_UID);
        if (getrandom(token, sizeof token, 0) != sizeof token)
                return error_origin(-errno);
        r = recorder_session_begin(host->recorder, &peer->session, &peer->credentials, token, hello,
                                   size, peer_now_unix_ns());
        if (r == RECORDER_E_HELLO)
                return peer_fault(peer, &host->counters.hung_up_hello,
                                  "the HELLO breaks a rule of the format");
        if (r)
                return r < 0 ? error_trace(r) : INTAKE_E_FULL;
        peer->session->peer = peer;
        pidfd = peer->pidfd;
        peer->pidfd = -1;
        return error_trace(watch_add(&host->watch, peer->session, pidfd));
}

/* The session of this process that the token names, if it is alive. */
static Session *peer_find(const Peer *peer, const uint8_t *token) {
        const PeerHost *host = peer->host;
        Session *session;

        session = recorder_session_by_token(host->recorder, token, peer->credentials.uid);
        if (session && watch_is_alive(&host->watch, session) &&
            process_is_same(&session->credentials, &peer->credentials))
                return session;
        return NULL;
}

/* Goes on with a session, if there is such a one: then peer->session is set. */
static int peer_go_on(Peer *peer, const uint8_t *token) {
        Session *session;
        int r;

        while ((session = peer_find(peer, token)) && session->peer) {
                r = peer_finish(session->peer);
                if (r)
                        return error_trace(r);
        }
        if (!session)
                return 0;
        session->peer = peer;
        peer->session = session;
        peer_close_pidfd(peer); /* the session has its own */
        peer->host->counters.resumed++;
        return 0;
}

static int peer_greet(Peer *peer) {
        const uint8_t *body;
        ProtocolHello hello;
        size_t size;
        int r;

        r = intake_hello(&peer->intake, &body, &size);
        if (r)
                return error_trace(r);
        r = protocol_read_hello(&hello, body, size);
        if (r)
                return peer_fault(peer, &peer->host->counters.hung_up_hello,
                                  protocol_error_text(r));
        if (hello.token)
                r = peer_go_on(peer, hello.token);
        if (!r && !peer->session)
                r = peer_begin(peer, body, size);
        if (r)
                return error_trace(r);
        intake_greeted(&peer->intake);
        return error_trace(peer_welcome(peer, hello.arena));
}

/* ---- reading ---- */

static int peer_read(Peer *peer) {
        size_t budget = PEER_TURN_MAX;
        int r;

        if (!peer->session) {
                r = peer_greet(peer);
                if (r)
                        return error_trace(r);
        }
        do
                r = intake_pass(&peer->intake, peer->session, &budget, peer_now_unix_ns());
        /* An arena has its next pass soon, and until then more of what is said. */
        while (!r && !peer->intake.arena && recorder_session_unsettled(peer->session));
        return error_trace(r);
}

void peer_turn(Peer *peer) {
        PeerHost *host = peer->host;
        int r;

        r = peer_after(peer, peer_read(peer));
        if (r < 0)
                host->sink.fail(host->sink.user, error_trace(r));
}

int peer_finish(Peer *peer) {
        int r;

        if (peer->session)
                r = intake_drain(&peer->intake, peer->session, peer_now_unix_ns());
        else
                r = peer_read(peer);
        if (r < 0 || r == INTAKE_E_FULL || r == INTAKE_E_FAULT)
                return error_trace(peer_after(peer, r));
        peer_count_bytes(peer);
        return error_trace(peer_leave(peer, NULL));
}

static void peer_on_readable(uv_poll_t *poll, int status, int events) {
        (void)status; /* whatever it is, reading tells */
        (void)events;
        peer_turn(poll->data);
}

static int peer_start_poll(Peer *peer) {
        int r = uv_poll_start(&peer->poll, UV_READABLE, peer_on_readable);

        return r ? error_origin(r) : 0;
}

static void peer_on_timer(uv_timer_t *timer) {
        Peer *peer = timer->data;
        PeerHost *host = peer->host;
        int r;

        if (peer->session)
                r = peer_hang_up(peer, &host->counters.hung_up_partial,
                                 "half a record, and the rest did not come in time");
        else
                r = peer_hang_up(peer, &host->counters.hung_up_hello,
                                 "the HELLO did not come in time");
        if (r < 0)
                host->sink.fail(host->sink.user, error_trace(r));
}

static void peer_start_timer(Peer *peer) {
        uv_timer_start(&peer->timer, peer_on_timer, peer->host->patience_ms, 0);
}

static int peer_new(Peer **peerp, PeerHost *host, int fd, const SessionCredentials *credentials) {
        Peer *peer = calloc(1, sizeof *peer);

        if (!peer)
                return error_origin(-ENOMEM);
        *peer = (Peer){.host = host, .fd = fd, .pidfd = -1, .credentials = *credentials};
        peer->fault_counter = &host->counters.hung_up_protocol;
        intake_init(&peer->intake, host->recorder, fd);
        uv_timer_init(host->loop, &peer->timer);
        peer->poll.data = peer->timer.data = peer;
        peer->n_handles = 1;
        list_append(&host->peers, &peer->link);
        list_init(&peer->stalled_link);
        list_init(&peer->awake_link);
        list_init(&peer->delivering_link);
        *peerp = peer;
        return 0;
}

int peer_open(PeerHost *host, int fd, int pidfd, const SessionCredentials *credentials) {
        Peer *peer;
        int r;

        r = peer_new(&peer, host, fd, credentials);
        if (r)
                return error_trace(r);
        peer->pidfd = pidfd;
        r = uv_poll_init(host->loop, &peer->poll, fd);
        if (r)
                return error_origin(r);
        peer->n_handles++;
        host->counters.n_clients++;
        peer_start_timer(peer);
        return error_trace(peer_start_poll(peer));
}

int peer_open_without(PeerHost *host, Session *session) {
        Peer *peer;
        int r;

        r = peer_new(&peer, host, -1, &session->credentials);
        if (r)
                return error_trace(r);
        peer->session = session;
        peer->intake.arena = session->arena;
        session->peer = peer;
        peer_arena_wake(peer);
        return 0;
}

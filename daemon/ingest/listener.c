/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/listener.h"

#include "daemon/base/log.h"
#include "daemon/base/socket.h"
#include "daemon/ingest/peer-arena.h"
#include "daemon/ingest/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
        LISTENER_PATIENCE_MS = 10 * 1000,
        LISTENER_PAUSE_MS = 500,  /* when there are no descriptors left */
        LISTENER_ACCEPT_MAX = 64, /* connections before others have their turn */
};

struct Listener {
        PeerHost host;
        char *path;
        int fd;
        uv_poll_t poll;     /* of the socket */
        uv_timer_t pause;   /* until it is polled again */
        uv_poll_t watching; /* of host.watch */
        uv_timer_t round;   /* until arenas are read again */
        uv_idle_t at_once;  /* there is more in them: the loop does not sleep */
        uv_timer_t tidy;    /* of the arenas */
        unsigned n_open;    /* handles of its own, and peers, that are not closed yet */
        void (*closed)(void *user);
        void *user;
};

static void listener_check(Listener *listener, int r) {
        if (r < 0)
                listener->host.sink.fail(listener->host.sink.user, error_trace(r));
}

const ListenerCounters *listener_counters(const Listener *listener) {
        return &listener->host.counters;
}

bool listener_is_connected(const Session *session) {
        const Peer *peer = session->peer;

        return peer && peer->fd >= 0;
}

/* ---- accepting ---- */

static void listener_on_readable(uv_poll_t *poll, int status, int events);

static void listener_poll(Listener *listener) {
        listener_check(listener, uv_poll_start(&listener->poll, UV_READABLE, listener_on_readable));
}

static void listener_on_pause_over(uv_timer_t *timer) {
        listener_poll(timer->data);
}

static void listener_pause(Listener *listener, int error) {
        log_warning("no connection can be accepted for now: %s", strerror(error));
        uv_poll_stop(&listener->poll);
        uv_timer_start(&listener->pause, listener_on_pause_over, LISTENER_PAUSE_MS, 0);
}

/* Whether one more of this user is let in; if not, why. */
static const char *listener_refusal(Listener *listener, uint32_t uid) {
        PeerHost *host = &listener->host;
        size_t n_of_uid = 0;

        if (host->counters.n_clients >= host->max_clients) {
                host->counters.refused_clients++;
                return PEER_REFUSED;
        }
        list_for_each (link, &host->peers) {
                const Peer *peer = list_entry(link, Peer, link);
                n_of_uid += peer->fd >= 0 && peer->credentials.uid == uid;
        }
        if (n_of_uid >= host->clients_per_uid) {
                host->counters.refused_uid_clients++;
                return PEER_REFUSED_UID;
        }
        return NULL;
}

static int listener_admit(Listener *listener, int fd) {
        SessionCredentials credentials;
        const char *refusal;
        int pidfd, r;

        listener->host.counters.connections++;
        r = process_of_connection(&credentials, &pidfd, fd);
        if (r) {
                peer_refuse(fd, "the daemon has no descriptors left");
                listener_pause(listener, -r);
                return 0;
        }
        refusal = listener_refusal(listener, credentials.uid);
        if (refusal) {
                if (pidfd >= 0)
                        close(pidfd);
                peer_refuse(fd, refusal);
                return 0;
        }
        r = peer_open(&listener->host, fd, pidfd, &credentials);
        if (r)
                return error_trace(r);
        listener->n_open++;
        return 0;
}

static void listener_on_readable(uv_poll_t *poll, int status, int events) {
        Listener *listener = poll->data;

        (void)status;
        (void)events;
        for (unsigned i = 0; i < LISTENER_ACCEPT_MAX && uv_is_active((uv_handle_t *)poll); i++) {
                int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), r;

                if (fd < 0) {
                        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                                listener_pause(listener, errno);
                        return;
                }
                r = listener_admit(listener, fd);
                if (r) {
                        listener_check(listener, error_trace(r));
                        return;
                }
        }
}

/* ---- arenas ---- */

static void listener_round(Listener *listener);

static void listener_on_round(uv_timer_t *timer) {
        listener_round(timer->data);
}

static void listener_on_idle(uv_idle_t *idle) {
        listener_round(idle->data);
}

static void listener_round(Listener *listener) {
        PeerArenaNext next = peer_arena_round(&listener->host);

        if (next == PEER_ARENA_AT_ONCE)
                uv_idle_start(&listener->at_once, listener_on_idle);
        else
                uv_idle_stop(&listener->at_once);
        if (next == PEER_ARENA_LATER)
                uv_timer_start(&listener->round, listener_on_round, PEER_ARENA_ROUND_MS, 0);
}

void listener_hurry(Listener *listener) {
        uv_idle_start(&listener->at_once, listener_on_idle);
}

static void listener_on_tidy(uv_timer_t *timer) {
        Listener *listener = timer->data;

        if (peer_arena_tidy(&listener->host))
                uv_timer_start(timer, listener_on_tidy, PEER_ARENA_TIDY_MS, 0);
}

/* One has woken since the last round. */
static void listener_start_rounds(Listener *listener) {
        if (list_is_empty(&listener->host.awake))
                return;
        if (!uv_is_active((uv_handle_t *)&listener->tidy))
                uv_timer_start(&listener->tidy, listener_on_tidy, PEER_ARENA_TIDY_MS, 0);
        if (!uv_is_active((uv_handle_t *)&listener->round) &&
            !uv_is_active((uv_handle_t *)&listener->at_once))
                uv_timer_start(&listener->round, listener_on_round, PEER_ARENA_ROUND_MS, 0);
}

/* ---- sessions that are over ---- */

static int listener_end_sessions(Listener *listener) {
        PeerHost *host = &listener->host;
        Session *session;
        int r;

        while ((session = watch_over_connected(&host->watch))) {
                r = peer_finish(session->peer);
                if (r < 0)
                        return error_trace(r);
                if (r)
                        break; /* no room now */
        }
        return error_trace(watch_settle(&host->watch, peer_now_unix_ns()));
}

static void listener_on_process_gone(uv_poll_t *poll, int status, int events) {
        Listener *listener = poll->data;

        (void)status;
        (void)events;
        watch_collect(&listener->host.watch);
        listener_check(listener, listener_end_sessions(listener));
}

bool listener_resume(Listener *listener) {
        List *stalled = &listener->host.stalled, waiting;

        /* Each once: what one cannot have (a session, much room) another may not need. */
        list_init(&waiting);
        list_splice(&waiting, stalled);
        while (!list_is_empty(&waiting)) {
                Peer *peer = list_entry(list_first(&waiting), Peer, stalled_link);

                list_unlink(&peer->stalled_link);
                list_append(stalled, &peer->stalled_link);
                peer_turn(peer);
        }
        listener_check(listener, listener_end_sessions(listener));
        listener_start_rounds(listener);
        return !list_is_empty(stalled) || !list_is_empty(&listener->host.watch.over);
}

void listener_answer_deliveries(Listener *listener) {
        list_for_each_safe (link, &listener->host.delivering)
                listener_check(listener,
                               peer_answer_deliveries(list_entry(link, Peer, delivering_link)));
}

/* ---- sampling ---- */

static ProtocolSampling listener_sampling(const RecorderSampling *sampling) {
        return (ProtocolSampling){.all = recorder_decides(sampling),
                                  .threshold = sampling->threshold};
}

void listener_set_sampling(Listener *listener, const RecorderSampling *sampling) {
        PeerHost *host = &listener->host;

        host->sampling = listener_sampling(sampling);
        list_for_each_safe (link, &host->peers)
                listener_check(listener, peer_tell_sampling(list_entry(link, Peer, link)));
}

/* ---- open and close ---- */

/* The soft limit is there for select(), which nobody here calls. */
static void listener_raise_descriptors(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static void listener_release(Listener *listener) {
        void (*closed)(void *user) = listener->closed;
        void *user = listener->user;

        if (--listener->n_open)
                return;
        watch_deinit(&listener->host.watch);
        free(listener->path);
        free(listener);
        if (closed)
                closed(user);
}

static void listener_on_peer_closed(PeerHost *host) {
        listener_release(list_entry(host, Listener, host));
}

static void listener_on_handle_closed(uv_handle_t *handle) {
        listener_release(handle->data);
}

static void listener_close_handle(uv_handle_t *handle) {
        if (handle->data) /* it has been opened */
                uv_close(handle, listener_on_handle_closed);
}

static void listener_close_peers(Listener *listener) {
        PeerHost *host = &listener->host;
        RecorderView view;
        List waiting;

        /* Each has a turn while all are open: a HELLO may tell of a connection that is closed. */
        list_init(&waiting);
        list_splice(&waiting, &host->peers);
        while (!list_is_empty(&waiting)) {
                Peer *peer = list_entry(list_first(&waiting), Peer, link);

                list_unlink(&peer->link);
                list_append(&host->peers, &peer->link);
                peer_turn(peer);
        }
        while (!list_is_empty(&host->peers)) {
                Peer *peer = list_entry(list_first(&host->peers), Peer, link);

                listener_check(listener, peer_finish(peer));
                if (list_first(&host->peers) == &peer->link)
                        peer_close(peer); /* what could not be taken is lost */
        }
        recorder_view(host->recorder, &view);
        list_for_each (link, view.sessions)
                peer_arena_leave(list_entry(link, Session, link));
}

void listener_close(Listener *listener, void (*closed)(void *user), void *user) {
        listener->closed = closed;
        listener->user = user;
        listener_close_handle((uv_handle_t *)&listener->poll);
        listener_close_handle((uv_handle_t *)&listener->pause);
        listener_close_handle((uv_handle_t *)&listener->round);
        listener_close_handle((uv_handle_t *)&listener->at_once);
        listener_close_handle((uv_handle_t *)&listener->tidy);
        close(listener->fd);
        socket_remove(listener->path);
        listener_close_peers(listener);
        listener_close_handle((uv_handle_t *)&listener->watching);
        listener_release(listener);
}

static int listener_socket(Listener *listener, const ListenerOptions *options) {
        int r;

        r = socket_listen(&listener->fd, options->socket, options->mode, options->group);
        switch (r) {
        case SOCKET_E_IN_USE:
                return LISTENER_E_IN_USE;
        case SOCKET_E_PATH:
                return LISTENER_E_PATH;
        case SOCKET_E_GROUP:
                return LISTENER_E_GROUP;
        default:
                return error_trace(r);
        }
}

/* ---- what the daemon before this one has left ---- */

/*
 * From a connection to the daemon before nothing more comes, so its pass is complete. Where there
 * is no room to say so, the session's next pass does, or its end.
 */
static int listener_recover_session(PeerHost *host, Session *session) {
        Intake intake;
        int r;

        r = peer_arena_recover(host, session);
        if (r)
                return error_trace(r);
        if (session->arena)
                return error_trace(peer_open_without(host, session));
        intake_init(&intake, host->recorder, -1);
        r = intake_settle(&intake, session, peer_now_unix_ns());
        return r < 0 ? error_trace(r) : 0;
}

static int listener_recover(Listener *listener) {
        PeerHost *host = &listener->host;
        RecorderView view;
        int r;

        recorder_view(host->recorder, &view);
        list_for_each (link, view.sessions) {
                Session *session = list_entry(link, Session, link);

                if (session->state != SESSION_ALIVE)
                        continue;
                r = listener_recover_session(host, session);
                if (r)
                        return error_trace(r);
                listener->n_open += session->peer != NULL;
        }
        r = watch_recover(&host->watch);
        if (r)
                return error_trace(r);
        return error_trace(listener_end_sessions(listener));
}

static int listener_start(Listener *listener) {
        PeerHost *host = &listener->host;
        int r;

        r = uv_poll_init(host->loop, &listener->poll, listener->fd);
        if (r)
                return error_origin(r);
        listener->poll.data = listener;
        listener->n_open++;
        r = uv_poll_init(host->loop, &listener->watching, host->watch.fd);
        if (r)
                return error_origin(r);
        listener->watching.data = listener;
        listener->n_open++;
        uv_timer_init(host->loop, &listener->pause);
        listener->pause.data = listener;
        listener->n_open++;
        uv_timer_init(host->loop, &listener->round);
        listener->round.data = listener;
        listener->n_open++;
        uv_idle_init(host->loop, &listener->at_once);
        listener->at_once.data = listener;
        listener->n_open++;
        uv_timer_init(host->loop, &listener->tidy);
        listener->tidy.data = listener;
        listener->n_open++;
        r = uv_poll_start(&listener->watching, UV_READABLE, listener_on_process_gone);
        if (r)
                return error_origin(r);
        r = listener_recover(listener);
        if (r)
                return error_trace(r);
        listener_poll(listener);
        return 0;
}

int listener_open(Listener **listenerp, uv_loop_t *loop, Recorder *recorder,
                  const ListenerOptions *options) {
        Listener *listener = calloc(1, sizeof *listener);
        char *path = strdup(options->socket);
        int r;

        if (!listener || !path) {
                r = error_origin(-ENOMEM);
                goto error;
        }
        listener->path = path;
        listener->n_open = 1; /* itself */
        listener->host = (PeerHost){
                .loop = loop,
                .recorder = recorder,
                .sink = options->sink,
                .max_clients = options->max_clients,
                .clients_per_uid = options->clients_per_uid,
                .arenas = arena_reader_is_possible(),
                .arena_bytes_per_uid = options->arena_bytes_per_uid,
                .store = options->store,
                .sampling = listener_sampling(&options->sampling),
                .patience_ms = options->patience_ms ? options->patience_ms : LISTENER_PATIENCE_MS,
                .closed = listener_on_peer_closed,
        };
        list_init(&listener->host.peers);
        list_init(&listener->host.stalled);
        list_init(&listener->host.awake);
        list_init(&listener->host.delivering);
        listener_raise_descriptors();
        r = listener_socket(listener, options);
        if (r)
                goto error;
        r = watch_init(&listener->host.watch, recorder);
        if (r) {
                close(listener->fd);
                goto error;
        }
        r = listener_start(listener);
        if (r) {
                listener_close(listener, NULL, NULL);
                return error_trace(r);
        }
        *listenerp = listener;
        return 0;
error:
        free(path);
        free(listener);
        return error_trace(r);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/watch.h"

#include "daemon/base/error.h"
#include "daemon/ingest/process.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { WATCH_EVENTS_MAX = 64 };

typedef struct Watched {
        Session *session;
        uint32_t number;
        int pidfd; /* -1: it is over with its connection */
        bool is_over;
        SessionState how; /* it is over */
        List link;        /* watch.alive or watch.over */
} Watched;

int watch_init(Watch *watch, Recorder *recorder) {
        int fd = epoll_create1(EPOLL_CLOEXEC);

        if (fd < 0)
                return error_origin(-errno);
        *watch = (Watch){.recorder = recorder, .fd = fd};
        map_init(&watch->watched, 0);
        list_init(&watch->alive);
        list_init(&watch->over);
        return 0;
}

/* Closing it takes it out of the epoll, too: nobody else holds it. */
static void watched_close_pidfd(Watched *watched) {
        if (watched->pidfd >= 0)
                close(watched->pidfd);
        watched->pidfd = -1;
}

static void watch_remove(Watch *watch, Watched *watched) {
        map_remove(&watch->watched, watched->number);
        list_unlink(&watched->link);
        watched_close_pidfd(watched);
        free(watched);
}

void watch_deinit(Watch *watch) {
        list_splice(&watch->over, &watch->alive);
        list_for_each_safe (link, &watch->over)
                watch_remove(watch, list_entry(link, Watched, link));
        map_deinit(&watch->watched);
        close(watch->fd);
}

static Watched *watch_find(const Watch *watch, const Session *session) {
        return map_find(&watch->watched, session->number);
}

int watch_add(Watch *watch, Session *session, int pidfd) {
        Watched *watched = calloc(1, sizeof *watched);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = watched};
        int r;

        if (!watched) {
                if (pidfd >= 0)
                        close(pidfd);
                return error_origin(-ENOMEM);
        }
        *watched = (Watched){.session = session, .number = session->number, .pidfd = pidfd};
        if (pidfd >= 0 && epoll_ctl(watch->fd, EPOLL_CTL_ADD, pidfd, &event) < 0)
                watched_close_pidfd(watched);
        r = map_put(&watch->watched, session->number, watched);
        if (r) {
                watched_close_pidfd(watched);
                free(watched);
                return error_trace(r);
        }
        list_append(&watch->alive, &watched->link);
        return 0;
}

int watch_recover(Watch *watch) {
        RecorderView view;
        int r;

        recorder_view(watch->recorder, &view);
        list_for_each (link, view.sessions) {
                Session *session = list_entry(link, Session, link);
                int pidfd;

                if (session->state != SESSION_ALIVE)
                        continue;
                pidfd = process_open(&session->credentials);
                r = watch_add(watch, session, pidfd);
                if (r)
                        return error_trace(r);
                if (!watch_has_process(watch, session))
                        watch_over(watch, session, SESSION_EXITED);
        }
        return 0;
}

bool watch_is_alive(const Watch *watch, const Session *session) {
        const Watched *watched = watch_find(watch, session);

        return watched && !watched->is_over;
}

bool watch_has_process(const Watch *watch, const Session *session) {
        const Watched *watched = watch_find(watch, session);

        return watched && watched->pidfd >= 0;
}

size_t watch_n_alive(const Watch *watch) {
        return watch->watched.n_entries;
}

size_t watch_n_alive_of(const Watch *watch, uint32_t uid) {
        size_t n = 0;

        list_for_each (link, &watch->alive)
                n += list_entry(link, Watched, link)->session->credentials.uid == uid;
        return n;
}

/* A BYE may be read only after the process was seen to be gone: it stands. */
static void watched_over(Watch *watch, Watched *watched, SessionState how) {
        if (!watched->is_over || how == SESSION_SAID_BYE)
                watched->how = how;
        if (watched->is_over)
                return;
        watched->is_over = true;
        watched_close_pidfd(watched);
        list_unlink(&watched->link);
        list_append(&watch->over, &watched->link);
}

void watch_over(Watch *watch, Session *session, SessionState how) {
        Watched *watched = watch_find(watch, session);

        assert(watched);
        watched_over(watch, watched, how);
}

void watch_supersede(Watch *watch, const SessionCredentials *process) {
        list_for_each_safe (link, &watch->alive) {
                Watched *watched = list_entry(link, Watched, link);

                if (!watched->session->peer &&
                    process_is_same(&watched->session->credentials, process))
                        watched_over(watch, watched, SESSION_EXITED);
        }
}

void watch_collect(Watch *watch) {
        struct epoll_event events[WATCH_EVENTS_MAX];
        int n;

        /* What does not fit is told of again. */
        n = epoll_wait(watch->fd, events, WATCH_EVENTS_MAX, 0);
        for (int i = 0; i < n; i++)
                watched_over(watch, events[i].data.ptr, SESSION_EXITED);
}

Session *watch_over_connected(const Watch *watch) {
        list_for_each (link, &watch->over) {
                Session *session = list_entry(link, Watched, link)->session;
                if (session->peer)
                        return session;
        }
        return NULL;
}

int watch_settle(Watch *watch, uint64_t now_unix_ns) {
        list_for_each_safe (link, &watch->over) {
                Watched *watched = list_entry(link, Watched, link);
                Session *session = watched->session;
                SessionState how = watched->how;
                int r;

                if (session->peer)
                        continue;
                assert(!session->arena);
                r = recorder_session_end(watch->recorder, &session, how, now_unix_ns);
                if (r < 0)
                        return error_trace(r);
                if (r)
                        return 0; /* no room now */
                watch_remove(watch, watched);
        }
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/peer-arena.h"

#include "daemon/base/error.h"

#include <inttypes.h>
#include <stdio.h>

enum {
        PEER_ARENA_QUIET_MAX = 10, /* rounds before it sleeps */
        PEER_ARENA_NAME_MAX = 32,
};

/* ---- the store ---- */

static void peer_arena_name(char name[PEER_ARENA_NAME_MAX], const Session *session) {
        snprintf(name, PEER_ARENA_NAME_MAX, "arena-%" PRIu32, session->number);
}

static void peer_arena_keep(PeerHost *host, const Session *session) {
        char name[PEER_ARENA_NAME_MAX];
        ArenaReader *arena = session->arena;

        peer_arena_name(name, session);
        arena->kept = host->store.keep(host->store.user, name, arena->fd);
}

/* ---- lifetime ---- */

static size_t peer_arena_bytes_of(const PeerHost *host, uint32_t uid) {
        size_t n = 0;

        list_for_each (link, &host->peers) {
                const Peer *peer = list_entry(link, Peer, link);
                if (peer->intake.arena && peer->credentials.uid == uid)
                        n += ARENA_SIZE;
        }
        return n;
}

int peer_arena_get(Peer *peer) {
        PeerHost *host = peer->host;
        ArenaReader *arena;
        size_t used;
        int r;

        if (peer->session->arena || !host->arenas)
                return 0;
        used = peer_arena_bytes_of(host, peer->credentials.uid);
        if (used + ARENA_SIZE > host->arena_bytes_per_uid) {
                host->counters.refused_arenas++;
                return 0;
        }
        r = arena_reader_new(&arena, peer->session);
        if (r < 0)
                return error_trace(r);
        if (r)
                host->counters.refused_arenas++;
        else
                peer->session->arena = arena;
        return 0;
}

int peer_arena_recover(PeerHost *host, Session *session) {
        char name[PEER_ARENA_NAME_MAX];
        ArenaReader *arena;
        int r, fd = -1;

        peer_arena_name(name, session);
        if (host->store.take)
                fd = host->store.take(host->store.user, name);
        r = fd < 0 ? ARENA_READER_E_REFUSED : arena_reader_adopt(&arena, fd, session);
        if (r < 0)
                return error_trace(r);
        if (r) {
                host->counters.lost_arenas += session->cursors != NULL;
                return 0;
        }
        arena->kept = true;
        session->arena = arena;
        return 0;
}

void peer_arena_leave(Session *session) {
        session->arena = arena_reader_free(session->arena);
}

void peer_arena_drop(PeerHost *host, Session *session) {
        const ArenaReader *arena = session->arena;
        char name[PEER_ARENA_NAME_MAX];

        if (arena && arena->kept) {
                peer_arena_name(name, session);
                host->store.forget(host->store.user, name);
        }
        peer_arena_leave(session);
}

bool peer_arena_tidy(PeerHost *host) {
        bool more = false;

        list_for_each (link, &host->peers) {
                const Peer *peer = list_entry(link, Peer, link);
                ArenaReader *arena = peer->intake.arena;

                if (!arena)
                        continue;
                if (!peer->intake.cut.begun)
                        arena_reader_tidy(arena);
                if (!arena->kept && arena->n_tidied > 1 && host->store.keep)
                        peer_arena_keep(host, peer->session);
                more = more || arena->used || (host->store.keep && !arena->kept);
        }
        return more;
}

/* ---- sleeping and waking ---- */

void peer_arena_wake(Peer *peer) {
        if (!list_is_empty(&peer->awake_link))
                return;
        arena_reader_set_waiting(peer->intake.arena, false);
        peer->n_quiet = 0;
        list_append(&peer->host->awake, &peer->awake_link);
}

static bool peer_arena_is_quiet(const Peer *peer) {
        const Intake *intake = &peer->intake;

        return !intake->cut.begun && !arena_reader_has_work(intake->arena) &&
               !recorder_session_unsettled(peer->session);
}

/* Those that were quiet for long enough, and still are when every writer can see the doorbell. */
static void peer_arena_sleep(PeerHost *host) {
        bool any = false;

        list_for_each (link, &host->awake) {
                Peer *peer = list_entry(link, Peer, awake_link);
                if (peer->n_quiet < PEER_ARENA_QUIET_MAX)
                        continue;
                arena_reader_set_waiting(peer->intake.arena, true);
                any = true;
        }
        if (!any)
                return;
        arena_reader_barrier();
        list_for_each_safe (link, &host->awake) {
                Peer *peer = list_entry(link, Peer, awake_link);
                if (peer->n_quiet < PEER_ARENA_QUIET_MAX)
                        continue;
                list_unlink(&peer->awake_link);
                if (!peer_arena_is_quiet(peer))
                        peer_arena_wake(peer);
        }
}

PeerArenaNext peer_arena_round(PeerHost *host) {
        List round;

        list_init(&round);
        list_splice(&round, &host->awake);
        while (!list_is_empty(&round)) {
                Peer *peer = list_entry(list_first(&round), Peer, awake_link);

                list_unlink(&peer->awake_link);
                list_append(&host->awake, &peer->awake_link);
                if (peer_arena_is_quiet(peer)) {
                        peer->n_quiet++;
                } else {
                        peer->n_quiet = 0;
                        peer_turn(peer); /* if it is stalled, it is in that list */
                }
        }
        peer_arena_sleep(host);
        list_for_each (link, &host->awake)
                if (list_entry(link, Peer, awake_link)->intake.cut.begun)
                        return PEER_ARENA_AT_ONCE;
        return list_is_empty(&host->awake) ? PEER_ARENA_ASLEEP : PEER_ARENA_LATER;
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/peer-flush.h"

#include "daemon/base/error.h"

enum { PEER_DELIVERIES_MAX = 64 };

static int peer_flush_answer(Session *session, Buffer *records, uint64_t id, ProtocolLevel level) {
        ProtocolFlushed flushed = {
                .level = level,
                .n_refused = session->n_refused - session->n_refused_told,
                .n_orphans = session->n_orphans_untold,
        };

        session->n_refused_told = session->n_refused;
        session->n_orphans_untold = 0;
        return error_trace(protocol_put_flushed(records, id, &flushed));
}

/* All before it is in the journal. One that cannot wait for more is told no more. */
static int peer_flush_settled(Peer *peer, Buffer *records, const IntakeFlush *flush) {
        PeerDelivery waiting = {.id = flush->id};

        if (flush->level < PROTOCOL_LEVEL_DELIVERED ||
            peer->deliveries.size == PEER_DELIVERIES_MAX * sizeof waiting)
                return error_trace(peer_flush_answer(peer->session, records, flush->id,
                                                     PROTOCOL_LEVEL_JOURNALED));
        delivery_begin(&waiting.delivery, peer->host->recorder);
        list_unlink(&peer->delivering_link);
        list_append(&peer->host->delivering, &peer->delivering_link);
        return error_trace(buffer_append(&peer->deliveries, &waiting, sizeof waiting));
}

int peer_flush_passed(Peer *peer, Buffer *records) {
        Buffer *flushes = &peer->intake.flushes;
        IntakeFlush *list = (IntakeFlush *)flushes->data;
        size_t n = flushes->size / sizeof *list, n_left = 0;
        int r = 0;

        for (size_t i = 0; i < n && !r; i++) {
                if (list[i].second_cut && recorder_session_unsettled(peer->session)) {
                        list[n_left] = list[i];
                        list[n_left++].second_cut = false;
                } else {
                        r = peer_flush_settled(peer, records, &list[i]);
                }
        }
        flushes->size = n_left * sizeof *list;
        if (!n_left)
                buffer_deinit(flushes);
        return error_trace(r);
}

int peer_flush_delivered(Peer *peer, Buffer *records) {
        PeerDelivery *list = (PeerDelivery *)peer->deliveries.data;
        size_t n = peer->deliveries.size / sizeof *list, n_left = 0;
        int r = 0;

        for (size_t i = 0; i < n && !r; i++) {
                if (!delivery_is_done(&list[i].delivery, peer->host->recorder))
                        list[n_left++] = list[i];
                else
                        r = peer_flush_answer(peer->session, records, list[i].id,
                                              PROTOCOL_LEVEL_DELIVERED);
        }
        peer->deliveries.size = n_left * sizeof *list;
        if (!n_left)
                peer_flush_forget(peer);
        return error_trace(r);
}

void peer_flush_forget(Peer *peer) {
        list_unlink(&peer->delivering_link);
        buffer_deinit(&peer->deliveries);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/ingest/peer-flush.h"

#include "daemon/base/error.h"

static int peer_flush_answer(Session *session, Buffer *records, uint64_t id) {
        ProtocolFlushed flushed = {
                .n_refused = session->n_refused - session->n_refused_told,
                .n_orphans = session->n_orphans_untold,
        };

        session->n_refused_told = session->n_refused;
        session->n_orphans_untold = 0;
        return error_trace(protocol_put_flushed(records, id, &flushed));
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
                        r = peer_flush_answer(peer->session, records, list[i].id);
                }
        }
        flushes->size = n_left * sizeof *list;
        if (!n_left)
                buffer_deinit(flushes);
        return error_trace(r);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/flush-wait.h"

#include "daemon/base/error.h"

/* The turn in which it was asked for had begun already. */
enum { FLUSH_WAIT_TURNS = 2 };

void flush_wait_init(FlushWait *wait, bool delivered) {
        *wait = (FlushWait){.delivered = delivered};
}

static void flush_wait_note_last(FlushWait *wait, Recorder *recorder, unsigned n_exporters) {
        for (unsigned i = 0; i < n_exporters; i++) {
                for (unsigned k = 0; k < _BATCH_SIGNALS_N; k++) {
                        Batch *batch = NULL;

                        while ((batch = recorder_next_batch(recorder, i, (BatchSignal)k, batch)))
                                if (batch->number > wait->last[k])
                                        wait->last[k] = batch->number;
                }
        }
}

static bool flush_wait_is_answered(const FlushWait *wait, Recorder *recorder,
                                   unsigned n_exporters) {
        for (unsigned i = 0; i < n_exporters; i++) {
                for (unsigned k = 0; k < _BATCH_SIGNALS_N; k++) {
                        const Batch *oldest =
                                recorder_next_batch(recorder, i, (BatchSignal)k, NULL);

                        if (oldest && oldest->number <= wait->last[k])
                                return false;
                }
        }
        return true;
}

int flush_wait_turn(FlushWait *wait, Recorder *recorder, uint64_t now_unix_ns, bool *reachedp) {
        RecorderView view;
        int r;

        *reachedp = false;
        if (++wait->n_turns < FLUSH_WAIT_TURNS)
                return 0;
        wait->journaled = true;
        if (!wait->delivered) {
                *reachedp = true;
                return 0;
        }
        recorder_view(recorder, &view);
        if (!wait->sealed) {
                r = recorder_seal(recorder, now_unix_ns, true);
                if (r == RECORDER_E_FULL)
                        return 0;
                if (r)
                        return error_trace(r);
                flush_wait_note_last(wait, recorder, view.n_exporters);
                wait->sealed = true;
        }
        *reachedp = flush_wait_is_answered(wait, recorder, view.n_exporters);
        return 0;
}

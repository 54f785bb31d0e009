/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/flush-wait.h"

#include "daemon/base/error.h"

/* The turn in which it was asked for had begun already. */
enum { FLUSH_WAIT_TURNS = 2 };

void flush_wait_init(FlushWait *wait, bool delivered) {
        *wait = (FlushWait){.delivered = delivered};
}

int flush_wait_turn(FlushWait *wait, Recorder *recorder, uint64_t now_unix_ns, bool *reachedp) {
        int r;

        *reachedp = false;
        if (++wait->n_turns < FLUSH_WAIT_TURNS)
                return 0;
        if (!wait->journaled)
                delivery_begin(&wait->delivery, recorder);
        wait->journaled = true;
        if (!wait->delivered) {
                *reachedp = true;
                return 0;
        }
        if (!delivery_is_decided(&wait->delivery, recorder))
                return 0;
        if (!wait->sealed) {
                r = recorder_seal(recorder, now_unix_ns, true);
                if (r == RECORDER_E_FULL)
                        return 0;
                if (r)
                        return error_trace(r);
                wait->sealed = true;
        }
        *reachedp = delivery_is_done(&wait->delivery, recorder);
        return 0;
}

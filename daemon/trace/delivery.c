/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/delivery.h"

#include "daemon/trace/recorder-internal.h"

void delivery_begin(Delivery *delivery, const Recorder *recorder) {
        *delivery = (Delivery){.n_deferred = recorder->n_deferred};
}

bool delivery_is_decided(Delivery *delivery, const Recorder *recorder) {
        if (delivery->decided)
                return true;
        if (recorder_is_undecided(recorder, delivery->n_deferred))
                return false;
        for (unsigned k = 0; k < _BATCH_SIGNALS_N; k++) {
                const Batch *open = recorder->signals[k].open;

                delivery->last[k] = open->n_objects ? open->number : open->number - 1;
        }
        delivery->decided = true;
        return true;
}

bool delivery_is_done(Delivery *delivery, const Recorder *recorder) {
        if (!delivery_is_decided(delivery, recorder))
                return false;
        for (unsigned k = 0; k < _BATCH_SIGNALS_N; k++) {
                const RecorderSignal *signal = &recorder->signals[k];
                const List *sealed = list_first(&signal->sealed);
                const Batch *oldest = sealed ? list_entry(sealed, Batch, link) : signal->open;

                if (oldest->number <= delivery->last[k])
                        return false;
        }
        return true;
}

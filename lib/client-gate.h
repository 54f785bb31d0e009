#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A gate
 *
 * Many may be inside together, or one alone; nobody ever waits. The word carries the epoch of the
 * process, so a forked child finds its gates empty whatever the parent's threads were doing.
 *
 * Threads: any, and signal handlers.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* epoch:16, alone:1, how many are inside:15 */
typedef struct Gate {
        _Atomic uint32_t word;
} Gate;

enum {
        GATE_ALONE = 0x8000,
        GATE_INSIDE = 0x7fff,
        GATE_EPOCH_SHIFT = 16,
};

/* False: somebody is alone inside, or it is crowded. */
static inline bool gate_enter(Gate *gate, uint32_t epoch) {
        uint32_t next, word = atomic_load(&gate->word);

        do {
                if (word >> GATE_EPOCH_SHIFT != epoch)
                        next = (epoch << GATE_EPOCH_SHIFT) + 1;
                else if (word & GATE_ALONE || (word & GATE_INSIDE) == GATE_INSIDE)
                        return false;
                else
                        next = word + 1;
        } while (!atomic_compare_exchange_weak(&gate->word, &word, next));
        return true;
}

static inline void gate_leave(Gate *gate, uint32_t epoch) {
        uint32_t word = atomic_load(&gate->word);

        do {
                if (word >> GATE_EPOCH_SHIFT != epoch)
                        return;
        } while (!atomic_compare_exchange_weak(&gate->word, &word, word - 1));
}

/* False: somebody is inside. */
static inline bool gate_enter_alone(Gate *gate, uint32_t epoch) {
        uint32_t word = atomic_load(&gate->word);

        do {
                if (word >> GATE_EPOCH_SHIFT == epoch && word & (GATE_ALONE | GATE_INSIDE))
                        return false;
        } while (!atomic_compare_exchange_weak(&gate->word, &word,
                                               epoch << GATE_EPOCH_SHIFT | GATE_ALONE));
        return true;
}

static inline void gate_leave_alone(Gate *gate, uint32_t epoch) {
        uint32_t word = epoch << GATE_EPOCH_SHIFT | GATE_ALONE;

        (void)atomic_compare_exchange_strong(&gate->word, &word, epoch << GATE_EPOCH_SHIFT);
}

static inline bool gate_is_empty(const Gate *gate, uint32_t epoch) {
        uint32_t word = atomic_load(&gate->word);

        return word >> GATE_EPOCH_SHIFT != epoch || !(word & (GATE_ALONE | GATE_INSIDE));
}

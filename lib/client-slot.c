/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-slot.h"

#include "lib/client-context.h"
#include "lib/client-gate.h"
#include "lib/client-process.h"

#include <stdlib.h>
#include <string.h>

enum {
        SLOT_CHUNK_BITS = 6, /* the first chunk has 64 slots, each further one twice as many */
        SLOT_FIRST = 1 << SLOT_CHUNK_BITS,
        SLOT_CHUNKS = 20,
#if UINTPTR_MAX > UINT32_MAX
        SLOT_POINTER_SHIFT = 32,
#else
        SLOT_POINTER_SHIFT = 16, /* such a pointer holds the low half of the number */
#endif
};

static const uint32_t SLOTS_MAX =
        SLOT_POINTER_SHIFT == 32 ? ((1U << SLOT_CHUNKS) - 1) << SLOT_CHUNK_BITS : 0xffff;

static struct {
        _Atomic(Slot *) chunks[SLOT_CHUNKS];
        _Atomic uint32_t n_slots;    /* ever taken */
        _Atomic uint64_t free;       /* a change count, and index + 1 of the first free slot */
        _Atomic uint64_t n_numbers;  /* ever given */
        _Atomic uint32_t n_changes;  /* of what contexts announce */
        Gate holders;                /* inside: those who look at a body */
        _Atomic(Grave *) dead;       /* to be freed when nobody is inside */
} slots;

/* The chunk of a slot; *firstp: the index of that chunk's first slot. Each has twice the last's. */
static unsigned slot_chunk(uint32_t index, uint32_t *firstp) {
        unsigned bit = 31 - (unsigned)__builtin_clz(index + SLOT_FIRST);

        *firstp = ((uint32_t)1 << bit) - SLOT_FIRST;
        return bit - SLOT_CHUNK_BITS;
}

static Slot *slot_at(uint32_t index) {
        uint32_t first;
        unsigned chunk = slot_chunk(index, &first);
        Slot *slots_of = atomic_load_explicit(&slots.chunks[chunk], memory_order_acquire);

        return slots_of ? slots_of + (index - first) : NULL;
}

static int slot_make_chunk(uint32_t index) {
        uint32_t first;
        unsigned chunk = slot_chunk(index, &first);
        size_t size = sizeof(Slot) * (first + SLOT_FIRST);
        Slot *made, *none = NULL;

        if (atomic_load(&slots.chunks[chunk]))
                return 0;
        made = aligned_alloc(_Alignof(Slot), size);
        if (!made)
                return -1;
        memset(made, 0, size);
        if (!atomic_compare_exchange_strong(&slots.chunks[chunk], &none, made))
                free(made);
        return 0;
}

/* Takes a slot; its index + 1, 0: there is none. */
static uint32_t slot_take(void) {
        uint64_t next, head = atomic_load(&slots.free);
        uint32_t index;

        while ((uint32_t)head) {
                Slot *slot = slot_at((uint32_t)head - 1);

                next = ((head >> 32) + 1) << 32 | atomic_load(&slot->next_free);
                if (atomic_compare_exchange_weak(&slots.free, &head, next))
                        return (uint32_t)head;
        }
        index = atomic_load(&slots.n_slots);
        do {
                if (index == SLOTS_MAX || slot_make_chunk(index) < 0)
                        return 0;
        } while (!atomic_compare_exchange_weak(&slots.n_slots, &index, index + 1));
        return index + 1;
}

static void slot_give(uint32_t place) {
        Slot *slot = slot_at(place - 1);
        uint64_t next, head = atomic_load(&slots.free);

        do {
                atomic_store(&slot->next_free, (uint32_t)head);
                next = ((head >> 32) + 1) << 32 | place;
        } while (!atomic_compare_exchange_weak(&slots.free, &head, next));
}

static bool slot_number_lives(uint32_t number) {
        uint32_t n = atomic_load(&slots.n_slots);

        for (uint32_t i = 0; i < n; i++)
                if (atomic_load(&slot_at(i)->number) == number)
                        return true;
        return false;
}

static uint32_t slot_next_number(void) {
        uint64_t n;

        do
                n = atomic_fetch_add(&slots.n_numbers, 1) + 1;
        while (n > UINT32_MAX && (!(uint32_t)n || slot_number_lives((uint32_t)n)));
        return (uint32_t)n;
}

SlotHandle catena__slot_new(ContextBody *body, uint64_t span) {
        uint32_t number, place = slot_take();
        Slot *slot;

        if (!place)
                return 0;
        slot = slot_at(place - 1);
        number = slot_next_number();
        atomic_store_explicit(&slot->body, body, memory_order_relaxed);
        atomic_store_explicit(&slot->span, span, memory_order_relaxed);
        atomic_store_explicit(&slot->has_tracestate, atomic_load(&body->tracestate),
                              memory_order_relaxed);
        atomic_store(&slot->number, number); /* from here on it is found */
        return (uint64_t)place << 32 | number;
}

/*
 * Frees the dead if nobody is inside: whoever enters later no longer finds them. Those that died
 * meanwhile were put aside after the look, and wait for the next.
 */
void catena__slot_bury(Grave *grave) {
        Grave *next, *dead = atomic_exchange(&slots.dead, NULL);

        grave->next = dead;
        if (!gate_is_empty(&slots.holders, catena__process_epoch())) {
                while (grave) {
                        next = grave->next;
                        grave->next = atomic_load(&slots.dead);
                        while (!atomic_compare_exchange_weak(&slots.dead, &grave->next, grave))
                                ;
                        grave = next;
                }
                return;
        }
        for (; grave; grave = next) {
                next = grave->next;
                grave->free(grave);
        }
}

void catena__slot_free(SlotHandle handle) {
        Slot *slot = catena__slot_find(handle);
        ContextBody *body;

        if (!slot)
                return;
        body = atomic_exchange(&slot->body, NULL);
        atomic_store(&slot->number, 0);
        atomic_store(&slot->span, 0);
        slot_give((uint32_t)(handle >> 32));
        if (body)
                catena__slot_bury(&body->grave);
}

void catena__slot_unannounce(Slot *slot) {
        atomic_store(&slot->announced, (uint64_t)atomic_fetch_add(&slots.n_changes, 1));
}

/* ---- finding ---- */

static Slot *slot_at_place(uint32_t place) {
        return place && place <= atomic_load(&slots.n_slots) ? slot_at(place - 1) : NULL;
}

Slot *catena__slot_find(SlotHandle handle) {
        Slot *slot = slot_at_place((uint32_t)(handle >> 32));

        return slot && slot_number(handle) && atomic_load(&slot->number) == slot_number(handle)
                       ? slot
                       : NULL;
}

Slot *catena__slot_of(SlotHandle *handlep, const catena_context *context) {
        uint64_t value = (uintptr_t)context, mask = ((uint64_t)1 << SLOT_POINTER_SHIFT) - 1;
        uint32_t number, place = (uint32_t)(value >> SLOT_POINTER_SHIFT);
        Slot *slot = slot_at_place(place);

        number = slot ? atomic_load(&slot->number) : 0;
        if (!number || (number & mask) != (value & mask))
                return NULL;
        *handlep = (uint64_t)place << 32 | number;
        return slot;
}

catena_context *catena__slot_context(SlotHandle handle) {
        uint64_t mask = ((uint64_t)1 << SLOT_POINTER_SHIFT) - 1;

        return (catena_context *)(uintptr_t)(handle >> 32 << SLOT_POINTER_SHIFT |
                                             (slot_number(handle) & mask));
}

ContextBody *catena__slot_hold(SlotHandle handle) {
        uint32_t epoch = catena__process_epoch();
        Slot *slot = catena__slot_find(handle);
        ContextBody *body;

        if (!slot || !gate_enter(&slots.holders, epoch))
                return NULL;
        body = atomic_load(&slot->body);
        /* The number again: the slot may have changed hands in between. */
        if (body && atomic_load(&slot->number) == slot_number(handle))
                return body;
        gate_leave(&slots.holders, epoch);
        return NULL;
}

void catena__slot_release(void) {
        gate_leave(&slots.holders, catena__process_epoch());
}

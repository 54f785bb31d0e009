/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-shared.h"

#include <stdlib.h>
#include <string.h>

static void shared_free(Grave *grave) {
        free(grave); /* its first member */
}

_Static_assert(offsetof(Shared, grave) == 0, "it is freed by its grave");

Shared *catena__shared_new(size_t size) {
        Shared *shared = malloc(sizeof *shared + size + 1);

        if (!shared)
                return NULL;
        *shared = (Shared){.grave.free = shared_free, .n_references = 1, .size = size};
        shared->text[size] = 0;
        return shared;
}

Shared *catena__shared_copy(const Shared *shared) {
        Shared *copy = shared ? catena__shared_new(shared->size) : NULL;

        if (copy)
                memcpy(copy->text, shared->text, shared->size);
        return copy;
}

Shared *catena__shared_ref(Shared *shared) {
        if (shared)
                atomic_fetch_add(&shared->n_references, 1);
        return shared;
}

void catena__shared_unref(Shared *shared) {
        if (shared && atomic_fetch_sub(&shared->n_references, 1) == 1)
                catena__slot_bury(&shared->grave);
}

/* ---- lists ---- */

/* The text at the offset, which moves behind it; NULL: there is no more. */
static const char *shared_text(const Shared *list, size_t *offset) {
        const char *text = list->text + *offset;

        if (*offset >= list->size)
                return NULL;
        *offset += strlen(text) + 1;
        return text;
}

bool catena__shared_next(const Shared *list, size_t *offset, SharedEntry *entry) {
        if (!list)
                return false;
        entry->key = shared_text(list, offset);
        entry->value = shared_text(list, offset);
        entry->raw = shared_text(list, offset);
        return entry->raw;
}

const char *catena__shared_get(const Shared *list, const char *key) {
        SharedEntry entry;

        for (size_t offset = 0; catena__shared_next(list, &offset, &entry);)
                if (strcmp(entry.key, key) == 0)
                        return entry.value;
        return NULL;
}

static size_t shared_entry_size(const SharedEntry *entry) {
        return strlen(entry->key) + strlen(entry->value) + strlen(entry->raw) + 3;
}

static void shared_put_text(Shared *list, size_t *endp, const char *text) {
        size_t size = strlen(text) + 1;

        memcpy(list->text + *endp, text, size);
        *endp += size;
}

static void shared_put(Shared *list, size_t *endp, const SharedEntry *entry) {
        shared_put_text(list, endp, entry->key);
        shared_put_text(list, endp, entry->value);
        shared_put_text(list, endp, entry->raw);
        list->n_entries++;
        list->n_bytes += strlen(entry->key) + strlen(*entry->raw ? entry->raw : entry->value);
}

bool catena__shared_set(Shared **changedp, const Shared *list, const SharedEntry *entry) {
        SharedEntry put = {entry->key, entry->value, entry->raw ? entry->raw : ""}, at;
        size_t end = 0, room = (list ? list->size : 0) + (put.value ? shared_entry_size(&put) : 0);
        Shared *changed = catena__shared_new(room);

        if (!changed)
                return false;
        for (size_t offset = 0; catena__shared_next(list, &offset, &at);) {
                bool same = strcmp(at.key, put.key) == 0;

                if (!same)
                        shared_put(changed, &end, &at);
                else if (put.value)
                        shared_put(changed, &end, &put);
                if (same)
                        put.value = NULL; /* it has its place */
        }
        if (put.value)
                shared_put(changed, &end, &put);
        changed->size = end;
        if (!changed->n_entries) {
                catena__shared_unref(changed);
                changed = NULL;
        }
        *changedp = changed;
        return true;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* What a context carries: tags, metadata, state, baggage; and what it says of itself. */

#include "lib/client-content.h"

#include "lib/client-count.h"
#include "lib/client-propagation.h"
#include "lib/client-text.h"
#include "proto/utf8.h"
#include "proto/w3c.h"

#include <stdlib.h>
#include <string.h>

static const struct {
        uint32_t n_entries;
        size_t n_bytes;
} content_bounds[_CONTEXT_LISTS_N] = {
        [CONTEXT_LIST_TAGS] = {64, 4 * 1024},
        [CONTEXT_LIST_METADATA] = {1024, 64 * 1024},
        [CONTEXT_LIST_STATE] = {1024, 64 * 1024},
        [CONTEXT_LIST_BAGGAGE] = {W3C_BAGGAGE_MEMBERS_MAX, W3C_BAGGAGE_BYTES_MAX},
};

/* ---- changing ---- */

int catena__content_put(Shared **listp, ContextList which, const SharedEntry *entry) {
        size_t around = which == CONTEXT_LIST_BAGGAGE ? 2 : 0; /* "=" and "," */
        Shared *changed;

        if (!catena__shared_set(&changed, *listp, entry))
                return CONTENT_E_MEMORY;
        if (changed && entry->value &&
            (changed->n_entries > content_bounds[which].n_entries ||
             changed->n_bytes + around * changed->n_entries > content_bounds[which].n_bytes)) {
                catena__shared_unref(changed);
                return CONTENT_E_BOUND;
        }
        *listp = changed;
        return 0;
}

static bool content_key_is_valid(ContextList which, const char *key) {
        size_t size = key ? strnlen(key, CONTEXT_TEXT_MAX + 1) : 0;

        if (!size || size > CONTEXT_TEXT_MAX)
                return false;
        if (which == CONTEXT_LIST_BAGGAGE)
                return w3c_baggage_name_is_valid(key, size) &&
                       catena__baggage_own(key, size) == _BAGGAGE_OWN_N;
        return utf8_is_valid(key, size);
}

/* The entry with a value that is UTF-8, and for baggage encoded; false: too long, or no memory. */
static bool content_entry(SharedEntry *entry, ContextList which, const char *value) {
        size_t max = content_bounds[which].n_bytes;
        char *text, *raw = NULL;

        entry->value = entry->raw = NULL;
        if (!value)
                return true;
        if (strnlen(value, max + 1) > max)
                return false;
        text = catena__text_copy(value, 3 * max);
        if (text && which == CONTEXT_LIST_BAGGAGE) {
                raw = malloc(3 * strlen(text) + 1);
                if (raw)
                        raw[w3c_baggage_encode(raw, text, strlen(text))] = 0;
        }
        entry->value = text;
        entry->raw = raw;
        return text && (raw || which != CONTEXT_LIST_BAGGAGE);
}

static bool content_set(catena_context *context, ContextList which, const char *key,
                        const char *value) {
        SlotHandle handle;
        ContextBody *body = catena__context_body(context, &handle);
        SharedEntry entry = {.key = key};
        Shared *before, *list;
        bool set;

        if (!body)
                return false;
        before = list = atomic_load(&body->lists[which]);
        set = content_key_is_valid(which, key) && content_entry(&entry, which, value) &&
              !catena__content_put(&list, which, &entry);
        free((char *)entry.value);
        free((char *)entry.raw);
        if (!set) {
                catena__misuse(MISUSE_ENTRY);
                return false;
        }
        atomic_store(&body->lists[which], list);
        catena__shared_unref(before);
        if (which == CONTEXT_LIST_TAGS)
                catena__context_changed(handle, body);
        return true;
}

/* ---- asking ---- */

static const Shared *content_list(catena_context *context, ContextList which) {
        SlotHandle handle;
        ContextBody *body = catena__context_body(context, &handle);

        return body ? atomic_load(&body->lists[which]) : NULL;
}

static const char *content_get(catena_context *context, ContextList which, const char *key) {
        const Shared *list = content_list(context, which);

        if (!key)
                catena__misuse(MISUSE_NAME);
        return key ? catena__shared_get(list, key) : NULL;
}

static bool content_next(catena_context *context, ContextList which, size_t *iterator,
                         const char **key, const char **value) {
        const Shared *list = content_list(context, which);
        SharedEntry entry;

        if (!iterator)
                catena__misuse(MISUSE_NAME);
        if (!iterator || !catena__shared_next(list, iterator, &entry))
                return false;
        if (key)
                *key = entry.key;
        if (value)
                *value = entry.value;
        return true;
}

#define CONTENT_CALLS(list, which)                                                                 \
        bool catena_context_set_##list(catena_context *context, const char *key,                   \
                                       const char *value) {                                        \
                return content_set(context, which, key, value);                                    \
        }                                                                                          \
                                                                                                   \
        const char *catena_context_get_##list(catena_context *context, const char *key) {          \
                return content_get(context, which, key);                                           \
        }                                                                                          \
                                                                                                   \
        bool catena_context_next_##list(catena_context *context, size_t *iterator,                 \
                                        const char **key, const char **value) {                    \
                return content_next(context, which, iterator, key, value);                         \
        }

CONTENT_CALLS(tag, CONTEXT_LIST_TAGS)
CONTENT_CALLS(metadata, CONTEXT_LIST_METADATA)
CONTENT_CALLS(state, CONTEXT_LIST_STATE)
CONTENT_CALLS(baggage, CONTEXT_LIST_BAGGAGE)

/* ---- as attributes ---- */

typedef struct ContentSink {
        void (*each)(const catena_attribute *attribute, void *user);
        void *user;
} ContentSink;

static void content_tell(const ContentSink *sink, const char *key, const char *value) {
        if (value)
                sink->each(&(catena_attribute){.key = key, .value.string = value}, sink->user);
}

static void content_tell_causes(const ContentSink *sink, const ContextBody *body) {
        catena_attribute causes[CONTEXT_CAUSES_MAX] = {0};

        for (unsigned i = 0; i < body->n_causes; i++)
                causes[i].value.string = body->causes[i];
        sink->each(&(catena_attribute){.key = "workflow.causation_ids",
                                       .type = CATENA_TYPE_ARRAY,
                                       .value.list = causes,
                                       .size = body->n_causes},
                   sink->user);
}

void catena_context_attributes(catena_context *context,
                               void (*each)(const catena_attribute *attribute, void *user),
                               void *user) {
        ContentSink sink = {each, user};
        SlotHandle handle;
        ContextBody *body = catena__context_body(context, &handle);
        SharedEntry tag;
        Shared *tags;

        if (!each)
                catena__misuse(MISUSE_NAME);
        if (!body || !each)
                return;
        tags = catena__shared_ref(atomic_load(&body->lists[CONTEXT_LIST_TAGS]));
        content_tell(&sink, "workflow.id", body->workflow_id ? body->workflow_id : "unknown");
        content_tell(&sink, "workflow.session_id",
                     body->session_id ? body->session_id : "unknown");
        content_tell(&sink, "workflow.correlation_id", body->correlation_id);
        content_tell(&sink, "workflow.causation_id", body->causes[0]);
        if (body->n_causes > 1)
                content_tell_causes(&sink, body);
        content_tell(&sink, "workflow.context_id", body->id);
        each(&(catena_attribute){.key = "workflow.elapsed_ms",
                                 .type = CATENA_TYPE_DOUBLE,
                                 .value.real = catena_context_elapsed_ms(context)},
             user);
        for (size_t offset = 0; catena__shared_next(tags, &offset, &tag);)
                content_tell(&sink, tag.key, tag.value);
        catena__shared_unref(tags);
}

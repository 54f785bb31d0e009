/* SPDX-License-Identifier: Apache-2.0 */

/* A context that goes on with what came in. */

#include "lib/client-content.h"
#include "lib/client-count.h"
#include "lib/client-process.h"
#include "lib/client-propagation.h"
#include "proto/w3c.h"

#include <stdlib.h>
#include <string.h>

enum {
        EXTRACT_VALUES_MAX = 256, /* of one header */
        EXTRACT_BYTES_MAX = 64 * 1024,
};

typedef struct Extract {
        catena_carrier_get *get;
        void *carrier;
        W3cTraceparent parent;
        bool has_parent;
        Shared *tracestate;
        Shared *baggage;           /* of others */
        char *own[_BAGGAGE_OWN_N]; /* decoded; NULL: absent */
} Extract;

/* ---- headers ---- */

/* The values of a header, joined in their order; NULL: none, or one that is ignored. */
static char *extract_header(const Extract *extract, int header) {
        const char *value;
        char *text = NULL, *grown;
        size_t size = 0, value_size, i;

        for (i = 0; i < EXTRACT_VALUES_MAX; i++) {
                value = extract->get(extract->carrier, catena__headers[header], i);
                if (!value)
                        return text;
                value_size = strnlen(value, EXTRACT_BYTES_MAX);
                if (size + value_size + 1 >= EXTRACT_BYTES_MAX)
                        break;
                grown = realloc(text, size + value_size + 2);
                if (!grown)
                        break;
                text = grown;
                if (i)
                        text[size++] = ',';
                memcpy(text + size, value, value_size);
                size += value_size;
                text[size] = 0;
        }
        catena__misuse(MISUSE_HEADER);
        free(text);
        return NULL;
}

/* One that comes twice tells nothing. */
static void extract_traceparent(Extract *extract) {
        const char *name = catena__headers[CATENA_HEADER_TRACEPARENT];
        const char *value = extract->get(extract->carrier, name, 0);

        if (!value)
                return;
        extract->has_parent = w3c_traceparent_read(&extract->parent, value,
                                                   strnlen(value, EXTRACT_BYTES_MAX)) &&
                              !extract->get(extract->carrier, name, 1);
        if (!extract->has_parent)
                catena__misuse(MISUSE_HEADER);
}

static void extract_tracestate(Extract *extract) {
        char *header = extract_header(extract, CATENA_HEADER_TRACESTATE);
        char packed[W3C_TRACESTATE_TEXT];
        size_t size = 0;
        bool whole = true;

        if (header && w3c_tracestate_is_valid(header, strlen(header)))
                size = w3c_tracestate_pack(packed, &whole, header, strlen(header));
        else if (header)
                whole = false;
        if (!whole)
                catena__misuse(MISUSE_HEADER);
        extract->tracestate = size ? catena__shared_new(size) : NULL;
        if (extract->tracestate)
                memcpy(extract->tracestate->text, packed, size);
        free(header);
}

/* ---- baggage ---- */

/* The last one stands. */
static void extract_own(Extract *extract, BaggageOwn own, const W3cBaggageMember *member) {
        char *value = malloc(3 * member->value_size + 1);

        free(extract->own[own]);
        extract->own[own] = value;
        if (!value)
                return;
        value[w3c_baggage_decode(value, member->value, member->value_size)] = 0;
        if (own >= BAGGAGE_CORRELATION && *value && !catena__context_id_is_valid(value)) {
                catena__misuse(MISUSE_HEADER);
                *value = 0;
        }
}

static char *extract_text(char *at, const char *text, size_t size) {
        memcpy(at, text, size);
        at[size] = 0;
        return at + size + 1;
}

/* With its value decoded, and as it came. */
static void extract_foreign(Extract *extract, const W3cBaggageMember *member) {
        const char *end = member->properties ? member->properties + member->properties_size
                                             : member->value + member->value_size;
        size_t raw_size = (size_t)(end - member->value);
        char *room = malloc(member->name_size + raw_size + 3 * member->value_size + 3), *at;
        Shared *before = extract->baggage;
        SharedEntry entry = {.key = room};

        if (!room)
                return;
        at = extract_text(room, member->name, member->name_size);
        entry.raw = at;
        at = extract_text(at, member->value, raw_size);
        entry.value = at;
        at[w3c_baggage_decode(at, member->value, member->value_size)] = 0;
        if (catena__content_put(&extract->baggage, CONTEXT_LIST_BAGGAGE, &entry))
                catena__misuse(MISUSE_HEADER);
        else
                catena__shared_unref(before);
        free(room);
}

static void extract_baggage(Extract *extract) {
        char *header = extract_header(extract, CATENA_HEADER_BAGGAGE);
        W3cBaggageReader reader;
        W3cBaggageMember member;
        BaggageOwn own;

        if (!header)
                return;
        reader = w3c_baggage_reader(header, strlen(header));
        while (w3c_baggage_next(&reader, &member)) {
                own = catena__baggage_own(member.name, member.name_size);
                if (own == _BAGGAGE_OWN_N)
                        extract_foreign(extract, &member);
                else
                        extract_own(extract, own, &member);
        }
        if (reader.n_malformed)
                catena__misuse(MISUSE_HEADER);
        free(header);
}

/* ---- contexts ---- */

static catena_context *extract_make(Extract *extract) {
        ContextOrigin origin = {
                .workflow_id = extract->own[BAGGAGE_WORKFLOW],
                .session_id = extract->own[BAGGAGE_SESSION],
                .tracestate = extract->tracestate,
                .lists[CONTEXT_LIST_BAGGAGE] = extract->baggage,
        };

        if (extract->has_parent) {
                origin.trace_id = extract->parent.trace_id;
                origin.span = id_span_key(extract->parent.span_id);
                origin.flags = extract->parent.flags;
                origin.remote = true;
        }
        if (extract->own[BAGGAGE_CORRELATION] && *extract->own[BAGGAGE_CORRELATION])
                origin.correlation_id = extract->own[BAGGAGE_CORRELATION];
        /* A cause without its chain would tell nothing. */
        if (origin.correlation_id && extract->own[BAGGAGE_CONTEXT]) {
                origin.causes = (const char *const *)&extract->own[BAGGAGE_CONTEXT];
                origin.n_causes = 1;
        }
        return catena__context_make(&origin);
}

/* Nothing of the sender's but a link to its span. */
static catena_context *extract_make_untrusting(const Extract *extract) {
        ContextOrigin origin = {0};

        if (extract->has_parent) {
                memcpy(origin.sender.trace_id, extract->parent.trace_id, ID_TRACE_SIZE);
                memcpy(origin.sender.span_id, extract->parent.span_id, ID_SPAN_SIZE);
                origin.sender.flags = extract->parent.flags;
        }
        return catena__context_make(&origin);
}

catena_context *catena_context_extract(catena_carrier_get *get, void *carrier, unsigned flags) {
        Extract extract = {.get = get, .carrier = carrier};
        bool untrusted = flags & CATENA_UNTRUSTED;
        catena_context *context;

        (void)catena__process_start();
        if (flags & ~(unsigned)CATENA_UNTRUSTED)
                catena__misuse(MISUSE_FLAGS);
        if (!get) {
                catena__misuse(MISUSE_NAME);
                return catena__context_make(&(ContextOrigin){0});
        }
        if (catena__propagates(PROPAGATOR_TRACECONTEXT))
                extract_traceparent(&extract);
        if (untrusted)
                return extract_make_untrusting(&extract);
        if (extract.has_parent)
                extract_tracestate(&extract);
        if (catena__propagates(PROPAGATOR_BAGGAGE))
                extract_baggage(&extract);
        context = extract_make(&extract);
        for (unsigned i = 0; i < _BAGGAGE_OWN_N; i++)
                free(extract.own[i]);
        catena__shared_unref(extract.tracestate);
        catena__shared_unref(extract.baggage);
        return context;
}

/* ---- carriers ---- */

static const char *extract_get_string(void *carrier, const char *name, size_t index) {
        const char *const *values = carrier;

        for (int header = 0; header <= CATENA_HEADER_BAGGAGE; header++)
                if (!index && strcmp(name, catena__headers[header]) == 0)
                        return values[header];
        return NULL;
}

catena_context *catena_context_extract_strings(const char *traceparent, const char *tracestate,
                                               const char *baggage, unsigned flags) {
        const char *values[] = {
                [CATENA_HEADER_TRACEPARENT] = traceparent,
                [CATENA_HEADER_TRACESTATE] = tracestate,
                [CATENA_HEADER_BAGGAGE] = baggage,
        };

        return catena_context_extract(extract_get_string, values, flags);
}

static const char *extract_get_environ(void *carrier, const char *name, size_t index) {
        char variable[W3C_ENVIRON_NAME_SIZE];

        (void)carrier;
        w3c_environ_name(variable, name);
        return index ? NULL : getenv(variable);
}

catena_context *catena_context_extract_environ(unsigned flags) {
        return catena_context_extract(extract_get_environ, NULL, flags);
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/trace/session.h"

#include "daemon/base/error.h"
#include "proto/pb.h"
#include "proto/validate.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Field numbers of catena.v1 and OTLP that are read in place here. */
enum {
        HELLO_VERSION = 1,
        HELLO_RESOURCE = 2,
        HELLO_TOKEN = 3,
        HELLO_LIMITS = 4,
        SESSION_PID = 1,
        SESSION_UID = 2,
        SESSION_GID = 3,
        SESSION_PROCESS_START = 4,
        SESSION_TOKEN = 5,
        SESSION_HELLO = 6,
        SESSION_SCOPES = 7,
        SESSION_END = 8,
        SESSION_LOST_ENDS = 9,
        SESSION_CURSORS = 10,
        SCOPE_NUMBER = 1,
        SCOPE_SCOPE = 2,
        CURSOR_CHUNK = 1,
        CURSOR_GENERATION = 2,
        CURSOR_OFFSET = 3,
        RESOURCE_ATTRIBUTES = 1,
        KEY_VALUE_KEY = 1,
        KEY_VALUE_VALUE = 2,
        ANY_VALUE_STRING = 1,
};

int session_check_hello(const uint8_t *hello, size_t size) {
        PbReader reader = pb_reader(hello, size);
        uint64_t version = 0;
        PbField field;

        while (pb_next(&reader, &field)) {
                if (field.number == HELLO_VERSION && field.wire == PB_VARINT)
                        version = field.value;
                if (field.number == HELLO_RESOURCE &&
                    (field.wire != PB_BYTES || validate_resource(field.data, field.size)))
                        return SESSION_E_HELLO;
        }
        if (reader.failed || version != RECORD_VERSION || size > SESSION_HELLO_MAX)
                return SESSION_E_HELLO;
        return 0;
}

void session_hold(Session *session, const SessionHold *hold) {
        journal_hold(session->journal, hold->position, hold->charge);
        session->user->n_bytes += hold->charge;
}

void session_release(Session *session, const SessionHold *hold) {
        journal_release(session->journal, hold->position, hold->charge);
        session->user->n_bytes -= hold->charge;
}

void session_charge(Session *session, size_t size) {
        session->user->n_bytes += size;
}

void session_discharge(Session *session, size_t size) {
        session->user->n_bytes -= size;
}

/* The key of an encoded KeyValue. */
static PbField session_key(const uint8_t *data, size_t size) {
        PbReader reader = pb_reader(data, size);
        PbField field, key = {0};

        while (pb_next(&reader, &field))
                if (field.number == KEY_VALUE_KEY)
                        key = field;
        return key;
}

static bool session_resource_has(const Session *session, const PbField *key) {
        PbReader reader = pb_reader(session->resource, session->resource_size);
        PbField field;

        while (pb_next(&reader, &field)) {
                if (field.number != RESOURCE_ATTRIBUTES)
                        continue;
                PbField other = session_key(field.data, field.size);
                if (other.size == key->size &&
                    (!key->size || !memcmp(other.data, key->data, key->size)))
                        return true;
        }
        return false;
}

/* The client's resource, and those of the daemon's attributes whose keys it does not set. */
static int session_set_resource(Session *session, const SessionOptions *options,
                                const uint8_t *data, size_t size) {
        PbReader reader = pb_reader(options->resource, options->resource_size);
        uint8_t *resource;
        PbField field;

        resource = malloc(size + options->resource_size + 1);
        if (!resource)
                return error_origin(-ENOMEM);
        if (size)
                memcpy(resource, data, size);
        session_discharge(session, session->resource_size);
        free(session->resource);
        session->resource = resource;
        session->resource_size = size;
        while (pb_next(&reader, &field)) {
                PbField key = session_key(field.data, field.size);
                size_t field_size = (size_t)(reader.at - field.start);
                if (session_resource_has(session, &key))
                        continue;
                memcpy(resource + session->resource_size, field.start, field_size);
                session->resource_size += field_size;
        }
        session_charge(session, session->resource_size);
        return 0;
}

/* The string in an encoded KeyValue; NULL where the value is something else. */
static const uint8_t *session_string(const uint8_t *data, size_t size, size_t *sizep) {
        PbReader reader = pb_reader(data, size);
        const uint8_t *string = NULL;
        PbField field, member;

        while (pb_next(&reader, &field)) {
                PbReader value = pb_reader(field.data, field.wire == PB_BYTES ? field.size : 0);
                if (field.number != KEY_VALUE_VALUE || !pb_next(&value, &member) ||
                    member.number != ANY_VALUE_STRING)
                        continue;
                string = member.data;
                *sizep = member.size;
        }
        return string;
}

static int session_set_service(Session *session) {
        static const char key[] = "service.name";
        PbReader reader = pb_reader(session->resource, session->resource_size);
        PbField field;

        free(session->service);
        session->service = NULL;
        while (pb_next(&reader, &field)) {
                PbField name = {0};
                const uint8_t *text;
                size_t size;

                if (field.number != RESOURCE_ATTRIBUTES || field.wire != PB_BYTES)
                        continue;
                name = session_key(field.data, field.size);
                if (name.size != strlen(key) || memcmp(name.data, key, name.size))
                        continue;
                text = session_string(field.data, field.size, &size);
                if (!text)
                        continue;
                free(session->service);
                session->service = strndup((const char *)text, size);
                if (!session->service)
                        return error_origin(-ENOMEM);
        }
        return 0;
}

static void session_read_limits(Session *session, const PbField *limits) {
        uint32_t *const into[] = {
                &session->limits.attributes,       &session->limits.events,
                &session->limits.links,            &session->limits.value_length,
                &session->limits.event_attributes, &session->limits.link_attributes,
                &session->limits.log_attributes,   &session->limits.log_value_length,
        };
        PbReader reader = pb_reader(limits->data, limits->size);
        PbField field;

        while (pb_next(&reader, &field)) {
                size_t i = field.number - 1;
                if (i < sizeof into / sizeof *into && field.wire == PB_VARINT &&
                    field.value < *into[i])
                        *into[i] = (uint32_t)field.value;
        }
}

static int session_read_hello(Session *session, const SessionOptions *options,
                              const PbField *hello) {
        PbReader reader = pb_reader(hello->data, hello->size);
        PbField field, resource = {0};
        int r;

        if (session_check_hello(hello->data, hello->size))
                return SESSION_E_HELLO;
        session->limits = *options->limits;
        while (pb_next(&reader, &field)) {
                if (field.number == HELLO_RESOURCE)
                        resource = field;
                else if (field.number == HELLO_LIMITS && field.wire == PB_BYTES)
                        session_read_limits(session, &field);
        }
        r = session_set_resource(session, options, resource.data, resource.size);
        if (!r)
                r = session_set_service(session);
        return r ? error_trace(r) : 0;
}

/* A scope of a SNAPSHOT: its bytes lie in the SESSION record, which is live on its own account. */
static int session_read_scope(Session *session, JournalPosition position, const uint8_t *body,
                              const PbField *scope) {
        PbReader reader = pb_reader(scope->data, scope->size);
        SessionHold hold = {.position = position, .charge = 1};
        uint64_t number = 0;
        PbField field;
        int r;

        while (pb_next(&reader, &field)) {
                if (field.number == SCOPE_NUMBER)
                        number = field.value;
                else if (field.number == SCOPE_SCOPE && field.wire == PB_BYTES)
                        hold = (SessionHold){position + (uint64_t)(field.data - body),
                                             (uint32_t)field.size, 1};
        }
        r = session_set_scope(session, number, &hold);
        return r < 0 ? error_trace(r) : 0;
}

static int session_read_cursor(Session *session, const PbField *cursor) {
        PbReader reader = pb_reader(cursor->data, cursor->size);
        uint32_t values[CURSOR_OFFSET + 1] = {0};
        PbField field;

        while (pb_next(&reader, &field))
                if (field.number <= CURSOR_OFFSET && field.wire == PB_VARINT)
                        values[field.number] = (uint32_t)field.value;
        return session_set_cursor(
                session, values[CURSOR_CHUNK],
                (SessionCursor){values[CURSOR_GENERATION], values[CURSOR_OFFSET]});
}

static SessionState session_read_end(const PbField *end) {
        PbReader reader = pb_reader(end->data, end->size);
        SessionState state = SESSION_SAID_BYE;
        PbField field;

        while (pb_next(&reader, &field))
                if (field.number == 1 && field.value)
                        state = SESSION_EXITED;
        return state;
}

static int session_read(Session *session, const SessionOptions *options, JournalPosition position,
                        const uint8_t *body, size_t size) {
        PbReader reader = pb_reader(body, size);
        PbField field;
        int r = 0;

        while (!r && pb_next(&reader, &field)) {
                switch (field.number) {
                case SESSION_PID:
                        session->credentials.pid = (uint32_t)field.value;
                        break;
                case SESSION_UID:
                        session->credentials.uid = (uint32_t)field.value;
                        break;
                case SESSION_GID:
                        session->credentials.gid = (uint32_t)field.value;
                        break;
                case SESSION_PROCESS_START:
                        session->credentials.process_start = field.value;
                        break;
                case SESSION_TOKEN:
                        if (field.size == sizeof session->token)
                                memcpy(session->token, field.data, field.size);
                        break;
                case SESSION_HELLO:
                        r = session_read_hello(session, options, &field);
                        break;
                case SESSION_SCOPES:
                        r = session_read_scope(session, position, body, &field);
                        break;
                case SESSION_END:
                        session->state = session_read_end(&field);
                        break;
                case SESSION_LOST_ENDS:
                        session->n_lost_ends = field.value;
                        break;
                case SESSION_CURSORS:
                        if (field.wire == PB_BYTES)
                                r = session_read_cursor(session, &field);
                        break;
                }
        }
        if (r)
                return r < 0 ? error_trace(r) : r;
        return reader.failed ? SESSION_E_HELLO : 0;
}

static void session_forget_scopes(Session *session) {
        map_for_each (slot, &session->scopes) {
                SessionScope *scope = slot->value;
                session_release(session, &scope->hold);
                session_discharge(session, sizeof *scope);
                free(scope);
        }
        map_deinit(&session->scopes);
        session->scopes_size = 0;
}

/* The SESSION record is held from its body on; its header stands in the same segment. */
static SessionHold session_own_hold(JournalPosition position, size_t size) {
        return (SessionHold){position, (uint32_t)size,
                             (uint32_t)record_stride(RECORD_HEADER_SIZE + size)};
}

int session_new(Session **sessionp, const SessionOptions *options, JournalPosition position,
                const uint8_t *body, size_t size) {
        Session *session;
        int r;

        session = calloc(1, sizeof *session);
        if (!session)
                return error_origin(-ENOMEM);
        session->journal = options->journal;
        session->user = options->user;
        session->span_pool = options->span_pool;
        session->context_pool = options->context_pool;
        session->user->n_sessions++;
        map_init(&session->scopes, options->seed);
        map_init(&session->contexts, options->seed);
        map_init(&session->spans, options->seed);
        list_init(&session->all_contexts);
        list_init(&session->held);
        list_init(&session->open);
        list_init(&session->pending);
        list_init(&session->pending_contexts);
        list_init(&session->link);
        session_charge(session, sizeof *session);
        session->hold = session_own_hold(position, size);
        session_hold(session, &session->hold);
        r = session_read(session, options, position, body, size);
        if (r) {
                session_free(session);
                return r < 0 ? error_trace(r) : r;
        }
        *sessionp = session;
        return 0;
}

int session_restore(Session *session, const SessionOptions *options, JournalPosition position,
                    const uint8_t *body, size_t size) {
        uint64_t seed = session->scopes.seed;
        int r;

        session_forget_scopes(session);
        map_init(&session->scopes, seed);
        session_release(session, &session->hold);
        session->hold = session_own_hold(position, size);
        session_hold(session, &session->hold);
        r = session_read(session, options, position, body, size);
        return r < 0 ? error_trace(r) : r;
}

static size_t session_scope_size(const SessionScope *scope) {
        return (scope->number ? 1 + pb_varint_size(scope->number) : 0) +
               pb_bytes_size(SCOPE_SCOPE, scope->hold.size);
}

static void session_put_varint(PbWriter *writer, uint32_t number, uint64_t value) {
        if (value)
                pb_put_varint(writer, number, value);
}

static void session_put_scopes(const Session *session, PbWriter *writer) {
        map_for_each (slot, &session->scopes) {
                const SessionScope *scope = slot->value;
                pb_put_prefix(writer, SESSION_SCOPES, session_scope_size(scope));
                session_put_varint(writer, SCOPE_NUMBER, scope->number);
                pb_put_bytes(writer, SCOPE_SCOPE,
                             journal_at(session->journal, scope->hold.position), scope->hold.size);
        }
}

/* A cursor at the very start is not worth a word. */
static void session_put_cursors(const Session *session, PbWriter *writer) {
        for (uint32_t chunk = 0; session->cursors && chunk < ARENA_CHUNKS; chunk++) {
                const SessionCursor *cursor = &session->cursors[chunk];

                if (!cursor->generation && !cursor->offset)
                        continue;
                pb_put_prefix(writer, SESSION_CURSORS,
                              2 + (1 + pb_varint_size(cursor->generation)) +
                                      (1 + pb_varint_size(cursor->offset)));
                pb_put_varint(writer, CURSOR_CHUNK, chunk);
                pb_put_varint(writer, CURSOR_GENERATION, cursor->generation);
                pb_put_varint(writer, CURSOR_OFFSET, cursor->offset);
        }
}

static PbField session_hello(const Session *session) {
        PbReader reader =
                pb_reader(journal_at(session->journal, session->hold.position), session->hold.size);
        PbField field, hello = {0};

        while (pb_next(&reader, &field))
                if (field.number == SESSION_HELLO)
                        hello = field;
        return hello;
}

size_t session_snapshot_size(const Session *session) {
        /* Every other field is small. */
        size_t size = 256 + ARENA_CHUNKS * 16 + session_hello(session).size;

        map_for_each (slot, &session->scopes)
                size += pb_bytes_size(SESSION_SCOPES, session_scope_size(slot->value));
        return size;
}

int session_snapshot(const Session *session, Buffer *out) {
        PbField hello = session_hello(session);
        size_t size = session_snapshot_size(session);
        PbWriter writer;
        uint8_t *room;
        int r;

        r = buffer_reserve(out, &room, size);
        if (r)
                return error_trace(r);
        writer = pb_writer(room, size);
        session_put_varint(&writer, SESSION_PID, session->credentials.pid);
        session_put_varint(&writer, SESSION_UID, session->credentials.uid);
        session_put_varint(&writer, SESSION_GID, session->credentials.gid);
        session_put_varint(&writer, SESSION_PROCESS_START, session->credentials.process_start);
        pb_put_bytes(&writer, SESSION_TOKEN, session->token, sizeof session->token);
        pb_put_bytes(&writer, SESSION_HELLO, hello.data, hello.size);
        session_put_scopes(session, &writer);
        if (session->state != SESSION_ALIVE) {
                bool exited = session->state == SESSION_EXITED;
                pb_put_prefix(&writer, SESSION_END, exited ? 2 : 0);
                session_put_varint(&writer, 1, exited);
        }
        session_put_varint(&writer, SESSION_LOST_ENDS, session->n_lost_ends);
        session_put_cursors(session, &writer);
        assert(!writer.failed);
        out->size += (size_t)(writer.at - room);
        return 0;
}

Session *session_free(Session *session) {
        if (!session)
                return NULL;
        assert(!session->spans.n_entries && !session->contexts.n_entries);
        session_forget_scopes(session);
        session_release(session, &session->hold);
        session_discharge(session, sizeof *session + session->resource_size);
        if (session->cursors)
                session_discharge(session, ARENA_CHUNKS * sizeof *session->cursors);
        session->user->n_sessions--;
        map_deinit(&session->contexts);
        map_deinit(&session->spans);
        list_unlink(&session->link);
        free(session->cursors);
        free(session->resource);
        free(session->service);
        free(session);
        return NULL;
}

int session_set_scope(Session *session, uint64_t number, const SessionHold *hold) {
        SessionScope *scope = map_find(&session->scopes, number);
        int r;

        if (scope) {
                session->scopes_size -= scope->hold.size;
                session_release(session, &scope->hold);
        } else {
                scope = calloc(1, sizeof *scope);
                if (!scope)
                        return error_origin(-ENOMEM);
                r = map_put(&session->scopes, number, scope);
                if (r) {
                        free(scope);
                        return error_trace(r);
                }
                session_charge(session, sizeof *scope);
        }
        scope->number = number;
        scope->hold = *hold;
        session->scopes_size += hold->size;
        session_hold(session, hold);
        return 0;
}

int session_set_cursor(Session *session, uint32_t chunk, SessionCursor cursor) {
        if (chunk >= ARENA_CHUNKS)
                return 0;
        if (!session->cursors) {
                session->cursors = calloc(ARENA_CHUNKS, sizeof *session->cursors);
                if (!session->cursors)
                        return error_origin(-ENOMEM);
                session_charge(session, ARENA_CHUNKS * sizeof *session->cursors);
        }
        session->cursors[chunk] = cursor;
        return 0;
}

const uint8_t *session_scope(const Session *session, uint64_t number, size_t *sizep) {
        const SessionScope *scope = map_find(&session->scopes, number);

        *sizep = scope ? scope->hold.size : 0;
        return *sizep ? journal_at(session->journal, scope->hold.position) : NULL;
}

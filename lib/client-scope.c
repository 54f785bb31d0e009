/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-scope.h"

#include "lib/client-text.h"
#include "proto/pb.h"

#include <stdlib.h>
#include <string.h>

enum {
        SCOPE_NAME = 1,
        SCOPE_VERSION = 2,
};

static _Atomic(catena_scope *) scopes; /* only ever added to */

static catena_scope *scope_free(catena_scope *scope) {
        if (scope)
                free(scope->schema_url);
        free(scope);
        return NULL;
}

static catena_scope *scope_encode(const char *name, const char *version) {
        size_t name_size = strlen(name), version_size = version ? strlen(version) : 0;
        size_t size = pb_bytes_size(SCOPE_NAME, name_size);
        catena_scope *scope;
        PbWriter writer;

        if (version_size)
                size += pb_bytes_size(SCOPE_VERSION, version_size);
        scope = calloc(1, sizeof *scope + size);
        if (!scope)
                return NULL;
        scope->size = size;
        writer = pb_writer(scope->encoded, size);
        pb_put_bytes(&writer, SCOPE_NAME, name, name_size);
        if (version_size)
                pb_put_bytes(&writer, SCOPE_VERSION, version, version_size);
        return scope;
}

static catena_scope *scope_new(const char *name, const char *version, const char *schema_url) {
        char *clean_name = catena__text_copy(name, SCOPE_TEXT_MAX);
        char *clean_version = catena__text_copy(version ? version : "", SCOPE_TEXT_MAX);
        catena_scope *scope = NULL;

        if (clean_name && clean_version)
                scope = scope_encode(clean_name, clean_version);
        if (scope && schema_url && *schema_url) {
                scope->schema_url = strdup(schema_url);
                if (!scope->schema_url)
                        scope = scope_free(scope);
        }
        free(clean_version);
        free(clean_name);
        return scope;
}

static bool scope_equals(const catena_scope *a, const catena_scope *b) {
        return a->size == b->size && memcmp(a->encoded, b->encoded, a->size) == 0 &&
               strcmp(a->schema_url ? a->schema_url : "", b->schema_url ? b->schema_url : "") == 0;
}

const catena_scope *catena_scope_get(const char *name, const char *version,
                                     const char *schema_url) {
        catena_scope *scope, *head = atomic_load(&scopes);

        if (!name || !*name)
                return NULL;
        scope = scope_new(name, version, schema_url);
        if (!scope)
                return NULL;
        do {
                for (catena_scope *at = head; at; at = at->next) {
                        if (scope_equals(at, scope)) {
                                scope_free(scope);
                                return at;
                        }
                }
                scope->next = head;
                scope->number = head ? head->number + 1 : 1;
        } while (!atomic_compare_exchange_strong(&scopes, &head, scope));
        return scope;
}

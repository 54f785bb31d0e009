/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/resource.h"

#include "daemon/base/error.h"
#include "proto/pb.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static int resource_add(Buffer *out, const char *key, const char *text) {
        size_t key_size = strlen(key), text_size = strlen(text);
        size_t value = pb_bytes_size(1, text_size);
        size_t both = pb_bytes_size(1, key_size) + pb_bytes_size(2, value);
        size_t whole = pb_bytes_size(1, both);
        PbWriter writer;
        uint8_t *room;
        int r = buffer_reserve(out, &room, whole);

        if (r)
                return error_trace(r);
        writer = pb_writer(room, whole);
        pb_put_prefix(&writer, 1, both);
        pb_put_bytes(&writer, 1, key, key_size);
        pb_put_prefix(&writer, 2, value);
        pb_put_bytes(&writer, 1, text, text_size);
        assert(!writer.failed && writer.at == writer.end);
        out->size += whole;
        return 0;
}

int resource_encode_added(Buffer *out, const ConfigResource *config) {
        int r = 0;

        for (unsigned i = 0; !r && i < config->n_attributes; i++)
                r = resource_add(out, config->attributes[i].name, config->attributes[i].value);
        return error_trace(r);
}

/* A random UUID, of version 4. */
static int resource_instance(char text[37]) {
        uint8_t id[16];

        if (getrandom(id, sizeof id, 0) < 0)
                return error_origin(-errno);
        id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
        id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
        for (size_t i = 0; i < sizeof id; i++, text += 2) {
                if (i == 4 || i == 6 || i == 8 || i == 10)
                        *text++ = '-';
                snprintf(text, 3, "%02x", id[i]);
        }
        return 0;
}

int resource_encode_own(Buffer *out, const ConfigResource *config) {
        char instance[37], host[HOST_NAME_MAX + 1] = "";
        const char *const own[][2] = {
                {"service.name", "catenad"},
                {"service.version", CATENA_VERSION},
                {"service.instance.id", instance},
                {"host.name", host},
        };
        int r = resource_instance(instance);

        (void)gethostname(host, sizeof host - 1);
        for (size_t i = 0; !r && i < sizeof own / sizeof *own; i++) {
                bool configured = !*own[i][1];

                for (unsigned k = 0; k < config->n_attributes; k++)
                        configured |= !strcmp(config->attributes[k].name, own[i][0]);
                if (!configured)
                        r = resource_add(out, own[i][0], own[i][1]);
        }
        if (!r)
                r = resource_encode_added(out, config);
        return error_trace(r);
}

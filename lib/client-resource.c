/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/client-resource.h"

#include "lib/client-count.h"
#include "lib/client-value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
        RESOURCE_ATTRIBUTES = 1,
        KEY_VALUE_KEY = 1,
};

static const char RESOURCE_PID[] = "process.pid";

static struct {
        uint8_t data[24 * 1024];
        size_t size;
} resource;

static bool resource_has(const char *key, size_t key_size) {
        PbReader attributes = pb_reader(resource.data, resource.size);
        PbField attribute, field;

        while (pb_next(&attributes, &attribute)) {
                PbReader reader = pb_reader(attribute.data, attribute.size);

                if (pb_next(&reader, &field) && field.number == KEY_VALUE_KEY &&
                    field.size == key_size && memcmp(field.data, key, key_size) == 0)
                        return true;
        }
        return false;
}

/* The first to name a key wins. */
static void resource_add(const catena_attribute *attribute) {
        size_t key_size, size = catena__attribute_size(RESOURCE_ATTRIBUTES, attribute);
        PbWriter writer;

        if (!size) {
                catena__misuse(MISUSE_ATTRIBUTE);
                return;
        }
        key_size = attribute->key_size ? attribute->key_size : strlen(attribute->key);
        if (resource_has(attribute->key, key_size) ||
            (key_size == strlen(RESOURCE_PID) && !memcmp(attribute->key, RESOURCE_PID, key_size)))
                return;
        if (size > sizeof resource.data - resource.size) {
                catena__misuse(MISUSE_RESOURCE);
                return;
        }
        writer = pb_writer(resource.data + resource.size, size);
        catena__attribute_write(&writer, RESOURCE_ATTRIBUTES, attribute);
        resource.size += size;
}

static void resource_add_string(const char *key, const char *value) {
        resource_add(&(catena_attribute){.key = key, .value.string = value});
}

/* ---- OTEL_RESOURCE_ATTRIBUTES ---- */

static int resource_hex(char digit) {
        if (digit >= '0' && digit <= '9')
                return digit - '0';
        digit |= 0x20;
        return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Decodes percent signs in place; false at one that is not followed by two hex digits. */
static bool resource_decode(char *text) {
        char *out = text;

        while (*text) {
                if (*text != '%') {
                        *out++ = *text++;
                        continue;
                }
                if (resource_hex(text[1]) < 0 || resource_hex(text[2]) < 0)
                        return false;
                *out++ = (char)(resource_hex(text[1]) << 4 | resource_hex(text[2]));
                if (!out[-1]) /* a NUL would end the text early */
                        return false;
                text += 3;
        }
        *out = 0;
        return true;
}

static char *resource_trim(char *text) {
        size_t size;

        text += strspn(text, " \t");
        size = strlen(text);
        while (size && strchr(" \t", text[size - 1]))
                text[--size] = 0;
        return text;
}

/* Reads one k=v in place. */
static bool resource_pair(char *member, char **keyp, char **valuep) {
        char *equals = strchr(member, '=');

        if (!equals)
                return false;
        *equals = 0;
        *keyp = resource_trim(member);
        *valuep = resource_trim(equals + 1);
        return **keyp && !strchr(*valuep, '=') && resource_decode(*keyp) &&
               resource_decode(*valuep) && **keyp;
}

/* Calls for each pair; false when the text is malformed. The text is consumed. */
static bool resource_pairs(char *text, void (*each)(const char *key, const char *value)) {
        char *key, *value, *member, *rest = text;

        while ((member = strsep(&rest, ","))) {
                if (!*resource_trim(member))
                        continue;
                if (!resource_pair(member, &key, &value))
                        return false;
                if (each)
                        each(key, value);
        }
        return true;
}

/* Any error discards the whole variable, so it is read twice. */
static void resource_add_environment(void) {
        const char *text = secure_getenv("OTEL_RESOURCE_ATTRIBUTES");
        char *once = NULL, *twice = NULL;

        if (!text)
                return;
        once = strdup(text);
        twice = strdup(text);
        if (once && twice && resource_pairs(once, NULL))
                (void)resource_pairs(twice, resource_add_string);
        else
                catena__misuse(MISUSE_RESOURCE);
        free(once);
        free(twice);
}

/* ---- the whole ---- */

static void resource_add_process(void) {
        char path[4096], name[256 + 32], host[256];
        ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
        const char *slash, *executable = program_invocation_short_name;

        if (size > 0) {
                path[size] = 0;
                slash = strrchr(path, '/');
                executable = slash ? slash + 1 : path;
        }
        snprintf(name, sizeof name, "unknown_service:%.255s", executable);
        resource_add_string("service.name", name);
        resource_add_string("process.executable.name", executable);
        if (gethostname(host, sizeof host) == 0) {
                host[sizeof host - 1] = 0;
                resource_add_string("host.name", host);
        }
}

void catena__resource_build(const catena_options *options) {
        const char *service = secure_getenv("OTEL_SERVICE_NAME");

        resource.size = 0;
        resource_add_string("telemetry.sdk.name", "catena");
        resource_add_string("telemetry.sdk.language", "c");
        resource_add_string("telemetry.sdk.version", CATENA_VERSION);
        if (options->service_name && *options->service_name)
                resource_add_string("service.name", options->service_name);
        for (size_t i = 0; i < options->n_attributes; i++)
                resource_add(&options->attributes[i]);
        if (service && *service)
                resource_add_string("service.name", service);
        resource_add_environment();
        resource_add_process();
}

static catena_attribute resource_pid(void) {
        return (catena_attribute){
                .key = RESOURCE_PID,
                .type = CATENA_TYPE_INT,
                .value.integer = getpid(),
        };
}

size_t catena__resource_size(void) {
        catena_attribute pid = resource_pid();

        return resource.size + catena__attribute_size(RESOURCE_ATTRIBUTES, &pid);
}

void catena__resource_write(PbWriter *writer) {
        catena_attribute pid = resource_pid();

        pb_put_raw(writer, resource.data, resource.size);
        catena__attribute_write(writer, RESOURCE_ATTRIBUTES, &pid);
}

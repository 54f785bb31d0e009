/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/w3c.h"

#include "proto/utf8.h"

#include <string.h>

static bool w3c_is_blank(char c) {
        return c == ' ' || c == '\t';
}

/* Takes optional white space off both ends. */
static void w3c_trim(const char **textp, size_t *sizep) {
        while (*sizep && w3c_is_blank(**textp))
                (*textp)++, (*sizep)--;
        while (*sizep && w3c_is_blank((*textp)[*sizep - 1]))
                (*sizep)--;
}

/* ---- traceparent: 00-<trace id>-<parent id>-<flags> ---- */

bool w3c_traceparent_read(W3cTraceparent *out, const char *text, size_t size) {
        W3cTraceparent read;
        uint8_t version;

        w3c_trim(&text, &size);
        if (size < W3C_TRACEPARENT_TEXT || text[2] != '-' || text[35] != '-' || text[52] != '-')
                return false;
        if (!id_from_hex(&version, text, 1) || version == 0xff)
                return false;
        /* A later version may go on behind a dash. */
        if (size > W3C_TRACEPARENT_TEXT && (version == 0 || text[W3C_TRACEPARENT_TEXT] != '-'))
                return false;
        if (!id_from_hex(read.trace_id, text + 3, ID_TRACE_SIZE) ||
            !id_from_hex(read.span_id, text + 36, ID_SPAN_SIZE) ||
            !id_from_hex(&read.flags, text + 53, 1))
                return false;
        if (id_is_zero(read.trace_id, ID_TRACE_SIZE) || id_is_zero(read.span_id, ID_SPAN_SIZE))
                return false;
        read.flags &= W3C_FLAG_SAMPLED | W3C_FLAG_RANDOM;
        *out = read;
        return true;
}

void w3c_traceparent_write(char *text, const W3cTraceparent *traceparent) {
        memcpy(text, "00-", 3);
        id_to_hex(text + 3, traceparent->trace_id, ID_TRACE_SIZE);
        text[35] = '-';
        id_to_hex(text + 36, traceparent->span_id, ID_SPAN_SIZE);
        text[52] = '-';
        id_to_hex(text + 53, &traceparent->flags, 1);
}

/* ---- tracestate: key=value,key=value ---- */

static bool w3c_tracestate_key_is_valid(const char *key, size_t size) {
        if (size < 1 || size > 256)
                return false;
        for (size_t i = 0; i < size; i++) {
                bool first = (key[i] >= 'a' && key[i] <= 'z') || (key[i] >= '0' && key[i] <= '9');

                if (!first && (i == 0 || !key[i] || !strchr("_-*/@", key[i])))
                        return false;
        }
        return true;
}

static bool w3c_tracestate_value_is_valid(const char *value, size_t size) {
        if (size < 1 || size > 256)
                return false;
        for (size_t i = 0; i < size; i++)
                if (value[i] < 0x20 || value[i] > 0x7e || value[i] == '=')
                        return false;
        return true;
}

/* The next member that is not empty, without the white space around it; false: there is none. */
static bool w3c_tracestate_next(const char **memberp, size_t *sizep, const char **at,
                                const char *end) {
        while (*at < end) {
                const char *comma = memchr(*at, ',', (size_t)(end - *at));

                *memberp = *at;
                *sizep = (size_t)((comma ? comma : end) - *at);
                *at = comma ? comma + 1 : end;
                w3c_trim(memberp, sizep);
                if (*sizep)
                        return true;
        }
        return false;
}

bool w3c_tracestate_is_valid(const char *text, size_t size) {
        const char *end = text + size, *member, *equals;
        size_t member_size, key_size;
        unsigned n_members = 0;

        while (w3c_tracestate_next(&member, &member_size, &text, end)) {
                equals = memchr(member, '=', member_size);
                if (!equals || ++n_members > W3C_TRACESTATE_MEMBERS_MAX)
                        return false;
                key_size = (size_t)(equals - member);
                if (!w3c_tracestate_key_is_valid(member, key_size) ||
                    !w3c_tracestate_value_is_valid(equals + 1, member_size - key_size - 1))
                        return false;
        }
        return true;
}

typedef struct W3cTracestateMembers {
        const char *members[W3C_TRACESTATE_MEMBERS_MAX];
        size_t sizes[W3C_TRACESTATE_MEMBERS_MAX]; /* 0: it has gone */
        unsigned n;
        size_t total; /* with their commas, one too many */
} W3cTracestateMembers;

/* Takes out members of more than `longest`, the last ones first, until the rest fits. */
static void w3c_tracestate_shorten(W3cTracestateMembers *list, size_t longest) {
        for (unsigned i = list->n; i-- > 0 && list->total > W3C_TRACESTATE_TEXT + 1;)
                if (list->sizes[i] > longest) {
                        list->total -= list->sizes[i] + 1;
                        list->sizes[i] = 0;
                }
}

size_t w3c_tracestate_pack(char *out, bool *wholep, const char *text, size_t size) {
        const char *end = text + size;
        W3cTracestateMembers list = {0};
        size_t at = 0;

        while (list.n < W3C_TRACESTATE_MEMBERS_MAX &&
               w3c_tracestate_next(&list.members[list.n], &list.sizes[list.n], &text, end))
                list.total += list.sizes[list.n++] + 1;
        *wholep = list.total <= W3C_TRACESTATE_TEXT + 1 && text == end;
        w3c_tracestate_shorten(&list, W3C_TRACESTATE_MEMBER_LONG);
        w3c_tracestate_shorten(&list, 0);
        for (unsigned i = 0; i < list.n; i++) {
                if (!list.sizes[i])
                        continue;
                if (at)
                        out[at++] = ',';
                memcpy(out + at, list.members[i], list.sizes[i]);
                at += list.sizes[i];
        }
        return at;
}

/* ---- baggage: name=value;property,name=value ---- */

static bool w3c_is_baggage_octet(char c) {
        return c > ' ' && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

static bool w3c_are_baggage_octets(const char *text, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (!w3c_is_baggage_octet(text[i]))
                        return false;
        return true;
}

/* Properties are handed on as they stand, so only their characters matter. */
static bool w3c_properties_are_valid(const char *text, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (!w3c_is_baggage_octet(text[i]) && !w3c_is_blank(text[i]) && text[i] != ';')
                        return false;
        return true;
}

/* A token of HTTP. */
bool w3c_baggage_name_is_valid(const char *name, size_t size) {
        for (size_t i = 0; i < size; i++)
                if (name[i] <= ' ' || name[i] >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", name[i]))
                        return false;
        return size > 0;
}

static bool w3c_baggage_member(W3cBaggageMember *out, const char *text, size_t size) {
        const char *semicolon = memchr(text, ';', size), *end = text + size, *equals;
        W3cBaggageMember member = {.name = text};

        if (semicolon) {
                member.properties = semicolon + 1;
                member.properties_size = (size_t)(end - member.properties);
                w3c_trim(&member.properties, &member.properties_size);
                end = semicolon;
        }
        equals = memchr(text, '=', (size_t)(end - text));
        if (!equals)
                return false;
        member.name_size = (size_t)(equals - text);
        member.value = equals + 1;
        member.value_size = (size_t)(end - member.value);
        w3c_trim(&member.name, &member.name_size);
        w3c_trim(&member.value, &member.value_size);
        if (!w3c_baggage_name_is_valid(member.name, member.name_size) ||
            !w3c_are_baggage_octets(member.value, member.value_size) ||
            !w3c_properties_are_valid(member.properties, member.properties_size))
                return false;
        *out = member;
        return true;
}

bool w3c_baggage_next(W3cBaggageReader *reader, W3cBaggageMember *member) {
        while (reader->at < reader->end) {
                const char *text = reader->at;
                const char *comma = memchr(text, ',', (size_t)(reader->end - text));
                size_t size = (size_t)((comma ? comma : reader->end) - text);

                reader->at = comma ? comma + 1 : reader->end;
                if (w3c_baggage_member(member, text, size))
                        return true;
                w3c_trim(&text, &size);
                reader->n_malformed += size > 0;
        }
        return false;
}

static int w3c_hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        c |= 0x20;
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of a value; a '%' without two digits stands for itself. Returns what it took. */
static size_t w3c_percent_byte(uint8_t *bytep, const char *at, const char *end) {
        if (*at == '%' && end - at >= 3 && w3c_hex_digit(at[1]) >= 0 && w3c_hex_digit(at[2]) >= 0) {
                *bytep = (uint8_t)(w3c_hex_digit(at[1]) << 4 | w3c_hex_digit(at[2]));
                return 3;
        }
        *bytep = (uint8_t)*at;
        return 1;
}

size_t w3c_baggage_decode(char *out, const char *value, size_t size) {
        const char *at = value, *end = value + size;
        size_t total = 0;

        while (at < end) {
                const char *ends[4]; /* in the value, of each byte of the next character */
                uint8_t bytes[4];
                size_t n = 0, n_used;
                bool valid;

                for (const char *next = at; n < 4 && next < end; ends[n++] = next)
                        next += w3c_percent_byte(&bytes[n], next, end);
                n_used = utf8_next(&valid, bytes, n);
                if (!bytes[0])
                        bytes[0] = 0xff; /* text ends there */
                total += utf8_replace(out ? out + total : NULL, bytes, n_used);
                at = ends[n_used - 1];
        }
        return total;
}

size_t w3c_baggage_encode(char *out, const char *value, size_t size) {
        static const char digits[] = "0123456789ABCDEF";
        size_t total = 0;

        for (size_t i = 0; i < size; i++) {
                uint8_t byte = (uint8_t)value[i];
                char escape[3] = {'%', digits[byte >> 4], digits[byte & 15]};
                bool plain = w3c_is_baggage_octet(value[i]) && value[i] != '%';
                size_t n = plain ? 1 : sizeof escape;

                if (out)
                        memcpy(out + total, plain ? &value[i] : escape, n);
                total += n;
        }
        return total;
}

/* ---- the environment ---- */

void w3c_environ_name(char out[W3C_ENVIRON_NAME_SIZE], const char *name) {
        size_t at = 0;

        if (*name >= '0' && *name <= '9')
                out[at++] = '_';
        for (; *name && at < W3C_ENVIRON_NAME_SIZE - 1; name++) {
                bool lower = *name >= 'a' && *name <= 'z';
                bool other = (*name >= 'A' && *name <= 'Z') || (*name >= '0' && *name <= '9');

                out[at++] = lower ? (char)(*name - 'a' + 'A') : other ? *name : '_';
        }
        out[at] = 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

#include "tests/bench/template.h"

#include "proto/otlp.h"
#include "proto/pb.h"

#include <assert.h>
#include <string.h>

typedef struct TemplateAttribute {
        const char *key;
        const char *text; /* NULL: a number */
        uint64_t number;
} TemplateAttribute;

static const TemplateAttribute template_attributes[] = {
        {"http.request.method", "POST", 0},
        {"http.route", "/api/v1/shops/{shop}/orders", 0},
        {"url.scheme", "https", 0},
        {"server.address", "orders.shop.example", 0},
        {"server.port", NULL, 8443},
        {"http.response.status_code", NULL, 201},
        {"user_agent.original", "shop-frontend/4.7.11 (linux; x86_64) http/2 retries/3 pool/8", 0},
        {"enduser.id", "customer-00471104711081547", 0},
};

enum {
        TEMPLATE_ATTRIBUTES = sizeof template_attributes / sizeof *template_attributes,
        TEMPLATE_AT_START = 5, /* the others come at the end */
        TEMPLATE_KIND_SERVER = 2,
};

static void template_put_attribute(PbWriter *writer, const TemplateAttribute *attribute) {
        uint8_t value_data[TEMPLATE_MAX], data[TEMPLATE_MAX];
        PbWriter value = pb_writer(value_data, sizeof value_data);
        PbWriter pair = pb_writer(data, sizeof data);

        if (attribute->text)
                pb_put_bytes(&value, OTLP_ANY_VALUE_STRING, attribute->text,
                             strlen(attribute->text));
        else
                pb_put_varint(&value, OTLP_ANY_VALUE_INT, attribute->number);
        pb_put_bytes(&pair, OTLP_KEY_VALUE_KEY, attribute->key, strlen(attribute->key));
        pb_put_bytes(&pair, OTLP_KEY_VALUE_VALUE, value_data, (size_t)(value.at - value_data));
        pb_put_bytes(writer, OTLP_SPAN_ATTRIBUTES, data, (size_t)(pair.at - data));
}

static size_t template_put_time(Template *template, PbWriter *writer, uint32_t number) {
        pb_put_fixed64(writer, number, UINT64_MAX);
        return (size_t)(writer->at - template->data) - sizeof(uint64_t);
}

static void template_put_start(Template *template, PbWriter *writer) {
        static const uint8_t id[16] = "parent, trace id";

        pb_put_bytes(writer, OTLP_SPAN_TRACE_ID, id, 16);
        template->trace_id = (size_t)(writer->at - template->data) - 16;
        pb_put_bytes(writer, OTLP_SPAN_SPAN_ID, id, 8);
        template->span_id = (size_t)(writer->at - template->data) - 8;
        pb_put_bytes(writer, OTLP_SPAN_PARENT_SPAN_ID, id, 8);
        pb_put_bytes(writer, OTLP_SPAN_NAME, "POST /api/v1/shops/{shop}", 25);
        pb_put_varint(writer, OTLP_SPAN_KIND, TEMPLATE_KIND_SERVER);
        template->start = template_put_time(template, writer, OTLP_SPAN_START_TIME);
}

void template_make(Template *template, TemplatePart part) {
        PbWriter writer = pb_writer(template->data, sizeof template->data);
        bool start = part == TEMPLATE_WHOLE || part == TEMPLATE_START;
        size_t from = start ? 0 : TEMPLATE_AT_START;
        size_t to = part == TEMPLATE_START ? TEMPLATE_AT_START : TEMPLATE_ATTRIBUTES;

        template->trace_id = template->span_id = template->start = template->end = 0;
        if (start)
                template_put_start(template, &writer);
        if (part != TEMPLATE_START)
                template->end = template_put_time(template, &writer, OTLP_SPAN_END_TIME);
        for (size_t i = from; i < to; i++)
                template_put_attribute(&writer, &template_attributes[i]);
        if (part == TEMPLATE_END_SET)
                template_put_attribute(&writer, &template_attributes[0]);
        template->size = (size_t)(writer.at - template->data);
        assert(!writer.failed && (part != TEMPLATE_WHOLE || template->size == TEMPLATE_SPAN_SIZE));
}

void template_write(uint8_t *out, const Template *template, const TemplateSpan *span) {
        memcpy(out, template->data, template->size);
        if (template->trace_id) {
                memcpy(out + template->trace_id, span->trace_id, sizeof span->trace_id);
                memcpy(out + template->span_id, &span->span_id, sizeof span->span_id);
                memcpy(out + template->start, &span->start_unix_ns, sizeof span->start_unix_ns);
        }
        if (template->end)
                memcpy(out + template->end, &span->end_unix_ns, sizeof span->end_unix_ns);
}

uint64_t template_random(uint64_t *state) {
        uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

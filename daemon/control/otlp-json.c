/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/control/otlp-json.h"

#include "proto/id.h"
#include "proto/pb.h"

#include <string.h>

/* Those without a name are left out. */
static const char *const otlp_json_names[_OTLP_MESSAGES_N][OTLP_NUMBER_MAX + 1] = {
        [OTLP_SPAN] =
                {
                        [OTLP_SPAN_TRACE_ID] = "traceId",
                        [OTLP_SPAN_SPAN_ID] = "spanId",
                        [OTLP_SPAN_TRACE_STATE] = "traceState",
                        [OTLP_SPAN_PARENT_SPAN_ID] = "parentSpanId",
                        [OTLP_SPAN_NAME] = "name",
                        [OTLP_SPAN_KIND] = "kind",
                        [OTLP_SPAN_START_TIME] = "startTimeUnixNano",
                        [OTLP_SPAN_END_TIME] = "endTimeUnixNano",
                        [OTLP_SPAN_ATTRIBUTES] = "attributes",
                        [OTLP_SPAN_DROPPED_ATTRIBUTES] = "droppedAttributesCount",
                        [OTLP_SPAN_EVENTS] = "events",
                        [OTLP_SPAN_DROPPED_EVENTS] = "droppedEventsCount",
                        [OTLP_SPAN_LINKS] = "links",
                        [OTLP_SPAN_DROPPED_LINKS] = "droppedLinksCount",
                        [OTLP_SPAN_STATUS] = "status",
                        [OTLP_SPAN_FLAGS] = "flags",
                },
        [OTLP_EVENT] =
                {
                        [OTLP_EVENT_TIME] = "timeUnixNano",
                        [OTLP_EVENT_NAME] = "name",
                        [OTLP_EVENT_ATTRIBUTES] = "attributes",
                        [OTLP_EVENT_DROPPED_ATTRIBUTES] = "droppedAttributesCount",
                },
        [OTLP_LINK] =
                {
                        [OTLP_LINK_TRACE_ID] = "traceId",
                        [OTLP_LINK_SPAN_ID] = "spanId",
                        [OTLP_LINK_TRACE_STATE] = "traceState",
                        [OTLP_LINK_ATTRIBUTES] = "attributes",
                        [OTLP_LINK_DROPPED_ATTRIBUTES] = "droppedAttributesCount",
                        [OTLP_LINK_FLAGS] = "flags",
                },
        [OTLP_STATUS] =
                {
                        [OTLP_STATUS_MESSAGE] = "message",
                        [OTLP_STATUS_CODE] = "code",
                },
        [OTLP_KEY_VALUE] =
                {
                        [OTLP_KEY_VALUE_KEY] = "key",
                        [OTLP_KEY_VALUE_VALUE] = "value",
                },
        [OTLP_ANY_VALUE] =
                {
                        [OTLP_ANY_VALUE_STRING] = "stringValue",
                        [OTLP_ANY_VALUE_BOOL] = "boolValue",
                        [OTLP_ANY_VALUE_INT] = "intValue",
                        [OTLP_ANY_VALUE_DOUBLE] = "doubleValue",
                        [OTLP_ANY_VALUE_ARRAY] = "arrayValue",
                        [OTLP_ANY_VALUE_KVLIST] = "kvlistValue",
                        [OTLP_ANY_VALUE_BYTES] = "bytesValue",
                },
        [OTLP_ARRAY] = {[OTLP_ARRAY_VALUES] = "values"},
        [OTLP_KVLIST] = {[OTLP_KVLIST_VALUES] = "values"},
};

static void otlp_json_varint(Render *render, const char *key, OtlpMessage message,
                             const PbField *field) {
        if (message == OTLP_ANY_VALUE && field->number == OTLP_ANY_VALUE_BOOL)
                render_bool(render, key, field->value);
        else if (message == OTLP_ANY_VALUE)
                render_i64(render, key, (int64_t)field->value);
        else
                render_number(render, key, (uint32_t)field->value);
}

static void otlp_json_fixed64(Render *render, const char *key, OtlpMessage message,
                              const PbField *field) {
        double real;

        if (message == OTLP_ANY_VALUE) {
                memcpy(&real, &field->value, sizeof real);
                render_real(render, key, real);
        } else {
                render_u64(render, key, field->value);
        }
}

static void otlp_json_value(Render *render, const char *key, OtlpMessage message,
                            const PbField *field) {
        OtlpField kind = otlp_field(message, field->number);

        switch ((OtlpKind)kind.kind) {
        case OTLP_VARINT:
                otlp_json_varint(render, key, message, field);
                break;
        case OTLP_FIXED64:
                otlp_json_fixed64(render, key, message, field);
                break;
        case OTLP_FIXED32:
                render_number(render, key, (uint32_t)field->value);
                break;
        case OTLP_STRING:
                render_text_sized(render, key, (const char *)field->data, field->size);
                break;
        case OTLP_BYTES:
                render_base64(render, key, field->data, field->size);
                break;
        case OTLP_TRACE_ID:
        case OTLP_SPAN_ID:
                if (field->size)
                        render_hex(render, key, field->data, field->size);
                break;
        case OTLP_MESSAGE:
                render_open_object(render, key);
                otlp_json_members(render, (OtlpMessage)kind.message, field->data, field->size);
                render_close(render);
                break;
        case OTLP_UNKNOWN:
        case _OTLP_KINDS_N:
                break;
        }
}

/* All of the fields of one number, as an array. */
static void otlp_json_array(Render *render, const char *key, OtlpMessage message, uint32_t number,
                            PbReader reader) {
        PbField field;

        render_open_array(render, key);
        while (pb_next(&reader, &field))
                if (field.number == number)
                        otlp_json_value(render, NULL, message, &field);
        render_close(render);
}

void otlp_json_members(Render *render, OtlpMessage message, const uint8_t *data, size_t size) {
        PbField last[OTLP_NUMBER_MAX + 1] = {0}, field;
        PbReader reader = pb_reader(data, size);

        while (pb_next(&reader, &field))
                if (field.number <= OTLP_NUMBER_MAX)
                        last[field.number] = field;
        for (uint32_t number = 1; number <= OTLP_NUMBER_MAX; number++) {
                const char *name = otlp_json_names[message][number];

                if (!name || !last[number].number)
                        continue;
                if (otlp_field(message, number).repeated)
                        otlp_json_array(render, name, message, number, pb_reader(data, size));
                else
                        otlp_json_value(render, name, message, &last[number]);
        }
}

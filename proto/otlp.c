/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/otlp.h"

enum { OTLP_ONE, OTLP_MANY };

const OtlpField otlp_fields[_OTLP_MESSAGES_N][OTLP_NUMBER_MAX + 1] = {
#define OTLP_FIELD_X(message, field, number, kind, type, count)                                    \
        [OTLP_##message][OTLP_##message##_##field] = {OTLP_##kind, OTLP_##type, OTLP_##count},
        OTLP_FIELDS(OTLP_FIELD_X)
#undef OTLP_FIELD_X
};

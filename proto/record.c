/* SPDX-License-Identifier: Apache-2.0 */

#include "proto/record.h"

/* Those that a client may send: what is left out comes from the daemon. */
static bool record_type_is_clients(uint16_t type) {
        switch (type) {
        case RECORD_HELLO:
        case RECORD_SCOPE:
        case RECORD_CONTEXT:
        case RECORD_SPAN:
        case RECORD_LOG:
        case RECORD_LOST:
        case RECORD_FLUSH:
        case RECORD_WAKE:
        case RECORD_BYE:
                return true;
        default:
                return false;
        }
}

int record_frame(RecordHeader *headerp, const uint8_t *data, size_t size) {
        RecordHeader header;

        if (size < RECORD_HEADER_SIZE)
                return RECORD_E_PARTIAL;
        header = record_header_read(data);
        if (header.size < RECORD_HEADER_SIZE || header.size > RECORD_SIZE_MAX)
                return RECORD_E_SIZE;
        if (!record_type_is_clients(header.type))
                return RECORD_E_TYPE;
        if (header.flags & ~RECORD_CLIENT_FLAGS)
                return RECORD_E_FLAGS;
        *headerp = header;
        return size < record_stride(header.size) ? RECORD_E_PARTIAL : 0;
}

const char *record_verdict_name(RecordVerdict verdict) {
        switch (verdict) {
#define RECORD_VERDICT_X(symbol, value, name, meaning)                                             \
        case RECORD_VERDICT_##symbol:                                                              \
                return name;
                RECORD_VERDICTS(RECORD_VERDICT_X)
#undef RECORD_VERDICT_X
        case RECORD_VERDICTS_N:
                break;
        }
        return "unknown";
}

const char *record_error_text(int error) {
        switch (error) {
        case RECORD_E_PARTIAL:
                return "a record that is not complete";
        case RECORD_E_SIZE:
                return "a record smaller than its header or larger than 256 KiB";
        case RECORD_E_TYPE:
                return "not a type of record that a client may send";
        case RECORD_E_FLAGS:
                return "flags that only the daemon may set";
        default:
                return "unknown error";
        }
}

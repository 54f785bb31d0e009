/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/base/checksum.h"

#include <libdeflate.h>

uint32_t checksum_crc32(uint32_t seed, const void *data, size_t size) {
        return libdeflate_crc32(seed, data, size);
}

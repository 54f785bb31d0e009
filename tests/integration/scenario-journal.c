/* SPDX-License-Identifier: Apache-2.0 */

/* Damage between two lives of the daemon: it starts, loses what was hit, and counts it. */

#include "daemon/base/checksum.h"
#include "tests/integration/raw-client.h"
#include "tests/integration/scenario.h"

#include <check.h>
#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
        SPANS = 100,
        SEGMENT_SIZE = 2 * 1024 * 1024,
        SEGMENT_HEADER_SIZE = 64,
        SEGMENT_VERSION_AT = 8,
};

#define EXPORTER "conservation.traces.exporters.0."

static Harness harness;
static uint8_t *segment; /* the newest one */

static void map_newest_segment(void) {
        char newest[256] = "", path[FOLDER_PATH_SIZE * 2];
        DIR *folder = opendir(harness.journal);
        const struct dirent *entry;
        int fd;

        ck_assert_ptr_nonnull(folder);
        while ((entry = readdir(folder)))
                if (strstr(entry->d_name, ".segment") && strcmp(entry->d_name, newest) > 0)
                        snprintf(newest, sizeof newest, "%s", entry->d_name);
        closedir(folder);
        snprintf(path, sizeof path, "%s/%s", harness.journal, newest);
        fd = open(path, O_RDWR | O_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        segment = mmap(NULL, SEGMENT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        ck_assert_ptr_ne(segment, MAP_FAILED);
        close(fd);
}

/* Each span in a block of its own; nobody takes them. Then the daemon is killed. */
static void fill_journal(void) {
        RawClient client;
        char name[32];

        harness_open(&harness, &(HarnessOptions){.refuses = true});
        ck_assert(raw_client_connect(&client, harness.socket));
        ck_assert(raw_client_hello(&client, "writer", false));
        for (unsigned i = 0; i < SPANS; i++) {
                snprintf(name, sizeof name, "span %u.", i);
                ck_assert(raw_client_span(&client, i + 1, RECORD_START | RECORD_END, name));
                ck_assert(raw_client_flush(&client));
        }
        raw_client_close(&client);
        harness_await(&harness, "counters.spans_closed", SPANS);
        harness_kill(&harness);
        map_newest_segment();
}

static uint8_t *find_span(unsigned i) {
        char name[32];
        uint8_t *at;

        snprintf(name, sizeof name, "span %u.", i);
        at = memmem(segment, SEGMENT_SIZE, name, strlen(name));
        ck_assert_ptr_nonnull(at);
        return at;
}

/* All spans but `lost` arrive, and they are counted. */
static void assert_lost(uint64_t n_lost) {
        munmap(segment, SEGMENT_SIZE);
        backend_listen(harness.backend);
        harness_start(&harness);
        harness_await(&harness, EXPORTER "delivered", SPANS - n_lost);
        ck_assert_uint_eq(backend_n_unique(harness.backend), SPANS - n_lost);
        ck_assert_uint_gt(harness_get(&harness, "journal.recovered.lost_blocks"), 0);
}

START_TEST(journal_with_a_flipped_byte) {
        fill_journal();
        *find_span(SPANS / 2) ^= 0x01;
        assert_lost(1);
        ck_assert_ptr_null(backend_find(harness.backend, "span 50."));
        harness_finish(&harness);
}
END_TEST

/* From the middle of the last span's record on nothing was written. */
START_TEST(journal_with_a_torn_tail) {
        uint8_t *at;

        fill_journal();
        at = find_span(SPANS - 1);
        memset(at, 0, SEGMENT_SIZE - SEGMENT_HEADER_SIZE - (size_t)(at - segment));
        assert_lost(1);
        ck_assert_ptr_null(backend_find(harness.backend, "span 99."));
        harness_finish(&harness);
}
END_TEST

/* Both headers of the segment, whole, say another version. */
static void set_version(uint32_t version) {
        uint8_t *const headers[] = {segment, segment + SEGMENT_SIZE - SEGMENT_HEADER_SIZE};

        for (size_t i = 0; i < 2; i++) {
                uint32_t little = htole32(version), sum;

                memcpy(headers[i] + SEGMENT_VERSION_AT, &little, sizeof little);
                sum = htole32(checksum_crc32(0, headers[i], SEGMENT_HEADER_SIZE - sizeof sum));
                memcpy(headers[i] + SEGMENT_HEADER_SIZE - sizeof sum, &sum, sizeof sum);
        }
}

/* A segment of a version that is not known is left alone, and the daemon begins anew. */
START_TEST(journal_of_a_newer_version) {
        RawClient client;

        fill_journal();
        set_version(2);
        munmap(segment, SEGMENT_SIZE);
        backend_listen(harness.backend);
        harness_start(&harness);
        ck_assert_uint_eq(harness_get(&harness, "journal.recovered.newer_version"), 2);
        ck_assert_uint_ge(harness_get(&harness, "journal.recovered.lost_segments"), 1);
        ck_assert(raw_client_connect(&client, harness.socket));
        ck_assert(raw_client_hello(&client, "writer", false));
        ck_assert(raw_client_span(&client, 1, RECORD_START | RECORD_END, "anew"));
        raw_client_close(&client);
        harness_await(&harness, EXPORTER "delivered", 1);
        harness_finish(&harness);
}
END_TEST

SCENARIO_RUN("journal", journal_with_a_flipped_byte, journal_with_a_torn_tail,
             journal_of_a_newer_version)

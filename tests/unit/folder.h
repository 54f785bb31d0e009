#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* A private folder for a test, in memory where there is /dev/shm; removed with what is in it. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FOLDER_PATH_SIZE = 512 };

static inline void folder_make(char path[FOLDER_PATH_SIZE]) {
        const char *base = access("/dev/shm", W_OK) ? getenv("TMPDIR") : "/dev/shm";

        snprintf(path, FOLDER_PATH_SIZE, "%s/catena-test-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(path))
                abort();
}

static inline void folder_remove(const char *path) {
        DIR *dir = opendir(path);
        struct dirent *entry;

        while (dir && (entry = readdir(dir))) {
                char name[FOLDER_PATH_SIZE * 2];

                snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
                if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
                        unlink(name);
        }
        if (dir)
                closedir(dir);
        rmdir(path);
}

/* How many names there end so. */
static inline unsigned folder_count(const char *path, const char *suffix) {
        DIR *dir = opendir(path);
        struct dirent *entry;
        unsigned n = 0;

        while (dir && (entry = readdir(dir))) {
                size_t length = strlen(entry->d_name);

                n += length >= strlen(suffix) &&
                     !strcmp(entry->d_name + length - strlen(suffix), suffix);
        }
        if (dir)
                closedir(dir);
        return n;
}

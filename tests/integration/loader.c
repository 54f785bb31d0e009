/* SPDX-License-Identifier: Apache-2.0 */

/*
 * loader LIBCATENA: a program that has the library only by dlopen(), and lets go of it before its
 * threads, its children and itself have ended.
 */

#include "lib/catena.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMES = 50 };

typedef struct Library {
        void *handle;
        __typeof__(catena_context_new) *context_new;
        __typeof__(catena_context_free) *context_free;
        __typeof__(catena_span_start) *span_start;
        __typeof__(catena_span_end) *span_end;
} Library;

static const char *path;
static sem_t spoken, released;

static void library_open(Library *library) {
        library->handle = dlopen(path, RTLD_NOW);
        if (!library->handle) {
                fprintf(stderr, "%s\n", dlerror());
                exit(EXIT_FAILURE);
        }
        *(void **)&library->context_new = dlsym(library->handle, "catena_context_new");
        *(void **)&library->context_free = dlsym(library->handle, "catena_context_free");
        *(void **)&library->span_start = dlsym(library->handle, "catena_span_start");
        *(void **)&library->span_end = dlsym(library->handle, "catena_span_end");
}

static void library_close(Library *library) {
        if (dlclose(library->handle))
                exit(EXIT_FAILURE);
        *library = (Library){0};
}

static void say(const Library *library, const char *name) {
        catena_context *context = library->context_new(NULL, NULL);

        library->span_end(library->span_start(context, name, CATENA_KIND_INTERNAL));
        library->context_free(context);
}

static void *outlive(void *user) {
        say(user, "of a thread");
        sem_post(&spoken);
        sem_wait(&released);
        return NULL;
}

static void bear(void) {
        pid_t pid = fork();
        Library library;
        int status;

        if (pid == 0) {
                library_open(&library);
                say(&library, "of a child");
                library_close(&library);
                exit(EXIT_SUCCESS);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
                exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
        Library library;
        pthread_t thread;

        if (argc != 2)
                return EXIT_FAILURE;
        path = argv[1];
        sem_init(&spoken, 0, 0);
        sem_init(&released, 0, 0);
        library_open(&library);
        say(&library, "first");
        if (pthread_create(&thread, NULL, outlive, &library))
                return EXIT_FAILURE;
        sem_wait(&spoken);
        library_close(&library);
        bear();
        sem_post(&released);
        pthread_join(thread, NULL);
        for (int i = 0; i < TIMES; i++) {
                library_open(&library);
                say(&library, "again");
                library_close(&library);
        }
        return EXIT_SUCCESS;
}

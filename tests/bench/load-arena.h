#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/* Records through an arena (proto/arena.h), by one writer. */

#include "proto/arena.h"

typedef struct LoadArena LoadArena;

/* Of the descriptor that came with WELCOME, which is closed; `fd` is the connection. */
LoadArena *load_arena_new(int arena_fd, int fd);
/* Whole records. Where the library would drop them for want of room, this waits. */
void load_arena_write(LoadArena *arena, const void *data, size_t size);

#pragma once
/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Tables for a terminal
 *
 * Cells are added row by row, the titles first, and printed in columns as wide as they need. Text
 * in them is escaped as text_print() does.
 *
 * Owns: copies of the cells.  I/O: only to `out`.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 12 };

typedef struct TableCell {
        char *text;
        const char *colour; /* or NULL */
} TableCell;

typedef struct Table {
        size_t n_columns;
        bool right[TABLE_COLUMNS_MAX]; /* aligned to the right */
        TableCell *cells;              /* [n_cells], by rows */
        size_t n_cells;
        bool failed; /* memory was out: a cell is missing */
} Table;

/* `columns`: one letter each, 'l' or 'r', for the side that it is aligned to. */
void table_init(Table *table, const char *columns);
void table_deinit(Table *table);
void table_add(Table *table, const char *cell); /* NULL: an empty one */
void table_add_number(Table *table, uint64_t number);
/* Gives the last cell a colour, an escape sequence. */
void table_paint(Table *table, const char *colour);
/* -ENOMEM if a cell could not be added. */
int table_print(const Table *table, FILE *out);

/* SPDX-License-Identifier: Apache-2.0 */

#include "lib/cli/table.h"

#include "daemon/base/error.h"
#include "lib/cli/text.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
        TABLE_CELL_MAX = 40, /* columns */
        TABLE_GAP = 2,
};

#define TABLE_PLAIN "\033[0m"

void table_init(Table *table, const char *columns) {
        *table = (Table){.n_columns = strlen(columns)};
        assert(table->n_columns && table->n_columns <= TABLE_COLUMNS_MAX);
        for (size_t i = 0; i < table->n_columns; i++)
                table->right[i] = columns[i] == 'r';
}

void table_deinit(Table *table) {
        for (size_t i = 0; i < table->n_cells; i++)
                free(table->cells[i].text);
        free(table->cells);
        *table = (Table){0};
}

void table_add(Table *table, const char *cell) {
        char *copy = strdup(cell ? cell : "");
        TableCell *cells = realloc(table->cells, (table->n_cells + 1) * sizeof *cells);

        if (cells)
                table->cells = cells;
        if (!copy || !cells) {
                free(copy);
                table->failed = true;
                return;
        }
        table->cells[table->n_cells++] = (TableCell){.text = copy};
}

void table_paint(Table *table, const char *colour) {
        if (table->n_cells)
                table->cells[table->n_cells - 1].colour = colour;
}

void table_add_number(Table *table, uint64_t number) {
        char text[24];

        snprintf(text, sizeof text, "%" PRIu64, number);
        table_add(table, text);
}

int table_print(const Table *table, FILE *out) {
        size_t widths[TABLE_COLUMNS_MAX] = {0};

        if (table->failed)
                return error_origin(-ENOMEM);
        for (size_t i = 0; i < table->n_cells; i++) {
                size_t width = text_print(NULL, table->cells[i].text, TABLE_CELL_MAX);

                if (width > widths[i % table->n_columns])
                        widths[i % table->n_columns] = width;
        }
        for (size_t i = 0; i < table->n_cells; i++) {
                size_t column = i % table->n_columns;
                size_t pad =
                        widths[column] - text_print(NULL, table->cells[i].text, TABLE_CELL_MAX);
                const char *colour = table->cells[i].colour;
                bool is_last = column + 1 == table->n_columns;

                if (table->right[column])
                        fprintf(out, "%*s", (int)pad, "");
                fputs(colour ? colour : "", out);
                text_print(out, table->cells[i].text, TABLE_CELL_MAX);
                fputs(colour ? TABLE_PLAIN : "", out);
                if (is_last)
                        fputc('\n', out);
                else
                        fprintf(out, "%*s", (int)(table->right[column] ? 0 : pad) + TABLE_GAP, "");
        }
        return 0;
}

/* Growing a table value by value and name by name. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "proto/table_reader.h"
#include "proto/wire.h"

int twp_table_reader_refuse(struct twp_table_reader *in, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(in->detail, 200, format, args);
    va_end(args);
    return -1;
}

int twp_table_reader_no_memory(struct twp_table_reader *in)
{
    in->no_memory = true;
    return twp_table_reader_refuse(in, "out of memory");
}

int twp_table_reader_push(struct twp_table_reader *in, float value)
{
    if (in->count == in->capacity) {
        size_t capacity = in->capacity ? in->capacity + in->capacity / 2 : 1024, bytes;
        float *grown =
            __builtin_mul_overflow(capacity, sizeof *grown, &bytes) ? NULL : realloc(in->table->values, bytes);
        if (!grown)
            return twp_table_reader_no_memory(in);
        in->table->values = grown;
        in->capacity = capacity;
    }
    in->table->values[in->count++] = value;
    return 0;
}

void twp_table_reader_fit(struct twp_table_reader *in)
{
    float *fitted = in->count ? realloc(in->table->values, in->count * sizeof *fitted) : NULL;
    if (fitted)
        in->table->values = fitted;
}

int twp_table_reader_column(struct twp_table_reader *in, size_t index, const char *name, size_t length)
{
    struct twp_table *table = in->table;
    if (length == 0 || length > TWP_COLUMN_MAX)
        return twp_table_reader_refuse(in, "column %zu: a name must have 1 to %d bytes", index + 1, TWP_COLUMN_MAX);
    if (index >= TWP_COLUMNS_MAX)
        return twp_table_reader_refuse(in, "more than %d columns", TWP_COLUMNS_MAX);
    json_t *text = json_stringn(name, length);
    json_decref(text);
    if (!text || memchr(name, '\0', length))
        return twp_table_reader_refuse(in, "column %zu: the name is not valid UTF-8", index + 1);
    if (!table->column)
        table->column = calloc(TWP_COLUMNS_MAX, sizeof *table->column);
    char *copy = table->column ? strndup(name, length) : NULL;
    if (!copy)
        return twp_table_reader_no_memory(in);
    table->column[index] = copy;
    table->cols = index + 1;
    return 0;
}

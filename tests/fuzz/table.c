/* A table that parses can be written and read again with the same values (in JSON what is not finite becomes null). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "proto/table.h"

static int same(enum twp_format format, float a, float b)
{
    if (isnan(b))
        return isnan(a) || (format == TWP_FORMAT_JSON && isinf(a));
    return a == b;
}

static void write_again(enum twp_format format, const struct twp_table *table)
{
    struct twp_table again;
    char detail[200];
    size_t size;
    void *bytes =
        twp_table_encode(format, (const char *const *)table->column, table->rows, table->cols, table->values, &size);
    FUZZ_CHECK(bytes);
    FUZZ_CHECK(twp_table_parse(format, bytes, size, &again, detail) == 0);
    FUZZ_CHECK(again.rows == table->rows && (again.cols == table->cols || table->rows == 0));
    for (size_t i = 0; i < table->rows * table->cols; i++)
        FUZZ_CHECK(same(format, table->values[i], again.values[i]));
    for (size_t i = 0; table->column && format != TWP_FORMAT_NPY && i < table->cols; i++)
        FUZZ_CHECK(strcmp(table->column[i], again.column[i]) == 0);
    twp_table_fini(&again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct twp_table table;
    char detail[200];
    for (enum twp_format format = TWP_FORMAT_NPY; format <= TWP_FORMAT_JSON; format++) {
        if (twp_table_parse(format, data, size, &table, detail)) {
            FUZZ_CHECK(detail[0] != '\0' && !table.values && !table.column);
            continue;
        }
        write_again(format, &table);
        twp_table_fini(&table);
    }
    twp_table_format_of_media(NULL, data, size);
    return 0;
}

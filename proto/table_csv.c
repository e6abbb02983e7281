/* CSV: a first line of names, then numbers; an empty field is NaN. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "proto/decimal.h"
#include "proto/table_reader.h"

/* One field without the blanks around it; leaves `at` on the comma, the line's end or the end. */
static void take_field(struct twp_table_reader *in, const char **field, size_t *length)
{
    const char *stop = in->at;
    while (stop < in->end && *stop != ',' && *stop != '\n')
        stop++;
    const char *first = in->at, *last = stop;
    while (first < last && (*first == ' ' || *first == '\t'))
        first++;
    while (first < last && (last[-1] == ' ' || last[-1] == '\t' || last[-1] == '\r'))
        last--;
    in->at = stop;
    *field = first;
    *length = (size_t)(last - first);
}

/* Steps over what ended a field; true if the line goes on. */
static bool line_goes_on(struct twp_table_reader *in)
{
    bool comma = in->at < in->end && *in->at == ',';
    if (in->at < in->end)
        in->at++;
    return comma;
}

static bool starts_with_mark(const char *text, size_t size)
{
    return size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0; /* of UTF-8, as spreadsheets write it */
}

static bool name_ok(const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)name[i] < ' ' || name[i] == '"' || name[i] == '#')
            return false;
    }
    return length > 0 && name[0] != ' ' && name[length - 1] != ' ' && !starts_with_mark(name, length);
}

/* Names may be quoted, and the line may begin with '#', as numpy.savetxt writes it. */
static int csv_names(struct twp_table_reader *in)
{
    if (starts_with_mark(in->at, (size_t)(in->end - in->at)))
        in->at += 3;
    if (in->at < in->end && *in->at == '#')
        in->at++;
    size_t index = 0;
    do {
        const char *name;
        size_t length;
        float number;
        take_field(in, &name, &length);
        if (length > 2 && name[0] == '"' && name[length - 1] == '"') {
            name++;
            length -= 2;
        }
        if (twp_decimal_parse(name, length, &number))
            return twp_table_reader_refuse(in, "line 1, column %zu: the first line must hold names, not numbers",
                                           index + 1);
        if (length == 0) /* as a data frame that is written with its index has it */
            return twp_table_reader_refuse(in, "line 1, column %zu has no name; pandas: to_csv(..., index=False)",
                                           index + 1);
        if (!name_ok(name, length))
            return twp_table_reader_refuse(in, "line 1, column %zu: not a name", index + 1);
        if (twp_table_reader_column(in, index++, name, length))
            return -1;
    } while (line_goes_on(in));
    return 0;
}

static bool only_line_ends(const struct twp_table_reader *in)
{
    for (const char *at = in->at; at < in->end; at++) {
        if (*at != '\n' && *at != '\r')
            return false;
    }
    return true;
}

static int csv_row(struct twp_table_reader *in)
{
    size_t index = 0, row = in->table->rows;
    do {
        const char *field;
        size_t length;
        float value = NAN;
        take_field(in, &field, &length);
        if (index == in->table->cols)
            return twp_table_reader_refuse(in, "line %zu has more than %zu fields", row + 2, index);
        index++;
        if (length > 0 && !twp_decimal_parse(field, length, &value))
            return twp_table_reader_refuse(in, "line %zu, column %zu (%.63s): not a number", row + 2, index,
                                           in->table->column[index - 1]);
        if (twp_table_reader_push(in, value))
            return -1;
    } while (line_goes_on(in));
    if (index < in->table->cols)
        return twp_table_reader_refuse(in, "line %zu has %zu fields, not %zu", row + 2, index, in->table->cols);
    in->table->rows++;
    return 0;
}

int twp_table_csv_parse(struct twp_table_reader *in)
{
    if (only_line_ends(in))
        return twp_table_reader_refuse(in, "no line of column names");
    if (csv_names(in))
        return -1;
    while (!only_line_ends(in)) {
        if (csv_row(in))
            return -1;
    }
    return 0;
}

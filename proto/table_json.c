/* Rows in JSON, read by a scanner of its own: a tree of the rows would take ten times the memory of the text, and
 * bodies come from outside. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include <jansson.h>

#include "proto/decimal.h"
#include "proto/table_reader.h"
#include "proto/wire.h"

static int json_refuse(struct twp_table_reader *in, const char *what)
{
    return twp_table_reader_refuse(in, "byte %zu: %s", (size_t)(in->at - in->start), what);
}

/* The next character that is not blank, 0 at the end. */
static char peek(struct twp_table_reader *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\t' || *in->at == '\r'))
        in->at++;
    return in->at < in->end ? *in->at : '\0';
}

static bool take(struct twp_table_reader *in, char wanted)
{
    if (peek(in) != wanted)
        return false;
    in->at++;
    return true;
}

static size_t digits(const char *at, const char *end)
{
    const char *start = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return (size_t)(at - start);
}

/* Length of the number at `at` by JSON's grammar, 0 if there is none. */
static size_t json_number(const char *start, const char *end)
{
    const char *at = start;
    if (at < end && *at == '-')
        at++;
    size_t whole = digits(at, end);
    if (whole == 0 || (whole > 1 && *at == '0'))
        return 0;
    at += whole;
    if (at < end && *at == '.') {
        size_t fraction = digits(++at, end);
        if (fraction == 0)
            return 0;
        at += fraction;
    }
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        size_t exponent = digits(at, end);
        if (exponent == 0)
            return 0;
        at += exponent;
    }
    return (size_t)(at - start);
}

static int json_value(struct twp_table_reader *in)
{
    if (peek(in) == 'n' && in->end - in->at >= 4 && memcmp(in->at, "null", 4) == 0) {
        in->at += 4;
        return twp_table_reader_push(in, NAN);
    }
    size_t length = json_number(in->at, in->end);
    float value;
    if (!twp_decimal_parse(in->at, length, &value))
        return json_refuse(in, "expected a number or null");
    in->at += length;
    return twp_table_reader_push(in, value);
}

static int json_row(struct twp_table_reader *in)
{
    size_t before = in->count;
    if (!take(in, '['))
        return json_refuse(in, "expected a row: an array of numbers");
    do {
        if (json_value(in))
            return -1;
    } while (take(in, ','));
    if (!take(in, ']'))
        return json_refuse(in, "expected ',' or ']'");
    size_t cols = in->count - before;
    if (cols > TWP_COLUMNS_MAX)
        return twp_table_reader_refuse(in, "more than %d columns", TWP_COLUMNS_MAX);
    if (in->table->rows == 0 && !in->table->column)
        in->table->cols = cols;
    if (cols != in->table->cols && in->table->cols > 0)
        return twp_table_reader_refuse(in, "row %zu has %zu values, not %zu", in->table->rows, cols, in->table->cols);
    in->table->rows++;
    return 0;
}

static int json_rows(struct twp_table_reader *in)
{
    if (!take(in, '['))
        return json_refuse(in, "expected an array of rows");
    if (take(in, ']'))
        return 0;
    do {
        if (json_row(in))
            return -1;
    } while (take(in, ','));
    return take(in, ']') ? 0 : json_refuse(in, "expected ',' or ']'");
}

/* The JSON array or string at `at`, decoded by jansson; it must not nest and not be long. */
static json_t *json_small(struct twp_table_reader *in, char close)
{
    const char *stop = in->at + 1;
    bool quoted = close == '"';
    for (; stop < in->end && stop - in->at < TWP_HEADER_MAX; stop++) {
        if (*stop == close && (close == '"' || !quoted))
            break;
        if (*stop == '\\' && quoted && stop + 1 < in->end)
            stop++;
        else if (*stop == '"')
            quoted = !quoted;
    }
    if (stop >= in->end || *stop != close)
        return NULL;
    json_t *json = json_loadb(in->at, (size_t)(stop + 1 - in->at), JSON_DECODE_ANY, NULL);
    if (json)
        in->at = stop + 1;
    return json;
}

static int json_columns(struct twp_table_reader *in)
{
    json_t *names = peek(in) == '[' ? json_small(in, ']') : NULL;
    int status = names ? 0 : json_refuse(in, "expected an array of column names");
    for (size_t i = 0; status == 0 && i < json_array_size(names); i++) {
        json_t *name = json_array_get(names, i);
        status = twp_table_reader_column(in, i, json_string_value(name), json_string_length(name));
    }
    if (status == 0 && json_array_size(names) == 0)
        status = json_refuse(in, "\"columns\" is empty");
    json_decref(names);
    return status;
}

/* {"columns", "rows" or "items"} in any order; names that come after the rows must be as many as a row has values. */
static int json_object_rows(struct twp_table_reader *in)
{
    bool columns = false, rows = false;
    size_t cols = 0;
    in->at++;
    do {
        json_t *key = peek(in) == '"' ? json_small(in, '"') : NULL;
        const char *name = json_string_value(key);
        bool is_columns = name && strcmp(name, "columns") == 0;
        bool is_rows = name && (strcmp(name, "rows") == 0 || strcmp(name, "items") == 0);
        json_decref(key);
        if (!is_columns && !is_rows)
            return json_refuse(in, "expected \"columns\", \"rows\" or \"items\"");
        if ((is_columns && columns) || (is_rows && rows))
            return json_refuse(in, "this member is there twice");
        if (!take(in, ':'))
            return json_refuse(in, "expected ':'");
        columns = columns || is_columns;
        rows = rows || is_rows;
        if (is_columns ? json_columns(in) : json_rows(in))
            return -1;
        if (is_rows)
            cols = in->table->rows ? in->count / in->table->rows : 0;
    } while (take(in, ','));
    if (!take(in, '}'))
        return json_refuse(in, "expected ',' or '}'");
    if (!rows)
        return json_refuse(in, "there is no member \"rows\"");
    if (in->table->rows > 0 && cols != in->table->cols)
        return twp_table_reader_refuse(in, "\"columns\" has %zu names for rows of %zu values", in->table->cols, cols);
    return 0;
}

int twp_table_json_parse(struct twp_table_reader *in)
{
    int status = peek(in) == '{' ? json_object_rows(in) : json_rows(in);
    if (status == 0 && peek(in) != '\0')
        status = json_refuse(in, "something follows the end");
    if (status == 0 && in->at < in->end)
        status = json_refuse(in, "a zero byte");
    return status;
}

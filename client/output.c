/* Tables, CSV and JSON on stdout. A table is laid out in two passes: widths, then lines. */
#include "client/output.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CELL_MAX = 512, COLUMNS_MAX = 24, PATH_MAX_LENGTH = 128 };

bool output_format_read(const char *text, enum output_format *format)
{
    static const char *const names[] = {"table", "json", "csv"};
    for (int i = 0; i < 3; i++) {
        if (!strcmp(text, names[i])) {
            *format = (enum output_format)i;
            return true;
        }
    }
    return false;
}

bool output_colours(FILE *stream)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(stream)) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

const char *output_paint(enum output_colour colour)
{
    switch (colour) {
    case OUTPUT_PLAIN:
        return "";
    case OUTPUT_GOOD:
        return "\033[32m";
    case OUTPUT_BAD:
        return "\033[1;31m";
    case OUTPUT_UNSURE:
        return "\033[33m";
    }
    return "";
}

const char *output_noun(int64_t count, const char *one, const char *many)
{
    return count == 1 ? one : many;
}

char *output_clean(char *text)
{
    for (unsigned char *c = (unsigned char *)text; *c; c++) {
        /* C0, DEL, and C1 as UTF-8 writes it. */
        if (*c < 0x20 || *c == 0x7f)
            *c = ' ';
        else if (*c == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
            c[0] = c[1] = ' ';
    }
    return text;
}

const json_t *output_at(const json_t *object, const char *path)
{
    char part[PATH_MAX_LENGTH];
    while (object && *path) {
        size_t length = strcspn(path, ".");
        if (length >= sizeof part)
            return NULL;
        memcpy(part, path, length);
        part[length] = 0;
        object = json_object_get(object, part);
        path += length + (path[length] == '.');
    }
    return json_is_null(object) ? NULL : object;
}

static void write_number(double value, const char *format, char *text, size_t size)
{
    if (isfinite(value) && value == rint(value) && fabs(value) < 1e15)
        snprintf(text, size, "%.0f", value);
    else
        snprintf(text, size, format, value);
}

/* "2026-03-01T12:00:00.123Z" -> local "2026-03-01 13:00:00" or another format; anything else stays. */
static void write_time(const char *stamp, const char *format, char *text, size_t size)
{
    struct tm utc = {0}, local;
    const char *rest = strptime(stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    if (rest && *rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if (!rest || strcmp(rest, "Z")) {
        snprintf(text, size, "%s", stamp);
        return;
    }
    time_t seconds = timegm(&utc);
    localtime_r(&seconds, &local);
    strftime(text, size, format, &local);
}

/* Text as far as there is room; what is cut ends in an ellipsis, at a whole character of UTF-8. */
static void write_text(const char *source, char *text, size_t size)
{
    static const char ellipsis[] = "\u2026";
    if ((size_t)snprintf(text, size, "%s", source) < size || size <= sizeof ellipsis)
        return;
    size_t at = size - sizeof ellipsis;
    while (at && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    memcpy(text + at, ellipsis, sizeof ellipsis);
}

static void write_value(const json_t *value, enum output_kind kind, bool full, char *text, size_t size)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        *text = 0;
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        snprintf(text, size, "%s", json_is_true(value) ? "yes" : "no");
        break;
    case JSON_INTEGER:
        snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL:
        write_number(json_real_value(value), full ? "%.17g" : "%.4g", text, size);
        break;
    case JSON_STRING:
        if (kind == OUTPUT_TIME && !full)
            write_time(json_string_value(value), "%Y-%m-%d %H:%M:%S", text, size);
        else if (kind == OUTPUT_CLOCK && !full)
            write_time(json_string_value(value), "%H:%M:%S", text, size);
        else if (kind == OUTPUT_HASH && !full)
            snprintf(text, size, "%.12s", json_string_value(value));
        else
            write_text(json_string_value(value), text, size);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT: {
        char *dump = json_dumps(value, JSON_COMPACT | JSON_REAL_PRECISION(7));
        write_text(dump ? dump : "", text, size);
        free(dump);
        break;
    }
    }
    output_clean(text);
}

const char *output_cell(const json_t *object, const char *path, enum output_kind kind, char *text, size_t size)
{
    const json_t *value = output_at(object, path);
    if (value)
        write_value(value, kind, false, text, size);
    else
        snprintf(text, size, "-");
    return text;
}

/* Characters of UTF-8 text; close enough to cells for what stands in our tables. */
static size_t width(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool is_numeric(const json_t *items, const struct output_column *column)
{
    size_t i, seen = 0;
    json_t *row;
    json_array_foreach(items, i, row)
    {
        const json_t *value = output_at(row, column->path);
        if (value && !json_is_number(value))
            return false;
        seen += value != NULL;
    }
    return seen > 0;
}

static void put_cell(FILE *stream, const char *text, size_t wide, bool right, bool last, const char *paint)
{
    int pad = (int)(wide - width(text));
    fprintf(stream, "%*s%s%s%s", right ? pad : 0, "", paint, text, *paint ? OUTPUT_END : "");
    if (last)
        fputc('\n', stream);
    else
        fprintf(stream, "%*s  ", right ? 0 : pad, "");
}

static void print_table(FILE *stream, const json_t *items, const struct output_column *columns, size_t count,
                        bool heading)
{
    size_t wide[COLUMNS_MAX], i;
    bool right[COLUMNS_MAX], colours = output_colours(stream);
    char text[CELL_MAX];
    json_t *row;
    for (size_t c = 0; c < count; c++) {
        wide[c] = width(columns[c].title);
        right[c] = is_numeric(items, &columns[c]);
        json_array_foreach(items, i, row)
        {
            size_t w = width(output_cell(row, columns[c].path, columns[c].kind, text, sizeof text));
            wide[c] = w > wide[c] ? w : wide[c];
        }
    }
    for (size_t c = 0; heading && c < count; c++)
        put_cell(stream, columns[c].title, wide[c], right[c], c + 1 == count, colours ? "\033[1m" : "");
    json_array_foreach(items, i, row)
    {
        for (size_t c = 0; c < count; c++) {
            const char *paint = colours && columns[c].colour ? output_paint(columns[c].colour(row)) : "";
            output_cell(row, columns[c].path, columns[c].kind, text, sizeof text);
            put_cell(stream, text, wide[c], right[c], c + 1 == count, paint);
        }
    }
}

static void put_csv(FILE *stream, const char *text, char end)
{
    if (strpbrk(text, ",\"\r\n")) {
        fputc('"', stream);
        for (; *text; text++)
            fprintf(stream, *text == '"' ? "\"\"" : "%c", *text);
        fputc('"', stream);
    } else {
        fputs(text, stream);
    }
    fputc(end, stream);
}

static void print_csv(FILE *stream, const json_t *items, const struct output_column *columns, size_t count,
                      bool heading)
{
    char text[CELL_MAX];
    size_t i;
    json_t *row;
    for (size_t c = 0; heading && c < count; c++)
        put_csv(stream, columns[c].path, c + 1 == count ? '\n' : ',');
    json_array_foreach(items, i, row)
    {
        for (size_t c = 0; c < count; c++) {
            const json_t *value = output_at(row, columns[c].path);
            *text = 0;
            if (value)
                write_value(value, columns[c].kind, true, text, sizeof text);
            put_csv(stream, text, c + 1 == count ? '\n' : ',');
        }
    }
}

void output_json(FILE *stream, const json_t *value)
{
    json_dumpf(value, stream, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(16));
    fputc('\n', stream);
}

void output_items(FILE *stream, enum output_format format, const json_t *items, const struct output_column *columns,
                  size_t count, bool heading)
{
    if (count > COLUMNS_MAX)
        abort();
    switch (format) {
    case OUTPUT_TABLE:
        print_table(stream, items, columns, count, heading);
        break;
    case OUTPUT_CSV:
        print_csv(stream, items, columns, count, heading);
        break;
    case OUTPUT_JSON:
        output_json(stream, items);
        break;
    }
}

/* Objects inside objects become dotted names; arrays stay compact JSON. */
static void flatten(json_t *lines, const char *prefix, const json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        char name[PATH_MAX_LENGTH];
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "." : "", key);
        output_clean(name);
        if (json_is_object(value) && json_object_size(value))
            flatten(lines, name, value);
        else
            json_array_append_new(lines, json_pack("{s:s, s:O}", "member", name, "value", value));
    }
}

void output_object(FILE *stream, enum output_format format, const json_t *object)
{
    static const struct output_column columns[] = {{"MEMBER", "member", OUTPUT_TEXT, NULL},
                                                   {"VALUE", "value", OUTPUT_TEXT, NULL}};
    if (format == OUTPUT_JSON) {
        output_json(stream, object);
        return;
    }
    json_t *lines = json_array();
    if (lines)
        flatten(lines, "", object);
    output_items(stream, format, lines, columns, 2, format == OUTPUT_CSV);
    json_decref(lines);
}

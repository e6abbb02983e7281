/* Rows of events as .npy, CSV or JSON: which format it is, and the table that comes out. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "proto/npy.h"
#include "proto/table.h"
#include "proto/table_reader.h"
#include "proto/wire.h"

static int parse_npy(struct twp_table_reader *in)
{
    struct twp_table *out = in->table;
    struct twp_npy npy;
    int error = twp_npy_parse(in->at, (size_t)(in->end - in->at), &npy);
    if (error)
        return twp_table_reader_refuse(in, "%s", twp_npy_strerror(error));
    if (npy.cols > TWP_COLUMNS_MAX)
        return twp_table_reader_refuse(in, "more than %d columns", TWP_COLUMNS_MAX);
    out->rows = npy.rows;
    out->cols = npy.cols;
    out->values = calloc(npy.rows * npy.cols + 1, sizeof *out->values);
    if (!out->values)
        return twp_table_reader_no_memory(in);
    twp_npy_floats(&npy, 0, npy.rows * npy.cols, out->values);
    return 0;
}

int twp_table_parse(enum twp_format format, const void *bytes, size_t size, struct twp_table *out, char detail[200])
{
    const char *text = bytes ? bytes : "";
    struct twp_table_reader in = {.start = text, .at = text, .end = text + size, .table = out, .detail = detail};
    int status = -1;
    *out = (struct twp_table){0};
    detail[0] = '\0';
    switch (format) {
    case TWP_FORMAT_NPY:
        status = parse_npy(&in);
        break;
    case TWP_FORMAT_CSV:
        status = twp_table_csv_parse(&in);
        twp_table_reader_fit(&in);
        break;
    case TWP_FORMAT_JSON:
        status = twp_table_json_parse(&in);
        twp_table_reader_fit(&in);
        break;
    }
    if (status)
        twp_table_fini(out);
    return status && in.no_memory ? TWP_TABLE_NO_MEMORY : status;
}

void twp_table_fini(struct twp_table *table)
{
    for (size_t i = 0; table->column && i < TWP_COLUMNS_MAX; i++)
        free(table->column[i]);
    free(table->column);
    free(table->values);
    *table = (struct twp_table){0};
}

/* --- formats --- */

/* Compares a media type without its parameters ("text/csv; charset=utf-8"). */
static bool media_is(const char *media, const char *type)
{
    size_t length = strcspn(media, "; \t");
    return length == strlen(type) && strncasecmp(media, type, length) == 0;
}

static int guess(const char *text, size_t size)
{
    size_t blank = 0;
    while (blank < size && strchr(" \t\r\n", text[blank]) && text[blank])
        blank++;
    if (size >= 6 && memcmp(text, "\x93NUMPY", 6) == 0)
        return TWP_FORMAT_NPY;
    if (blank < size && (text[blank] == '{' || text[blank] == '['))
        return TWP_FORMAT_JSON;
    return size > 0 && text[0] != '\0' ? TWP_FORMAT_CSV : -1;
}

int twp_table_format_of_media(const char *media, const void *bytes, size_t size)
{
    static const struct {
        const char *type;
        enum twp_format format;
    } known[] = {
        {"application/x-npy", TWP_FORMAT_NPY},   {"application/npy", TWP_FORMAT_NPY},
        {"application/x-numpy", TWP_FORMAT_NPY}, {"text/csv", TWP_FORMAT_CSV},
        {"application/csv", TWP_FORMAT_CSV},     {"application/json", TWP_FORMAT_JSON},
    };
    if (!media || !*media)
        return guess(bytes, size);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (media_is(media, known[i].type))
            return (int)known[i].format;
    }
    return -1;
}

int twp_table_format_of_path(const char *path)
{
    static const char *const ending[] = {
        [TWP_FORMAT_NPY] = ".npy", [TWP_FORMAT_CSV] = ".csv", [TWP_FORMAT_JSON] = ".json"};
    const char *dot = strrchr(path, '.');
    for (int format = TWP_FORMAT_NPY; dot && format <= TWP_FORMAT_JSON; format++) {
        if (strcasecmp(dot, ending[format]) == 0)
            return format;
    }
    return -1;
}

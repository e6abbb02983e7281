/* Rows as text or .npy, in one piece or as head, rows and tail, so that a large answer needs no large memory. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "proto/decimal.h"
#include "proto/npy.h"
#include "proto/table.h"

static char *csv_head(const char *const *columns, size_t cols, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    if (!out)
        return NULL;
    for (size_t i = 0; i < cols; i++) {
        if (columns)
            fprintf(out, "%s%s", i ? "," : "", columns[i]);
        else
            fprintf(out, "%sc%zu", i ? "," : "", i);
    }
    fputc('\n', out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

static char *json_head(const char *const *columns, size_t cols, size_t *size)
{
    json_t *names = json_array();
    int failed = !names;
    for (size_t i = 0; columns && i < cols; i++)
        failed |= json_array_append_new(names, json_string(columns[i]));
    char *list = failed ? NULL : json_dumps(names, JSON_COMPACT);
    char *text = NULL;
    int length = -1;
    if (list)
        length = columns ? asprintf(&text, "{\"columns\":%s,\"items\":[", list) : asprintf(&text, "{\"items\":[");
    free(list);
    json_decref(names);
    *size = length < 0 ? 0 : (size_t)length;
    return length < 0 ? NULL : text;
}

void *twp_table_encode_head(enum twp_format format, const char *const *columns, size_t total_rows, size_t cols,
                            size_t *size)
{
    switch (format) {
    case TWP_FORMAT_NPY: {
        unsigned char *header = malloc(TWP_NPY_HEADER);
        if (header)
            twp_npy_header(2, total_rows, cols, 4, header);
        *size = TWP_NPY_HEADER;
        return header;
    }
    case TWP_FORMAT_CSV:
        return csv_head(columns, cols, size);
    case TWP_FORMAT_JSON:
        return json_head(columns, cols, size);
    }
    return NULL;
}

static size_t put(char *to, const char *text, size_t length)
{
    memcpy(to, text, length);
    return length;
}

static size_t put_value(enum twp_format format, float value, char *to)
{
    return format == TWP_FORMAT_JSON && !isfinite(value) ? put(to, "null", 4) : twp_decimal_print(value, to);
}

/* A value takes at most TWP_DECIMAL_MAX-1 bytes and a comma; a row three bytes more. */
static char *text_rows(enum twp_format format, size_t first, size_t rows, size_t cols, const float *values,
                       size_t *size)
{
    size_t row_bytes, bytes;
    if (__builtin_mul_overflow(cols, (size_t)TWP_DECIMAL_MAX, &row_bytes) ||
        __builtin_mul_overflow(rows, row_bytes + 3, &bytes) || bytes == (size_t)-1)
        return NULL;
    char *text = malloc(bytes + 1);
    char *at = text;
    bool json = format == TWP_FORMAT_JSON;
    for (size_t row = 0; text && row < rows; row++) {
        if (json && first + row > 0)
            *at++ = ',';
        if (json)
            *at++ = '[';
        for (size_t col = 0; col < cols; col++) {
            if (col > 0)
                *at++ = ',';
            at += put_value(format, values[row * cols + col], at);
        }
        *at++ = json ? ']' : '\n';
    }
    *size = (size_t)(at - text);
    return text;
}

void *twp_table_encode_rows(enum twp_format format, size_t first, size_t rows, size_t cols, const float *values,
                            size_t *size)
{
    size_t bytes;
    if (format != TWP_FORMAT_NPY)
        return text_rows(format, first, rows, cols, values, size);
    if (__builtin_mul_overflow(rows, cols, &bytes) || __builtin_mul_overflow(bytes, sizeof *values, &bytes))
        return NULL;
    void *copy = malloc(bytes + 1);
    if (copy && bytes > 0)
        memcpy(copy, values, bytes);
    *size = bytes;
    return copy;
}

const char *twp_table_encode_tail(enum twp_format format)
{
    return format == TWP_FORMAT_JSON ? "]}" : "";
}

void *twp_table_encode(enum twp_format format, const char *const *columns, size_t rows, size_t cols,
                       const float *values, size_t *size)
{
    size_t head_size = 0, rows_size = 0, tail_size = strlen(twp_table_encode_tail(format));
    char *head = twp_table_encode_head(format, columns, rows, cols, &head_size);
    char *body = twp_table_encode_rows(format, 0, rows, cols, values, &rows_size);
    char *all = head && body ? realloc(head, head_size + rows_size + tail_size + 1) : NULL;
    if (all) {
        memcpy(all + head_size, body, rows_size);
        memcpy(all + head_size + rows_size, twp_table_encode_tail(format), tail_size + 1);
        *size = head_size + rows_size + tail_size;
    } else {
        free(head);
    }
    free(body);
    return all;
}

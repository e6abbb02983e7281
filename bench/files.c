#include "bench/files.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/npy.h"

void files_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("twin-bench: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static unsigned char *read_all(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = NULL;
    size_t capacity = 0, got;

    if (!file)
        files_die("%s: %s", path, strerror(errno));
    *size = 0;
    do {
        if (capacity - *size < 65536) {
            capacity = capacity ? 2 * capacity : 1 << 20;
            bytes = realloc(bytes, capacity);
            if (!bytes)
                files_die("%s: out of memory", path);
        }
        got = fread(bytes + *size, 1, capacity - *size, file);
        *size += got;
    } while (got > 0);
    if (ferror(file))
        files_die("%s: %s", path, strerror(errno));
    fclose(file);
    return bytes;
}

static void clip(const char *path, const char *what, struct range *range, size_t count)
{
    if (range->last == 0)
        range->last = count;
    if (range->first >= range->last || range->last > count)
        files_die("%s: %s %zu:%zu of %zu", path, what, range->first, range->last, count);
}

struct events files_events(const char *path, struct range rows, struct range columns)
{
    size_t size;
    unsigned char *bytes = read_all(path, &size);
    struct twp_npy npy;
    int status = twp_npy_parse(bytes, size, &npy);

    if (status)
        files_die("%s: %s", path, twp_npy_strerror(status));
    clip(path, "rows", &rows, npy.rows);
    clip(path, "columns", &columns, npy.cols);

    struct events events = {.rows = rows.last - rows.first, .cols = columns.last - columns.first};

    events.values = calloc(events.rows * events.cols + 1, sizeof *events.values);
    if (!events.values)
        files_die("%s: out of memory", path);
    for (size_t i = 0; i < events.rows; i++)
        twp_npy_floats(&npy, (rows.first + i) * npy.cols + columns.first, events.cols, events.values + i * events.cols);
    free(bytes);
    return events;
}

static void write_two(const char *path, const void *head, size_t head_size, const void *body, size_t body_size)
{
    FILE *file = fopen(path, "wb");

    if (!file || fwrite(head, 1, head_size, file) != head_size || fwrite(body, 1, body_size, file) != body_size ||
        fclose(file))
        files_die("%s: %s", path, strerror(errno));
}

void files_write(const char *path, const void *bytes, size_t size)
{
    write_two(path, bytes, size, "", 0);
}

void files_write_events(const char *path, size_t rows, size_t cols, const float *values)
{
    unsigned char header[TWP_NPY_HEADER];

    twp_npy_header(2, rows, cols, 4, header);
    write_two(path, header, sizeof header, values, rows * cols * sizeof *values);
}

void files_write_vector(const char *path, size_t rows, const double *values)
{
    unsigned char header[TWP_NPY_HEADER];

    twp_npy_header(1, rows, 1, 8, header);
    write_two(path, header, sizeof header, values, rows * sizeof *values);
}

struct tw_model *files_model(const char *path)
{
    size_t size;
    unsigned char *bytes = read_all(path, &size);
    struct tw_model *model;
    struct tw_error error = {"out of memory"};

    if (tw_model_load(bytes, size, &model, NULL, &error))
        files_die("%s: %s", path, error.text);
    free(bytes);
    return model;
}

struct json_t *files_json(const char *path)
{
    json_error_t where;
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &where);

    if (!json)
        files_die("%s:%d: %s", path, where.line, where.text);
    return json;
}

/* Files of the benchmark program: events in .npy, artifacts, JSON. Failures print one sentence and exit 1. */
#ifndef BENCH_FILES_H
#define BENCH_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "model/model.h"

struct json_t;

/* Rows first .. last-1 (last 0: to the end) and columns likewise, as float. */
struct events {
    size_t rows, cols;
    float *values;
};
struct range {
    size_t first, last;
};

void files_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

struct events files_events(const char *path, struct range rows, struct range columns);
/* float32 (rows, cols), and float64 (rows). */
void files_write_events(const char *path, size_t rows, size_t cols, const float *values);
void files_write_vector(const char *path, size_t rows, const double *values);

struct tw_model *files_model(const char *path);
void files_write(const char *path, const void *bytes, size_t size);
struct json_t *files_json(const char *path);

#endif

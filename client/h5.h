/* Rows of a table in an HDF5 file: a dataset of numbers with two dimensions, or one (a single column). Names of its
 * columns are its attribute "columns", separated by commas, where it has one. */
#ifndef CLIENT_H5_H
#define CLIENT_H5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct h5;

/* The file's first bytes (at least 8). */
bool h5_is(const void *bytes, size_t size);

/* "FILE" whose only such dataset is meant, or "FILE::DATASET". NULL with a sentence; also where this program was built
 * without HDF5. */
struct h5 *h5_open(const char *path, char problem[512]);
void h5_close(struct h5 *h5);
/* The attribute "columns"; malloc'd, NULL: there is none. */
char *h5_columns(const struct h5 *h5);
void h5_shape(const struct h5 *h5, size_t *rows, size_t *cols);
/* Rows [first, first + count) as floats. */
bool h5_read(struct h5 *h5, size_t first, size_t count, float *values);

struct h5_out;

/* A new file with a table `name` that rows are appended to: of floats if `item` is 4, of doubles if it is 8. NULL with
 * a sentence. */
struct h5_out *h5_create(const char *path, const char *name, size_t cols, int item, char problem[512]);
bool h5_append(struct h5_out *h5, const void *values, size_t rows, char problem[512]);
/* An attribute of the table; NULL or "" is none. */
bool h5_describe(struct h5_out *h5, const char *name, const char *text);
/* False if not all of it could be written; NULL is nothing. */
bool h5_finish(struct h5_out *h5);

#endif

/* Rows of a table in an HDF5 file: a dataset of numbers with two dimensions, or one (a single column). */
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
void h5_shape(const struct h5 *h5, size_t *rows, size_t *cols);
/* Rows [first, first + count) as floats. */
bool h5_read(struct h5 *h5, size_t first, size_t count, float *values);

#endif

/* Rows of events from a file or standard input, a batch at a time: .npy, HDF5, or CSV whose first line names the
 * columns. Memory does not grow with the file. */
#ifndef CLIENT_ROWS_H
#define CLIENT_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rows;

/* Opens `path` ("-": standard input; "FILE::NAME": a table of an HDF5 file) and reads its head. `columns` ("a,b,c",
 * may be NULL) names the columns of a .npy or HDF5 file, or replaces the names of a CSV file, or is the header of one
 * that has none. NULL with a sentence. */
struct rows *rows_open(const char *path, const char *columns, char problem[512]);
void rows_close(struct rows *rows);

size_t rows_columns(const struct rows *rows);
/* Names of the columns, NULL where the file carries none. Of "e_cal [GeV]" and "e_cal (GeV)" the name is "e_cal". */
const char *const *rows_names(const struct rows *rows);
/* Unit in the name of the column, NULL: none. */
const char *rows_unit(const struct rows *rows, size_t column);
/* Rows that are left, -1 where that is not known. */
int64_t rows_left(const struct rows *rows);
/* How much of the file, 0 to 1, has been read; -1 where that is not known. */
double rows_fraction(const struct rows *rows);

/* Restricts to the rows [from, to) of the file; to be called first. False with a sentence. */
bool rows_slice(struct rows *rows, int64_t from, int64_t to, char problem[512]);
/* Reads up to `count` rows into `values` (count, columns). Returns how many, 0 at the end, -1 with a sentence; a signal
 * is an end. */
int64_t rows_read(struct rows *rows, size_t count, float *values, char problem[512]);
/* Passes over up to `count` rows; returns as rows_read. */
int64_t rows_skip(struct rows *rows, int64_t count, char problem[512]);

#endif

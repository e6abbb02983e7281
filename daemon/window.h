/* Batches of a twin's spool read back as rows.
 */
#ifndef DAEMON_WINDOW_H
#define DAEMON_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"
#include "daemon/registry.h"
#include "model/data.h"

/* A range of ordinals; both ends belong to it. */
struct window {
    uint64_t first, last;
    bool posted; /* batches of feed `train` instead of all others */
};

enum { WINDOW_ROWS_MAX = 5000000 }; /* whatever memory there is */

/* Rows of the twin that a comparison, or all trainings together, may have within their share of the memory. Those of
 * _compare take the twin's lock. */
size_t window_rows_compare(struct twin *twin);
size_t window_rows_training(const struct twin *twin);
/* Bytes that a comparison, or a training, of so many rows holds. */
size_t window_bytes_compare(struct twin *twin, size_t rows);
size_t window_bytes_training(const struct twin *twin, size_t rows);
/* Bytes of one row with its weight and key. */
size_t window_row_bytes(const struct twin *twin);

/* Appends the rows of the range to `data` (initialised with the twin's schema). offsets: NULL, or an array that is
 * malloc'd here with, for each batch read, the row of `data` where it begins, and one entry more; ordinals alike with
 * one entry a batch; *batches is their number. What the spool has lost is left out: *lost (NULL: nobody asks) gets a
 * new array of [first, last] ordinals, or stays NULL if nothing is. Of more than `most` valid rows only the newest are
 * kept; *left_out (may be NULL) is how many were not. */
int window_read(struct twin *twin, const struct window *window, size_t most, struct tw_data *data, size_t **offsets,
                uint64_t **ordinals, size_t *batches, size_t *left_out, json_t **lost, struct tw_error *error);

#endif

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

enum { WINDOW_ROWS_MAX = 5000000 }; /* what one comparison or training may hold in memory */

/* Appends the rows of the range to `data` (initialised with the twin's schema). offsets: NULL, or an array that is
 * malloc'd here with, for each batch read, the row of `data` where it begins, and one entry more; ordinals alike with
 * one entry a batch; *batches is their number. What the spool has lost is left out: *lost (NULL: nobody asks) gets a
 * new array of [first, last] ordinals, or stays NULL if nothing is. TW_INVALID: more than WINDOW_ROWS_MAX rows. */
int window_read(struct twin *twin, const struct window *window, struct tw_data *data, size_t **offsets,
                uint64_t **ordinals, size_t *batches, json_t **lost, struct tw_error *error);

#endif

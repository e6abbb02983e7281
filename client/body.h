/* Rows of a file as the body of a request: one .npy array; names of columns go into the query. */
#ifndef CLIENT_BODY_H
#define CLIENT_BODY_H

#include <stddef.h>

#include "client/rows.h"

/* Reads up to `most` rows. *bytes is malloc'd, its rows in *count; none left: *count is 0 and *bytes NULL. False with a
 * sentence. Stops, with an error, at `limit` bytes. */
bool body_read(struct rows *rows, size_t most, size_t limit, unsigned char **bytes, size_t *size, size_t *count,
               char problem[512]);

/* "columns=a,b,c" escaped, or ""; malloc'd. */
char *body_columns(const struct rows *rows);

#endif

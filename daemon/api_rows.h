/* Rows in the body of a request, in any of the formats, on their way into the spool. */
#ifndef DAEMON_API_ROWS_H
#define DAEMON_API_ROWS_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/http_request.h"
#include "daemon/http_response.h"
#include "daemon/ingest.h"
#include "proto/table.h"
#include "proto/wire.h"

struct api_rows {
    enum twp_format format;
    struct twp_table table;
    const void *npy; /* the body, if it is .npy: spooled as it came, so that its digest is that of the wire */
    size_t npy_size;
    const char **columns; /* names in the order of the columns; NULL: the definition's order */
    size_t n_columns;
    char *split; /* memory of ?columns= */
    struct twp_condition *conditions;
    size_t n_conditions;
    const char *time; /* RFC 3339 or NULL */
    size_t held;      /* taken from the share of bodies for the table */
};

/* Format of the body (enum twp_format) by its Content-Type, or by its first bytes where that says nothing; -1: none. */
int api_rows_format(const struct http_request *request);

/* Reads body, ?columns= and ?conditions=. False after a 400, 415 or 503. Release with _fini in both cases. */
bool api_rows_read(struct http_request *request, struct http_response *response, struct api_rows *rows);
void api_rows_fini(struct api_rows *rows); /* accepts a zeroed one */

/* Rows [first, first+count) as a payload frame. *memory: to be freed, may become NULL. data is NULL when memory is
 * out. */
struct twp_frame api_rows_frame(const struct api_rows *rows, size_t first, size_t count, void **memory);

/* Hands rows [first, first+count) to ingest under the key and waits until they are durable. False after a problem. */
bool api_rows_spool(struct http_request *request, struct http_response *response, const struct twp_key *key,
                    const struct api_rows *rows, size_t first, size_t count, bool reserved,
                    struct ingest_result *result);

#endif

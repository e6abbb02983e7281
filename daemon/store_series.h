/* Statistics of iterations between JSON, as the loop and the API have them, and the packed form of the table. */
#ifndef DAEMON_STORE_SERIES_H
#define DAEMON_STORE_SERIES_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <sqlite3.h>

#include "base/status.h"
#include "daemon/statistics.h"

struct store_series {
    uint32_t series;
    char *name, *verdict, *feature; /* feature NULL: about the whole window */
};

/* All series of a twin in order of their numbers, malloc'd: release with store_series_free. */
int store_series_load(sqlite3 *db, int64_t twin, struct store_series **out, size_t *count, struct tw_error *error);
void store_series_free(struct store_series *series, size_t count);

/* The statistics of an iteration, numbered; series that are new are added to the table. *out is malloc'd. For closures.
 * TW_INVALID: an entry without name or verdict. */
int store_series_number(sqlite3 *db, int64_t twin, const json_t *statistics, struct statistic **out, size_t *count,
                        struct tw_error *error);

/* Packed statistics as JSON: [{"name", "verdict", "feature", "value", "error", "floor", "p_value", "threshold",
 * and for drift "p_adjusted"}]. NULL: they do not decode, or memory is out. */
json_t *store_series_json(sqlite3 *db, int64_t twin, const void *packed, size_t size);

#endif

/* Sums of the statistics over hours and days, which stay when the iterations go. One row a twin, tier and bucket: an
 * iteration touches two rows, the same ones for an hour. */
#ifndef DAEMON_STORE_ROLLUPS_H
#define DAEMON_STORE_ROLLUPS_H

#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "base/status.h"
#include "daemon/statistics.h"

enum { STORE_ROLLUPS_HOUR = 3600, STORE_ROLLUPS_DAY = 86400 }; /* tiers, in seconds */

/* The iteration at this time is taken into its hour and its day. For closures. */
int store_rollups_add(sqlite3 *db, int64_t twin, int64_t time_ms, const struct statistic *statistics, size_t count,
                      struct tw_error *error);
/* Begin of the bucket, in seconds, that a time lies in. */
int64_t store_rollups_bucket(int64_t time_ms, int64_t tier);

#endif

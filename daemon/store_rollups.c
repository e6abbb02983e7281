#include "daemon/store_rollups.h"

#include <stdlib.h>

#include "daemon/log.h"
#include "daemon/store_sql.h"

int64_t store_rollups_bucket(int64_t time_ms, int64_t tier)
{
    int64_t width = 1000 * tier;
    return (time_ms / width - (time_ms % width < 0)) * tier;
}

/* A bucket that does not decode is begun anew: it sums up what else is lost with it. */
static int read_bucket(sqlite3 *db, int64_t twin, int64_t tier, int64_t bucket, struct statistics_sum **sums,
                       size_t *count, struct tw_error *error)
{
    sqlite3_stmt *row = NULL;
    *sums = NULL;
    *count = 0;
    int status =
        store_sql_prepare(db, &row, error, "SELECT packed FROM rollups WHERE twin = ?1 AND tier = ?2 AND bucket = ?3",
                          "iii", twin, tier, bucket);
    if (!status)
        status = store_sql_step(row, error);
    if (!status) {
        status = statistics_sums_unpack(sqlite3_column_blob(row, 0), (size_t)sqlite3_column_bytes(row, 0), sums, count);
        if (status == TW_CORRUPT) {
            log_error("rollup_damaged", "twin=%lld tier=%lld bucket=%lld", (long long)twin, (long long)tier,
                      (long long)bucket);
            *count = 0;
            status = 0;
        }
    }
    sqlite3_finalize(row);
    return status == TW_NOT_FOUND ? 0 : status;
}

static int add(sqlite3 *db, int64_t twin, int64_t tier, int64_t time_ms, const struct statistic *statistics, size_t n,
               struct tw_error *error)
{
    struct statistics_sum *sums;
    unsigned char *packed = NULL;
    size_t count, size = 0;
    int64_t bucket = store_rollups_bucket(time_ms, tier);
    int status = read_bucket(db, twin, tier, bucket, &sums, &count, error);
    if (!status)
        status = statistics_sums_add(&sums, &count, statistics, n);
    if (!status)
        status = statistics_sums_pack(sums, count, &packed, &size);
    if (!status)
        status = store_sql_run(db, error,
                               "INSERT OR REPLACE INTO rollups (twin, tier, bucket, packed) VALUES (?1, ?2, ?3, ?4)",
                               "iiib", twin, tier, bucket, packed, size);
    free(packed);
    free(sums);
    return status;
}

int store_rollups_add(sqlite3 *db, int64_t twin, int64_t time_ms, const struct statistic *statistics, size_t count,
                      struct tw_error *error)
{
    int status = add(db, twin, STORE_ROLLUPS_HOUR, time_ms, statistics, count, error);
    return status ? status : add(db, twin, STORE_ROLLUPS_DAY, time_ms, statistics, count, error);
}

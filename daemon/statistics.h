/* The statistics of an iteration, and sums of them over an hour or a day, as the store keeps them: numbers alone, in
 * columns. What each number is about, the store knows by the number of its series (store_series.h).
 *
 *     statistics   u32 "TWS1", u32 n, u32 series[n], then for each of value, error, floor, p_value, threshold:
 *                  u8 0: none has it
 *                  u8 1, f64: all have this one
 *                  u8 2, f64[n]: all have one
 *                  u8 3, n bits (the first in the lowest bit of the first byte), one f64 for each bit that is set
 *     sums         u32 "TWM1", u32 n, u32 series[n], u64 count[n], f64 sum[n], f64 min[n], f64 max[n]
 *
 * Little-endian, without padding. Decoders take any bytes: what is not exactly such a thing is TW_CORRUPT.
 */
#ifndef DAEMON_STATISTICS_H
#define DAEMON_STATISTICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum statistics_column {
    STATISTICS_VALUE,
    STATISTICS_ERROR,
    STATISTICS_FLOOR,
    STATISTICS_P_VALUE,
    STATISTICS_THRESHOLD,
    STATISTICS_COLUMNS
};
enum { STATISTICS_MAX = 1 << 20 }; /* of one iteration */

struct statistic {
    uint32_t series;
    double at[STATISTICS_COLUMNS]; /* NaN: it has none */
};

/* *bytes is malloc'd. TW_INVALID: too many, or one is infinite. */
int statistics_pack(const struct statistic *statistics, size_t count, unsigned char **bytes, size_t *size);
/* *out is malloc'd. */
int statistics_unpack(const void *bytes, size_t size, struct statistic **out, size_t *count);

struct statistics_sum { /* of the values of a series */
    uint32_t series;
    uint64_t count; /* at least 1 */
    double sum, min, max;
};

int statistics_sums_pack(const struct statistics_sum *sums, size_t count, unsigned char **bytes, size_t *size);
int statistics_sums_unpack(const void *bytes, size_t size, struct statistics_sum **out, size_t *count);

/* Takes the values of an iteration into the sums, which are in order of series and stay so. *sums is grown with
 * realloc. */
int statistics_sums_add(struct statistics_sum **sums, size_t *count, const struct statistic *statistics, size_t n);

#endif

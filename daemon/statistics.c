/* Packing in one pass over a buffer that is large enough for the worst case, unpacking with every read checked. */
#include "daemon/statistics.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/pack.h"

enum { NONE, ONE, ALL, SOME };

#define MAGIC      0x31535754u         /* "TWS1" */
#define SUMS_MAGIC 0x314d5754u         /* "TWM1" */
#define COUNT_MAX  ((uint64_t)1 << 53) /* values that a sum counts: it must not wrap */

/* --- packing --- */

static unsigned char *put_column(unsigned char *at, const struct statistic *statistics, size_t count, int column)
{
    size_t present = 0;
    bool same = true;
    const double *first = NULL;
    for (size_t i = 0; i < count; i++) {
        const double *value = &statistics[i].at[column];
        if (isnan(*value))
            continue;
        present++;
        first = first ? first : value;
        same = same && memcmp(first, value, sizeof *value) == 0; /* by bits: -0 is not 0 */
    }
    *at = present == 0 ? NONE : present < count ? SOME : same ? ONE : ALL;
    unsigned char mode = *at++, *bits = at;
    if (mode == ONE)
        return tw_pack_put(at, first, sizeof *first);
    if (mode == SOME) {
        memset(bits, 0, (count + 7) / 8);
        at += (count + 7) / 8;
    }
    for (size_t i = 0; i < count && mode != NONE; i++) {
        const double *value = &statistics[i].at[column];
        if (isnan(*value))
            continue;
        if (mode == SOME)
            bits[i / 8] |= (unsigned char)(1u << i % 8);
        at = tw_pack_put(at, value, sizeof *value);
    }
    return at;
}

int statistics_pack(const struct statistic *statistics, size_t count, unsigned char **bytes, size_t *size)
{
    const uint32_t head[2] = {MAGIC, (uint32_t)count};
    *bytes = NULL;
    if (count > STATISTICS_MAX)
        return TW_INVALID;
    for (size_t i = 0; i < count; i++)
        for (int c = 0; c < STATISTICS_COLUMNS; c++)
            if (isinf(statistics[i].at[c]))
                return TW_INVALID;
    *bytes = malloc(sizeof head + count * 4 + STATISTICS_COLUMNS * (1 + (count + 7) / 8 + count * 8));
    if (!*bytes)
        return TW_NO_MEMORY;
    unsigned char *at = tw_pack_put(*bytes, head, sizeof head);
    for (size_t i = 0; i < count; i++)
        at = tw_pack_put(at, &statistics[i].series, 4);
    for (int c = 0; c < STATISTICS_COLUMNS; c++)
        at = put_column(at, statistics, count, c);
    *size = (size_t)(at - *bytes);
    return 0;
}

/* --- unpacking: once a read has failed, all that follow do --- */

static double get_number(struct tw_pack *reader)
{
    double value;
    tw_pack_get(reader, &value, sizeof value);
    reader->failed = reader->failed || !isfinite(value);
    return value;
}

/* Magic and number of entries, none of which can be shorter than its series. */
static size_t get_head(struct tw_pack *reader, uint32_t magic)
{
    uint32_t head[2];
    tw_pack_get(reader, head, sizeof head);
    reader->failed = reader->failed || head[0] != magic || head[1] > STATISTICS_MAX || reader->left / 4 < head[1];
    return reader->failed ? 0 : head[1];
}

static void get_column(struct tw_pack *reader, struct statistic *statistics, size_t count, int column)
{
    unsigned char mode, *bits = NULL;
    tw_pack_get(reader, &mode, 1);
    reader->failed = reader->failed || mode > SOME || (mode != NONE && count == 0);
    size_t width = (count + 7) / 8;
    if (!reader->failed && mode == SOME) {
        bits = reader->left < width ? NULL : (unsigned char *)(uintptr_t)reader->at;
        reader->failed = !bits || (count % 8 && bits[width - 1] >> count % 8);
        reader->at += bits ? width : 0;
        reader->left -= bits ? width : 0;
    }
    double one = !reader->failed && mode == ONE ? get_number(reader) : NAN;
    for (size_t i = 0; i < count; i++) {
        bool has = !reader->failed && (mode == ALL || (mode == SOME && bits[i / 8] >> i % 8 & 1));
        statistics[i].at[column] = has ? get_number(reader) : one;
    }
}

static int finish(const struct tw_pack *reader, void *entries, int status)
{
    if (status == 0 && (reader->failed || reader->left > 0))
        status = TW_CORRUPT;
    if (status)
        free(entries);
    return status;
}

int statistics_unpack(const void *bytes, size_t size, struct statistic **out, size_t *count)
{
    struct tw_pack reader = {bytes, size, false};
    *count = get_head(&reader, MAGIC);
    *out = calloc(*count + 1, sizeof **out);
    int status = *out ? 0 : TW_NO_MEMORY;
    for (size_t i = 0; status == 0 && i < *count; i++)
        tw_pack_get(&reader, &(*out)[i].series, 4);
    for (int c = 0; status == 0 && c < STATISTICS_COLUMNS; c++)
        get_column(&reader, *out, *count, c);
    status = finish(&reader, *out, status);
    if (status)
        *out = NULL;
    return status;
}

/* --- sums --- */

int statistics_sums_pack(const struct statistics_sum *sums, size_t count, unsigned char **bytes, size_t *size)
{
    const uint32_t head[2] = {SUMS_MAGIC, (uint32_t)count};
    *bytes = NULL;
    if (count > STATISTICS_MAX)
        return TW_INVALID;
    *size = sizeof head + count * (4 + 4 * 8);
    *bytes = malloc(*size);
    if (!*bytes)
        return TW_NO_MEMORY;
    unsigned char *at = tw_pack_put(*bytes, head, sizeof head);
    for (size_t i = 0; i < count; i++)
        at = tw_pack_put(at, &sums[i].series, 4);
    for (size_t i = 0; i < count; i++)
        at = tw_pack_put(at, &sums[i].count, 8);
    for (size_t i = 0; i < count; i++)
        at = tw_pack_put(at, &sums[i].sum, 8);
    for (size_t i = 0; i < count; i++)
        at = tw_pack_put(at, &sums[i].min, 8);
    for (size_t i = 0; i < count; i++)
        at = tw_pack_put(at, &sums[i].max, 8);
    return 0;
}

int statistics_sums_unpack(const void *bytes, size_t size, struct statistics_sum **out, size_t *count)
{
    struct tw_pack reader = {bytes, size, false};
    *count = get_head(&reader, SUMS_MAGIC);
    *out = calloc(*count + 1, sizeof **out);
    struct statistics_sum *sums = *out;
    int status = sums ? 0 : TW_NO_MEMORY;
    for (size_t i = 0; status == 0 && i < *count; i++) {
        tw_pack_get(&reader, &sums[i].series, 4);
        reader.failed = reader.failed || (i > 0 && sums[i].series <= sums[i - 1].series);
    }
    for (size_t i = 0; status == 0 && i < *count; i++) {
        tw_pack_get(&reader, &sums[i].count, 8);
        reader.failed = reader.failed || sums[i].count == 0 || sums[i].count > COUNT_MAX;
    }
    for (size_t i = 0; status == 0 && i < *count; i++)
        sums[i].sum = get_number(&reader);
    for (size_t i = 0; status == 0 && i < *count; i++)
        sums[i].min = get_number(&reader);
    for (size_t i = 0; status == 0 && i < *count; i++)
        sums[i].max = get_number(&reader);
    status = finish(&reader, *out, status);
    if (status)
        *out = NULL;
    return status;
}

static int by_series(const void *a, const void *b)
{
    uint32_t x = ((const struct statistics_sum *)a)->series, y = ((const struct statistics_sum *)b)->series;
    return (x > y) - (x < y);
}

int statistics_sums_add(struct statistics_sum **sums, size_t *count, const struct statistic *statistics, size_t n)
{
    struct statistics_sum *grown = reallocarray(*sums, *count + n + 1, sizeof *grown);
    if (!grown)
        return TW_NO_MEMORY;
    *sums = grown;
    size_t known = *count;
    for (size_t i = 0; i < n; i++) {
        double value = statistics[i].at[STATISTICS_VALUE];
        struct statistics_sum key = {.series = statistics[i].series}, *sum;
        if (isnan(value))
            continue;
        sum = bsearch(&key, grown, known, sizeof *grown, by_series);
        double total = sum ? sum->sum + value : value;
        if (!sum)
            grown[(*count)++] = (struct statistics_sum){key.series, 1, value, value, value};
        else if (isfinite(total)) /* values near the largest number there is would make the sum infinite */
            *sum = (struct statistics_sum){key.series, sum->count + (sum->count < COUNT_MAX), total,
                                           fmin(sum->min, value), fmax(sum->max, value)};
    }
    if (*count > known)
        qsort(grown, *count, sizeof *grown, by_series);
    /* a series that an iteration names twice is new twice */
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (kept == 0 || grown[kept - 1].series != grown[i].series)
            grown[kept++] = grown[i];
    *count = kept;
    return 0;
}

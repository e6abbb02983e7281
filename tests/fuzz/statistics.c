/* Input: the statistics of an iteration, or sums of them, as the store keeps them. What is taken packs into something
 * that unpacks to the same; statistics can be added to sums, which stay in order. */
#include <stdlib.h>
#include <string.h>

#include "daemon/statistics.h"
#include "fuzz.h"

static void check_sums(const struct statistics_sum *sums, size_t count)
{
    struct statistics_sum *again = NULL;
    unsigned char *bytes = NULL;
    size_t size, again_count;
    FUZZ_CHECK(statistics_sums_pack(sums, count, &bytes, &size) == 0);
    FUZZ_CHECK(statistics_sums_unpack(bytes, size, &again, &again_count) == 0);
    FUZZ_CHECK(again_count == count);
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK(again[i].series == sums[i].series && again[i].count == sums[i].count &&
                   again[i].sum == sums[i].sum && again[i].min == sums[i].min && again[i].max == sums[i].max);
    free(again);
    free(bytes);
}

static void check_statistics(const struct statistic *statistics, size_t count)
{
    struct statistic *again = NULL;
    unsigned char *bytes = NULL, *second = NULL;
    size_t size, again_count, second_size;
    FUZZ_CHECK(statistics_pack(statistics, count, &bytes, &size) == 0);
    FUZZ_CHECK(statistics_unpack(bytes, size, &again, &again_count) == 0 && again_count == count);
    FUZZ_CHECK(statistics_pack(again, count, &second, &second_size) == 0);
    FUZZ_CHECK(second_size == size && memcmp(second, bytes, size) == 0);
    free(second);
    free(again);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct statistic *statistics = NULL;
    struct statistics_sum *sums = NULL;
    size_t count, sums_count;
    size_t half = size / 2; /* sums may follow, in the second half */
    int status = statistics_unpack(data, size, &statistics, &count);
    if (status)
        status = statistics_unpack(data, half, &statistics, &count);
    FUZZ_CHECK(status == 0 || (status == TW_CORRUPT && !statistics));
    if (statistics_sums_unpack(data, size, &sums, &sums_count) != 0 &&
        statistics_sums_unpack(data + half, size - half, &sums, &sums_count) != 0)
        sums_count = 0;
    if (sums)
        check_sums(sums, sums_count);
    if (statistics) {
        check_statistics(statistics, count);
        FUZZ_CHECK(statistics_sums_add(&sums, &sums_count, statistics, count) == 0);
        check_sums(sums, sums_count);
    }
    free(statistics);
    free(sums);
    return 0;
}

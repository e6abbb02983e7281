/* Input: what the store knows of a feed's run, as 64-bit numbers: batches, how many intervals, their ends, then
 * sequence numbers of batches that come afterwards. What is known after any of it can be stored and restored: it says
 * the same, whatever a feed chose for its numbers. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "daemon/feeds.h"
#include "fuzz.h"

enum { INTERVALS_MAX = 64, FIRST = 2 };

static struct feeds *restored(const struct feeds_record *record, int *status)
{
    struct feeds *feeds = feeds_new();
    FUZZ_CHECK(feeds);
    *status = feeds_restore(feeds, record);
    return feeds;
}

static void check_stored(const struct feeds *feeds)
{
    struct feeds_record *records;
    size_t count;
    uint64_t now;
    FUZZ_CHECK(feeds_changes(feeds, 0, &records, &count, &now) == 0);
    for (size_t i = 0; i < count; i++) {
        int status;
        struct feeds *again = restored(&records[i], &status);
        FUZZ_CHECK(status == 0);
        FUZZ_CHECK(feeds_last_durable(again, "daq", 1) == feeds_last_durable(feeds, "daq", 1));
        FUZZ_CHECK(feeds_gaps(again) == feeds_gaps(feeds));
        feeds_free(again);
    }
    feeds_records_free(records, count);
}

static void check_json(const struct feeds *feeds)
{
    json_t *json = feeds_json(feeds, NULL, NULL, SIZE_MAX, NULL);
    FUZZ_CHECK(json_is_array(json));
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t numbers = size / 8;
    uint64_t *number = malloc(size + 8);
    int status = 0;
    FUZZ_CHECK(number);
    memcpy(number, data, numbers * 8);
    size_t count = numbers > FIRST ? number[1] % (INTERVALS_MAX + 1) : 0;
    count = numbers > FIRST && count > (numbers - FIRST) / 2 ? (numbers - FIRST) / 2 : count;
    struct feeds_record record = {
        .feed = "daq", .run = 1, .batches = numbers ? number[0] : 0, .intervals = number + FIRST, .count = count};
    struct feeds *feeds = restored(&record, &status);
    FUZZ_CHECK(status == 0 || status == TW_CORRUPT);
    for (size_t i = FIRST + 2 * count; i < numbers; i++) {
        int64_t seq = (int64_t)(number[i] & INT64_MAX);
        FUZZ_CHECK(feeds_add(feeds, "daq", 1, seq, 10, 1, 5) == 0 && feeds_has(feeds, "daq", 1, seq));
    }
    check_stored(feeds);
    check_json(feeds);
    feeds_free(feeds);
    free(number);
    return 0;
}

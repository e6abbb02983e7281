/* For each (feed, run) the durable sequence numbers as sorted, disjoint intervals that do not touch. Numbers that come
 * in order extend the last interval; a gap costs one more, and goes when it heals.
 *
 * Rows posted to `train` live in the spool as feed "train": their keys are kept, so that a repeat is known, but they
 * are no data and appear neither in the list nor among the gaps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "daemon/clock.h"
#include "daemon/feeds.h"

enum { MISSING_SHOWN = 100 };

struct interval {
    uint64_t first, last;
};

/* Why the rows of a batch are invalid. */
struct why {
    char column[64], rule[96];
};

struct entry {
    char feed[65];
    bool hidden; /* feed "train" */
    int64_t run;
    uint64_t batches, events, invalid_rows, duplicates;
    int64_t received_ms;
    uint64_t changed;               /* mark of the last addition */
    uint64_t bad_batches, bad_rows; /* the newest, none of whose rows is valid */
    struct why *why;                /* NULL: not known */
    struct interval *intervals;
    size_t count, capacity;
};

struct feeds {
    struct entry *entries; /* sorted by feed and run */
    size_t count, capacity;
    uint64_t gaps;
    uint64_t mark; /* counts additions */
};

struct feeds *feeds_new(void)
{
    return calloc(1, sizeof(struct feeds));
}

void feeds_free(struct feeds *feeds)
{
    if (!feeds)
        return;
    for (size_t i = 0; i < feeds->count; i++) {
        free(feeds->entries[i].intervals);
        free(feeds->entries[i].why);
    }
    free(feeds->entries);
    free(feeds);
}

static int compare(const struct entry *entry, const char *feed, int64_t run)
{
    int order = strcmp(entry->feed, feed);
    return order ? order : (entry->run > run) - (entry->run < run);
}

/* Index of the entry, or where it would be inserted. */
static size_t place(const struct feeds *feeds, const char *feed, int64_t run)
{
    size_t low = 0, high = feeds->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&feeds->entries[middle], feed, run) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct entry *find(const struct feeds *feeds, const char *feed, int64_t run)
{
    size_t index = place(feeds, feed, run);
    bool there = index < feeds->count && compare(&feeds->entries[index], feed, run) == 0;
    return there ? &feeds->entries[index] : NULL;
}

/* Makes room for one more element; false when memory is out. */
static bool reserve(void **array, size_t count, size_t *capacity, size_t each)
{
    if (count < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity * 2 : 4;
    void *grown = reallocarray(*array, wanted, each);
    if (!grown)
        return false;
    *array = grown;
    *capacity = wanted;
    return true;
}

static struct entry *find_or_add(struct feeds *feeds, const char *feed, int64_t run)
{
    struct entry *entry = find(feeds, feed, run);
    if (entry)
        return entry;
    if (strlen(feed) >= sizeof entry->feed ||
        !reserve((void **)&feeds->entries, feeds->count, &feeds->capacity, sizeof *feeds->entries))
        return NULL;
    size_t index = place(feeds, feed, run);
    entry = &feeds->entries[index];
    memmove(entry + 1, entry, (feeds->count - index) * sizeof *entry);
    *entry = (struct entry){.run = run, .hidden = strcmp(feed, "train") == 0};
    strcpy(entry->feed, feed);
    feeds->count++;
    return entry;
}

/* Index of the first interval that ends at or after `seq`. */
static size_t interval_at(const struct entry *entry, uint64_t seq)
{
    size_t low = 0, high = entry->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entry->intervals[middle].last < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool holds(const struct entry *entry, uint64_t seq)
{
    size_t index = interval_at(entry, seq);
    return index < entry->count && entry->intervals[index].first <= seq;
}

static uint64_t gaps_of(const struct entry *entry)
{
    uint64_t gaps = 0, next = 0;
    for (size_t i = 0; i < entry->count; i++) {
        gaps += entry->intervals[i].first - next;
        next = entry->intervals[i].last + 1;
    }
    return gaps;
}

bool feeds_has(const struct feeds *feeds, const char *feed, int64_t run, int64_t seq)
{
    const struct entry *entry = find(feeds, feed, run);
    return entry && seq >= 0 && holds(entry, (uint64_t)seq);
}

/* Adds a number that is not there: joins it to its neighbours, or makes an interval of its own. */
static bool insert(struct entry *entry, uint64_t seq)
{
    if (!reserve((void **)&entry->intervals, entry->count, &entry->capacity, sizeof *entry->intervals))
        return false;
    size_t index = interval_at(entry, seq);
    struct interval *at = &entry->intervals[index];
    bool joins_before = index > 0 && at[-1].last + 1 == seq;
    bool joins_after = index < entry->count && at->first == seq + 1;
    if (joins_before && joins_after) {
        at[-1].last = at->last;
        entry->count--;
        memmove(at, at + 1, (entry->count - index) * sizeof *at);
    } else if (joins_before) {
        at[-1].last = seq;
    } else if (joins_after) {
        at->first = seq;
    } else {
        memmove(at + 1, at, (entry->count - index) * sizeof *at);
        *at = (struct interval){seq, seq};
        entry->count++;
    }
    return true;
}

static void count_bad(struct entry *entry, uint64_t rows, uint64_t invalid_rows)
{
    bool all = rows > 0 && invalid_rows == rows;
    entry->bad_batches = all ? entry->bad_batches + 1 : 0;
    entry->bad_rows = all ? entry->bad_rows + rows : 0;
    free(entry->why);
    entry->why = NULL;
}

int feeds_add(struct feeds *feeds, const char *feed, int64_t run, int64_t seq, uint64_t events, uint64_t invalid_rows,
              int64_t received_ms)
{
    if (seq < 0)
        return TW_INVALID;
    struct entry *entry = find_or_add(feeds, feed, run);
    if (!entry)
        return TW_NO_MEMORY;
    if (holds(entry, (uint64_t)seq))
        return 0;
    uint64_t next = entry->count ? entry->intervals[entry->count - 1].last + 1 : 0;
    if (!insert(entry, (uint64_t)seq))
        return TW_NO_MEMORY;
    if (!entry->hidden) /* beyond the highest it opens a gap, below it fills one place */
        feeds->gaps = (uint64_t)seq >= next ? feeds->gaps + ((uint64_t)seq - next) : feeds->gaps - 1;
    entry->changed = ++feeds->mark;
    entry->batches++;
    entry->events += events;
    entry->invalid_rows += invalid_rows;
    count_bad(entry, events, invalid_rows);
    if (received_ms > entry->received_ms)
        entry->received_ms = received_ms;
    return 0;
}

void feeds_duplicate(struct feeds *feeds, const char *feed, int64_t run)
{
    struct entry *entry = find(feeds, feed, run);
    if (entry)
        entry->duplicates++;
}

/* --- what nobody can use --- */

enum { INVALID_SHOWN = 8 };

void feeds_invalid_why(struct feeds *feeds, const char *feed, int64_t run, const char *column, const char *rule)
{
    struct entry *entry = find(feeds, feed, run);
    struct why *why = entry && entry->bad_batches > 0 ? malloc(sizeof *why) : NULL;
    if (!why)
        return;
    snprintf(why->column, sizeof why->column, "%s", column);
    snprintf(why->rule, sizeof why->rule, "%s", rule);
    free(entry->why);
    entry->why = why;
}

static struct feeds_invalid invalid_of(const struct entry *entry)
{
    struct feeds_invalid invalid = {.run = entry->run, .batches = entry->bad_batches, .rows = entry->bad_rows};
    strcpy(invalid.feed, entry->feed);
    if (entry->why) {
        invalid.column = entry->why->column;
        invalid.rule = entry->why->rule;
    }
    return invalid;
}

size_t feeds_invalid(const struct feeds *feeds, struct feeds_invalid *out, size_t most)
{
    size_t found = 0;
    for (size_t i = 0, next; i < feeds->count && found < most; i = next) {
        const struct entry *latest = &feeds->entries[i]; /* of all runs of this feed */
        for (next = i + 1; next < feeds->count && strcmp(feeds->entries[next].feed, latest->feed) == 0; next++)
            if (feeds->entries[next].received_ms >= latest->received_ms)
                latest = &feeds->entries[next];
        if (!latest->hidden && latest->bad_batches > 0)
            out[found++] = invalid_of(latest);
    }
    return found;
}

void feeds_invalid_words(const struct feeds_invalid *invalid, char out[400])
{
    char batches[48] = "last batch";
    if (invalid->batches > 1)
        snprintf(batches, sizeof batches, "last %llu batches", (unsigned long long)invalid->batches);
    snprintf(out, 400, "no row of the %s of feed %s, run %lld, is valid%s%s%s%s", batches, invalid->feed,
             (long long)invalid->run, invalid->column ? ": " : "", invalid->column ? invalid->column : "",
             invalid->column ? " " : "", invalid->column ? invalid->rule : "");
}

static json_t *invalid_json(const struct feeds_invalid *invalid)
{
    char words[400];
    feeds_invalid_words(invalid, words);
    return json_pack("{s:s, s:I, s:I, s:I, s:s?, s:s?, s:s}", "feed", invalid->feed, "run", (json_int_t)invalid->run,
                     "batches", (json_int_t)invalid->batches, "rows", (json_int_t)invalid->rows, "column",
                     invalid->column, "rule", invalid->rule, "words", words);
}

json_t *feeds_invalid_json(const struct feeds *feeds)
{
    struct feeds_invalid invalid[INVALID_SHOWN];
    json_t *list = json_array();
    for (size_t i = 0, count = feeds_invalid(feeds, invalid, INVALID_SHOWN); i < count; i++)
        json_array_append_new(list, invalid_json(&invalid[i]));
    return list;
}

int64_t feeds_last_durable(const struct feeds *feeds, const char *feed, int64_t run)
{
    const struct entry *entry = find(feeds, feed, run);
    bool from_zero = entry && entry->count > 0 && entry->intervals[0].first == 0;
    return from_zero ? (int64_t)entry->intervals[0].last : -1;
}

uint64_t feeds_gaps(const struct feeds *feeds)
{
    return feeds->gaps;
}

/* --- to the store and back --- */

_Static_assert(sizeof(struct interval) == 2 * sizeof(uint64_t), "a record's intervals are pairs");

void feeds_records_free(struct feeds_record *records, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(records[i].intervals);
    free(records);
}

int feeds_changes(const struct feeds *feeds, uint64_t mark, struct feeds_record **out, size_t *count, uint64_t *now)
{
    struct feeds_record *records = calloc(feeds->count + 1, sizeof *records);
    size_t n = 0;
    bool ok = records != NULL;
    for (size_t i = 0; ok && i < feeds->count; i++) {
        const struct entry *entry = &feeds->entries[i];
        if (entry->changed <= mark)
            continue;
        struct feeds_record *record = &records[n++];
        *record = (struct feeds_record){.run = entry->run,
                                        .batches = entry->batches,
                                        .events = entry->events,
                                        .invalid_rows = entry->invalid_rows,
                                        .received_ms = entry->received_ms,
                                        .intervals = malloc(entry->count * sizeof *entry->intervals),
                                        .count = entry->count};
        strcpy(record->feed, entry->feed);
        ok = record->intervals != NULL;
        if (ok)
            memcpy(record->intervals, entry->intervals, entry->count * sizeof *entry->intervals);
    }
    if (!ok) {
        feeds_records_free(records, n);
        records = NULL;
        n = 0;
    }
    *out = records;
    *count = n;
    *now = feeds->mark;
    return ok ? 0 : TW_NO_MEMORY;
}

int feeds_restore(struct feeds *feeds, const struct feeds_record *record)
{
    uint64_t batches = 0, least = 0;
    for (size_t i = 0; i < record->count; i++) {
        uint64_t first = record->intervals[2 * i], last = record->intervals[2 * i + 1];
        if (first < least || last < first || last > INT64_MAX)
            return TW_CORRUPT;
        batches += last - first + 1;
        least = last + 2; /* those that touch are one */
    }
    if (record->count == 0 || batches != record->batches || find(feeds, record->feed, record->run))
        return TW_CORRUPT;
    struct interval *intervals = malloc(record->count * sizeof *intervals);
    struct entry *entry = intervals ? find_or_add(feeds, record->feed, record->run) : NULL;
    if (!entry) {
        free(intervals);
        return TW_NO_MEMORY;
    }
    memcpy(intervals, record->intervals, record->count * sizeof *intervals);
    entry->batches = record->batches;
    entry->events = record->events;
    entry->invalid_rows = record->invalid_rows;
    entry->received_ms = record->received_ms;
    entry->intervals = intervals;
    entry->count = entry->capacity = record->count;
    if (!entry->hidden)
        feeds->gaps += gaps_of(entry);
    return 0;
}

static json_t *missing_json(const struct entry *entry)
{
    json_t *missing = json_array();
    uint64_t next = 0;
    for (size_t i = 0; i < entry->count && json_array_size(missing) < MISSING_SHOWN; i++) {
        const struct interval *at = &entry->intervals[i];
        if (at->first > next)
            json_array_append_new(missing, json_pack("[I, I]", (json_int_t)next, (json_int_t)at->first - 1));
        next = at->last + 1;
    }
    return missing;
}

static json_t *entry_json(const struct entry *entry)
{
    char received[32];
    int64_t highest = entry->count ? (int64_t)entry->intervals[entry->count - 1].last : -1;
    int64_t last_durable = entry->count && entry->intervals[0].first == 0 ? (int64_t)entry->intervals[0].last : -1;
    struct feeds_invalid invalid = invalid_of(entry);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:s, s:o}", "feed", entry->feed, "run",
                     (json_int_t)entry->run, "batches", (json_int_t)entry->batches, "events", (json_int_t)entry->events,
                     "invalid_rows", (json_int_t)entry->invalid_rows, "duplicates", (json_int_t)entry->duplicates,
                     "last_durable_seq", (json_int_t)last_durable, "highest_seq", (json_int_t)highest, "gaps",
                     (json_int_t)gaps_of(entry), "missing", missing_json(entry), "last_received",
                     clock_rfc3339(entry->received_ms, received), "all_invalid",
                     invalid.batches > 0 ? invalid_json(&invalid) : json_null());
}

/* A cursor is the key of the last entry that was given out, "<run>.<feed>". False: it is none. */
static bool after_cursor(const struct feeds *feeds, const char *cursor, size_t *index)
{
    char *end;
    long long run = strtoll(cursor, &end, 10);
    if (end == cursor || *end != '.' || end[1] == '\0' || run < 0)
        return false;
    *index = place(feeds, end + 1, run);
    if (*index < feeds->count && compare(&feeds->entries[*index], end + 1, run) == 0)
        (*index)++;
    return true;
}

json_t *feeds_json(const struct feeds *feeds, const char *feed, const char *cursor, size_t limit, json_t **next)
{
    size_t i = feed ? place(feeds, feed, INT64_MIN) : 0, after = 0;
    if (cursor && !after_cursor(feeds, cursor, &after))
        return NULL;
    json_t *list = json_array(), *rest = NULL;
    const struct entry *last = NULL;
    for (i = after > i ? after : i; list && !rest && i < feeds->count; i++) {
        const struct entry *entry = &feeds->entries[i];
        if (entry->hidden || (feed && strcmp(entry->feed, feed) != 0))
            continue;
        if (json_array_size(list) == limit && last)
            rest = json_sprintf("%lld.%s", (long long)last->run, last->feed);
        else
            json_array_append_new(list, entry_json(entry));
        last = entry;
    }
    if (next)
        *next = rest ? rest : json_null();
    else
        json_decref(rest);
    return list;
}

size_t feeds_totals(const struct feeds *feeds, struct feeds_total *out, size_t most)
{
    size_t named = 0;
    struct feeds_total others = {.feed = ""};
    for (size_t i = 0; i < feeds->count; i++) {
        const struct entry *entry = &feeds->entries[i];
        struct feeds_total *sum = &others;
        if (entry->hidden)
            continue;
        if (named > 0 && strcmp(out[named - 1].feed, entry->feed) == 0) {
            sum = &out[named - 1];
        } else if (named + 1 < most) {
            sum = &out[named++];
            *sum = (struct feeds_total){.feed = ""};
            strcpy(sum->feed, entry->feed);
        }
        sum->batches += entry->batches;
        sum->events += entry->events;
        sum->invalid_rows += entry->invalid_rows;
        sum->duplicates += entry->duplicates;
    }
    out[named] = others;
    return named + 1;
}

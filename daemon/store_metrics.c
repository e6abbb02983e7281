/* Rows go by in order of time and are summed up until the next step begins; then its point is written, one item a
 * series. A cursor names a point and how many of its items were given out. */
#include "daemon/store_metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/store_rollups.h"
#include "daemon/store_series.h"
#include "daemon/store_sql.h"

enum { ROWS_MAX = 1000, DAYS_MAX = 366 };

struct place { /* what a cursor says */
    long long time, key, done;
};

struct walk {
    const struct store_metrics *query;
    int64_t step; /* as answered; 0: iterations */
    struct store_series *series;
    size_t count;
    struct statistics_sum *sums; /* (count) of the open point; count 0: nothing */
    struct place place;          /* of the open point */
    bool open;
    json_t *items;
    bool full; /* the answer ends at `place` */
};

static bool wanted(const struct store_metrics *query, const char *name, const char *verdict, const char *feature)
{
    return (!query->name || !strcmp(query->name, name)) && (!query->verdict || !strcmp(query->verdict, verdict)) &&
           (!query->feature || !strcmp(query->feature, feature ? feature : ""));
}

static void add(struct walk *walk, size_t i, const struct statistics_sum *more)
{
    struct statistics_sum *sum = &walk->sums[i];
    if (!wanted(walk->query, walk->series[i].name, walk->series[i].verdict, walk->series[i].feature))
        return;
    if (sum->count == 0) {
        *sum = *more;
        return;
    }
    sum->count += more->count;
    sum->sum += more->sum;
    sum->min = fmin(sum->min, more->min);
    sum->max = fmax(sum->max, more->max);
}

static int by_number(const void *key, const void *series)
{
    uint32_t a = *(const uint32_t *)key, b = ((const struct store_series *)series)->series;
    return (a > b) - (a < b);
}

static void add_number(struct walk *walk, const struct statistics_sum *more)
{
    const struct store_series *series =
        bsearch(&more->series, walk->series, walk->count, sizeof *walk->series, by_number);
    if (series)
        add(walk, (size_t)(series - walk->series), more);
}

static struct statistics_sum single(uint32_t series, double value)
{
    return (struct statistics_sum){series, 1, value, value, value};
}

/* What does not decode has no points. */
static int add_row(struct walk *walk, sqlite3_stmt *row)
{
    const void *packed = sqlite3_column_blob(row, 2);
    size_t size = (size_t)sqlite3_column_bytes(row, 2), count = 0;
    struct statistics_sum *sums = NULL;
    struct statistic *statistics = NULL;
    int status = 0;
    if (!packed)
        return 0;
    if (walk->step)
        status = statistics_sums_unpack(packed, size, &sums, &count);
    else
        status = statistics_unpack(packed, size, &statistics, &count);
    for (size_t i = 0; !status && i < count; i++) {
        struct statistics_sum one = sums ? sums[i] : single(statistics[i].series, statistics[i].at[STATISTICS_VALUE]);
        if (!isnan(one.sum))
            add_number(walk, &one);
    }
    free(sums);
    free(statistics);
    return status == TW_CORRUPT ? 0 : status;
}

static int write_item(struct walk *walk, const char *time, size_t i)
{
    const struct store_series *series = &walk->series[i];
    const struct statistics_sum *sum = &walk->sums[i];
    json_t *item = json_pack("{s:s, s:s, s:s, s:s?, s:f, s:f, s:f, s:I}", "time", time, "name", series->name, "verdict",
                             series->verdict, "feature", series->feature, "value", sum->sum / (double)sum->count, "min",
                             sum->min, "max", sum->max, "count", (json_int_t)sum->count);
    return json_array_append_new(walk->items, item) ? TW_NO_MEMORY : 0;
}

/* The open point, from the item on that its place says. */
static int write_point(struct walk *walk)
{
    char time[32];
    long long nth = 0;
    int status = 0;
    clock_rfc3339(walk->place.time, time);
    for (size_t i = 0; i < walk->count && !status && !walk->full; i++) {
        if (walk->sums[i].count == 0 || nth++ < walk->place.done)
            continue;
        walk->full = json_array_size(walk->items) == (size_t)walk->query->limit;
        if (!walk->full) {
            status = write_item(walk, time, i);
            walk->place.done = nth;
        }
    }
    walk->open = false;
    return status;
}

static void begin_point(struct walk *walk, int64_t time, int64_t key, long long done)
{
    memset(walk->sums, 0, walk->count * sizeof *walk->sums);
    walk->place = (struct place){time, key, done};
    walk->open = true;
}

static int walk_rows(struct walk *walk, sqlite3_stmt *row, struct place from, struct tw_error *error)
{
    size_t rows = 0;
    int status;
    while (!walk->full && !(status = store_sql_step(row, error))) {
        int64_t time = sqlite3_column_int64(row, 0), key = sqlite3_column_int64(row, 1);
        if (walk->step)
            time = store_rollups_bucket(time, walk->step) * 1000;
        if (walk->open && (time != walk->place.time || key != walk->place.key) && (status = write_point(walk)))
            return status;
        if (walk->full)
            return 0;
        if (!walk->open) {
            begin_point(walk, time, key, time == from.time && key == from.key ? from.done : 0);
            walk->full = rows >= ROWS_MAX; /* enough for one answer: the next begins here */
            if (walk->full)
                return 0;
        }
        status = add_row(walk, row);
        if (status)
            return status;
        rows++;
    }
    if (!walk->full && status == TW_NOT_FOUND)
        status = walk->open ? write_point(walk) : 0;
    return status;
}

static int query_rows(sqlite3 *db, struct walk *walk, struct place from, struct tw_error *error)
{
    const struct store_metrics *query = walk->query;
    sqlite3_stmt *row = NULL;
    int status;
    if (walk->step == 0)
        status = store_sql_prepare(db, &row, error,
                                   "SELECT time, iteration, packed FROM iterations WHERE twin = ?1 AND time >= ?2"
                                   " AND time < ?3 AND (time > ?2 OR iteration >= ?4) ORDER BY time, iteration",
                                   "iiii", query->twin, (int64_t)from.time, query->to_ms, (int64_t)from.key);
    else
        status = store_sql_prepare(db, &row, error,
                                   "SELECT bucket * 1000, 0, packed FROM rollups WHERE twin = ?1 AND tier = ?2"
                                   " AND bucket >= ?3 AND bucket < ?4 ORDER BY bucket",
                                   "iiii", query->twin,
                                   (int64_t)(walk->step < STORE_ROLLUPS_DAY ? STORE_ROLLUPS_HOUR : STORE_ROLLUPS_DAY),
                                   store_rollups_bucket(from.time, walk->step), query->to_ms / 1000);
    if (!status)
        status = walk_rows(walk, row, from, error);
    sqlite3_finalize(row);
    return status;
}

static int64_t answered_step(int64_t step_s)
{
    int64_t tier = step_s < STORE_ROLLUPS_DAY ? STORE_ROLLUPS_HOUR : STORE_ROLLUPS_DAY;
    int64_t most = (int64_t)DAYS_MAX * STORE_ROLLUPS_DAY;
    if (step_s < STORE_ROLLUPS_HOUR)
        return 0;
    return (step_s < most ? step_s : most) / tier * tier;
}

static bool read_cursor(const char *cursor, struct place *place)
{
    char again[80];
    if (sscanf(cursor, "%lld.%lld.%lld", &place->time, &place->key, &place->done) != 3)
        return false;
    snprintf(again, sizeof again, "%lld.%lld.%lld", place->time, place->key, place->done);
    return strcmp(cursor, again) == 0 && place->key >= 0 && place->done >= 0;
}

/* Is any series asked for? If not, no row need be read. */
static bool any_wanted(const struct walk *walk)
{
    for (size_t i = 0; i < walk->count; i++)
        if (wanted(walk->query, walk->series[i].name, walk->series[i].verdict, walk->series[i].feature))
            return true;
    return false;
}

json_t *store_metrics(struct store *store, const struct store_metrics *query)
{
    struct walk walk = {.query = query, .step = answered_step(query->step_s), .items = json_array()};
    struct place from = {.time = query->from_ms};
    struct tw_error error = {""};
    json_t *answer = NULL;
    if (query->cursor && !read_cursor(query->cursor, &from)) {
        json_decref(walk.items);
        return NULL;
    }
    sqlite3 *db = store_read_begin(store);
    int status =
        db && walk.items ? store_series_load(db, query->twin, &walk.series, &walk.count, &error) : TW_NO_MEMORY;
    if (!status && !(walk.sums = calloc(walk.count + 1, sizeof *walk.sums)))
        status = TW_NO_MEMORY;
    if (!status && any_wanted(&walk))
        status = query_rows(db, &walk, from, &error);
    store_read_end(store, db);
    if (status == TW_IO || status == TW_CORRUPT)
        store_fail(store, error.text);
    if (!status) {
        json_t *next =
            walk.full ? json_sprintf("%lld.%lld.%lld", walk.place.time, walk.place.key, walk.place.done) : json_null();
        answer = json_pack("{s:O, s:o, s:I}", "items", walk.items, "next_cursor", next, "step", (json_int_t)walk.step);
    }
    store_series_free(walk.series, walk.count);
    free(walk.sums);
    json_decref(walk.items);
    return answer;
}

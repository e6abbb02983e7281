/* A twin's statistics are the same from one iteration to the next: the entry after the last one found is looked at
 * first, so that numbering a thousand of them takes a thousand comparisons. */
#include "daemon/store_series.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/store_sql.h"
#include "stat/adjust.h"

static const char *const members[STATISTICS_COLUMNS] = {
    [STATISTICS_VALUE] = "value",     [STATISTICS_ERROR] = "error",         [STATISTICS_FLOOR] = "floor",
    [STATISTICS_P_VALUE] = "p_value", [STATISTICS_THRESHOLD] = "threshold",
};

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

void store_series_free(struct store_series *series, size_t count)
{
    for (size_t i = 0; series && i < count; i++) {
        free(series[i].name);
        free(series[i].verdict);
        free(series[i].feature);
    }
    free(series);
}

/* Takes one more into the array, which has room for a power of two. */
static int push(struct store_series **series, size_t *count, uint32_t number, const char *name, const char *verdict,
                const char *feature)
{
    if ((*count & (*count - 1)) == 0) {
        struct store_series *grown = reallocarray(*series, *count ? 2 * *count : 1, sizeof *grown);
        if (!grown)
            return TW_NO_MEMORY;
        *series = grown;
    }
    struct store_series *added = &(*series)[(*count)++];
    *added = (struct store_series){number, copy(name), copy(verdict), copy(feature)};
    return added->name && added->verdict && (!feature || added->feature) ? 0 : TW_NO_MEMORY;
}

int store_series_load(sqlite3 *db, int64_t twin, struct store_series **out, size_t *count, struct tw_error *error)
{
    sqlite3_stmt *row = NULL;
    *out = NULL;
    *count = 0;
    int status = store_sql_prepare(db, &row, error,
                                   "SELECT series, name, verdict, feature FROM series WHERE twin = ?1 ORDER BY series",
                                   "i", twin);
    while (!status && !(status = store_sql_step(row, error)))
        status = push(out, count, (uint32_t)sqlite3_column_int64(row, 0), (const char *)sqlite3_column_text(row, 1),
                      (const char *)sqlite3_column_text(row, 2), (const char *)sqlite3_column_text(row, 3));
    sqlite3_finalize(row);
    if (status == TW_NOT_FOUND)
        return 0;
    store_series_free(*out, *count);
    *out = NULL;
    *count = 0;
    return status;
}

/* Index of the series, looked for from `*at` on and around; `count` if it is new. */
static size_t find(const struct store_series *series, size_t count, size_t at, const char *name, const char *verdict,
                   const char *feature)
{
    for (size_t i = 0; i < count; i++) {
        const struct store_series *one = &series[(at + i) % count];
        if (same(one->feature, feature) && same(one->name, name) && same(one->verdict, verdict))
            return (at + i) % count;
    }
    return count;
}

static int add(sqlite3 *db, int64_t twin, struct store_series **series, size_t *count, const char *name,
               const char *verdict, const char *feature, struct tw_error *error)
{
    uint32_t number = *count ? (*series)[*count - 1].series + 1 : 0;
    int status = push(series, count, number, name, verdict, feature);
    return status
               ? status
               : store_sql_run(db, error,
                               "INSERT INTO series (twin, series, name, verdict, feature) VALUES (?1, ?2, ?3, ?4, ?5)",
                               "iittt", twin, (int64_t)number, name, verdict, feature);
}

static double number(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : NAN;
}

int store_series_number(sqlite3 *db, int64_t twin, const json_t *statistics, struct statistic **out, size_t *count,
                        struct tw_error *error)
{
    struct store_series *series;
    size_t known, at = 0, i;
    const json_t *entry;
    *count = json_array_size(statistics);
    *out = calloc(*count + 1, sizeof **out);
    int status = store_series_load(db, twin, &series, &known, error);
    if (!*out)
        status = TW_NO_MEMORY;
    json_array_foreach(statistics, i, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "name"));
        const char *verdict = json_string_value(json_object_get(entry, "verdict"));
        const char *feature = json_string_value(json_object_get(entry, "feature"));
        if (!status && (!name || !verdict))
            status = tw_error_set(error, TW_INVALID, "a statistic has no name or no verdict");
        if (status)
            break;
        at = find(series, known, at, name, verdict, feature);
        if (at == known)
            status = add(db, twin, &series, &known, name, verdict, feature, error);
        if (status)
            break;
        (*out)[i].series = series[at++].series;
        for (int c = 0; c < STATISTICS_COLUMNS; c++)
            (*out)[i].at[c] = number(json_object_get(entry, members[c]));
    }
    store_series_free(series, known);
    if (status) {
        free(*out);
        *out = NULL;
    }
    return status;
}

static int by_number(const void *key, const void *series)
{
    uint32_t a = *(const uint32_t *)key, b = ((const struct store_series *)series)->series;
    return (a > b) - (a < b);
}

static json_t *statistic_json(const struct statistic *statistic, const struct store_series *series, size_t count)
{
    const struct store_series *of = bsearch(&statistic->series, series, count, sizeof *series, by_number);
    json_t *json =
        of ? json_pack("{s:s, s:s, s:s?}", "name", of->name, "verdict", of->verdict, "feature", of->feature) : NULL;
    for (int c = 0; json && c < STATISTICS_COLUMNS; c++) {
        double value = statistic->at[c];
        if (json_object_set_new(json, members[c], isnan(value) ? json_null() : json_real(value))) {
            json_decref(json);
            json = NULL;
        }
    }
    return json;
}

static bool one_family(const json_t *a, const json_t *b)
{
    return b && json_equal(json_object_get(a, "name"), json_object_get(b, "name")) &&
           json_equal(json_object_get(a, "verdict"), json_object_get(b, "verdict"));
}

/* p_adjusted of entries begin .. end-1, the columns of one test, as tw_drift has it. */
static int adjust_family(json_t *list, size_t begin, size_t end)
{
    int count = (int)(end - begin), status;
    double *p = calloc((size_t)count, 2 * sizeof *p), *adjusted = p + count;
    if (!p)
        return TW_NO_MEMORY;
    for (int i = 0; i < count; i++) {
        const json_t *value = json_object_get(json_array_get(list, begin + (size_t)i), "p_value");
        p[i] = json_is_number(value) ? json_number_value(value) : 1;
    }
    status = tw_adjust_holm(p, count, adjusted);
    for (int i = 0; i < count && !status; i++) {
        json_t *entry = json_array_get(list, begin + (size_t)i);
        bool has = json_is_number(json_object_get(entry, "p_value"));
        if (json_object_set_new(entry, "p_adjusted", has ? json_real(adjusted[i]) : json_null()))
            status = TW_NO_MEMORY;
    }
    free(p);
    return status;
}

/* It follows from the p-values, so that it is not stored. */
static int adjust(json_t *list)
{
    size_t count = json_array_size(list), end;
    int status = 0;
    for (size_t begin = 0; begin < count && !status; begin = end) {
        const json_t *first = json_array_get(list, begin);
        const char *verdict = json_string_value(json_object_get(first, "verdict"));
        for (end = begin + 1; one_family(first, json_array_get(list, end));)
            end++;
        if (same(verdict, "drift"))
            status = adjust_family(list, begin, end);
    }
    return status;
}

json_t *store_series_json(sqlite3 *db, int64_t twin, const void *packed, size_t size)
{
    struct store_series *series = NULL;
    struct statistic *statistics = NULL;
    size_t known = 0, count = 0;
    int status = statistics_unpack(packed, size, &statistics, &count);
    if (!status)
        status = store_series_load(db, twin, &series, &known, NULL);
    json_t *list = status ? NULL : json_array();
    for (size_t i = 0; list && i < count; i++) {
        if (json_array_append_new(list, statistic_json(&statistics[i], series, known))) {
            json_decref(list);
            list = NULL;
        }
    }
    if (list && adjust(list)) {
        json_decref(list);
        list = NULL;
    }
    store_series_free(series, known);
    free(statistics);
    return list;
}

/* A twin's definition guessed from events. */
#include "client/guess.h"
#include "client/propose.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    ROWS_MOST = 100000,
    ROWS_LEAST = 100,
    VALUES_MOST = 32, /* of a discrete feature: 64 would do, but what has so many is rather a measurement */
};

struct column {
    size_t finite, absent, infinite;
    double min, max;
    double skew, log_skew; /* log_skew: of ln x, NaN unless all are positive */
    bool whole;            /* whole numbers only */
};

/* Third standardised moment of values[i * stride], those that are finite, after a logarithm or not. */
static double skewness(const float *values, size_t rows, size_t stride, bool logarithm)
{
    double n = 0, mean = 0, m2 = 0, m3 = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < rows; i++) {
            double x = values[i * stride];
            if (!isfinite(x))
                continue;
            if (logarithm)
                x = log(x);
            if (pass == 0) {
                n += 1;
                mean += (x - mean) / n;
            } else {
                m2 += (x - mean) * (x - mean);
                m3 += (x - mean) * (x - mean) * (x - mean);
            }
        }
    }
    return m2 > 0 ? m3 / n / pow(m2 / n, 1.5) : 0;
}

static struct column look(const float *values, size_t rows, size_t stride)
{
    struct column c = {.min = INFINITY, .max = -INFINITY, .whole = true, .log_skew = NAN};
    for (size_t i = 0; i < rows; i++) {
        double x = values[i * stride];
        if (!isfinite(x)) {
            c.absent += isnan(x);
            c.infinite += !isnan(x);
            continue;
        }
        c.finite++;
        c.min = x < c.min ? x : c.min;
        c.max = x > c.max ? x : c.max;
        c.whole = c.whole && x == rint(x);
    }
    c.skew = skewness(values, rows, stride, false);
    if (c.finite && c.min > 0)
        c.log_skew = skewness(values, rows, stride, true);
    return c;
}

static bool named_as_angle(const char *name)
{
    static const char *const words[] = {"phi", "azimuth", "psi", "angle"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

/* [low, high] of an angle that goes round, false if it is none. Values were rounded to float. */
static bool is_angle(const char *name, const struct column *c, double *low, double *high)
{
    const double slack = 1e-6;
    if (!named_as_angle(name) || c->max - c->min < 0.9 * 2 * M_PI)
        return false;
    *low = c->min >= -slack ? 0 : -M_PI;
    *high = *low + 2 * M_PI;
    return c->min >= *low - slack && c->max <= *high + slack;
}

static bool is_discrete(const struct column *c)
{
    return c->finite && c->whole && c->min < c->max && c->max - c->min < VALUES_MOST && fabs(c->min) <= 1e6;
}

static json_t *kind(const char *name, const struct column *c)
{
    double low, high;
    if (is_angle(name, c, &low, &high))
        return json_pack("{s:s, s:s, s:f, s:f}", "name", name, "kind", "periodic", "min", low, "max", high);
    if (is_discrete(c))
        return json_pack("{s:s, s:s, s:I, s:I}", "name", name, "kind", "discrete", "min", (json_int_t)c->min, "max",
                         (json_int_t)c->max);
    if (!c->whole && !isnan(c->log_skew) && c->skew > 0.5 && fabs(c->log_skew) < c->skew)
        return json_pack("{s:s, s:s, s:i}", "name", name, "transform", "log", "min", 0);
    return json_pack("{s:s, s:s}", "name", name, "transform", "standardise");
}

static json_t *feature(const char *name, const struct column *c)
{
    json_t *json = kind(name, c);
    if (json && c->absent && c->finite)
        json_object_set_new(json, "optional", json_true());
    return json;
}

static void remark(json_t *remarks, const char *name, const struct column *c, size_t rows)
{
    char text[256];
    if (c->absent) {
        snprintf(text, sizeof text, "%.64s is NaN in %.3g %% of the rows; it is taken as optional: events may lack it",
                 name, 100.0 * (double)c->absent / (double)rows);
        json_array_append_new(remarks, json_string(text));
    }
    if (c->infinite) {
        snprintf(text, sizeof text, "%.64s: %.3g %% of the rows are infinite; they will be kept out of training", name,
                 100.0 * (double)c->infinite / (double)rows);
        json_array_append_new(remarks, json_string(text));
    }
    if (c->finite && c->min >= c->max) {
        snprintf(text, sizeof text, "%.64s is constant; leave it out", name);
        json_array_append_new(remarks, json_string(text));
    } else if (is_discrete(c)) {
        snprintf(text, sizeof text,
                 "%.64s has whole numbers only and is taken as discrete; rows beyond %g and %g will be invalid", name,
                 c->min, c->max);
        json_array_append_new(remarks, json_string(text));
    } else if (c->finite && c->whole) {
        snprintf(text, sizeof text, "%.64s looks like a count; it will be treated as continuous", name);
        json_array_append_new(remarks, json_string(text));
    }
}

json_t *guess_definition(const char *name, struct rows *rows, json_t *remarks, char problem[512])
{
    const char *const *names = rows_names(rows);
    size_t cols = rows_columns(rows);
    if (!names) {
        snprintf(problem, 512, "the file names no columns; give them with --columns");
        return NULL;
    }
    float *values = malloc(ROWS_MOST * cols * sizeof *values);
    int64_t have = values ? rows_read(rows, ROWS_MOST, values, problem) : -1;
    json_t *features = have >= ROWS_LEAST ? json_array() : NULL;
    if (!values)
        snprintf(problem, 512, "out of memory");
    else if (have >= 0 && !features)
        snprintf(problem, 512, "%lld rows are too few to guess from; %d are needed", (long long)have, ROWS_LEAST);
    for (size_t c = 0; features && c < cols; c++) {
        struct column seen = look(values + c, (size_t)have, cols);
        json_t *guessed = feature(names[c], &seen);
        if (rows_unit(rows, c))
            json_object_set_new(guessed, "unit", json_string(rows_unit(rows, c)));
        json_array_append_new(features, guessed);
        remark(remarks, names[c], &seen, (size_t)have);
    }
    free(values);
    if (!features)
        return NULL;
    json_t *definition = json_pack("{s:s, s:O}", "name", name, "features", features);
    json_t *observables = propose_observables(features);
    if (definition && json_array_size(observables) > 0)
        json_object_set(definition, "observables", observables);
    json_decref(observables);
    json_decref(features);
    return definition;
}

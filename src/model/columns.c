#include "model/columns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MEAN, WIDTH, CONDITION_MEAN, CONDITION_WIDTH };

enum tw_transform_kind tw_columns_kind(const struct tw_column *column)
{
    if (column->kind == TW_PERIODIC)
        return TW_TRANSFORM_PERIODIC;
    if (column->transform == TW_LOG)
        return TW_TRANSFORM_LOG;
    return column->has_min && column->has_max ? TW_TRANSFORM_BOUNDED : TW_TRANSFORM_REAL;
}

int tw_columns_layout(const struct tw_schema *schema, struct tw_params *statistics)
{
    if (tw_params_add_vector(statistics, "mean", schema->features) < 0 ||
        tw_params_add_vector(statistics, "width", schema->features) < 0)
        return TW_NO_MEMORY;
    if (schema->conditions && (tw_params_add_vector(statistics, "condition_mean", schema->conditions) < 0 ||
                               tw_params_add_vector(statistics, "condition_width", schema->conditions) < 0))
        return TW_NO_MEMORY;
    return TW_OK;
}

struct tw_transform_column tw_columns_transform(const struct tw_schema *schema, const struct tw_params *statistics,
                                                int f, double bound)
{
    const struct tw_column *column = &schema->columns[f];

    return (struct tw_transform_column){.kind = tw_columns_kind(column),
                                        .min = column->min,
                                        .max = column->max,
                                        .mean = (double)tw_params_at(statistics, MEAN)[f],
                                        .width = (double)tw_params_at(statistics, WIDTH)[f],
                                        .bound = bound};
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Mean and width of n values, which are sorted. What lies further than ten times their distance beyond the 0.1 % and
 * 99.9 % quantiles is left out: one absurd value would else set the scale of all. */
static void moments_of(double *u, size_t n, tw_real *mean, tw_real *width)
{
    double sum = 0, squares = 0;
    size_t kept = 0;

    qsort(u, n, sizeof *u, ascending);

    double low = n ? u[n / 1000] : 0, high = n ? u[n - 1 - n / 1000] : 0, middle = n ? u[n / 2] : 0;
    double margin = 10 * (high - low);

    for (size_t i = 0; i < n; i++) {
        if (margin > 0 && (u[i] < low - margin || u[i] > high + margin))
            continue;
        sum += u[i] - middle;
        squares += (u[i] - middle) * (u[i] - middle);
        kept++;
    }

    double m = kept ? sum / (double)kept : 0, variance = kept ? squares / (double)kept - m * m : 0;

    *mean = (tw_real)(float)(middle + m);
    *width = (tw_real)(float)(variance > 0 ? sqrt(variance) : 0);
}

/* Of n values with a stride, NaN left out, through a map or as they are. */
static int moments(const float *values, size_t stride, size_t n, const struct tw_transform_column *map, tw_real *mean,
                   tw_real *width)
{
    double *u = malloc((n + 1) * sizeof *u);
    size_t present = 0;

    if (!u)
        return TW_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        double unused = 0, x = (double)values[i * stride];

        if (!isnan(x)) /* absent */
            u[present++] = map ? tw_transform_forward(map, x, &unused) : x;
    }
    moments_of(u, present, mean, width);
    free(u);
    return TW_OK;
}

void tw_columns_moments(const struct tw_params *statistics, int f, double *mean, double *width)
{
    *mean = (double)tw_params_at(statistics, MEAN)[f];
    *width = (double)tw_params_at(statistics, WIDTH)[f];
}

void tw_columns_set_moments(struct tw_params *statistics, int f, double *values, size_t n)
{
    tw_real *width = tw_params_at(statistics, WIDTH) + f;

    moments_of(values, n, tw_params_at(statistics, MEAN) + f, width);
    if (!(*width > 0))
        *width = 1; /* a constant */
}

void tw_columns_widen(struct tw_params *statistics, int f, double factor)
{
    tw_real *width = tw_params_at(statistics, WIDTH) + f;

    *width = (tw_real)(float)((double)*width * factor);
}

int tw_columns_prepare(const struct tw_data *data, struct tw_params *statistics)
{
    const struct tw_schema *schema = data->schema;
    tw_real *mean = tw_params_at(statistics, MEAN), *width = tw_params_at(statistics, WIDTH);
    int status = TW_OK;

    for (int f = 0; f < schema->features; f++) {
        mean[f] = 0;
        width[f] = 1;

        struct tw_transform_column map = tw_columns_transform(schema, statistics, f, 1);

        if (schema->columns[f].kind != TW_DISCRETE && (map.kind == TW_TRANSFORM_REAL || map.kind == TW_TRANSFORM_LOG))
            status = moments(data->features + f, (size_t)schema->features, data->rows, &map, &mean[f], &width[f]);
        if (status)
            return status;
        if (!(width[f] > 0))
            width[f] = 1; /* a constant feature */
    }
    for (int c = 0; c < schema->conditions; c++) {
        const struct tw_column *column = &schema->columns[schema->features + c];
        tw_real *m = tw_params_at(statistics, CONDITION_MEAN) + c, *w = tw_params_at(statistics, CONDITION_WIDTH) + c;

        status = moments(data->conditions + c, (size_t)schema->conditions, data->rows, NULL, m, w);
        if (status)
            return status;
        if (!(*w > 0)) /* one value only: its range is the scale, if there is one */
            *w = column->has_min && column->has_max ? (tw_real)(float)(0.5 * (column->max - column->min)) : 1;
    }
    return TW_OK;
}

int tw_columns_quartiles(const struct tw_data *data, struct tw_params *statistics)
{
    const struct tw_schema *schema = data->schema;
    double *u = malloc((data->rows + 1) * sizeof *u);

    if (!u)
        return TW_NO_MEMORY;
    for (int f = 0; f < schema->features; f++) {
        struct tw_transform_column map = tw_columns_transform(schema, statistics, f, 1);
        size_t n = 0;

        if (schema->columns[f].kind == TW_DISCRETE || (map.kind != TW_TRANSFORM_REAL && map.kind != TW_TRANSFORM_LOG))
            continue;
        map.mean = 0;
        map.width = 1;
        for (size_t i = 0; i < data->rows; i++) {
            double unused = 0, x = (double)data->features[i * (size_t)schema->features + (size_t)f];

            if (!isnan(x)) /* absent */
                u[n++] = tw_transform_forward(&map, x, &unused);
        }
        qsort(u, n, sizeof *u, ascending);

        double range = n ? u[3 * (n - 1) / 4] - u[(n - 1) / 4] : 0;

        if (range > 0) { /* else more than half of the values are one */
            tw_params_at(statistics, MEAN)[f] = (tw_real)(float)u[(n - 1) / 2];
            tw_params_at(statistics, WIDTH)[f] = (tw_real)(float)(range / 1.349);
        }
    }
    free(u);
    return TW_OK;
}

bool tw_columns_ok(const struct tw_schema *schema, const struct tw_params *statistics)
{
    if (!tw_params_finite(statistics))
        return false;
    for (int f = 0; f < schema->features; f++)
        if (!(tw_params_at(statistics, WIDTH)[f] > 0))
            return false;
    for (int c = 0; c < schema->conditions; c++)
        if (!(tw_params_at(statistics, CONDITION_WIDTH)[c] > 0))
            return false;
    return true;
}

void tw_columns_condition_moments(const struct tw_params *statistics, int c, double *mean, double *width)
{
    *mean = (double)tw_params_at(statistics, CONDITION_MEAN)[c];
    *width = (double)tw_params_at(statistics, CONDITION_WIDTH)[c];
}

void tw_columns_conditions(const struct tw_schema *schema, const struct tw_params *statistics, const float *conditions,
                           int events, int cols, tw_real *out)
{
    for (int c = 0; c < schema->conditions; c++) {
        double mean, width;

        tw_columns_condition_moments(statistics, c, &mean, &width);
        for (int i = 0; i < cols; i++) {
            int event = i < events ? i : 0;

            out[c * cols + i] =
                (tw_real)(((double)conditions[(size_t)event * (size_t)schema->conditions + (size_t)c] - mean) / width);
        }
    }
}

int tw_columns_circle(const struct tw_schema *schema, int f)
{
    const struct tw_column *column = &schema->columns[f];

    if (column->kind != TW_PERIODIC)
        return -1;
    for (int g = 0; g < f; g++) {
        const struct tw_column *other = &schema->columns[g];

        if (other->kind == TW_PERIODIC && other->min == column->min && other->max == column->max)
            return g;
    }
    return f;
}

int tw_columns_origin(const struct tw_schema *schema, int f)
{
    int first = tw_columns_circle(schema, f);

    for (int g = first; g >= 0 && g < schema->features; g++)
        if (!schema->columns[g].optional && tw_columns_circle(schema, g) == first)
            return g;
    return -1;
}

/* --- members of a model's JSON --- */

int tw_columns_read_int(const json_t *json, const char *member, int low, int high, int *out, struct tw_error *error)
{
    const json_t *value = json_object_get(json, member);

    if (!value)
        return TW_OK;
    if (!json_is_integer(value) || json_integer_value(value) < low || json_integer_value(value) > high)
        return tw_error_set(error, TW_INVALID, "model: %s must be an integer from %d to %d", member, low, high);
    *out = (int)json_integer_value(value);
    return TW_OK;
}

int tw_columns_read_real(const json_t *json, const char *member, double low, double high, double *out,
                         struct tw_error *error)
{
    const json_t *value = json_object_get(json, member);

    if (!value)
        return TW_OK;
    if (!json_is_number(value) || !(json_number_value(value) >= low && json_number_value(value) <= high))
        return tw_error_set(error, TW_INVALID, "model: %s must be a number from %g to %g", member, low, high);
    *out = json_number_value(value);
    return TW_OK;
}

int tw_columns_read_bool(const json_t *json, const char *member, bool *out, struct tw_error *error)
{
    const json_t *value = json_object_get(json, member);

    if (value && !json_is_boolean(value))
        return tw_error_set(error, TW_INVALID, "model: %s must be true or false", member);
    if (value)
        *out = json_is_true(value);
    return TW_OK;
}

int tw_columns_read_hidden(const json_t *json, int *count, int *hidden, struct tw_error *error)
{
    const json_t *value = json_object_get(json, "hidden");

    if (!value)
        return TW_OK;
    if (!json_is_array(value) || json_array_size(value) > TW_MLP_HIDDEN_MAX)
        return tw_error_set(error, TW_INVALID, "model: hidden must be an array of at most %d widths",
                            TW_MLP_HIDDEN_MAX);
    *count = (int)json_array_size(value);
    for (int i = 0; i < *count; i++) {
        const json_t *width = json_array_get(value, (size_t)i);

        if (!json_is_integer(width) || json_integer_value(width) < 1 || json_integer_value(width) > 4096)
            return tw_error_set(error, TW_INVALID, "model: hidden: widths must be integers from 1 to 4096");
        hidden[i] = (int)json_integer_value(width);
    }
    return TW_OK;
}

int tw_columns_read_activation(const json_t *json, enum tw_activation *activation, struct tw_error *error)
{
    const json_t *value = json_object_get(json, "activation");

    if (value && !(json_is_string(value) && tw_mlp_activation_find(json_string_value(value), activation)))
        return tw_error_set(error, TW_INVALID, "model: activation must be \"relu\", \"silu\" or \"tanh\"");
    return TW_OK;
}

int tw_columns_known(const json_t *json, const char *const *known, struct tw_error *error)
{
    const char *member;
    json_t *value;

    if (json && !json_is_object(json))
        return tw_error_set(error, TW_INVALID, "model must be an object");
    json_object_foreach((json_t *)(uintptr_t)json, member, value)
    {
        const char *const *k = known;

        while (*k && strcmp(*k, member))
            k++;
        if (!*k)
            return tw_error_set(error, TW_INVALID, "model: unknown member \"%.60s\"", member);
    }
    return TW_OK;
}

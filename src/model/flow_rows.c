#include "model/flow_rows.h"

#include <float.h>
#include <math.h>

#include "model/columns.h"
#include "model/flow_config.h"

int tw_flow_rows_count(const void *config, const struct tw_schema *schema)
{
    const struct tw_flow_config *c = config;

    return c->coupling.features + (c->classes.count ? c->classes.count + 1 : 0);
}

/* Rounding to tw_real must not leave the interval. */
static tw_real into(double y, double bound)
{
    tw_real limit = (tw_real)bound, r = (tw_real)y;

    return r < -limit ? -limit : r > limit ? limit : r;
}

static bool replaced(const struct tw_flow_config *c, int f)
{
    return tw_coordinates_find(c->coordinates, f) >= 0;
}

int tw_flow_rows_reference(const struct tw_kind_state *state, int f)
{
    const struct tw_flow_config *c = state->config;
    int first = c->torus ? tw_coordinates_origin(c->coordinates, state->schema, f) : -1;

    if (c->torus && first < 0)
        first = tw_columns_origin(state->schema, f);
    return first == f ? -1 : first;
}

int tw_flow_rows_row(const struct tw_flow_config *c, int f)
{
    int k = 0;

    while (c->columns[k] != f)
        k++;
    return k;
}

/* A feature that is only standardised, as most are: its Jacobian is the same for all events, and a logarithm each would
 * cost more than all the rest. */
static void prepare_real(const struct tw_transform_column *map, const float *values, size_t stride, int events,
                         int cols, tw_real *out, double *log_jacobian)
{
    double jacobian = 0;

    tw_transform_forward(map, 0, &jacobian);
    for (int i = 0; i < cols; i++) {
        double x = (double)values[(size_t)(i < events ? i : 0) * stride];
        bool absent = isnan(x);

        out[i] = absent ? 0 : (tw_real)((x - map->mean) / map->width);
        if (log_jacobian)
            log_jacobian[i] += absent ? 0 : jacobian;
    }
}

/* Row k of a block, `all`; 0 where the feature is absent. */
static void prepare_feature(const struct tw_kind_state *state, int k, const float *values, int events, int cols,
                            tw_real *all, double *log_jacobian)
{
    const struct tw_flow_config *config = state->config;
    const struct tw_coupling *c = &config->coupling;
    size_t n = (size_t)state->schema->features;
    int f = config->columns[k], first = tw_flow_rows_reference(state, f);
    struct tw_transform_column map = tw_columns_transform(state->schema, state->statistics, f, c->bound);
    struct tw_transform_column origin =
        tw_columns_transform(state->schema, state->statistics, first < 0 ? f : first, c->bound);
    const tw_real *pair = first >= 0 && replaced(config, first) ? all + tw_flow_rows_row(config, first) * cols : NULL;
    tw_real *out = all + k * cols;

    if (map.kind == TW_TRANSFORM_REAL && first < 0) {
        prepare_real(&map, values + f, n, events, cols, out, log_jacobian);
        return;
    }
    for (int i = 0; i < cols; i++) {
        const float *row = values + (size_t)(i < events ? i : 0) * n;

        if (isnan(row[f])) {
            out[i] = 0;
            continue;
        }

        double jacobian = 0, unused = 0, y = tw_transform_forward(&map, (double)row[f], &jacobian);

        if (first >= 0)
            y = tw_transform_wrap(
                y - (pair ? (double)pair[i] : tw_transform_forward(&origin, (double)row[first], &unused)));
        if (log_jacobian)
            log_jacobian[i] += jacobian;
        out[i] = c->kinds[k] == TW_SPLINE_TAILS ? (tw_real)y : into(y, tw_coupling_bound(c, k));
    }
}

/* Levels of the class and its slot in the table. */
static void prepare_class(const struct tw_kind_state *state, const float *values, int events, int cols, tw_real *out)
{
    const struct tw_flow_config *c = state->config;
    size_t n = (size_t)state->schema->features;

    for (int j = 0; j < c->classes.count; j++)
        for (int i = 0; i < cols; i++) {
            float value = values[(size_t)(i < events ? i : 0) * n + (size_t)c->classes.factors[j].feature];

            out[j * cols + i] = (tw_real)tw_classes_level(&c->classes, state->schema, j, value);
        }
    tw_categorical_find(&c->law, state->statistics, cols, out, out + c->classes.count * cols);
}

/* The rows of coordinates. */
static void prepare_coordinates(const struct tw_kind_state *state, const float *values, int events, int cols,
                                tw_real *out, double *log_jacobian)
{
    const struct tw_flow_config *config = state->config;
    const struct tw_coupling *c = &config->coupling;
    size_t n = (size_t)state->schema->features;

    for (int k = 0; k < tw_coordinates_count(config->coordinates); k++) {
        const int *features;
        int slots = tw_coordinates_features(config->coordinates, k, &features);

        for (int i = 0; i < cols; i++) {
            const float *event = values + (size_t)(i < events ? i : 0) * n;
            double jacobian = 0, y[TW_COORDINATES_SLOTS_MAX];

            tw_coordinates_forward(config->coordinates, k, state->statistics, c->bound, event, y, &jacobian);
            if (log_jacobian)
                log_jacobian[i] += jacobian;
            for (int s = 0; s < slots; s++) {
                int row = tw_flow_rows_row(config, features[s]);

                out[row * cols + i] =
                    c->kinds[row] == TW_SPLINE_TAILS ? (tw_real)y[s] : into(y[s], tw_coupling_bound(c, row));
            }
        }
    }
}

void tw_flow_rows_prepare(const struct tw_kind_state *state, const float *values, int events, int cols, tw_real *out,
                          double *log_jacobian)
{
    const struct tw_flow_config *c = state->config;
    int rows = c->coupling.features;

    for (int i = 0; log_jacobian && i < cols; i++)
        log_jacobian[i] = 0;
    prepare_coordinates(state, values, events, cols, out, log_jacobian);
    for (int k = 0; k < rows; k++)
        if (!replaced(c, c->columns[k]))
            prepare_feature(state, k, values, events, cols, out, log_jacobian);
    if (c->classes.count)
        prepare_class(state, values, events, cols, out + rows * cols);
}

/* Fills in the replaced features: functions of the coordinates and of features that are there already, as they are in
 * float32, so that the event has the very mass that was drawn. */
static void recover(const struct tw_kind_state *state, int cols, const tw_real *x, float *out)
{
    const struct tw_flow_config *config = state->config;
    size_t n = (size_t)state->schema->features;

    for (int k = 0; k < tw_coordinates_count(config->coordinates); k++) {
        const int *features;
        int slots = tw_coordinates_features(config->coordinates, k, &features);

        for (int i = 0; i < cols; i++) {
            double y[TW_COORDINATES_SLOTS_MAX];

            for (int s = 0; s < slots; s++)
                y[s] = (double)x[tw_flow_rows_row(config, features[s]) * cols + i];
            tw_coordinates_inverse(config->coordinates, k, state->statistics, config->coupling.bound, y,
                                   out + (size_t)i * n);
        }
    }
}

/* A feature that is only standardised, as tw_transform_to_float(tw_transform_inverse()) has it. */
static void raw_real(const struct tw_transform_column *map, int cols, const tw_real *x, size_t stride, float *out)
{
    for (int i = 0; i < cols; i++) {
        double value = map->mean + map->width * (double)x[i];

        value = value < -FLT_MAX ? -FLT_MAX : value > FLT_MAX ? FLT_MAX : value;
        out[(size_t)i * stride] = isnan(value) ? 0 : (float)value;
    }
}

void tw_flow_rows_raw(const struct tw_kind_state *state, int cols, const tw_real *x, const tw_real *levels, float *out)
{
    const struct tw_flow_config *c = state->config;
    size_t n = (size_t)state->schema->features;

    for (int k = 0; k < c->coupling.features; k++) {
        int f = c->columns[k], first = tw_flow_rows_reference(state, f);
        struct tw_transform_column map = tw_columns_transform(state->schema, state->statistics, f, c->coupling.bound);
        const tw_real *origin = first >= 0 ? x + tw_flow_rows_row(c, first) * cols : NULL;

        if (replaced(c, f)) {
            for (int i = 0; i < cols; i++)
                out[(size_t)i * n + (size_t)f] = 0; /* there, for now */
            continue;
        }
        if (map.kind == TW_TRANSFORM_REAL && !origin) {
            raw_real(&map, cols, x + k * cols, n, out + f);
            continue;
        }
        for (int i = 0; i < cols; i++) {
            double y = (double)x[k * cols + i] + (origin ? (double)origin[i] : 0);

            out[(size_t)i * n + (size_t)f] = tw_transform_to_float(&map, tw_transform_inverse(&map, y));
        }
    }
    for (int j = 0; j < c->classes.count; j++) {
        int f = c->classes.factors[j].feature;
        bool discrete = state->schema->columns[f].kind == TW_DISCRETE;

        for (int i = 0; i < cols; i++) {
            float value = tw_classes_value(&c->classes, state->schema, j, (int)levels[j * cols + i]);

            if (discrete || isnan(value))
                out[(size_t)i * n + (size_t)f] = value;
        }
    }
    recover(state, cols, x, out);
}

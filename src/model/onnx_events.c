/* Features <-> rows as a graph: what model/flow_rows.c computes, in double. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "model/columns.h"
#include "model/flow_rows.h"
#include "model/onnx_parts.h"

#define PI TW_TRANSFORM_PI

/* y of a feature. *jacobian gets log |dy/dx|. */
static int transform(struct tw_onnx_graph *g, const struct tw_transform_column *map, int x, int *jacobian)
{
    double range = map->max - map->min, half = map->kind == TW_TRANSFORM_PERIODIC ? PI : map->bound;
    int zero = tw_onnx_mul_n(g, x, 0), u, y;

    switch (map->kind) {
    case TW_TRANSFORM_REAL:
        *jacobian = tw_onnx_add_n(g, zero, -log(map->width));
        return tw_onnx_div_n(g, tw_onnx_sub_n(g, x, map->mean), map->width);
    case TW_TRANSFORM_LOG:
        u = tw_onnx_log(g, tw_onnx_sub_n(g, x, map->min));
        *jacobian = tw_onnx_add_n(g, tw_onnx_neg(g, u), -log(map->width));
        return tw_onnx_div_n(g, tw_onnx_sub_n(g, u, map->mean), map->width);
    case TW_TRANSFORM_BOUNDED:
    case TW_TRANSFORM_PERIODIC:
        break;
    }
    *jacobian = tw_onnx_add_n(g, zero, log(2 * half / range));
    y = tw_onnx_add_n(g, tw_onnx_mul_n(g, tw_onnx_sub_n(g, x, map->min), 2 * half / range), -half);
    return map->kind == TW_TRANSFORM_PERIODIC ? tw_onnx_wrap(g, y, PI) : y;
}

/* The feature at y, as the float32 in the domain that is nearest. */
static int back(struct tw_onnx_graph *g, const struct tw_transform_column *map, int y)
{
    double range = map->max - map->min, half = map->kind == TW_TRANSFORM_PERIODIC ? PI : map->bound;
    double low = (double)tw_transform_to_float(map, -DBL_MAX), high = (double)tw_transform_to_float(map, DBL_MAX);
    int x;

    if (map->kind == TW_TRANSFORM_PERIODIC)
        y = tw_onnx_wrap(g, y, PI);
    if (map->kind == TW_TRANSFORM_REAL || map->kind == TW_TRANSFORM_LOG)
        x = tw_onnx_add_n(g, tw_onnx_mul_n(g, y, map->width), map->mean);
    else
        x = tw_onnx_add_n(g, tw_onnx_mul_n(g, tw_onnx_add_n(g, y, half), range / (2 * half)), map->min);
    if (map->kind == TW_TRANSFORM_LOG)
        x = tw_onnx_add_n(g, tw_onnx_exp(g, x), map->min);
    x = tw_onnx_min_n(g, tw_onnx_max_n(g, x, low), high);
    return tw_onnx_graph_cast(g, x, TW_ONNX_FLOAT);
}

/* In the hard domain; NaN is not. */
static int domain(struct tw_onnx_graph *g, const struct tw_column *column, int x)
{
    int inside = tw_onnx_most_n(g, tw_onnx_abs(g, x), FLT_MAX);

    if (column->kind == TW_PERIODIC)
        return inside;
    if (column->kind == TW_DISCRETE)
        inside = tw_onnx_and(g, inside, tw_onnx_equal(g, x, tw_onnx_floor(g, x)));
    else if (column->transform == TW_LOG)
        return tw_onnx_and(g, inside, tw_onnx_greater_n(g, x, column->min));
    if (column->has_min)
        inside = tw_onnx_and(g, inside, tw_onnx_least_n(g, x, column->min));
    if (column->has_max)
        inside = tw_onnx_and(g, inside, tw_onnx_most_n(g, x, column->max));
    return inside;
}

/* A value in the domain, for what is absent: nothing of it is used. */
static double harmless(const struct tw_column *column)
{
    return column->has_min ? column->min + (column->kind == TW_REAL && column->transform == TW_LOG) : 0;
}

/* Coordinates that are of a bounded interval stay in it when they are rounded. */
static int round_row(struct tw_onnx_graph *g, const struct tw_coupling *c, int k, int y)
{
    double bound = tw_coupling_bound(c, k);

    y = tw_onnx_graph_cast(g, y, TW_ONNX_FLOAT);
    return c->kinds[k] == TW_SPLINE_TAILS ? y : tw_onnx_min_n(g, tw_onnx_max_n(g, y, -bound), bound);
}

static void enter_coordinates(struct tw_onnx_graph *g, const struct tw_kind_state *state, const int *features,
                              const int *absent, struct tw_onnx_rows *rows)
{
    const struct tw_flow_config *c = state->config;

    for (int k = 0; k < tw_coordinates_count(c->coordinates); k++) {
        const int *replaced;
        int slots = tw_coordinates_features(c->coordinates, k, &replaced), y[TW_COORDINATES_SLOTS_MAX], jacobian,
            inside;
        int gone = absent[replaced[0]];

        tw_onnx_coordinates_forward(g, c->coordinates, k, state->statistics, c->coupling.bound, features, y, &jacobian,
                                    &inside);
        for (int s = 0; s < slots; s++) {
            int row = tw_flow_rows_row(c, replaced[s]);

            rows->row[row] = round_row(g, &c->coupling, row, y[s]);
            if (gone >= 0)
                rows->row[row] = tw_onnx_where(g, gone, tw_onnx_graph_number(g, TW_ONNX_FLOAT, 0), rows->row[row]);
        }
        if (gone >= 0) {
            jacobian = tw_onnx_where(g, gone, tw_onnx_graph_number(g, TW_ONNX_DOUBLE, 0), jacobian);
            inside = tw_onnx_graph_op(g, "Or", gone, inside, -1);
        }
        rows->jacobian = tw_onnx_add(g, rows->jacobian, jacobian);
        rows->inside = tw_onnx_and(g, rows->inside, inside);
    }
}

/* Row k, of a feature that no coordinate replaces. */
static void enter_row(struct tw_onnx_graph *g, const struct tw_kind_state *state, int k, const int *features,
                      const int *absent, struct tw_onnx_rows *rows)
{
    const struct tw_flow_config *c = state->config;
    int f = c->columns[k], first = tw_flow_rows_reference(state, f), jacobian, unused;
    struct tw_transform_column map = tw_columns_transform(state->schema, state->statistics, f, c->coupling.bound);
    int y = transform(g, &map, features[f], &jacobian);

    if (first >= 0) {
        struct tw_transform_column to =
            tw_columns_transform(state->schema, state->statistics, first, c->coupling.bound);
        int origin = tw_coordinates_find(c->coordinates, first) >= 0
                         ? tw_onnx_graph_cast(g, rows->row[tw_flow_rows_row(c, first)], TW_ONNX_DOUBLE)
                         : transform(g, &to, features[first], &unused);

        y = tw_onnx_wrap(g, tw_onnx_sub(g, y, origin), PI);
    }
    y = round_row(g, &c->coupling, k, y);
    if (absent[f] >= 0) {
        y = tw_onnx_where(g, absent[f], tw_onnx_graph_number(g, TW_ONNX_FLOAT, 0), y);
        jacobian = tw_onnx_where(g, absent[f], tw_onnx_graph_number(g, TW_ONNX_DOUBLE, 0), jacobian);
    }
    rows->row[k] = y;
    rows->jacobian = tw_onnx_add(g, rows->jacobian, jacobian);
}

void tw_onnx_events_enter(struct tw_onnx_graph *g, const struct tw_kind_state *state, const int *features,
                          struct tw_onnx_rows *rows)
{
    const struct tw_flow_config *c = state->config;
    size_t count = (size_t)state->schema->features;
    int *x = calloc(count, sizeof *x), *absent = calloc(count, sizeof *absent), inside = -1;

    g->failed |= !x || !absent;
    for (size_t f = 0; !g->failed && f < count; f++) {
        const struct tw_column *column = &state->schema->columns[f];

        absent[f] = column->optional ? tw_onnx_is_nan(g, features[f]) : -1;
        x[f] = absent[f] < 0 ? features[f]
                             : tw_onnx_where(g, absent[f], tw_onnx_graph_number(g, TW_ONNX_DOUBLE, harmless(column)),
                                             features[f]);

        int ok = domain(g, column, x[f]);

        inside = inside < 0 ? ok : tw_onnx_and(g, inside, ok);
    }
    if (!g->failed) {
        rows->inside = inside;
        rows->jacobian = tw_onnx_mul_n(g, x[0], 0);
        enter_coordinates(g, state, x, absent, rows);
        for (int k = 0; k < c->coupling.features; k++)
            if (tw_coordinates_find(c->coordinates, c->columns[k]) < 0)
                enter_row(g, state, k, x, absent, rows);
    }
    free(x);
    free(absent);
}

/* --- the way back --- */

/* The feature of row k where no coordinate replaces it. */
static int leave_row(struct tw_onnx_graph *g, const struct tw_kind_state *state, int k, const struct tw_onnx_rows *rows)
{
    const struct tw_flow_config *c = state->config;
    int f = c->columns[k], first = tw_flow_rows_reference(state, f);
    struct tw_transform_column map = tw_columns_transform(state->schema, state->statistics, f, c->coupling.bound);
    int y = tw_onnx_graph_cast(g, rows->row[k], TW_ONNX_DOUBLE);

    if (first >= 0)
        y = tw_onnx_add(g, y, tw_onnx_graph_cast(g, rows->row[tw_flow_rows_row(c, first)], TW_ONNX_DOUBLE));
    return back(g, &map, y);
}

static void leave_coordinates(struct tw_onnx_graph *g, const struct tw_kind_state *state,
                              const struct tw_onnx_rows *rows, int *features)
{
    const struct tw_flow_config *c = state->config;

    for (int k = 0; k < tw_coordinates_count(c->coordinates); k++) {
        const int *replaced;
        int slots = tw_coordinates_features(c->coordinates, k, &replaced), y[TW_COORDINATES_SLOTS_MAX];

        for (int s = 0; s < slots; s++)
            y[s] = tw_onnx_graph_cast(g, rows->row[tw_flow_rows_row(c, replaced[s])], TW_ONNX_DOUBLE);
        tw_onnx_coordinates_inverse(g, c->coordinates, k, state->statistics, c->coupling.bound, y, features);
    }
}

/* Value of a discrete feature at its level; NaN where an optional one is absent. */
static int discrete(struct tw_onnx_graph *g, const struct tw_column *column, int levels, int level)
{
    int x = tw_onnx_add_n(g, level, column->min);
    int last = tw_onnx_least_n(g, level, levels - 1.5);

    return column->optional ? tw_onnx_where(g, last, tw_onnx_graph_number(g, TW_ONNX_FLOAT, (double)NAN), x) : x;
}

void tw_onnx_events_leave(struct tw_onnx_graph *g, const struct tw_kind_state *state, const struct tw_onnx_rows *rows,
                          int levels, int *features)
{
    const struct tw_flow_config *c = state->config;

    for (int k = 0; k < c->coupling.features; k++)
        if (tw_coordinates_find(c->coordinates, c->columns[k]) < 0)
            features[c->columns[k]] = tw_onnx_graph_cast(g, leave_row(g, state, k, rows), TW_ONNX_DOUBLE);
    leave_coordinates(g, state, rows, features);
    for (int k = 0; k < c->coupling.features; k++) {
        int *x = &features[c->columns[k]];

        *x = tw_onnx_graph_cast(g, *x, TW_ONNX_FLOAT);
        if (rows->absent[k] >= 0)
            *x = tw_onnx_where(g, rows->absent[k], tw_onnx_graph_number(g, TW_ONNX_FLOAT, (double)NAN), *x);
    }
    for (int j = 0; j < c->classes.count; j++) {
        const struct tw_factor *factor = &c->classes.factors[j];
        const struct tw_column *column = &state->schema->columns[factor->feature];

        if (column->kind == TW_DISCRETE)
            features[factor->feature] = discrete(g, column, factor->levels, tw_onnx_graph_slice(g, levels, j, j + 1));
    }
}

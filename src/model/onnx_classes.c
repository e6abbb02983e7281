/* The class of an event as a graph: its levels, its code, and their law (model/classes.h, model/categorical.h). */
#include <math.h>
#include <stdlib.h>

#include "model/onnx_parts.h"

static const struct tw_flow_config *config_of(const struct tw_kind_state *state)
{
    return state->config;
}

/* Level of factor j. */
static int level_of(struct tw_onnx_graph *g, const struct tw_kind_state *state, int j, int feature)
{
    const struct tw_factor *factor = &config_of(state)->classes.factors[j];
    const struct tw_column *column = &state->schema->columns[factor->feature];
    int absent = tw_onnx_is_nan(g, feature), level;

    if (column->kind != TW_DISCRETE)
        level = tw_onnx_where(g, absent, tw_onnx_graph_number(g, TW_ONNX_DOUBLE, 0),
                              tw_onnx_graph_number(g, TW_ONNX_DOUBLE, 1));
    else
        level = tw_onnx_where(g, absent, tw_onnx_graph_number(g, TW_ONNX_DOUBLE, factor->levels - 1),
                              tw_onnx_sub_n(g, feature, column->min));
    return tw_onnx_graph_cast(g, level, TW_ONNX_FLOAT);
}

int tw_onnx_classes_levels(struct tw_onnx_graph *g, const struct tw_kind_state *state, const int *features)
{
    const struct tw_classes *classes = &config_of(state)->classes;
    int *levels = calloc((size_t)classes->count, sizeof *levels), all = 0;

    g->failed |= !levels;
    for (int j = 0; !g->failed && j < classes->count; j++)
        levels[j] = level_of(g, state, j, features[classes->factors[j].feature]);
    if (levels)
        all = tw_onnx_graph_concat(g, classes->count, levels);
    free(levels);
    return all;
}

/* Rows of the code that belong to factor j: level 1, 2, ... or not. */
static int code_of(struct tw_onnx_graph *g, int level, int levels)
{
    float numbers[TW_VALUES_MAX + 1];

    for (int l = 1; l < levels; l++)
        numbers[l - 1] = (float)l;
    return tw_onnx_graph_cast(g, tw_onnx_equal(g, level, tw_onnx_graph_matrix(g, 0, levels - 1, numbers)),
                              TW_ONNX_FLOAT);
}

void tw_onnx_classes_tell(struct tw_onnx_graph *g, const struct tw_kind_state *state, int levels, int conditions,
                          struct tw_onnx_rows *rows)
{
    const struct tw_flow_config *c = config_of(state);
    int *parts = calloc((size_t)c->classes.count + 1, sizeof *parts), count = 0;

    g->failed |= !parts;
    for (int j = 0; !g->failed && j < c->classes.count; j++) {
        int level = tw_onnx_graph_slice(g, levels, j, j + 1), feature = c->classes.factors[j].feature;

        parts[count++] = code_of(g, level, c->classes.factors[j].levels);
        for (int k = 0; k < c->coupling.features; k++)
            if (c->columns[k] == feature)
                rows->absent[k] = tw_onnx_equal_n(g, level, 0);
    }
    if (parts && conditions >= 0)
        parts[count++] = conditions;
    rows->context = count ? tw_onnx_graph_concat(g, count, parts) : -1;
    free(parts);
}

/* log p of the classes of the table: (K) or (N, K). */
static int table(struct tw_onnx_graph *g, const struct tw_kind_state *state, int used, int conditions)
{
    const struct tw_categorical *law = &config_of(state)->law;
    const tw_real *shares = tw_params_at(state->statistics, law->shares);
    float priors[TW_CATEGORICAL_SLOTS];
    double sum = 0, all = log1p(-(double)shares[law->slots]);

    for (int k = 0; k < used; k++)
        sum += (double)shares[k];
    for (int k = 0; k < used; k++)
        priors[k] = (float)(log((double)shares[k] / sum) + (law->conditional ? 0 : all));

    int prior = tw_onnx_graph_matrix(g, 0, used, priors);

    if (!law->conditional)
        return prior;

    int logits = tw_onnx_graph_slice(g, tw_onnx_network(g, &law->net, state->parameters, conditions), 0, used);

    return tw_onnx_add_n(g, tw_onnx_log(g, tw_onnx_graph_softmax(g, tw_onnx_add(g, logits, prior))), all);
}

/* The classes of the table, (K, J). */
static int levels_of(struct tw_onnx_graph *g, const struct tw_kind_state *state, int used)
{
    const struct tw_categorical *law = &config_of(state)->law;

    return tw_onnx_graph_matrix(g, used, law->classes->count, tw_params_at(state->statistics, law->levels));
}

/* log p of each class that is not in the table. */
static double others(const struct tw_kind_state *state, int used)
{
    const struct tw_categorical *law = &config_of(state)->law;
    double share = (double)tw_params_at(state->statistics, law->shares)[law->slots];
    double rest = law->classes->combinations - used;

    return share > 0 && rest > 0 ? log(share) - (isfinite(rest) ? log(rest) : law->classes->log_combinations)
                                 : -INFINITY;
}

int tw_onnx_classes_log_prob(struct tw_onnx_graph *g, const struct tw_kind_state *state, int levels, int conditions)
{
    const struct tw_categorical *law = &config_of(state)->law;
    int used = tw_categorical_used(law, state->statistics), factors = law->classes->count;
    int same = tw_onnx_equal(g, tw_onnx_graph_reshape(g, levels, 1, factors), levels_of(g, state, used));
    int agree = tw_onnx_graph_sum(g, tw_onnx_graph_cast(g, same, TW_ONNX_FLOAT), false);
    int match = tw_onnx_least_n(g, agree, factors - 0.5), zero = tw_onnx_graph_number(g, TW_ONNX_FLOAT, 0);
    int known = tw_onnx_graph_sum(g, tw_onnx_where(g, match, table(g, state, used, conditions), zero), true);
    int any = tw_onnx_graph_sum(g, tw_onnx_graph_cast(g, match, TW_ONNX_FLOAT), true);

    return tw_onnx_where_n(g, tw_onnx_greater_n(g, any, 0.5), known, others(state, used));
}

int tw_onnx_classes_draw(struct tw_onnx_graph *g, const struct tw_kind_state *state, int uniform, int conditions)
{
    const struct tw_categorical *law = &config_of(state)->law;
    int used = tw_categorical_used(law, state->statistics);
    int shares = tw_onnx_graph_softmax(g, table(g, state, used, conditions));
    int passed = tw_onnx_least(g, uniform, tw_onnx_graph_cumulative(g, shares));
    int slot = tw_onnx_graph_sum(g, tw_onnx_graph_cast(g, passed, TW_ONNX_INT64), true);
    int last = tw_onnx_graph_number(g, TW_ONNX_INT64, used - 1);

    return tw_onnx_graph_rows(g, levels_of(g, state, used), tw_onnx_min(g, slot, last), law->classes->count);
}

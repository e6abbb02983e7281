/* The density of a flow given the class, and that of the class; what its rows are is in model/flow_rows.h. */
#include "model/flow_kind.h"

#include <string.h>

#include "base/rng.h"
#include "model/columns.h"
#include "model/flow_config.h"
#include "model/flow_rows.h"
#include "model/reach.h"
#include "nn/map.h"

#define CLASSES UINT64_C(0x636c6173736573) /* a stream of the start, for the network of the classes */

const struct tw_coupling *tw_flow_kind_coupling(const struct tw_kind_state *state)
{
    return &((const struct tw_flow_config *)state->config)->coupling;
}

static int members(const void *config)
{
    return ((const struct tw_flow_config *)config)->members;
}

/* --- tensors --- */

static int layout(void *config, const struct tw_schema *schema, struct tw_params *statistics,
                  struct tw_params *parameters)
{
    struct tw_flow_config *c = config;
    int status = tw_columns_layout(schema, statistics);

    if (!status)
        status = tw_coupling_layout(&c->coupling, parameters);
    return status || !c->classes.count ? status : tw_categorical_layout(&c->law, statistics, parameters);
}

static int prepare(const void *config, const struct tw_data *data, struct tw_params *statistics)
{
    const struct tw_flow_config *c = config;
    int status = tw_columns_prepare(data, statistics);

    if (!status)
        status = tw_coordinates_prepare(c->coordinates, data, statistics);
    return status || !c->classes.count ? status : tw_categorical_prepare(&c->law, data, statistics);
}

static int adapt(const void *config, const struct tw_data *data, struct tw_params *statistics)
{
    const struct tw_flow_config *c = config;

    int status = tw_reach_extend(c, data, statistics);

    return status || !c->classes.count ? status : tw_categorical_adapt(&c->law, data, statistics);
}

static bool statistics_ok(const void *config, const struct tw_schema *schema, const struct tw_params *statistics)
{
    const struct tw_flow_config *c = config;

    return tw_columns_ok(schema, statistics) && (!c->classes.count || tw_categorical_ok(&c->law, statistics));
}

static int init(const void *config, const struct tw_schema *schema, struct tw_params *parameters, uint64_t key)
{
    const struct tw_flow_config *c = config;

    tw_coupling_start(&c->coupling, parameters, key);
    if (c->classes.count)
        tw_categorical_start(&c->law, parameters, tw_rng_mix(key, CLASSES));
    return TW_OK;
}

/* --- what the blocks are told about the class --- */

struct context {
    const tw_real *conditions; /* (codes + C, cols), NULL if there are none */
    const tw_real *present;    /* (coordinates, cols), NULL if all are */
};

/* From levels (J, cols), which are not read without classes. TW_NO_MEMORY or 0. */
static int context_of(const struct tw_kind_state *state, struct tw_arena *arena, int cols, const tw_real *levels,
                      const tw_real *conditions, struct context *out)
{
    const struct tw_flow_config *c = state->config;
    size_t n = (size_t)cols, codes = (size_t)c->classes.codes, rows = (size_t)c->coupling.conditions;

    *out = (struct context){.conditions = conditions};
    if (!c->classes.count)
        return TW_OK;

    tw_real *all = tw_arena_alloc(arena, (rows + (size_t)c->coupling.features) * n * sizeof *all);

    if (!all)
        return TW_NO_MEMORY;
    tw_classes_code(&c->classes, cols, levels, all);
    if (rows > codes)
        memcpy(all + codes * n, conditions, (rows - codes) * n * sizeof *all);
    out->conditions = all;
    if (!c->classes.incomplete)
        return TW_OK;
    for (int k = 0; k < c->coupling.features; k++)
        tw_classes_present(&c->classes, state->schema, c->columns[k], cols, levels, all + (rows + (size_t)k) * n);
    out->present = all + rows * n;
    return TW_OK;
}

/* --- training and queries --- */

static struct tw_var *loss(const struct tw_kind_state *state, struct tw_tape *tape, const struct tw_block *block)
{
    const struct tw_flow_config *config = state->config;
    const struct tw_coupling *c = &config->coupling;
    const tw_real *levels = block->features + c->features * block->cols;
    struct context context;

    if (context_of(state, tape->arena, block->cols, levels, block->conditions, &context))
        return NULL;

    struct tw_var *loss = tw_coupling_loss(
        c, tape, tw_tape_constant(tape, c->features, block->features),
        c->conditions ? tw_tape_constant(tape, c->conditions, context.conditions) : NULL, context.present);

    if (!config->classes.count)
        return loss;

    int conditions = state->schema->conditions;
    const tw_real *slots = levels + config->classes.count * block->cols;

    return tw_map_add(tape, loss,
                      tw_categorical_loss(&config->law, state->statistics, tape, slots,
                                          conditions ? tw_tape_constant(tape, conditions, block->conditions) : NULL));
}

static int log_prob(const struct tw_kind_state *state, const struct tw_kernels *kernels, struct tw_arena *arena,
                    int cols, tw_real *features, const tw_real *conditions, double *out)
{
    const struct tw_flow_config *config = state->config;
    const struct tw_coupling *c = &config->coupling;
    const tw_real *levels = features + c->features * cols;
    tw_real *log_det = tw_arena_alloc(arena, (size_t)cols * sizeof *log_det);
    struct context context;

    if (!log_det)
        return TW_NO_MEMORY;
    memset(log_det, 0, (size_t)cols * sizeof *log_det);

    int status = context_of(state, arena, cols, levels, conditions, &context);

    if (status || (status = tw_coupling_forward(c, state->parameters, kernels, arena, cols, features,
                                                context.conditions, context.present, log_det)))
        return status;
    tw_coupling_base_log_prob(c, cols, features, context.present, out);
    for (int i = 0; i < cols; i++)
        out[i] += (double)log_det[i];
    if (!config->classes.count)
        return TW_OK;
    return tw_categorical_log_prob(&config->law, state->statistics, state->parameters, kernels, arena, cols,
                                   levels + config->classes.count * cols, conditions, out);
}

static int sample(const struct tw_kind_state *state, const struct tw_kernels *kernels, struct tw_arena *arena, int cols,
                  uint64_t key, const uint64_t *events, const tw_real *conditions, float *out)
{
    const struct tw_flow_config *config = state->config;
    const struct tw_coupling *c = &config->coupling;
    size_t factors = (size_t)config->classes.count, n = (size_t)cols;
    tw_real *x = tw_arena_alloc(arena, ((size_t)c->features + factors + 1) * n * sizeof *x);
    struct context context;
    int status = TW_OK;

    if (!x)
        return TW_NO_MEMORY;

    tw_real *levels = x + (size_t)c->features * n, *log_det = levels + factors * n;

    memset(log_det, 0, n * sizeof *log_det);
    if (factors)
        status = tw_categorical_draw(&config->law, state->statistics, state->parameters, kernels, arena, key, events,
                                     cols, conditions, levels);
    if (status || (status = context_of(state, arena, cols, levels, conditions, &context)))
        return status;
    tw_coupling_base_draw(c, kernels, key, events, cols, x);
    for (size_t i = 0; context.present && i < (size_t)c->features * n; i++)
        x[i] *= context.present[i];
    status = tw_coupling_inverse(c, state->parameters, kernels, arena, cols, x, context.conditions, context.present,
                                 log_det);
    if (!status)
        tw_flow_rows_raw(state, cols, x, levels, out);
    return status;
}

const struct tw_kind tw_flow_kind = {
    .name = "flow",
    .format = 1,
    .outputs = 1u << TW_OUTPUT_LOG_PROB | 1u << TW_OUTPUT_SAMPLE,
    .parse = tw_flow_config_parse,
    .describe = tw_flow_config_describe,
    .config_free = tw_flow_config_free,
    .members = members,
    .layout = layout,
    .prepare = prepare,
    .init = init,
    .statistics_ok = statistics_ok,
    .adapt = adapt,
    .prepared_rows = tw_flow_rows_count,
    .prepare_block = tw_flow_rows_prepare,
    .loss = loss,
    .log_prob = log_prob,
    .sample = sample,
};

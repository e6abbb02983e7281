#include "flow/coupling.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "base/status.h"
#include "nn/map.h"
#include "nn/reduce.h"

#define MINIMUM      1e-3 /* width, height and slope of a bin */
#define PI           3.14159265358979323846
#define HALF_LOG_2PI 0.91893853320467274178
#define LAST_WEIGHTS 0.01 /* scale of the last layer's weights at the start */

double tw_coupling_bound(const struct tw_coupling *coupling, int f)
{
    return coupling->kinds[f] == TW_SPLINE_CIRCULAR ? PI : coupling->bound;
}

int tw_coupling_init(struct tw_coupling *coupling, int features, int blocks)
{
    *coupling = (struct tw_coupling){.features = features, .blocks = blocks};
    coupling->kinds = calloc((size_t)features, sizeof *coupling->kinds);
    coupling->masks = calloc((size_t)features, (size_t)blocks);
    if (coupling->kinds && coupling->masks)
        return TW_OK;
    tw_coupling_fini(coupling);
    return TW_NO_MEMORY;
}

void tw_coupling_fini(struct tw_coupling *coupling)
{
    for (int b = 0; coupling->plan && b < coupling->blocks; b++) {
        free(coupling->plan[b].rows);
        free(coupling->plan[b].splines);
        free(coupling->plan[b].gather);
        free(coupling->plan[b].merge);
        free(coupling->plan[b].embed);
        free(coupling->plan[b].concat);
    }
    free(coupling->plan);
    free(coupling->kinds);
    free(coupling->masks);
    memset(coupling, 0, sizeof *coupling);
}

/* --- the plan of a block --- */

static struct tw_spline spline_of(const struct tw_coupling *c, int f)
{
    return (struct tw_spline){.kind = c->kinds[f],
                              .bins = c->bins,
                              .bound = (tw_real)tw_coupling_bound(c, f),
                              .min_width = (tw_real)MINIMUM,
                              .min_height = (tw_real)MINIMUM,
                              .min_slope = (tw_real)MINIMUM};
}

/* Rows that feature f gives to a network: itself at unit width, or the cosines and sines of an angle. */
static int embed(const struct tw_coupling *c, int f, struct tw_ops_embed_row *map)
{
    switch (c->kinds[f]) {
    case TW_SPLINE_TAILS:
        map[0] = (struct tw_ops_embed_row){.function = TW_EMBED_LINEAR, .row = f, .factor = 1};
        return 1;
    case TW_SPLINE_BOUNDED:
        map[0] =
            (struct tw_ops_embed_row){.function = TW_EMBED_LINEAR, .row = f, .factor = (tw_real)(sqrt(3) / c->bound)};
        return 1;
    case TW_SPLINE_CIRCULAR:
        for (int k = 0; k < c->harmonics; k++) {
            map[2 * k] = (struct tw_ops_embed_row){.function = TW_EMBED_COS, .row = f, .factor = (tw_real)(k + 1)};
            map[2 * k + 1] = (struct tw_ops_embed_row){.function = TW_EMBED_SIN, .row = f, .factor = (tw_real)(k + 1)};
        }
        return 2 * c->harmonics;
    }
    return 0;
}

static int plan_block(const struct tw_coupling *c, const unsigned char *mask, struct tw_coupling_block *block)
{
    size_t n = (size_t)c->features, most = n * (size_t)(c->harmonics > 0 ? 2 * c->harmonics : 1);

    block->rows = malloc(n * sizeof *block->rows);
    block->splines = malloc(n * sizeof *block->splines);
    block->gather = malloc(n * sizeof *block->gather);
    block->merge = malloc(n * sizeof *block->merge);
    block->embed = malloc(most * sizeof *block->embed);
    block->concat = malloc((most + (size_t)c->conditions) * sizeof *block->concat);
    if (!block->rows || !block->splines || !block->gather || !block->merge || !block->embed || !block->concat)
        return TW_NO_MEMORY;
    for (int f = 0; f < c->features; f++) {
        block->merge[f] = (struct tw_ops_row){.source = mask[f], .row = mask[f] ? block->moved : f, .sign = 1};
        if (!mask[f]) {
            block->inputs += embed(c, f, block->embed + block->inputs);
            continue;
        }
        block->rows[block->moved] = f;
        block->splines[block->moved] = spline_of(c, f);
        block->gather[block->moved] = (struct tw_ops_row){.source = 0, .row = f, .sign = 1};
        block->outputs += tw_spline_rows(&block->splines[block->moved]);
        block->moved++;
    }
    for (int i = 0; i < block->inputs + c->conditions; i++)
        block->concat[i] = i < block->inputs ? (struct tw_ops_row){.source = 0, .row = i, .sign = 1}
                                             : (struct tw_ops_row){.source = 1, .row = i - block->inputs, .sign = 1};
    block->mlp = (struct tw_mlp){.in = block->inputs + c->conditions,
                                 .out = block->outputs,
                                 .hidden_count = c->hidden_count,
                                 .activation = c->activation};
    memcpy(block->mlp.hidden, c->hidden, sizeof c->hidden);
    return TW_OK;
}

int tw_coupling_plan(struct tw_coupling *coupling)
{
    coupling->plan = calloc((size_t)coupling->blocks, sizeof *coupling->plan);
    if (!coupling->plan)
        return TW_NO_MEMORY;
    for (int b = 0; b < coupling->blocks; b++)
        if (plan_block(coupling, coupling->masks + (size_t)b * (size_t)coupling->features, &coupling->plan[b]))
            return TW_NO_MEMORY;
    return TW_OK;
}

int tw_coupling_layout(struct tw_coupling *coupling, struct tw_params *params)
{
    for (int b = 0; b < coupling->blocks; b++) {
        char prefix[24];

        snprintf(prefix, sizeof prefix, "block%d", b);
        if (tw_mlp_layout(&coupling->plan[b].mlp, prefix, params))
            return TW_NO_MEMORY;
    }
    return TW_OK;
}

/* First row of the slope logits and their number; the shift of a circular spline follows them. */
static int slopes(const struct tw_spline *spline)
{
    int rows = tw_spline_rows(spline) - 2 * spline->bins;

    return spline->kind == TW_SPLINE_CIRCULAR ? rows - 1 : rows;
}

void tw_coupling_start(const struct tw_coupling *coupling, struct tw_params *params, uint64_t key)
{
    const tw_real slope_one = (tw_real)log(exp(1 - MINIMUM) - 1);

    for (int b = 0; b < coupling->blocks; b++) {
        const struct tw_coupling_block *block = &coupling->plan[b];
        const struct tw_mlp *mlp = &block->mlp;

        tw_mlp_init(mlp, params, LAST_WEIGHTS, tw_rng_mix(key, (uint64_t)b));

        tw_real *bias = tw_params_at(params, mlp->bias[mlp->in ? mlp->hidden_count : 0]);

        for (int i = 0; i < block->moved; i++) {
            for (int s = 0; s < slopes(&block->splines[i]); s++)
                bias[2 * coupling->bins + s] = slope_one;
            bias += tw_spline_rows(&block->splines[i]);
        }
    }
}

/* --- base --- */

void tw_coupling_base_log_prob(const struct tw_coupling *coupling, int cols, const tw_real *z, const tw_real *present,
                               double *out)
{
    memset(out, 0, (size_t)cols * sizeof *out);
    for (int f = 0; f < coupling->features; f++) {
        const tw_real *row = z + (size_t)f * (size_t)cols;
        double level = coupling->kinds[f] == TW_SPLINE_TAILS ? -HALF_LOG_2PI : -log(2 * tw_coupling_bound(coupling, f));
        double curvature = coupling->kinds[f] == TW_SPLINE_TAILS ? 0.5 : 0;

        for (int c = 0; c < cols; c++)
            if (!present || present[(size_t)f * (size_t)cols + (size_t)c] != 0)
                out[c] += level - curvature * (double)row[c] * (double)row[c];
    }
}

/* `n` events with consecutive numbers; z is their first column of (features, cols). */
static void draw_run(const struct tw_coupling *coupling, const struct tw_kernels *kernels, uint64_t key, uint64_t first,
                     int n, int cols, tw_real *z)
{
    for (int f = 0; f < coupling->features; f++) {
        tw_real *row = z + (size_t)f * (size_t)cols;

        if (coupling->kinds[f] == TW_SPLINE_TAILS) {
            kernels->normal(key, (uint64_t)f, first, (size_t)n, row);
            continue;
        }

        tw_real bound = (tw_real)tw_coupling_bound(coupling, f);

        tw_rng_uniforms(key, (uint64_t)f, first, (size_t)n, row);
        for (int c = 0; c < n; c++)
            row[c] = bound * (2 * row[c] - 1);
    }
}

void tw_coupling_base_draw(const struct tw_coupling *coupling, const struct tw_kernels *kernels, uint64_t key,
                           const uint64_t *events, int cols, tw_real *z)
{
    for (int first = 0, end; first < cols; first = end) {
        end = first + 1;
        while (end < cols && events[end] == events[end - 1] + 1)
            end++;
        draw_run(coupling, kernels, key, events[first], end - first, cols, z + first);
    }
}

/* --- training: the chain on the tape --- */

/* Log density of the base where it does not depend on z: at z = 0 for features that are absent, which have to be taken
 * out again, normal or not. */
static void take_out_absent(const struct tw_coupling *c, int cols, const tw_real *present, tw_real *level)
{
    for (int f = 0; f < c->features; f++) {
        double value = c->kinds[f] == TW_SPLINE_TAILS ? -HALF_LOG_2PI : -log(2 * tw_coupling_bound(c, f));

        for (int i = 0; i < cols; i++)
            level[i] -= (1 - present[f * cols + i]) * (tw_real)value;
    }
}

static struct tw_var *base_log_prob(const struct tw_coupling *c, struct tw_tape *tape, struct tw_var *z,
                                    const tw_real *present)
{
    struct tw_ops_row *normal = tw_tape_alloc(tape, (size_t)c->features * sizeof *normal);
    tw_real *level = tw_tape_rows(tape, 1);
    double uniform = 0;
    int count = 0;

    if (!normal || !level)
        return NULL;
    for (int f = 0; f < c->features; f++)
        if (c->kinds[f] == TW_SPLINE_TAILS)
            normal[count++] = (struct tw_ops_row){.source = 0, .row = f, .sign = 1};
        else
            uniform -= log(2 * tw_coupling_bound(c, f));
    for (int i = 0; i < tape->cols; i++)
        level[i] = (tw_real)uniform;
    if (present)
        take_out_absent(c, tape->cols, present, level);
    return tw_map_add(tape, tw_reduce_normal_log_prob(tape, tw_ops_colmap(tape, &z, 1, normal, count)),
                      tw_tape_constant(tape, 1, level));
}

/* Rows of `present` for the features that a block moves; NULL and the tape failed when memory is out. */
static const tw_real *moved_present(const struct tw_coupling_block *block, struct tw_tape *tape, const tw_real *present)
{
    size_t cols = (size_t)tape->cols;
    tw_real *rows = tw_tape_rows(tape, block->moved);

    for (int i = 0; rows && i < block->moved; i++)
        memcpy(rows + (size_t)i * cols, present + (size_t)block->rows[i] * cols, cols * sizeof *rows);
    return rows;
}

struct tw_var *tw_coupling_loss(const struct tw_coupling *coupling, struct tw_tape *tape, struct tw_var *x,
                                struct tw_var *conditions, const tw_real *present)
{
    struct tw_var *log_det = NULL;

    for (int b = 0; b < coupling->blocks; b++) {
        const struct tw_coupling_block *block = &coupling->plan[b];
        struct tw_var *inputs = tw_ops_embed(tape, x, block->embed, block->inputs), *det;

        if (coupling->conditions)
            inputs = tw_ops_colmap(tape, (struct tw_var *[]){inputs, conditions}, 2, block->concat,
                                   block->inputs + coupling->conditions);

        struct tw_var *p = tw_mlp_tape(&block->mlp, tape, inputs);
        struct tw_var *moved = tw_ops_colmap(tape, &x, 1, block->gather, block->moved);
        const tw_real *there = present ? moved_present(block, tape, present) : NULL;
        struct tw_var *y = tw_ops_spline_present(tape, block->splines, moved, p, there, &det);

        if (present && !there)
            return NULL;
        x = tw_ops_colmap(tape, (struct tw_var *[]){x, y}, 2, block->merge, coupling->features);
        log_det = log_det ? tw_map_add(tape, log_det, det) : det;
    }

    struct tw_var *log_prob = tw_map_add(tape, base_log_prob(coupling, tape, x, present), log_det);
    tw_real *zero = tw_tape_rows(tape, 1);

    if (!zero)
        return NULL;
    memset(zero, 0, (size_t)tape->cols * sizeof *zero);
    return tw_map_sub(tape, tw_tape_constant(tape, 1, zero), log_prob);
}

/* The blocks of a flow as a graph; docs/model-format.md has the formulas. Matrices are (N, columns) here. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/onnx_parts.h"

#define HALF_LOG_2PI 0.91893853320467274178

/* --- networks --- */

static int activate(struct tw_onnx_graph *g, enum tw_activation activation, int a)
{
    switch (activation) {
    case TW_LINEAR:
        return a;
    case TW_RELU:
        return tw_onnx_graph_op(g, "Relu", a, -1, -1);
    case TW_TANH:
        return tw_onnx_graph_op(g, "Tanh", a, -1, -1);
    case TW_SILU:
        return tw_onnx_mul(g, a, tw_onnx_graph_op(g, "Sigmoid", a, -1, -1));
    }
    return a;
}

int tw_onnx_network(struct tw_onnx_graph *g, const struct tw_mlp *mlp, const struct tw_params *params, int in)
{
    int layers = mlp->in ? mlp->hidden_count : 0;

    for (int i = 0; i <= layers; i++) {
        const struct tw_tensor *tensor = &params->tensors[mlp->weight[i]];
        int weight = tw_onnx_graph_matrix(g, tensor->rows, tensor->cols, tw_params_at(params, mlp->weight[i]));
        int bias = tw_onnx_graph_matrix(g, 0, tensor->rows, tw_params_at(params, mlp->bias[i]));

        in = tw_onnx_graph_dense(g, in, weight, bias);
        if (i < layers)
            in = activate(g, mlp->activation, in);
    }
    return in;
}

/* Without inputs: the bias, for as many events as `like` (N, 1) has. */
static int constant_network(struct tw_onnx_graph *g, const struct tw_mlp *mlp, const struct tw_params *params, int like)
{
    int bias = tw_onnx_graph_matrix(g, 0, mlp->out, tw_params_at(params, mlp->bias[0]));

    return tw_onnx_add(g, tw_onnx_mul_n(g, like, 0), bias);
}

/* Inputs of a block's network. */
static int embed(struct tw_onnx_graph *g, const struct tw_coupling_block *block, const struct tw_onnx_rows *rows,
                 int *scratch)
{
    int count = 0;

    for (int i = 0; i < block->inputs; i++) {
        const struct tw_ops_embed_row *map = &block->embed[i];
        int x = rows->row[map->row];

        if (map->factor != 1)
            x = tw_onnx_mul_n(g, x, (double)map->factor);
        scratch[count++] = map->function == TW_EMBED_LINEAR ? x
                           : map->function == TW_EMBED_COS  ? tw_onnx_cos(g, x)
                                                            : tw_onnx_sin(g, x);
    }
    if (rows->context >= 0)
        scratch[count++] = rows->context;
    return tw_onnx_graph_concat(g, count, scratch);
}

/* --- splines of F rows at a time: x (N, F), parameters (N, F, P) --- */

struct bins {
    int x0, x1, y0, y1, s0, s1; /* of the bin that holds each value: (N, F) */
};

/* Running sums from -bound: K + 1 knots (N, F, K + 1), the ends exactly at -bound and bound. */
static int knots(struct tw_onnx_graph *g, const struct tw_spline *spline, double least, int logits)
{
    double bound = (double)spline->bound;
    int share = tw_onnx_graph_softmax(g, logits);
    int part = tw_onnx_mul_n(g, tw_onnx_add_n(g, tw_onnx_mul_n(g, share, 1 - spline->bins * least), least), 2 * bound);
    int sums = tw_onnx_sub_n(g, tw_onnx_graph_cumulative(g, tw_onnx_graph_slice(g, part, 0, spline->bins - 1)), bound);
    int zero = tw_onnx_mul_n(g, tw_onnx_graph_slice(g, part, 0, 1), 0);

    return tw_onnx_graph_concat(g, 3, (int[]){tw_onnx_add_n(g, zero, -bound), sums, tw_onnx_add_n(g, zero, bound)});
}

/* max(s, 0) + log(1 + exp(-|s|)) + the least slope */
static int slopes_of(struct tw_onnx_graph *g, const struct tw_spline *spline, int s)
{
    int tail = tw_onnx_log(g, tw_onnx_add_n(g, tw_onnx_exp(g, tw_onnx_neg(g, tw_onnx_abs(g, s))), 1));

    return tw_onnx_add_n(g, tw_onnx_add(g, tw_onnx_max_n(g, s, 0), tail), (double)spline->min_slope);
}

/* (N, F, K + 1) */
static int slopes(struct tw_onnx_graph *g, const struct tw_spline *spline, int p)
{
    int from = 2 * spline->bins, first, inner;

    switch (spline->kind) {
    case TW_SPLINE_TAILS:
        first = tw_onnx_add_n(g, tw_onnx_mul_n(g, tw_onnx_graph_slice(g, p, 0, 1), 0), 1);
        inner = slopes_of(g, spline, tw_onnx_graph_slice(g, p, from, from + spline->bins - 1));
        return tw_onnx_graph_concat(g, 3, (int[]){first, inner, first});
    case TW_SPLINE_BOUNDED:
        return slopes_of(g, spline, tw_onnx_graph_slice(g, p, from, from + spline->bins + 1));
    case TW_SPLINE_CIRCULAR:
        inner = slopes_of(g, spline, tw_onnx_graph_slice(g, p, from, from + spline->bins));
        return tw_onnx_graph_concat(g, 2, (int[]){inner, tw_onnx_graph_slice(g, inner, 0, 1)});
    }
    return p;
}

/* The numbers of the bin that holds `at` (N, F), of x or, inverse, of y; as doubles where these are wanted. */
static struct bins find(struct tw_onnx_graph *g, const struct tw_spline *spline, int count, int p, int at, bool inverse,
                        enum tw_onnx_type type)
{
    int bins = spline->bins, x = knots(g, spline, (double)spline->min_width, tw_onnx_graph_slice(g, p, 0, bins));
    int y = knots(g, spline, (double)spline->min_height, tw_onnx_graph_slice(g, p, bins, 2 * bins));
    int edges = tw_onnx_graph_slice(g, inverse ? y : x, 1, bins), s = slopes(g, spline, p);
    int passed = tw_onnx_graph_cast(g, tw_onnx_least(g, tw_onnx_graph_reshape(g, at, count, 1), edges), TW_ONNX_INT64);
    int index = tw_onnx_graph_sum(g, passed, true);
    int next = tw_onnx_graph_op(g, "Add", index, tw_onnx_graph_ints(g, 1, (int64_t[]){1}), -1);
    int from[] = {x, x, y, y, s, s}, *to[6];
    struct bins found;

    to[0] = &found.x0, to[1] = &found.x1, to[2] = &found.y0, to[3] = &found.y1, to[4] = &found.s0, to[5] = &found.s1;
    for (int i = 0; i < 6; i++)
        *to[i] = tw_onnx_graph_cast(
            g, tw_onnx_graph_reshape(g, tw_onnx_graph_pick(g, from[i], i % 2 ? next : index), count, 0), type);
    return found;
}

/* log dy/dx = 2 log d + log(s1 t^2 + 2 d t u + s0 u^2) - 2 log D, u = 1 - t, D = d (t^2 + u^2) + (s0 + s1) t u */
struct slope {
    int d, tt, tu, uu, denominator;
};

static struct slope slope_at(struct tw_onnx_graph *g, const struct bins *b, int t)
{
    int u = tw_onnx_add_n(g, tw_onnx_neg(g, t), 1);
    struct slope s = {.d = tw_onnx_div(g, tw_onnx_sub(g, b->y1, b->y0), tw_onnx_sub(g, b->x1, b->x0)),
                      .tt = tw_onnx_mul(g, t, t),
                      .tu = tw_onnx_mul(g, t, u),
                      .uu = tw_onnx_mul(g, u, u)};

    s.denominator = tw_onnx_add(g, tw_onnx_mul(g, s.d, tw_onnx_add(g, s.tt, s.uu)),
                                tw_onnx_mul(g, tw_onnx_add(g, b->s0, b->s1), s.tu));
    return s;
}

static int log_slope(struct tw_onnx_graph *g, const struct bins *b, const struct slope *s)
{
    int p = tw_onnx_add(g, tw_onnx_mul(g, b->s1, s->tt), tw_onnx_mul(g, b->s0, s->uu)), ratio;

    p = tw_onnx_add(g, p, tw_onnx_mul_n(g, tw_onnx_mul(g, s->d, s->tu), 2));
    ratio = tw_onnx_div(g, s->d, s->denominator);
    return tw_onnx_add(g, tw_onnx_mul_n(g, tw_onnx_log(g, ratio), 2), tw_onnx_log(g, p));
}

static int forward(struct tw_onnx_graph *g, const struct bins *b, int x, int *log_det)
{
    int t = tw_onnx_div(g, tw_onnx_sub(g, x, b->x0), tw_onnx_sub(g, b->x1, b->x0));
    struct slope s = slope_at(g, b, t);
    int n = tw_onnx_add(g, tw_onnx_mul(g, s.d, s.tt), tw_onnx_mul(g, b->s0, s.tu));
    int rise = tw_onnx_mul(g, tw_onnx_sub(g, b->y1, b->y0), tw_onnx_div(g, n, s.denominator));

    *log_det = log_slope(g, b, &s);
    return tw_onnx_min(g, tw_onnx_add(g, b->y0, rise), b->y1);
}

/* Eqs. 6-8 in double, where cancellation in the root costs nothing that float32 could hold: with e = (y - y0)(s0 + s1 -
 * 2 d), b = h s0 - e, a = h d - b, c = -d (y - y0), t = 2 c / (-b - sqrt(b^2 - 4 a c)). b is never so negative that
 * this form loses all digits, as b + sqrt(...) >= 0 is the slope's sign. */
static int backward(struct tw_onnx_graph *g, const struct bins *b, int y, int *log_det)
{
    int h = tw_onnx_sub(g, b->y1, b->y0), w = tw_onnx_sub(g, b->x1, b->x0), u = tw_onnx_sub(g, y, b->y0);
    int d = tw_onnx_div(g, h, w), bend = tw_onnx_sub(g, tw_onnx_add(g, b->s0, b->s1), tw_onnx_mul_n(g, d, 2));
    int second = tw_onnx_sub(g, tw_onnx_mul(g, h, b->s0), tw_onnx_mul(g, u, bend));
    int first = tw_onnx_sub(g, tw_onnx_mul(g, h, d), second), third = tw_onnx_mul(g, d, u); /* -c */
    int square = tw_onnx_add(g, tw_onnx_mul(g, second, second), tw_onnx_mul_n(g, tw_onnx_mul(g, first, third), 4));
    int sum = tw_onnx_add(g, second, tw_onnx_sqrt(g, tw_onnx_max_n(g, square, 0)));
    int t = tw_onnx_min_n(g, tw_onnx_max_n(g, tw_onnx_div(g, tw_onnx_mul_n(g, third, 2), sum), 0), 1);
    struct slope s = slope_at(g, b, t);

    *log_det = tw_onnx_neg(g, log_slope(g, b, &s));
    return tw_onnx_add(g, b->x0, tw_onnx_mul(g, t, w));
}

/* y and log dy/dx (inverse: x and log dx/dy) of rows that have one kind of spline, (N, F). */
static int splines(struct tw_onnx_graph *g, const struct tw_spline *spline, bool inverse, int count, int x, int p,
                   int *log_det)
{
    double bound = (double)spline->bound;
    enum tw_onnx_type type = inverse ? TW_ONNX_DOUBLE : TW_ONNX_FLOAT;
    bool circle = spline->kind == TW_SPLINE_CIRCULAR;
    int shift = circle ? tw_onnx_graph_slice(g, p, 3 * spline->bins, 3 * spline->bins + 1) : -1, at = x, to;

    if (circle)
        shift = tw_onnx_graph_reshape(g, shift, count, 0);
    if (circle && inverse)
        at = tw_onnx_wrap(g, tw_onnx_sub(g, x, shift), bound);
    at = tw_onnx_min_n(g, tw_onnx_max_n(g, at, -bound), bound);

    struct bins b = find(g, spline, count, p, at, inverse, type);

    to = (inverse ? backward : forward)(g, &b, tw_onnx_graph_cast(g, at, type), log_det);
    to = tw_onnx_graph_cast(g, to, TW_ONNX_FLOAT);
    *log_det = tw_onnx_graph_cast(g, *log_det, TW_ONNX_FLOAT);
    if (circle && !inverse)
        to = tw_onnx_wrap(g, tw_onnx_add(g, to, shift), bound);
    if (spline->kind == TW_SPLINE_TAILS) {
        int inside = tw_onnx_most_n(g, tw_onnx_abs(g, x), bound);

        to = tw_onnx_where(g, inside, to, x);
        *log_det = tw_onnx_where_n(g, inside, *log_det, 0);
    }
    return to;
}

/* --- blocks --- */

static int keep_present(struct tw_onnx_graph *g, int absent, int value)
{
    return absent < 0 ? value : tw_onnx_where(g, absent, tw_onnx_graph_number(g, TW_ONNX_FLOAT, 0), value);
}

/* Those rows of a block that have this kind of spline, all at once. Returns the sum of their log-determinants, or -1
 * if there are none. */
static int block_kind(struct tw_onnx_graph *g, const struct tw_coupling_block *block, enum tw_spline_kind kind,
                      bool inverse, int p, struct tw_onnx_rows *rows, int *scratch, int64_t *columns)
{
    const struct tw_spline *spline = NULL;
    int count = 0, wanted = 0, at = 0, log_det, sum = -1, y;

    for (int i = 0; i < block->moved; i++) {
        int parameters = tw_spline_rows(&block->splines[i]);

        for (int k = 0; k < parameters && block->splines[i].kind == kind; k++)
            columns[wanted++] = at + k;
        if (block->splines[i].kind == kind) {
            spline = &block->splines[i];
            scratch[count++] = rows->row[block->rows[i]];
        }
        at += parameters;
    }
    if (!count)
        return -1;
    p = tw_onnx_graph_columns(g, p, wanted, columns);
    p = tw_onnx_graph_reshape(g, p, count, tw_spline_rows(spline));
    y = splines(g, spline, inverse, count, tw_onnx_graph_concat(g, count, scratch), p, &log_det);
    for (int i = 0, k = 0; i < block->moved; i++) {
        int row = block->rows[i];

        if (block->splines[i].kind != kind)
            continue;

        int part = keep_present(g, rows->absent[row], tw_onnx_graph_slice(g, log_det, k, k + 1));

        rows->row[row] = keep_present(g, rows->absent[row], tw_onnx_graph_slice(g, y, k, k + 1));
        sum = sum < 0 ? part : tw_onnx_add(g, sum, part);
        k++;
    }
    return sum;
}

int tw_onnx_blocks(struct tw_onnx_graph *g, const struct tw_kind_state *state, bool inverse, struct tw_onnx_rows *rows)
{
    static const enum tw_spline_kind kinds[] = {TW_SPLINE_TAILS, TW_SPLINE_BOUNDED, TW_SPLINE_CIRCULAR};
    const struct tw_coupling *c = &((const struct tw_flow_config *)state->config)->coupling;
    int most = 1, sum = tw_onnx_mul_n(g, rows->row[0], 0);

    for (int b = 0; b < c->blocks; b++)
        most = c->plan[b].outputs > most ? c->plan[b].outputs : most;

    int *scratch = calloc((size_t)(c->features * (2 * c->harmonics + 1) + 1), sizeof *scratch);
    int64_t *columns = calloc((size_t)most, sizeof *columns);

    g->failed |= !scratch || !columns;
    for (int i = 0; !g->failed && i < c->blocks; i++) {
        const struct tw_coupling_block *block = &c->plan[inverse ? c->blocks - 1 - i : i];
        int p = block->mlp.in
                    ? tw_onnx_network(g, &block->mlp, state->parameters, embed(g, block, rows, scratch))
                    : constant_network(g, &block->mlp, state->parameters, rows->row[block->moved ? block->rows[0] : 0]);

        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            int part = block_kind(g, block, kinds[k], inverse, p, rows, scratch, columns);

            sum = part < 0 ? sum : tw_onnx_add(g, sum, part);
        }
    }
    free(columns);
    free(scratch);
    return sum;
}

int tw_onnx_base(struct tw_onnx_graph *g, const struct tw_kind_state *state, const struct tw_onnx_rows *rows)
{
    const struct tw_coupling *c = &((const struct tw_flow_config *)state->config)->coupling;
    int sum = tw_onnx_mul_n(g, rows->row[0], 0);

    for (int f = 0; f < c->features; f++) {
        int z = rows->row[f], zero = tw_onnx_mul_n(g, z, 0);
        int term = c->kinds[f] == TW_SPLINE_TAILS
                       ? tw_onnx_add_n(g, tw_onnx_mul_n(g, tw_onnx_mul(g, z, z), -0.5), -HALF_LOG_2PI)
                       : tw_onnx_add_n(g, zero, -log(2 * tw_coupling_bound(c, f)));

        sum = tw_onnx_add(g, sum, keep_present(g, rows->absent[f], term));
    }
    return sum;
}

#include "nn/ops.h"

#include <assert.h>
#include <string.h>

#include "nn/trig.h"

/* --- dense --- */

struct dense {
    enum tw_activation act;
    int weight, bias;
    struct tw_var *x, *y;
    tw_real *slope; /* NULL where y tells it */
};

static void dense_vjp(struct tw_tape *tape, void *data)
{
    struct dense *d = data;
    const struct tw_params *params = tape->params;

    if (!d->y->grad)
        return;

    bool fresh_x, fresh_w, fresh_b;
    tw_real *gx = tw_tape_grad_fresh(tape, d->x, &fresh_x);

    if (tape->failed)
        return;

    tw_real *gw = tw_tape_param_grad(tape, d->weight, &fresh_w), *gb = tw_tape_param_grad(tape, d->bias, &fresh_b);
    unsigned add = (fresh_x ? 0 : TW_ADD_INPUT) | (fresh_w ? 0 : TW_ADD_PARAMS);

    assert(fresh_w == fresh_b); /* a layer's weights and bias go together */
    tape->kernels->dense_vjp(d->act, d->y->rows, d->x->rows, tape->cols, tw_params_at(params, d->weight), d->x->value,
                             d->slope, d->y->value, d->y->grad, add, gw, gb, gx);
}

struct tw_var *tw_ops_dense(struct tw_tape *tape, enum tw_activation act, int weight, int bias, struct tw_var *x)
{
    struct dense *d;
    tw_real *value, *slope = NULL;

    if (!x)
        return NULL;

    int out = tape->params->tensors[weight].rows;
    bool record = x->needs_grad || tape->param_grads;
    struct tw_var *y = tw_tape_result(tape, out, record, &value);

    if (record && act == TW_SILU)
        slope = tw_tape_rows(tape, out);
    if (!y || tape->failed)
        return NULL;
    tape->kernels->dense(act, out, x->rows, tape->cols, tw_params_at(tape->params, weight),
                         tw_params_at(tape->params, bias), x->value, slope, value);
    if (!record)
        return y;
    d = tw_tape_alloc(tape, sizeof *d);
    if (!d)
        return NULL;
    *d = (struct dense){.act = act, .weight = weight, .bias = bias, .x = x, .y = y, .slope = slope};
    return tw_tape_push(tape, y, dense_vjp, d) ? y : NULL;
}

/* --- spline --- */

struct spline {
    const struct tw_spline *splines;
    const tw_real *present; /* (x's rows, cols), NULL: all are */
    struct tw_var *x, *p, *y, *log_det;
};

/* Copies or adds one operand's part of a gradient that a kernel has overwritten. */
static void deliver(int n, const tw_real *part, tw_real *grad)
{
    for (int i = 0; i < n; i++)
        grad[i] += part[i];
}

static void multiply(int n, const tw_real *a, const tw_real *b, tw_real *out)
{
    for (int i = 0; i < n; i++)
        out[i] = a[i] * b[i];
}

static void spline_vjp(struct tw_tape *tape, void *data)
{
    struct spline *s = data;
    int cols = tape->cols;
    bool fresh_x, fresh_p;

    if (!s->y->grad && !s->log_det->grad)
        return;

    const tw_real *gy = tw_tape_grad(tape, s->y), *gl = tw_tape_grad(tape, s->log_det);
    tw_real *gx = tw_tape_grad_fresh(tape, s->x, &fresh_x), *gp = tw_tape_grad_fresh(tape, s->p, &fresh_p);
    tw_real *row = fresh_x ? NULL : tw_tape_rows(tape, 1);
    tw_real *rows = fresh_p ? NULL : tw_tape_rows(tape, s->p->rows);
    tw_real *masked = s->present ? tw_tape_rows(tape, 2) : NULL;

    if (tape->failed)
        return;
    for (int i = 0, at = 0; i < s->x->rows; i++) {
        int count = tw_spline_rows(&s->splines[i]);
        size_t xo = (size_t)i * (size_t)cols, po = (size_t)at * (size_t)cols;
        const tw_real *gyi = gy + xo, *gli = gl;

        if (masked) { /* y and its part of log_det are products with `present` */
            multiply(cols, gyi, s->present + xo, masked);
            multiply(cols, gli, s->present + xo, masked + cols);
            gyi = masked;
            gli = masked + cols;
        }
        tape->kernels->spline_vjp(&s->splines[i], cols, s->x->value + xo, s->p->value + po, gyi, gli,
                                  fresh_x ? gx + xo : row, fresh_p ? gp + po : rows);
        if (gx && !fresh_x)
            deliver(cols, row, gx + xo);
        if (gp && !fresh_p)
            deliver(count * cols, rows, gp + po);
        at += count;
    }
}

struct tw_var *tw_ops_spline(struct tw_tape *tape, const struct tw_spline *splines, struct tw_var *x, struct tw_var *p,
                             struct tw_var **log_det)
{
    return tw_ops_spline_present(tape, splines, x, p, NULL, log_det);
}

/* One feature of which some values are absent; `row` is scratch. */
static void spline_present(const struct tw_kernels *kernels, const struct tw_spline *spline, int cols, const tw_real *x,
                           const tw_real *p, const tw_real *present, tw_real *y, tw_real *row, tw_real *log_det)
{
    memset(row, 0, (size_t)cols * sizeof *row);
    kernels->spline(spline, cols, x, p, y, row);
    multiply(cols, y, present, y);
    for (int c = 0; c < cols; c++)
        log_det[c] += present[c] * row[c];
}

struct tw_var *tw_ops_spline_present(struct tw_tape *tape, const struct tw_spline *splines, struct tw_var *x,
                                     struct tw_var *p, const tw_real *present, struct tw_var **log_det)
{
    tw_real *value, *sum;
    int cols = tape->cols;

    *log_det = NULL;
    if (!x || !p)
        return NULL;

    bool record = x->needs_grad || p->needs_grad;
    struct tw_var *y = tw_tape_result(tape, x->rows, record, &value);
    struct tw_var *det = tw_tape_result(tape, 1, record, &sum);
    tw_real *row = present ? tw_tape_rows(tape, 1) : NULL;

    if (!y || !det || (present && !row))
        return NULL;
    memset(sum, 0, (size_t)cols * sizeof *sum);
    for (int i = 0, at = 0; i < x->rows; at += tw_spline_rows(&splines[i]), i++) {
        size_t xo = (size_t)i * (size_t)cols, po = (size_t)at * (size_t)cols;

        if (present)
            spline_present(tape->kernels, &splines[i], cols, x->value + xo, p->value + po, present + xo, value + xo,
                           row, sum);
        else
            tape->kernels->spline(&splines[i], cols, x->value + xo, p->value + po, value + xo, sum);
    }
    *log_det = det;
    if (!record)
        return y;

    struct spline *s = tw_tape_alloc(tape, sizeof *s);

    if (!s)
        return NULL;
    *s = (struct spline){.splines = splines, .present = present, .x = x, .p = p, .y = y, .log_det = det};
    return tw_tape_push(tape, y, spline_vjp, s) ? y : NULL;
}

/* --- colmap --- */

struct colmap {
    struct tw_var *const *sources;
    const struct tw_ops_row *map;
    struct tw_var *y;
};

static void colmap_vjp(struct tw_tape *tape, void *data)
{
    struct colmap *m = data;
    size_t cols = (size_t)tape->cols;

    for (int i = 0; m->y->grad && i < m->y->rows; i++) {
        tw_real *grad = tw_tape_grad(tape, m->sources[m->map[i].source]);

        if (!grad)
            continue;
        tape->kernels->axpy(cols, (tw_real)m->map[i].sign, m->y->grad + (size_t)i * cols,
                            grad + (size_t)m->map[i].row * cols);
    }
}

struct tw_var *tw_ops_colmap(struct tw_tape *tape, struct tw_var *const *sources, int count,
                             const struct tw_ops_row *map, int rows)
{
    size_t cols = (size_t)tape->cols;
    tw_real *value;
    bool record = false;

    for (int i = 0; i < count; i++) {
        if (!sources[i])
            return NULL;
        record |= sources[i]->needs_grad;
    }

    struct tw_var *y = tw_tape_result(tape, rows, record, &value);
    struct colmap *m = tw_tape_alloc(tape, sizeof *m);
    struct tw_var **kept = tw_tape_alloc(tape, (size_t)count * sizeof(*kept));

    if (!y || !m || !kept)
        return NULL;
    for (int i = 0; i < rows; i++) {
        const tw_real *from = sources[map[i].source]->value + (size_t)map[i].row * cols;

        for (size_t c = 0; c < cols; c++)
            value[(size_t)i * cols + c] = map[i].sign < 0 ? -from[c] : from[c];
    }
    memcpy(kept, sources, (size_t)count * sizeof *kept);
    *m = (struct colmap){.sources = kept, .map = map, .y = y};
    return !record || tw_tape_push(tape, y, colmap_vjp, m) ? y : NULL;
}

/* --- embed --- */

struct embed {
    const struct tw_ops_embed_row *map;
    struct tw_var *x, *y;
};

/* A cosine row followed by the sine row of the same angle is filled in one pass. */
static bool is_pair(const struct tw_ops_embed_row *map, int i, int rows)
{
    return map[i].function == TW_EMBED_COS && i + 1 < rows && map[i + 1].function == TW_EMBED_SIN &&
           map[i + 1].row == map[i].row && map[i + 1].factor == map[i].factor;
}

void tw_ops_embed_plain(int cols, const tw_real *x, const struct tw_ops_embed_row *map, int rows, tw_real *y)
{
    tw_real other[TW_BLOCK];

    for (int i = 0; i < rows; i++) {
        const tw_real *from = x + (size_t)map[i].row * (size_t)cols;
        tw_real *to = y + (size_t)i * (size_t)cols;

        if (map[i].function == TW_EMBED_LINEAR) {
            for (int c = 0; c < cols; c++)
                to[c] = map[i].factor * from[c];
        } else if (is_pair(map, i, rows)) {
            tw_trig_cos_sin(cols, map[i].factor, from, to, to + cols);
            i++;
        } else {
            for (int c = 0; c < cols; c += TW_BLOCK) {
                int n = cols - c < TW_BLOCK ? cols - c : TW_BLOCK;
                bool cosine = map[i].function == TW_EMBED_COS;

                tw_trig_cos_sin(n, map[i].factor, from + c, cosine ? to + c : other, cosine ? other : to + c);
            }
        }
    }
}

static void embed_vjp(struct tw_tape *tape, void *data)
{
    struct embed *e = data;
    int cols = tape->cols;
    tw_real *grad = e->y->grad ? tw_tape_grad(tape, e->x) : NULL, *pair = tw_tape_rows(tape, 2);

    if (!grad || !pair)
        return;
    for (int i = 0; i < e->y->rows; i++) {
        tw_real factor = e->map[i].factor;
        const tw_real *x = e->x->value + (size_t)e->map[i].row * (size_t)cols;
        const tw_real *gy = e->y->grad + (size_t)i * (size_t)cols;
        tw_real *gx = grad + (size_t)e->map[i].row * (size_t)cols;

        switch (e->map[i].function) {
        case TW_EMBED_LINEAR:
            for (int c = 0; c < cols; c++)
                gx[c] += factor * gy[c];
            break;
        case TW_EMBED_COS:
            tw_trig_cos_sin(cols, factor, x, pair, pair + cols);
            for (int c = 0; c < cols; c++)
                gx[c] -= factor * pair[cols + c] * gy[c];
            break;
        case TW_EMBED_SIN:
            tw_trig_cos_sin(cols, factor, x, pair, pair + cols);
            for (int c = 0; c < cols; c++)
                gx[c] += factor * pair[c] * gy[c];
            break;
        }
    }
}

struct tw_var *tw_ops_embed(struct tw_tape *tape, struct tw_var *x, const struct tw_ops_embed_row *map, int rows)
{
    tw_real *value;

    if (!x)
        return NULL;

    struct tw_var *y = tw_tape_result(tape, rows, x->needs_grad, &value);
    struct embed *e = tw_tape_alloc(tape, sizeof *e);

    if (!y || !e)
        return NULL;
    tw_ops_embed_plain(tape->cols, x->value, map, rows, value);
    *e = (struct embed){.map = map, .x = x, .y = y};
    return !x->needs_grad || tw_tape_push(tape, y, embed_vjp, e) ? y : NULL;
}

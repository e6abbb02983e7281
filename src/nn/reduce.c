#include "nn/reduce.h"

#include <math.h>

#define HALF_LOG_2PI 0.91893853320467274178

/* --- reductions to one row: sum, normal log density --- */

struct reduce {
    struct tw_var *x, *y;
};

static void sum_vjp(struct tw_tape *tape, void *data)
{
    struct reduce *r = data;
    tw_real *grad = r->y->grad ? tw_tape_grad(tape, r->x) : NULL;

    for (int i = 0; grad && i < r->x->rows; i++)
        for (int c = 0; c < tape->cols; c++)
            grad[(size_t)i * (size_t)tape->cols + (size_t)c] += r->y->grad[c];
}

/* d/dx (-x^2 / 2) = -x */
static void normal_vjp(struct tw_tape *tape, void *data)
{
    struct reduce *r = data;
    tw_real *grad = r->y->grad ? tw_tape_grad(tape, r->x) : NULL;

    for (int i = 0; grad && i < r->x->rows; i++)
        for (int c = 0; c < tape->cols; c++) {
            size_t at = (size_t)i * (size_t)tape->cols + (size_t)c;

            grad[at] -= r->y->grad[c] * r->x->value[at];
        }
}

static struct tw_var *reduce(struct tw_tape *tape, struct tw_var *x, bool normal)
{
    tw_real *value;

    if (!x)
        return NULL;

    struct tw_var *y = tw_tape_result(tape, 1, x->needs_grad, &value);
    struct reduce *r = tw_tape_alloc(tape, sizeof *r);

    if (!y || !r)
        return NULL;
    for (int c = 0; c < tape->cols; c++)
        value[c] = normal ? -x->rows * (tw_real)HALF_LOG_2PI : 0;
    for (int i = 0; i < x->rows; i++) {
        const tw_real *row = x->value + (size_t)i * (size_t)tape->cols;

        for (int c = 0; c < tape->cols; c++)
            value[c] += normal ? -(tw_real)0.5 * row[c] * row[c] : row[c];
    }
    *r = (struct reduce){.x = x, .y = y};
    return !x->needs_grad || tw_tape_push(tape, y, normal ? normal_vjp : sum_vjp, r) ? y : NULL;
}

struct tw_var *tw_reduce_sum(struct tw_tape *tape, struct tw_var *x)
{
    return reduce(tape, x, false);
}

struct tw_var *tw_reduce_normal_log_prob(struct tw_tape *tape, struct tw_var *x)
{
    return reduce(tape, x, true);
}

/* --- binary cross-entropy --- */

struct bce {
    struct tw_var *z, *y;
    const tw_real *labels;
};

/* d/dz (log(1 + e^z) - t z) = sigmoid(z) - t */
static void bce_vjp(struct tw_tape *tape, void *data)
{
    struct bce *b = data;
    tw_real *grad = b->y->grad ? tw_tape_grad(tape, b->z) : NULL;

    for (int c = 0; grad && c < tape->cols; c++) {
        double z = (double)b->z->value[c];
        double e = exp(-fabs(z)), sigmoid = z >= 0 ? 1 / (1 + e) : e / (1 + e);

        grad[c] += b->y->grad[c] * (tw_real)(sigmoid - (double)b->labels[c]);
    }
}

struct tw_var *tw_reduce_bce_logits(struct tw_tape *tape, struct tw_var *logits, const tw_real *labels)
{
    tw_real *value;

    if (!logits)
        return NULL;

    struct tw_var *y = tw_tape_result(tape, 1, logits->needs_grad, &value);
    struct bce *b = tw_tape_alloc(tape, sizeof *b);

    if (!y || !b)
        return NULL;
    for (int c = 0; c < tape->cols; c++) {
        double z = (double)logits->value[c];

        value[c] = (tw_real)((z > 0 ? z : 0) + log1p(exp(-fabs(z))) - (double)labels[c] * z);
    }
    *b = (struct bce){.z = logits, .y = y, .labels = labels};
    return !logits->needs_grad || tw_tape_push(tape, y, bce_vjp, b) ? y : NULL;
}

#include "nn/softmax.h"

#include <math.h>

struct entropy {
    struct tw_var *logits, *y;
    const double *prior;
    const tw_real *labels;
};

double tw_softmax_log_sum(int classes, int cols, int c, const tw_real *logits, const double *prior)
{
    double most = -INFINITY, sum = 0;

    for (int k = 0; k < classes; k++)
        if (prior[k] > -INFINITY)
            most = fmax(most, (double)logits[k * cols + c] + prior[k]);
    for (int k = 0; k < classes; k++)
        if (prior[k] > -INFINITY)
            sum += exp((double)logits[k * cols + c] + prior[k] - most);
    return most + log(sum);
}

/* d/dl_k (log sum_j exp l_j - l_t) = softmax_k - [k = t] */
static void entropy_vjp(struct tw_tape *tape, void *data)
{
    struct entropy *e = data;
    int classes = e->logits->rows, cols = tape->cols;
    tw_real *grad = e->y->grad ? tw_tape_grad(tape, e->logits) : NULL;

    for (int c = 0; grad && c < cols; c++) {
        if (e->labels[c] < 0)
            continue;

        double sum = tw_softmax_log_sum(classes, cols, c, e->logits->value, e->prior);

        for (int k = 0; k < classes; k++) {
            if (!(e->prior[k] > -INFINITY))
                continue;

            double share = exp((double)e->logits->value[k * cols + c] + e->prior[k] - sum);

            grad[k * cols + c] += e->y->grad[c] * (tw_real)(share - (k == (int)e->labels[c]));
        }
    }
}

struct tw_var *tw_softmax_cross_entropy(struct tw_tape *tape, struct tw_var *logits, const double *prior,
                                        const tw_real *labels)
{
    tw_real *value;

    if (!logits)
        return NULL;

    struct tw_var *y = tw_tape_result(tape, 1, logits->needs_grad, &value);
    struct entropy *e = tw_tape_alloc(tape, sizeof *e);

    if (!y || !e)
        return NULL;
    for (int c = 0; c < tape->cols; c++) {
        int label = (int)labels[c];

        value[c] = labels[c] < 0 ? 0
                                 : (tw_real)(tw_softmax_log_sum(logits->rows, tape->cols, c, logits->value, prior) -
                                             (double)logits->value[label * tape->cols + c] - prior[label]);
    }
    *e = (struct entropy){.logits = logits, .y = y, .prior = prior, .labels = labels};
    return !logits->needs_grad || tw_tape_push(tape, y, entropy_vjp, e) ? y : NULL;
}

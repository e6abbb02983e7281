/* Categorical cross-entropy as a differentiable operation; an operand NULL gives NULL. */
#ifndef TW_NN_SOFTMAX_H
#define TW_NN_SOFTMAX_H

#include "nn/tape.h"

/* -log softmax(logits + prior)[label] of each event: one row. logits (K, cols); prior (K), -INFINITY for classes that
 * are left out; labels (cols): a class that is not left out, or negative for events to pass over, which give 0. Both
 * are borrowed. */
struct tw_var *tw_softmax_cross_entropy(struct tw_tape *tape, struct tw_var *logits, const double *prior,
                                        const tw_real *labels);

/* log sum_k exp(logits[k] + prior[k]) of column c, in double. */
double tw_softmax_log_sum(int classes, int cols, int c, const tw_real *logits, const double *prior);

#endif

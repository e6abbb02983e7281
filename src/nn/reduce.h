/* Differentiable operations with one row as their result, one number an event; an operand NULL gives NULL. */
#ifndef TW_NN_REDUCE_H
#define TW_NN_REDUCE_H

#include "nn/tape.h"

/* Sum over rows. */
struct tw_var *tw_reduce_sum(struct tw_tape *tape, struct tw_var *x);

/* Sum over rows of the standard normal log density; 0 for an operand without rows. */
struct tw_var *tw_reduce_normal_log_prob(struct tw_tape *tape, struct tw_var *x);

/* Binary cross-entropy of a row of logits, log(1 + e^z) - label z; labels (cols) in [0, 1], borrowed. */
struct tw_var *tw_reduce_bce_logits(struct tw_tape *tape, struct tw_var *logits, const tw_real *labels);

#endif

/* Differentiable operations that do the work: dense layers, splines, and rows in and out of them. Matrices are (rows,
 * cols) with the tape's cols; forward stands next to its vector-Jacobian product. An operand NULL gives NULL. */
#ifndef TW_NN_OPS_H
#define TW_NN_OPS_H

#include "kernel/kernel.h"
#include "nn/tape.h"

/* act(W x + b): W and b are indices of a matrix (out, in) and a vector (out) of the tape's parameters. x may have no
 * rows. */
struct tw_var *tw_ops_dense(struct tw_tape *tape, enum tw_activation act, int weight, int bias, struct tw_var *x);

/* Splines of x's rows: p holds tw_spline_rows(&splines[i]) rows of parameters for row i, one after the other.
 * *log_det (1 row) gets the sum of log |dy/dx| over the rows. */
struct tw_var *tw_ops_spline(struct tw_tape *tape, const struct tw_spline *splines, struct tw_var *x, struct tw_var *p,
                             struct tw_var **log_det);
/* The same where some of x's values are absent: present (x's rows, cols) is 1 or 0, borrowed. An absent value gives
 * y = 0 and adds nothing to *log_det, and no gradient flows through it. */
struct tw_var *tw_ops_spline_present(struct tw_tape *tape, const struct tw_spline *splines, struct tw_var *x,
                                     struct tw_var *p, const tw_real *present, struct tw_var **log_det);

/* Rows of a result taken from rows of several operands: select, concatenate, merge, signed permutation. */
struct tw_ops_row {
    int source; /* operand */
    int row;
    int sign; /* +1 or -1 */
};
struct tw_var *tw_ops_colmap(struct tw_tape *tape, struct tw_var *const *sources, int count,
                             const struct tw_ops_row *map, int rows);

/* Inputs of a network made from coordinates: factor * x, cos(factor * x) or sin(factor * x) of chosen rows. */
enum tw_embedding { TW_EMBED_LINEAR, TW_EMBED_COS, TW_EMBED_SIN };
struct tw_ops_embed_row {
    enum tw_embedding function;
    int row;
    tw_real factor;
};
struct tw_var *tw_ops_embed(struct tw_tape *tape, struct tw_var *x, const struct tw_ops_embed_row *map, int rows);
/* The same without a tape: x (.., cols) -> y (rows, cols). */
void tw_ops_embed_plain(int cols, const tw_real *x, const struct tw_ops_embed_row *map, int rows, tw_real *y);

#endif

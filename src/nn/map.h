/* Differentiable elementwise operations; an operand NULL gives NULL. */
#ifndef TW_NN_MAP_H
#define TW_NN_MAP_H

#include "nn/tape.h"

/* b may have one row, which then serves all rows of a. */
struct tw_var *tw_map_add(struct tw_tape *tape, struct tw_var *a, struct tw_var *b);
struct tw_var *tw_map_sub(struct tw_tape *tape, struct tw_var *a, struct tw_var *b);
struct tw_var *tw_map_mul(struct tw_tape *tape, struct tw_var *a, struct tw_var *b);

/* The same values, through which no gradient flows. */
struct tw_var *tw_map_stop_gradient(struct tw_tape *tape, struct tw_var *x);

#endif

/* A define-by-run tape over coarse differentiable operations.
 *
 * A variable is a (rows, cols) matrix with the events of one block as columns. Each operation (nn/ops.h, map.h,
 * reduce.h) computes its result at once and, if somebody may ask for its gradient, leaves a record with its
 * vector-Jacobian product; _backward walks the records from last to first. Everything lives in the caller's arena and
 * is dropped with it.
 *
 * Parameters are borrowed; their gradients go into the caller's block, which has the layout of the parameters: the
 * first that reaches a tensor is written there, so that nobody has to clear the block, and the others are added.
 * Gradients with respect to inputs are kept with the variable. First order only.
 *
 * Operations pass NULL on: when memory is out, or after an operand was NULL, the result is NULL, so that a graph is
 * written down without a test at each line and its end is tested once.
 */
#ifndef TW_NN_TAPE_H
#define TW_NN_TAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/real.h"
#include "kernel/kernel.h"
#include "nn/params.h"

struct tw_var {
    int rows;
    const tw_real *value; /* (rows, cols) */
    tw_real *grad;        /* (rows, cols) of a leaf after _backward; NULL if nothing flowed into it */
    bool needs_grad;
};

struct tw_tape;

/* Adds the products of one record to the gradients of its operands. */
typedef void (*tw_tape_vjp)(struct tw_tape *tape, void *record);

struct tw_tape_record {
    struct tw_tape_record *previous;
    struct tw_var *result;
    tw_tape_vjp vjp;
    void *data;
};

/* A gradient that has been passed on, whose memory the next one of its height takes: so that a walk through many layers
 * stays in the memory of one, and in the cache. */
struct tw_tape_spare {
    struct tw_tape_spare *next;
    int rows;
};

struct tw_tape {
    const struct tw_kernels *kernels;
    struct tw_arena *arena;
    int cols;
    const struct tw_params *params;
    tw_real *param_grads; /* NULL: parameters are frozen */
    bool *reached;        /* (params->count) in _backward: tensors whose gradient has been written */
    bool adds;            /* there are gradients already, of an earlier tape, which are added to */
    struct tw_tape_record *last;
    struct tw_tape_spare *spares;
    bool failed; /* memory ran out; sticky */
};

/* `param_grads` is NULL, or a block of params->size values. _backward sets the gradients of all tensors, which are zero
 * where nothing flows, and leaves the gaps between them alone; with `adds` set it adds to them. */
void tw_tape_init(struct tw_tape *tape, const struct tw_kernels *kernels, struct tw_arena *arena, int cols,
                  const struct tw_params *params, tw_real *param_grads);

/* Leaves. Values are borrowed, (rows, cols). An input's gradient is wanted, a constant's is not. */
struct tw_var *tw_tape_input(struct tw_tape *tape, int rows, const tw_real *value);
struct tw_var *tw_tape_constant(struct tw_tape *tape, int rows, const tw_real *value);

/* Gradients of sum_c seed[c] loss[c] for a loss of one row. False when memory is out. */
bool tw_tape_backward(struct tw_tape *tape, struct tw_var *loss, const tw_real *seed);

/* --- for operations --- */

/* A result with memory for its values, which the operation writes through *value. */
struct tw_var *tw_tape_result(struct tw_tape *tape, int rows, bool needs_grad, tw_real **value);
/* Scratch of the tape's life; NULL and failed when memory is out. */
void *tw_tape_alloc(struct tw_tape *tape, size_t bytes);
tw_real *tw_tape_rows(struct tw_tape *tape, int rows);
/* Keeps a record of the operation that made `result`, whose gradient lives until `vjp` has passed it on. */
bool tw_tape_push(struct tw_tape *tape, struct tw_var *result, tw_tape_vjp vjp, void *data);
/* The gradient of an operand to add to: zeroed when it is first asked for; NULL if the operand needs none. */
tw_real *tw_tape_grad(struct tw_tape *tape, struct tw_var *var);
/* For products that overwrite: *fresh says that nothing is there yet and the memory is not zeroed. */
tw_real *tw_tape_grad_fresh(struct tw_tape *tape, struct tw_var *var, bool *fresh);
/* The same for a tensor of the parameters; NULL if they are frozen. */
tw_real *tw_tape_param_grad(struct tw_tape *tape, int tensor, bool *fresh);

#endif

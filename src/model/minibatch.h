/* The loss of consecutive rows, and its gradient, over the workers of a pool. Each block of events writes a gradient
 * of its own; sums are made in block order, so that the result does not depend on who ran what. */
#ifndef TW_MODEL_MINIBATCH_H
#define TW_MODEL_MINIBATCH_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/pool.h"
#include "model/kind.h"
#include "model/rows.h"

#define TW_MINIBATCH_BLOCKS 64 /* at most */

struct tw_minibatch {
    const struct tw_kind *kind;
    const struct tw_kernels *kernels;
    int blocks;     /* that gradients can be had of */
    size_t size;    /* of the parameters */
    int strip;      /* events on one tape */
    tw_real *grads; /* (blocks, size); after a run with gradients, the first is the sum */
    double loss;    /* after a run: sum of weight x loss */
    double weight;  /* and of the weights */
    double squares; /* and with gradients: of their sum, the sum of squares */
    double sums[TW_MINIBATCH_BLOCKS], weights[TW_MINIBATCH_BLOCKS]; /* of each block */
    struct tw_arena *arenas;                                        /* (workers) */
    unsigned workers;
    /* of the run in progress */
    const struct tw_kind_state *state;
    const struct tw_rows *rows;
    const uint32_t *order;
    size_t first, events;
    uint64_t key;
    bool with_gradient;
    atomic_bool no_memory;
};

int tw_minibatch_init(struct tw_minibatch *batch, const struct tw_kind *kind, const struct tw_kernels *kernels,
                      int blocks, size_t size);
void tw_minibatch_fini(struct tw_minibatch *batch); /* accepts a zeroed one */

/* Rows order[first] .. order[first+events-1] (order NULL: first ..), at most TW_MINIBATCH_BLOCKS blocks, with a
 * gradient at most `blocks`. The gradient is that of the weighted loss divided by `events`. `key` seeds what is random
 * in the loss. TW_NO_MEMORY or 0. */
int tw_minibatch_run(struct tw_minibatch *batch, struct tw_pool *pool, const struct tw_kind_state *state,
                     const struct tw_rows *rows, const uint32_t *order, size_t first, size_t events, uint64_t key,
                     bool with_gradient);

#endif

/* Named tensors as views of one aligned block.
 *
 * Parameters, gradients, moments and averages of a model have the same shape, so that an optimiser sees one long
 * vector and a checkpoint is one copy. A set is first declared (_add), then given memory (_alloc). Every tensor starts
 * at a multiple of 64 bytes; the gaps stay zero.
 */
#ifndef TW_NN_PARAMS_H
#define TW_NN_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/real.h"

#define TW_TENSOR_NAME_MAX 48

struct tw_tensor {
    char name[TW_TENSOR_NAME_MAX];
    int dims;       /* 1: a vector of `cols` values (rows = 1); 2: a matrix */
    int rows, cols; /* row-major */
    size_t offset;  /* of its first value in the block */
    size_t turned;  /* of a matrix: of its first value in params.turned */
};

struct tw_params {
    struct tw_tensor *tensors;
    int count, capacity;
    size_t size;    /* values in the block, gaps included */
    tw_real *block; /* NULL until _alloc */
    size_t turned_size;
    tw_real *turned; /* transposed matrices; NULL until _turn */
};

void tw_params_init(struct tw_params *params);
void tw_params_fini(struct tw_params *params); /* accepts a zeroed set */

/* Declares a matrix or a vector; returns its index, or a negative status (no memory, or a size that overflows).
 * A matrix may have no columns. */
int tw_params_add(struct tw_params *params, const char *name, int rows, int cols);
int tw_params_add_vector(struct tw_params *params, const char *name, int count);

/* Zeroed memory for all that was declared. */
int tw_params_alloc(struct tw_params *params);

/* A set of the same layout with values of its own: equal to those of `from`. */
int tw_params_copy(struct tw_params *params, const struct tw_params *from);

/* Gives every matrix a transposed copy, rows padded as tw_kernels.single reads them: for values that do not change any
 * more and are asked for single events. TW_NO_MEMORY or 0. */
int tw_params_turn(struct tw_params *params);
/* (cols, tw_kernels_turned(rows)); NULL before _turn. */
const tw_real *tw_params_turned(const struct tw_params *params, int index);

/* Index by name, -1 if there is none. */
int tw_params_find(const struct tw_params *params, const char *name);
tw_real *tw_params_at(const struct tw_params *params, int index);

/* Number of values without the gaps. */
size_t tw_params_values(const struct tw_params *params);
bool tw_params_finite(const struct tw_params *params);

#endif

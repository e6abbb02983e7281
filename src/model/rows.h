/* Training rows in prepared coordinates, made once; blocks are gathered from them in any order. */
#ifndef TW_MODEL_ROWS_H
#define TW_MODEL_ROWS_H

#include <stdint.h>

#include "base/arena.h"
#include "model/kind.h"

struct tw_rows {
    size_t count;
    size_t far;        /* rows left out: a prepared coordinate beyond TW_ROWS_FAR would swamp the loss of all others */
    int width;         /* prepared_rows */
    int conditions;    /* C */
    tw_real *features; /* (count, width) */
    tw_real *extra;    /* (count, C), standardised; NULL if C == 0 */
    tw_real *weights;  /* (count) */
    tw_real *labels;   /* (count) or NULL */
    double weight;     /* sum of weights */
};

#define TW_ROWS_FAR 1000.0

int tw_rows_init(struct tw_rows *rows, const struct tw_kind *kind, const struct tw_kind_state *state,
                 const struct tw_data *data);
void tw_rows_fini(struct tw_rows *rows); /* accepts a zeroed one */

/* Multiplies all weights. */
void tw_rows_scale(struct tw_rows *rows, double factor);

/* Rows order[first] .. order[first+events-1] (order NULL: first .. first+events-1), 1 <= events <= cols, padded as
 * struct tw_block says. Memory comes from the arena; false when it is out. */
bool tw_rows_block(const struct tw_rows *rows, const uint32_t *order, size_t first, int events, int cols, uint64_t key,
                   struct tw_arena *arena, struct tw_block *block);

#endif

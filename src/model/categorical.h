/* The law of classes (model/classes.h): log p(class), given the conditions.
 *
 * A table holds the classes of the training rows, the heaviest first, with their shares. Counts are smoothed by half an
 * event each (Krichevsky, Trofimov 1981), which all combinations that are not in the table share evenly among them as
 * if they were one class more: every combination has a probability, and they sum to one. With conditions a network
 * moves the shares: p(k | c) is proportional to share_k exp(net_k(c)) over the table. Samples are of classes in the
 * table.
 */
#ifndef TW_MODEL_CATEGORICAL_H
#define TW_MODEL_CATEGORICAL_H

#include "base/arena.h"
#include "kernel/kernel.h"
#include "model/classes.h"
#include "model/data.h"
#include "nn/mlp.h"
#include "nn/params.h"

#define TW_CATEGORICAL_SLOTS 256 /* classes in a table, at most */

struct tw_categorical {
    const struct tw_classes *classes; /* borrowed; at least one factor */
    int slots;                        /* the least of TW_CATEGORICAL_SLOTS and the number of combinations */
    int levels, shares;               /* tensors of the statistics: (slots, J), (slots + 1), the last of all others */
    bool conditional;
    struct tw_mlp net; /* conditions -> slots; used if conditional */
};

void tw_categorical_init(struct tw_categorical *law, const struct tw_classes *classes, int conditions,
                         enum tw_activation activation);
/* Declares class_levels and class_shares, and classes/0/weight, ... if there are conditions. */
int tw_categorical_layout(struct tw_categorical *law, struct tw_params *statistics, struct tw_params *parameters);
/* The network starts as zero: the shares as they are. */
void tw_categorical_start(const struct tw_categorical *law, struct tw_params *parameters, uint64_t key);

/* Fills the table from training rows. */
int tw_categorical_prepare(const struct tw_categorical *law, const struct tw_data *data, struct tw_params *statistics);
/* For a warm start on other rows: classes keep their slots and new ones are appended; the shares follow the rows, or,
 * with conditions, where the network is to do that, stay in proportion. */
int tw_categorical_adapt(const struct tw_categorical *law, const struct tw_data *data, struct tw_params *statistics);
/* Is a table from outside one that _prepare could have made? */
bool tw_categorical_ok(const struct tw_categorical *law, const struct tw_params *statistics);

/* Classes in the table: those with a share come first. */
int tw_categorical_used(const struct tw_categorical *law, const struct tw_params *statistics);
/* levels (J, cols) -> slot of each event, -1 where its class is not in the table: out (cols). */
void tw_categorical_find(const struct tw_categorical *law, const struct tw_params *statistics, int cols,
                         const tw_real *levels, tw_real *out);

/* -log p of the classes of a block, on the tape: one row. conditions (C, cols) or NULL. */
struct tw_var *tw_categorical_loss(const struct tw_categorical *law, const struct tw_params *statistics,
                                   struct tw_tape *tape, const tw_real *slots, struct tw_var *conditions);
/* out (cols) += log p. */
int tw_categorical_log_prob(const struct tw_categorical *law, const struct tw_params *statistics,
                            const struct tw_params *parameters, const struct tw_kernels *kernels,
                            struct tw_arena *arena, int cols, const tw_real *slots, const tw_real *conditions,
                            double *out);
/* Classes of the events with numbers events[0] .. events[cols-1] under `key`, as levels (J, cols). */
int tw_categorical_draw(const struct tw_categorical *law, const struct tw_params *statistics,
                        const struct tw_params *parameters, const struct tw_kernels *kernels, struct tw_arena *arena,
                        uint64_t key, const uint64_t *events, int cols, const tw_real *conditions, tw_real *levels);

#endif

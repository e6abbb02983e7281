/* Training in quanta: the caller gives a time slice, the trainer does whole steps until it is used up.
 *
 * The result is a function of (kind, config, schema, data, parent, options, kernels): never of the slices, the number
 * of workers or timing. A minibatch is a fixed number of blocks; each block's gradient has its own buffer; the sums are
 * made in block order.
 *
 * The members of an ensemble are trained one after the other, each as if there were no other, with a seed and weights
 * of rows of its own (model/members.h), so that an optimiser's state is there once. A warm start gives each member its
 * own counterpart of the parent. A single model is kept as it was at its best. There bias and variance of its density
 * balance, and the spread of members, which knows of variance alone, would be too narrow by half: bands need
 * undersmoothing (Hall 1992, Ann. Statist. 20, 675). So a member goes on: as long again as it took until patience was
 * over, with a rate that falls to zero, and its end is kept. What that costs in variance the mean over members takes
 * back.
 */
#ifndef TW_MODEL_TRAINER_H
#define TW_MODEL_TRAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"

struct tw_trainer;

struct tw_train_options {
    uint64_t seed;
    int epochs;          /* at most; also the length of the schedule; of a member half of what it has at most */
    int batch;           /* events a step, a multiple of TW_BLOCK */
    double rate;         /* peak learning rate of Adam */
    double warmup;       /* share of the steps with linearly rising rate; cosine to zero afterwards */
    double clip;         /* global gradient norm */
    double decay;        /* of the averaged weights, per step */
    int patience;        /* epochs without a better stop loss before it ends; 0: never */
    double weight_decay; /* decoupled (AdamW); 0 = none */
};

/* Defaults of a training from scratch and of a warm start for `rows` training rows. */
void tw_trainer_defaults(struct tw_train_options *options, const struct tw_kind *kind, size_t rows, bool warm);

/* Of an ensemble: steps and recoveries are sums, epochs and best_epoch the largest of any member, losses means. */
struct tw_train_report {
    int epochs;
    long steps;
    double start_loss; /* stop loss of the starting point (warm start) or of the initial parameters */
    double stop_loss;  /* of what is returned: mean loss on the stop rows, prepared coordinates */
    int best_epoch;    /* 0: the starting point was never beaten */
    double kept;       /* of the way from a warm start to its best epoch; 1: all, as always from scratch; 0: none */
    int recoveries;    /* roll-backs after a non-finite loss or gradient */
};

/* data: rows in part TRAIN are trained on, rows in part STOP decide when to stop; rows in part GATE are not looked at.
 * parent: NULL to start from random parameters, else warm start (same kind, config, schema; statistics are kept,
 * but for what the kind adapts).
 * config is the JSON of "model" (ignored with a parent). Copies what it needs of `data`. The schema is copied too. */
int tw_trainer_new(const struct tw_kind *kind, const struct json_t *config, const struct tw_schema *schema,
                   const struct tw_data *data, struct tw_model *parent, const struct tw_train_options *options,
                   const struct tw_kernels *kernels, struct tw_trainer **out, struct tw_error *error);
void tw_trainer_free(struct tw_trainer *trainer);

/* Trains for about `seconds` (whole steps; 0 = to the end) on the pool. *done when there is nothing left to do.
 * TW_NOT_FINITE if it could not recover. */
int tw_trainer_run(struct tw_trainer *trainer, struct tw_pool *pool, double seconds, bool *done);

double tw_trainer_progress(const struct tw_trainer *trainer); /* 0..1, never falls */
void tw_trainer_report(const struct tw_trainer *trainer, struct tw_train_report *report);

/* The model with the best averaged weights; only after *done. */
int tw_trainer_model(struct tw_trainer *trainer, struct tw_model **out);

#endif

/* What a trainer consists of, and what its parts ask of each other: trainer_options.c (defaults), trainer_start.c (from
 * rows to the first judgement), trainer.c (steps, and the caller's side), trainer_judge.c (which parameters are kept).
 */
#ifndef TW_MODEL_TRAINER_PARTS_H
#define TW_MODEL_TRAINER_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/data.h"
#include "model/kind.h"
#include "model/minibatch.h"
#include "model/rows.h"
#include "model/trainer.h"
#include "nn/optim.h"
#include "nn/params.h"

#define WAY 8 /* parts of the way from a warm start to its best epoch, of which some are kept */
enum phase { JUDGE, TRAIN, DONE };

/* What a roll-back needs. */
struct good_state {
    tw_real *params;
    struct tw_optim optim;
    int epoch;
    long step; /* in the epoch */
};

struct tw_trainer {
    const struct tw_kind *kind;
    const struct tw_kernels *kernels;
    struct tw_train_options options;
    struct tw_schema *schema;
    void *config;
    struct tw_params statistics; /* of all members */
    struct tw_params best;       /* of all members: the start, until something better is found */
    struct tw_params params;     /* of the member in training */
    struct tw_optim optim;
    struct good_state good;
    struct tw_data train_data, stop_data; /* empty once no member needs them any more */
    struct tw_rows train, stop;           /* of the member in training */
    uint32_t *order;
    struct tw_minibatch batch;
    int members, member;
    bool warm;
    struct tw_params own; /* statistics of the member: a view */
    uint64_t seed;        /* of the member */
    enum phase phase;
    int epoch;                  /* being trained or judged, from 1; 0: the start is judged */
    int anneal_from, anneal_to; /* epochs behind which a member is past its best, and ends; 0: not yet */
    long step, steps;           /* in the epoch; of an epoch */
    tw_real *start;             /* parameters of a warm start, for the way back to them; NULL: there is none */
    int way;                    /* parts of it that are judged; WAY while epochs are */
    size_t judged;              /* stop rows evaluated */
    double judge_loss, judge_weight;
    double rate_factor, progress;
    struct tw_train_report report; /* of the member in training */
    struct tw_train_report total;  /* of those before it */
};

/* TW_INVALID with a sentence, or 0. */
int tw_trainer_check_options(const struct tw_train_options *options, struct tw_error *error);

/* The member in training with these parameters. */
struct tw_kind_state tw_trainer_state(const struct tw_trainer *t, const struct tw_params *params);
/* Takes the member's rows and start, and leaves it to be judged. */
int tw_trainer_begin_member(struct tw_trainer *t, int member, struct tw_error *error);
void tw_trainer_begin_epoch(struct tw_trainer *t);
/* Keeps what a roll-back goes back to. */
void tw_trainer_save_good(struct tw_trainer *t);
/* One unit of a judgement; the last one decides what comes next. */
int tw_trainer_judge(struct tw_trainer *t, struct tw_pool *pool);
/* Adds the report of a member to that of those before it. */
void tw_trainer_add_report(struct tw_train_report *total, const struct tw_train_report *report, int members);

#endif

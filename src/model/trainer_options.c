/* How long and how fast a training goes where nobody says. */
#include <math.h>

#include "model/trainer_parts.h"

/* of a training, by default; the limits of epochs come last */
#define STEPS_LEAST  600.0
#define STEPS_MOST   8000.0
#define EPOCHS_LEAST 6
#define EPOCHS_MOST  100

void tw_trainer_defaults(struct tw_train_options *options, const struct tw_kind *kind, size_t rows, bool warm)
{
    int batch = kind->labelled && rows < 20000 ? 256 : rows < 200000 ? 512 : 1024;
    double steps = (double)rows / batch + 1;

    *options = (struct tw_train_options){
        .seed = 1,
        .epochs = warm ? 12 : 24,
        .batch = batch,
        .rate = warm ? 4e-4 : 1.5e-3,
        .warmup = 0.05,
        .clip = 5,
        .patience = warm ? 4 : 6,
        .weight_decay = 0.2,
    };
    if (kind->labelled) {
        options->rate = 2e-3;
        options->epochs = 20;
        options->patience = 5;
        options->weight_decay = 0.02;
    }
    /* few rows need more epochs for the same number of steps, many rows fewer; the stop rows end what goes on too long
     */
    if (options->epochs * steps < STEPS_LEAST)
        options->epochs = (int)(STEPS_LEAST / steps);
    if (options->epochs * steps > STEPS_MOST)
        options->epochs = (int)(STEPS_MOST / steps);
    options->epochs = options->epochs > EPOCHS_MOST    ? EPOCHS_MOST
                      : options->epochs < EPOCHS_LEAST ? EPOCHS_LEAST
                                                       : options->epochs;
    /* the average spans about a twentieth of the training */
    options->decay = 1 - 1 / (1 + 0.05 * steps * options->epochs);
    options->decay = options->decay > 0.999 ? 0.999 : options->decay;
}

int tw_trainer_check_options(const struct tw_train_options *o, struct tw_error *error)
{
    if (o->epochs < 0 || o->epochs > 100000)
        return tw_error_set(error, TW_INVALID, "epochs must be from 0 to 100000");
    if (o->batch < TW_BLOCK || o->batch % TW_BLOCK || o->batch > TW_MINIBATCH_BLOCKS * TW_BLOCK)
        return tw_error_set(error, TW_INVALID, "batch must be a multiple of %d, at most %d", TW_BLOCK,
                            TW_MINIBATCH_BLOCKS * TW_BLOCK);
    if (!(o->rate > 0 && isfinite(o->rate)) || !(o->warmup >= 0 && o->warmup <= 1) || !(o->clip >= 0) ||
        !(o->decay >= 0 && o->decay < 1) || !(o->weight_decay >= 0))
        return tw_error_set(error, TW_INVALID, "rate, warmup, clip, decay or weight_decay is out of range");
    return TW_OK;
}

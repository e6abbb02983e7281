/* Training is a sequence of units, each of them a step or a part of an evaluation: judge the start, then for each
 * epoch all steps and a judgement of the averaged weights on the stop rows. A caller may stop between any two units. */
#include <jansson.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "model/trainer_parts.h"

#define SAVE_STEPS     64 /* between two good states */
#define RECOVERIES_MAX 20

void tw_trainer_save_good(struct tw_trainer *t)
{
    memcpy(t->good.params, t->params.block, t->params.size * sizeof *t->good.params);
    tw_optim_assign(&t->good.optim, &t->optim);
    t->good.step = t->step;
    t->good.epoch = t->epoch;
}

void tw_trainer_begin_epoch(struct tw_trainer *t)
{
    t->epoch++;
    t->step = 0;
    t->phase = TRAIN;
    tw_rng_permutation(tw_rng_mix(t->seed, (uint64_t)t->epoch), t->train.count, t->order);
}

static int roll_back(struct tw_trainer *t)
{
    memcpy(t->params.block, t->good.params, t->params.size * sizeof *t->good.params);
    tw_optim_assign(&t->optim, &t->good.optim);
    t->step = t->good.epoch == t->epoch ? t->good.step : 0; /* a step counts in its epoch's order */
    t->rate_factor *= 0.5;
    return ++t->report.recoveries > RECOVERIES_MAX ? TW_NOT_FINITE : TW_OK;
}

/* Minibatches of an epoch differ by at most one event, so that the last one is no noisier than the others. */
static size_t batch_begin(const struct tw_trainer *t, long step)
{
    return (size_t)((unsigned __int128)t->train.count * (unsigned long)step / (unsigned long)t->steps);
}

/* A single model's rate falls from the beginning, over the epochs that it has at most; a member's stays, until it is
 * past its best, and then falls to zero. */
static double rate_now(const struct tw_trainer *t)
{
    const struct tw_train_options *o = &t->options;
    long total = (long)o->epochs * t->steps, done = (long)(t->epoch - 1) * t->steps + t->step;
    long from = t->anneal_from * t->steps, length = t->anneal_to * t->steps - from;
    double rate;

    if (t->members == 1)
        rate = tw_optim_rate(o->rate, o->warmup, done, total);
    else if (t->anneal_to == 0)
        rate = o->rate * fmin(1, (double)(done + 1) / (o->warmup * (double)total + 1));
    else
        rate = tw_optim_rate(o->rate, 0, done - from, length);
    return t->rate_factor * rate;
}

static int train_unit(struct tw_trainer *t, struct tw_pool *pool)
{
    struct tw_kind_state state = tw_trainer_state(t, &t->params);
    size_t first = batch_begin(t, t->step), events = batch_begin(t, t->step + 1) - first;
    uint64_t key = tw_rng_mix(tw_rng_mix(t->seed, (uint64_t)t->epoch), (uint64_t)t->step);

    if (tw_minibatch_run(&t->batch, pool, &state, &t->train, t->order, first, events, key, true))
        return TW_NO_MEMORY;

    const struct tw_train_options *o = &t->options;
    struct tw_optim_rule rule = {
        .rate = rate_now(t), .clip = o->clip, .weight_decay = o->weight_decay, .decay = o->decay};

    /* The parameters are known to be good only now that their loss is. */
    if (!isfinite(t->batch.loss) || !isfinite(t->batch.squares))
        return roll_back(t);
    if (t->step % SAVE_STEPS == 0)
        tw_trainer_save_good(t);
    if (!tw_optim_step(&t->optim, t->kernels, &t->params, t->batch.grads, t->batch.squares, &rule))
        return roll_back(t);
    t->step++;
    t->report.steps++;
    if (t->step == t->steps) {
        t->phase = JUDGE;
        t->report.epochs = t->epoch;
    }
    return TW_OK;
}

/* --- the caller's side --- */

static double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Early stopping jumps to the end; a roll-back does not go back. */
static double progress(const struct tw_trainer *t)
{
    int epochs = t->anneal_to ? t->anneal_to : t->members > 1 ? 2 * t->options.epochs : t->options.epochs;
    double total = (double)epochs * (double)t->steps + 1;
    double now = t->epoch == 0 ? 0 : ((double)(t->epoch - 1) * (double)t->steps + (double)t->step) / total;

    now = t->phase == DONE ? 1 : (t->member + now) / t->members;
    return now > t->progress ? now : t->progress;
}

int tw_trainer_run(struct tw_trainer *trainer, struct tw_pool *pool, double seconds, bool *done)
{
    struct tw_trainer *t = trainer;
    double end = seconds_now() + seconds;
    int status = TW_OK;

    while (!status && t->phase != DONE) {
        status = t->phase == JUDGE ? tw_trainer_judge(t, pool) : train_unit(t, pool);
        t->progress = progress(t);
        if (seconds > 0 && seconds_now() >= end)
            break;
    }
    *done = !status && t->phase == DONE;
    return status;
}

double tw_trainer_progress(const struct tw_trainer *trainer)
{
    return trainer->progress;
}

void tw_trainer_report(const struct tw_trainer *trainer, struct tw_train_report *report)
{
    *report = trainer->total;
    if (trainer->phase != DONE)
        tw_trainer_add_report(report, &trainer->report, trainer->members);
}

int tw_trainer_model(struct tw_trainer *trainer, struct tw_model **out)
{
    struct tw_trainer *t = trainer;

    *out = NULL;
    return t->phase == DONE ? tw_model_new_copy(t->kind, t->config, t->schema, &t->statistics, &t->best, out) : TW_BUSY;
}

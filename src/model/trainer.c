/* Training is a sequence of units, each of them a step or a part of an evaluation: judge the start, then for each
 * epoch all steps and a judgement of the averaged weights on the stop rows. A caller may stop between any two units. */
#include "model/trainer.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rng.h"
#include "base/size.h"
#include "model/members.h"
#include "model/minibatch.h"
#include "model/rows.h"
#include "nn/optim.h"

#define JUDGE_ROWS     (16 * TW_BLOCK) /* evaluated in one unit */
#define SAVE_STEPS     64              /* between two good states */
#define RECOVERIES_MAX 20
/* of a training, by default; the limits of epochs come last */
#define STEPS_LEAST  600.0
#define STEPS_MOST   8000.0
#define EPOCHS_LEAST 6
#define EPOCHS_MOST  100
#define WAY          8 /* parts of the way from a warm start to its best epoch, of which some are kept */

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

/* --- defaults --- */

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

static int check_options(const struct tw_train_options *o, struct tw_error *error)
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

/* --- construction --- */

static struct tw_kind_state state_of(const struct tw_trainer *t, const struct tw_params *params)
{
    return (struct tw_kind_state){
        .config = t->config, .schema = t->schema, .statistics = &t->own, .parameters = params};
}

/* Config, and memory for statistics and parameters of all members: the parent's, or still to be made. */
static int make_model(struct tw_trainer *t, const json_t *config, const struct tw_model *parent, struct tw_error *error)
{
    json_t *json = NULL;
    int status;

    if (parent) {
        if (tw_model_kind(parent) != t->kind || !tw_schema_equal(tw_model_schema(parent), t->schema))
            return tw_error_set(error, TW_INVALID, "the parent is of another kind or has other columns");
        config = json = tw_model_json(parent);
        if (!json)
            return TW_NO_MEMORY;
    }
    status = t->kind->parse(config, t->schema, &t->config, error);
    json_decref(json);
    if (status || (status = tw_members_layout(t->kind, t->config, t->schema, &t->statistics, &t->best)) ||
        (status = tw_params_alloc(&t->statistics)) || (status = tw_params_alloc(&t->best)))
        return status;
    t->members = tw_kind_members(t->kind, t->config);
    t->warm = parent;
    for (int m = 0; parent && m < t->members; m++) {
        struct tw_params statistics = tw_members_view(&t->statistics, t->members, m);
        struct tw_params start = tw_members_view(&t->best, t->members, m);
        struct tw_kind_state from = tw_model_state(parent, m);

        memcpy(statistics.block, from.statistics->block, statistics.size * sizeof *statistics.block);
        memcpy(start.block, from.parameters->block, start.size * sizeof *start.block);
    }

    struct tw_params first = tw_members_view(&t->best, t->members, 0);

    return tw_params_copy(&t->params, &first);
}

/* Statistics and start of the member, which its parent has given already where there is one. */
static int make_start(struct tw_trainer *t, const struct tw_data *train)
{
    struct tw_params start = tw_members_view(&t->best, t->members, t->member);
    int status;

    t->own = tw_members_view(&t->statistics, t->members, t->member);
    if (t->warm)
        return t->kind->adapt ? t->kind->adapt(t->config, train, &t->own) : TW_OK;
    status = t->kind->prepare(t->config, train, &t->own);
    return status ? status : t->kind->init(t->config, t->schema, &start, tw_rng_mix(t->seed, 0));
}

static bool negative_weight(const struct tw_data *data)
{
    for (size_t i = 0; i < data->rows; i++)
        if (data->weights[i] < 0)
            return true;
    return false;
}

static int make_rows(struct tw_trainer *t, const struct tw_data *train, const struct tw_data *stop,
                     struct tw_error *error)
{
    struct tw_kind_state state = state_of(t, &t->params);

    tw_rows_fini(&t->train);
    tw_rows_fini(&t->stop);
    if (tw_rows_init(&t->train, t->kind, &state, train) || tw_rows_init(&t->stop, t->kind, &state, stop))
        return TW_NO_MEMORY;
    if (t->train.count == 0 || t->train.count > UINT32_MAX)
        return tw_error_set(error, TW_INVALID, "there are no rows to train on");
    if (!(t->train.weight > 0))
        return tw_error_set(error, TW_INVALID, "the weights of the training rows do not have a positive sum");
    if (negative_weight(train) || negative_weight(stop)) /* -w log p has no minimum then */
        return tw_error_set(error, TW_INVALID,
                            "negative weights have to be refined to positive ones first, which is "
                            "not supported yet");
    tw_rows_scale(&t->train, (double)t->train.count / t->train.weight);
    t->steps = (long)((t->train.count + (size_t)t->options.batch - 1) / (size_t)t->options.batch);
    free(t->order);
    t->order = tw_size_alloc(t->train.count, sizeof *t->order);
    return t->order ? TW_OK : TW_NO_MEMORY;
}

static void save_good(struct tw_trainer *t)
{
    memcpy(t->good.params, t->params.block, t->params.size * sizeof *t->good.params);
    tw_optim_assign(&t->good.optim, &t->optim);
    t->good.step = t->step;
    t->good.epoch = t->epoch;
}

static int make_buffers(struct tw_trainer *t)
{
    bool returns = t->warm && t->members == 1;

    t->good.params = tw_size_alloc(t->params.size + 1, sizeof *t->good.params);
    t->start = returns ? tw_size_alloc(t->params.size + 1, sizeof *t->start) : NULL;
    return !t->good.params || (returns && !t->start) || tw_optim_init(&t->optim, &t->params) ||
                   tw_optim_init(&t->good.optim, &t->params) ||
                   tw_minibatch_init(&t->batch, t->kind, t->kernels, t->options.batch / TW_BLOCK, t->params.size)
               ? TW_NO_MEMORY
               : TW_OK;
}

/* From the rows of the member to its first judgement, as if there were no other. */
static int start_member(struct tw_trainer *t, const struct tw_data *train, const struct tw_data *stop,
                        struct tw_error *error)
{
    struct tw_params start = tw_members_view(&t->best, t->members, t->member);
    int status;

    t->seed = tw_members_seed(t->options.seed, t->member);
    if ((status = make_start(t, train)) || (status = make_rows(t, train, stop, error)))
        return status;
    memcpy(t->params.block, start.block, start.size * sizeof *start.block);
    if (t->start)
        memcpy(t->start, start.block, start.size * sizeof *start.block);
    tw_optim_restart(&t->optim, &t->params);
    t->phase = JUDGE;
    t->epoch = t->anneal_from = t->anneal_to = 0;
    t->step = 0;
    t->way = WAY;
    t->rate_factor = 1;
    t->report = (struct tw_train_report){.start_loss = NAN, .stop_loss = NAN, .kept = 1};
    save_good(t);
    return TW_OK;
}

static int begin_member(struct tw_trainer *t, int member, struct tw_error *error)
{
    struct tw_data train, stop;
    int status;

    t->member = member;
    if (t->members == 1) {
        status = start_member(t, &t->train_data, &t->stop_data, error);
    } else {
        tw_data_init(&train, t->schema);
        tw_data_init(&stop, t->schema);
        status = tw_members_resample(&t->train_data, member, &train);
        if (!status)
            status = tw_members_resample(&t->stop_data, member, &stop);
        if (!status)
            status = start_member(t, &train, &stop, error);
        tw_data_fini(&train);
        tw_data_fini(&stop);
    }
    if (member + 1 == t->members) {
        tw_data_fini(&t->train_data);
        tw_data_fini(&t->stop_data);
    }
    return status;
}

int tw_trainer_new(const struct tw_kind *kind, const struct json_t *config, const struct tw_schema *schema,
                   const struct tw_data *data, struct tw_model *parent, const struct tw_train_options *options,
                   const struct tw_kernels *kernels, struct tw_trainer **out, struct tw_error *error)
{
    struct tw_trainer *t;
    int status = check_options(options, error);

    *out = NULL;
    if (status)
        return status;
    if (kind->labelled && !data->labels)
        return tw_error_set(error, TW_INVALID, "kind \"%s\" needs labels", kind->name);
    t = calloc(1, sizeof *t);
    if (!t)
        return TW_NO_MEMORY;
    t->kind = kind;
    t->kernels = kernels;
    t->options = *options;
    t->schema = tw_schema_copy(schema);
    tw_data_init(&t->train_data, t->schema);
    tw_data_init(&t->stop_data, t->schema);
    if (!t->schema || tw_data_append_parts(&t->train_data, data, 1u << TW_PART_TRAIN) ||
        tw_data_append_parts(&t->stop_data, data, 1u << TW_PART_STOP))
        status = TW_NO_MEMORY;
    if (!status)
        status = make_model(t, config, parent, error);
    if (!status)
        status = make_buffers(t);
    if (!status)
        status = begin_member(t, 0, error);
    if (status)
        tw_trainer_free(t);
    else
        *out = t;
    return status;
}

void tw_trainer_free(struct tw_trainer *trainer)
{
    struct tw_trainer *t = trainer;

    if (!t)
        return;
    if (t->config)
        t->kind->config_free(t->config);
    tw_schema_free(t->schema);
    tw_params_fini(&t->statistics);
    tw_params_fini(&t->params);
    tw_params_fini(&t->best);
    tw_optim_fini(&t->optim);
    tw_optim_fini(&t->good.optim);
    tw_data_fini(&t->train_data);
    tw_data_fini(&t->stop_data);
    tw_rows_fini(&t->train);
    tw_rows_fini(&t->stop);
    tw_minibatch_fini(&t->batch);
    free(t->good.params);
    free(t->start);
    free(t->order);
    free(t);
}

static const struct tw_rows *judged_rows(const struct tw_trainer *t)
{
    return t->stop.weight > 0 ? &t->stop : &t->train; /* a handful of rows has no stop part */
}

/* --- steps --- */

static int roll_back(struct tw_trainer *t)
{
    memcpy(t->params.block, t->good.params, t->params.size * sizeof *t->good.params);
    tw_optim_assign(&t->optim, &t->good.optim);
    t->step = t->good.epoch == t->epoch ? t->good.step : 0; /* a step counts in its epoch's order */
    t->rate_factor *= 0.5;
    return ++t->report.recoveries > RECOVERIES_MAX ? TW_NOT_FINITE : TW_OK;
}

static void begin_epoch(struct tw_trainer *t)
{
    t->epoch++;
    t->step = 0;
    t->phase = TRAIN;
    tw_rng_permutation(tw_rng_mix(t->seed, (uint64_t)t->epoch), t->train.count, t->order);
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
    struct tw_kind_state state = state_of(t, &t->params);
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
        save_good(t);
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

/* --- judgement of the averaged weights --- */

/* Adds the report of a member to that of those before it. */
static void add_report(struct tw_train_report *total, const struct tw_train_report *report, int members)
{
    total->epochs = report->epochs > total->epochs ? report->epochs : total->epochs;
    total->best_epoch = report->best_epoch > total->best_epoch ? report->best_epoch : total->best_epoch;
    total->steps += report->steps;
    total->recoveries += report->recoveries;
    total->start_loss += report->start_loss / members;
    total->stop_loss += report->stop_loss / members;
    total->kept += report->kept / members;
}

static int end_member(struct tw_trainer *t)
{
    struct tw_error error;

    add_report(&t->total, &t->report, t->members);
    if (t->member + 1 < t->members)
        return begin_member(t, t->member + 1, &error);
    t->phase = DONE;
    return TW_OK;
}

static void keep_average(struct tw_trainer *t, double loss)
{
    t->report.stop_loss = loss;
    t->report.best_epoch = t->epoch;
    memcpy(tw_members_view(&t->best, t->members, t->member).block, t->optim.average,
           t->params.size * sizeof *t->optim.average);
}

/* --- the way back ---
 *
 * A training learns what its rows have in common, worth g nats, and their noise, which costs e. Of the straight way
 * from start to end the share k is worth k (2 - k) g - k^2 e in quadratic order: all of it g - e, which may be a loss,
 * and k = g / (g + e) the most, g^2 / (g + e), which never is. That is shrinkage (Stein 1956); of networks that were
 * trained on, see Wortsman et al. 2022, arXiv:2109.01903. The stop rows choose k.
 */

/* Start and best epoch, mixed, into `out`. */
static void mix(const struct tw_trainer *t, int way, tw_real *out)
{
    struct tw_params best = tw_members_view(&t->best, t->members, t->member);
    tw_real share = (tw_real)way / WAY;

    for (size_t i = 0; i < best.size; i++)
        out[i] = t->start[i] + share * (best.block[i] - t->start[i]);
}

static void judge_nearer(struct tw_trainer *t)
{
    t->way--;
    mix(t, t->way, t->optim.average);
    t->phase = JUDGE;
}

/* Goes on while it gets better; the loss along the way has one minimum, as far as the stop rows can tell. */
static int end_way(struct tw_trainer *t, double loss)
{
    bool better = loss < t->report.stop_loss;

    if (better) {
        t->report.stop_loss = loss;
        t->report.kept = (double)t->way / WAY;
        if (t->way > 1) {
            judge_nearer(t);
            return TW_OK;
        }
    }

    int kept = better ? t->way : t->way + 1;

    if (!(t->report.stop_loss < t->report.start_loss)) { /* all of it was noise */
        kept = 0;
        t->report.stop_loss = t->report.start_loss;
        t->report.best_epoch = 0;
        t->report.kept = 0;
    }
    if (kept < WAY)
        mix(t, kept, tw_members_view(&t->best, t->members, t->member).block);
    return end_member(t);
}

static int end_judgement(struct tw_trainer *t)
{
    double loss = t->judge_weight > 0 ? t->judge_loss / t->judge_weight : t->judge_loss;

    t->judged = 0;
    t->judge_loss = t->judge_weight = 0;
    if (t->way < WAY)
        return end_way(t, loss);

    bool of_use = t->start && t->epoch == 1; /* even if it is worse than the start: a part of the way may be better */

    if (t->epoch == 0)
        t->report.start_loss = t->report.stop_loss = loss;
    else if (isfinite(loss) && (of_use || !(loss >= t->report.stop_loss)))
        keep_average(t, loss);

    bool tired = t->options.patience > 0 && t->epoch - t->report.best_epoch >= t->options.patience;
    bool over = t->epoch >= t->options.epochs || tired;

    if (t->members > 1 && over && !t->anneal_to) {
        t->anneal_from = t->epoch;
        t->anneal_to = 2 * t->epoch;
    }
    if (t->anneal_to ? t->epoch < t->anneal_to : !over) {
        begin_epoch(t);
        return TW_OK;
    }
    if (t->members > 1 && loss < t->report.start_loss) /* the end, unless even the start was better */
        keep_average(t, loss);
    if (!t->start || t->report.best_epoch == 0)
        return end_member(t);
    judge_nearer(t);
    return TW_OK;
}

static int judge_unit(struct tw_trainer *t, struct tw_pool *pool)
{
    struct tw_params averaged = t->params;
    struct tw_kind_state state = state_of(t, &averaged);
    const struct tw_rows *rows = judged_rows(t);
    size_t left = rows->count - t->judged, events = left < JUDGE_ROWS ? left : JUDGE_ROWS;

    averaged.block = t->optim.average;
    if (tw_minibatch_run(&t->batch, pool, &state, rows, NULL, t->judged, events, 0, false))
        return TW_NO_MEMORY;
    t->judge_loss += t->batch.loss;
    t->judge_weight += t->batch.weight;
    t->judged += events;
    return t->judged == rows->count ? end_judgement(t) : TW_OK;
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
        status = t->phase == JUDGE ? judge_unit(t, pool) : train_unit(t, pool);
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
        add_report(report, &trainer->report, trainer->members);
}

int tw_trainer_model(struct tw_trainer *trainer, struct tw_model **out)
{
    struct tw_trainer *t = trainer;

    *out = NULL;
    return t->phase == DONE ? tw_model_new_copy(t->kind, t->config, t->schema, &t->statistics, &t->best, out) : TW_BUSY;
}

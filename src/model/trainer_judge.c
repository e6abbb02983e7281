/* Judgement of the averaged weights: which are kept, and whether to go on. */
#include <math.h>
#include <string.h>

#include "model/members.h"
#include "model/trainer_parts.h"

#define JUDGE_ROWS (16 * TW_BLOCK) /* evaluated in one unit */

void tw_trainer_add_report(struct tw_train_report *total, const struct tw_train_report *report, int members)
{
    total->epochs = report->epochs > total->epochs ? report->epochs : total->epochs;
    total->best_epoch = report->best_epoch > total->best_epoch ? report->best_epoch : total->best_epoch;
    total->steps += report->steps;
    total->recoveries += report->recoveries;
    total->start_loss += report->start_loss / members;
    total->stop_loss += report->stop_loss / members;
    total->kept += report->kept / members;
}

static const struct tw_rows *judged_rows(const struct tw_trainer *t)
{
    return t->stop.weight > 0 ? &t->stop : &t->train; /* a handful of rows has no stop part */
}

static int end_member(struct tw_trainer *t)
{
    struct tw_error error;

    tw_trainer_add_report(&t->total, &t->report, t->members);
    if (t->member + 1 < t->members)
        return tw_trainer_begin_member(t, t->member + 1, &error);
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
        tw_trainer_begin_epoch(t);
        return TW_OK;
    }
    if (t->members > 1 && loss < t->report.start_loss) /* the end, unless even the start was better */
        keep_average(t, loss);
    if (!t->start || t->report.best_epoch == 0)
        return end_member(t);
    judge_nearer(t);
    return TW_OK;
}

int tw_trainer_judge(struct tw_trainer *t, struct tw_pool *pool)
{
    struct tw_params averaged = t->params;
    struct tw_kind_state state = tw_trainer_state(t, &averaged);
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

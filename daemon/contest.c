#include "daemon/contest.h"

#include <stdio.h>

#include "daemon/number.h"
#include "daemon/weights.h"

int contest_judge(const struct tw_model *challenger, const struct tw_model *champion, const struct tw_data *rows,
                  const double *before, double min_gain, double level, double *gains, struct tw_gate *gate)
{
    double doubt = weights_doubt(challenger, champion);
    for (size_t i = 0; i < rows->rows; i++)
        gains[i] -= doubt;
    tw_gate_gains(gains, before, rows->weights, rows->rows, gains);
    return tw_gate(gains, rows->rows, min_gain, level, gate);
}

int contest_begin(const struct contest *contest, const struct tw_data *rows, double *before)
{
    return tw_model_proper_score(contest->champion->model, contest->kernels, contest->pool, rows, before);
}

int contest_gate(const struct contest *contest, int version, double level, const struct tw_data *rows,
                 const double *before, double *gains, struct tw_gate *gate, struct tw_error *error)
{
    struct snapshot *snapshot = NULL;
    int status = registry_snapshot(contest->registry, contest->twin, version, &snapshot, error);
    if (status == TW_OK)
        status = tw_model_proper_score(snapshot->model, contest->kernels, contest->pool, rows, gains);
    if (status == TW_OK)
        status = contest_judge(snapshot->model, contest->champion->model, rows, before, contest->min_gain, level, gains,
                               gate);
    snapshot_unref(snapshot);
    return status == TW_CORRUPT ? (int)TW_NOT_FOUND : status;
}

int contest_distance(const struct contest *contest, const struct tw_data *rows, double level, struct distance *out)
{
    if (!contest->reference || !(contest->max_distance > 0))
        return TW_OK;
    struct tw_observables *observables = registry_observables(contest->twin);
    int status = distance_measure(observables, contest->reference, contest->reference_version, rows, level, out);
    tw_observables_unref(observables);
    return status;
}

json_t *contest_json(int version, const struct tw_gate *gate)
{
    return json_pack("{s:i, s:I, s:f, s:o, s:f, s:b}", "version", version, "events", (json_int_t)gate->events, "gain",
                     gate->gain, "error", number_json(gate->error), "bound", gate->bound, "pass", gate->pass);
}

bool contest_words(const struct contest *contest, int version, const struct tw_gate *gate,
                   const struct distance *distance, char *why, size_t size)
{
    char far[200] = "";
    bool beyond = distance_exceeds(distance, contest->max_distance, far, sizeof(far));
    snprintf(why, size,
             "version %d gains %+.4f +- %.4f over version %d, lower bound %+.4f on %zu events (needs > %g)%s%s",
             version, gate->gain, gate->error, contest->champion->version, gate->bound, gate->events, contest->min_gain,
             far[0] ? "; " : "", far);
    return beyond;
}

#include "daemon/training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "daemon/contest.h"
#include "daemon/memory.h"
#include "daemon/number.h"
#include "daemon/weights.h"
#include "stat/replay.h"

/* Fewer rows than this are no basis for a training, whatever the model. */
enum { ROWS_MIN = 200 };

struct training {
    struct training_input input;
    const struct tw_kernels *kernels;
    struct tw_data data;        /* of the window, then what is replayed */
    size_t fresh;               /* rows of the window */
    struct tw_replay replay;    /* how old rows were weighed */
    json_t *lost;               /* ordinals that could not be read, as window_read; NULL: none */
    size_t left_out;            /* oldest rows, for which memory-mb has no room */
    size_t held;                /* taken from the share of trainings */
    struct tw_trainer *trainer; /* or: */
    struct weights *weights;
};

/* A key of part TRAIN that no row of a window has. */
static uint64_t old_key(uint64_t *row)
{
    uint64_t key;
    do
        key = tw_data_key(UINT64_MAX, (*row)++);
    while (tw_data_part(key) != TW_PART_TRAIN);
    return key;
}

/* Old rows, weighted so that they have the law of the new ones, and together the share `replay` of the training. They
 * were held out when the parent was trained; here they are trained on, and nothing else: the stop and gate rows are of
 * the window alone. */
static int add_replay(struct training *training, struct tw_pool *pool, struct tw_error *error)
{
    const struct training_input *input = &training->input;
    const struct tw_data *old = input->old;
    struct tw_data fresh;
    tw_data_init(&fresh, training->data.schema);
    double *weights = malloc((old->rows + 1) * sizeof(*weights)), of_fresh = 0, of_old = 0;
    int status = weights ? tw_data_append_parts(&fresh, &training->data, 1u << TW_PART_TRAIN) : TW_NO_MEMORY;
    if (status == TW_OK)
        status = tw_replay_weights(old, &fresh, tw_rng_mix(input->seed, 2), training->kernels, pool, weights,
                                   &training->replay, error);
    if (status == TW_OK)
        status = tw_data_append_rows(&training->data, old, 0, old->rows, -1);
    for (size_t i = 0; i < fresh.rows; i++)
        of_fresh += (double)fresh.weights[i];
    for (size_t i = 0; status == TW_OK && i < old->rows; i++)
        of_old += weights[i] * (double)old->weights[i];
    double scale = input->replay / (1 - input->replay) * of_fresh / of_old;
    uint64_t row = 0;
    for (size_t i = 0; status == TW_OK && i < old->rows; i++) {
        training->data.weights[training->fresh + i] = (float)(scale * weights[i] * (double)old->weights[i]);
        training->data.keys[training->fresh + i] = old_key(&row);
    }
    free(weights);
    tw_data_fini(&fresh);
    return status == TW_INVALID ? TW_OK : status; /* too few rows to weigh: the window alone */
}

const char *training_cause(bool initial, bool reweight)
{
    return initial ? "train" : reweight ? "reweight" : "weights";
}

static int make_trainer(struct training *training, struct tw_error *error)
{
    const struct training_input *input = &training->input;
    const struct definition *definition = input->twin->definition;
    struct tw_train_options options;
    tw_trainer_defaults(&options, definition->kind, training->data.rows, input->parent != NULL);
    options.seed = input->seed;
    if (input->epochs > 0)
        options.epochs = input->epochs;
    return tw_trainer_new(definition->kind, definition->model, definition->schema, &training->data,
                          input->parent ? input->parent->model : NULL, &options, training->kernels, &training->trainer,
                          error);
}

static int prepare(struct training *training, struct tw_pool *pool, struct tw_error *error)
{
    const struct training_input *input = &training->input;
    size_t most = input->reweight ? weights_rows(input->twin) : window_rows_training(input->twin);
    /* Others hold their rows until they are through. Where they have most of the share it is not worth reading. */
    if (memory_held(MEMORY_TRAINING) > memory_limit(MEMORY_TRAINING) / 2)
        return TW_BUSY;
    int status = window_read(input->twin, &input->window, most, &training->data, NULL, NULL, NULL, &training->left_out,
                             &training->lost, error);
    if (status != TW_OK)
        return status;
    bool replays = input->parent && input->replay > 0 && input->old && !input->reweight;
    size_t rows = training->data.rows + (replays ? input->old->rows : 0);
    size_t bytes = input->reweight ? weights_bytes(input->twin, rows) : window_bytes_training(input->twin, rows);
    if (!memory_take(MEMORY_TRAINING, bytes))
        return TW_BUSY;
    training->held = bytes;
    if (training->data.rows < ROWS_MIN)
        return tw_error_set(error, TW_INVALID, "%zu valid rows are too few to train on: at least %d are needed",
                            training->data.rows, ROWS_MIN);

    training->fresh = training->data.rows;
    if (replays)
        status = add_replay(training, pool, error);
    if (status != TW_OK)
        return status;
    return input->reweight ? weights_begin(input->twin, input->parent->model, &training->data, input->seed,
                                           training->kernels, pool, &training->weights, error)
                           : make_trainer(training, error);
}

int training_begin(const struct training_input *input, const struct tw_kernels *kernels, struct tw_pool *pool,
                   struct training **out, struct tw_error *error)
{
    struct training *training = calloc(1, sizeof(*training));
    if (!training)
        return TW_NO_MEMORY;
    training->input = *input;
    training->kernels = kernels;
    if (input->parent)
        snapshot_ref(input->parent);
    if (input->champion)
        snapshot_ref(input->champion);
    tw_data_init(&training->data, input->twin->definition->schema);
    int status = prepare(training, pool, error);
    training->input.old = NULL;
    if (status != TW_OK) {
        training_free(training);
        return status;
    }
    *out = training;
    return TW_OK;
}

void training_free(struct training *training)
{
    if (!training)
        return;
    tw_trainer_free(training->trainer);
    weights_free(training->weights);
    tw_data_fini(&training->data);
    json_decref(training->lost);
    memory_give(MEMORY_TRAINING, training->held);
    if (training->input.parent)
        snapshot_unref(training->input.parent);
    if (training->input.champion)
        snapshot_unref(training->input.champion);
    free(training);
}

int training_step(struct training *training, struct tw_pool *pool, double seconds, bool *done)
{
    return training->weights ? weights_step(training->weights, pool, seconds, done)
                             : tw_trainer_run(training->trainer, pool, seconds, done);
}

double training_progress(const struct training *training)
{
    return training->weights ? weights_progress(training->weights) : tw_trainer_progress(training->trainer);
}

/* Mean and standard error of what is finite. */
static void mean_error(const double *x, size_t n, double *mean, double *error)
{
    double sum = 0, squares = 0;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        sum += x[i];
        squares += x[i] * x[i];
        kept++;
    }
    *mean = kept ? sum / (double)kept : NAN;
    *error = kept > 1 ? sqrt(fmax(squares / (double)kept - *mean * *mean, 0) / (double)kept) : NAN;
}

/* The model, against the champion unless that is NULL, on the rows of one part. log_prob: its mean score, and error. */
static int try_part(const struct training *training, struct tw_pool *pool, const struct tw_model *model,
                    const struct snapshot *champion, enum tw_part part, double log_prob[2], struct tw_gate *gate)
{
    struct tw_data rows;
    tw_data_init(&rows, training->data.schema);
    double *gains = NULL, *before = NULL;
    int status = tw_data_append_parts(&rows, &training->data, 1u << part);
    if (status == TW_OK) {
        gains = malloc((rows.rows + 1) * sizeof(*gains));
        before = malloc((rows.rows + 1) * sizeof(*before));
        status = gains && before ? TW_OK : TW_NO_MEMORY;
    }
    if (status == TW_OK)
        status = tw_model_proper_score(model, training->kernels, pool, &rows, gains);
    if (status == TW_OK)
        mean_error(gains, rows.rows, &log_prob[0], &log_prob[1]);
    if (status == TW_OK && champion)
        status = tw_model_proper_score(champion->model, training->kernels, pool, &rows, before);
    if (status == TW_OK && champion)
        status = contest_judge(model, champion->model, &rows, before, training->input.policy.gate_min_gain,
                               training->input.level, gains, gate);
    free(gains);
    free(before);
    tw_data_fini(&rows);
    return status;
}

/* A try costs a share of the level whatever comes of it. Where tries share one, it is made only if the rows that chose
 * the epoch, which flatter the challenger a little, show a gain above its error: what they do not show the gate, which
 * has as many, would hardly see. They decide whether it is asked, never what it says. */
static int gate(const struct training *training, struct tw_pool *pool, struct training_outcome *out)
{
    const struct training_input *input = &training->input;
    double log_prob[2] = {NAN, NAN}, unused[2];
    int status = TW_OK;
    out->gated = input->champion != NULL;
    out->gate = (struct tw_gate){.gain = NAN, .error = NAN, .bound = NAN};
    if (out->gated && input->sparing)
        status = try_part(training, pool, out->model, input->champion, TW_PART_STOP, unused, &out->hint);
    out->asked = out->gated && (!input->sparing || out->hint.gain > out->hint.error);
    out->level = out->asked ? input->level : 0;
    if (status == TW_OK)
        status = try_part(training, pool, out->model, out->asked ? input->champion : NULL, TW_PART_GATE, log_prob,
                          &out->gate);
    out->log_prob = log_prob[0];
    out->log_prob_error = log_prob[1];
    return status;
}

/* What a training of a network says about itself. */
static json_t *training_metrics(const struct training *training)
{
    struct tw_train_report report;
    tw_trainer_report(training->trainer, &report);
    return json_pack("{s:i, s:i, s:f, s:I, s:o, s:o, s:i}", "epochs", report.epochs, "best_epoch", report.best_epoch,
                     "kept", report.kept, "steps", (json_int_t)report.steps, "start_loss",
                     number_json(report.start_loss), "stop_loss", number_json(report.stop_loss), "recoveries",
                     report.recoveries);
}

static json_t *gate_json(const struct training *training, const struct training_outcome *out)
{
    json_t *json =
        json_pack("{s:i, s:b, s:I, s:o, s:o, s:o, s:f, s:f, s:b}", "champion", training->input.champion->version,
                  "asked", out->asked, "events", (json_int_t)out->gate.events, "gain", number_json(out->gate.gain),
                  "error", number_json(out->gate.error), "bound", number_json(out->gate.bound), "min_gain",
                  training->input.policy.gate_min_gain, "level", out->level, "pass", out->gate.pass);
    if (json && training->input.sparing)
        json_object_set_new(json, "hint",
                            json_pack("{s:I, s:f, s:o}", "events", (json_int_t)out->hint.events, "gain", out->hint.gain,
                                      "error", number_json(out->hint.error)));
    return json;
}

static json_t *metrics(const struct training *training, const struct training_outcome *out)
{
    json_t *own = training->weights ? json_pack("{s:o}", "weights", weights_report(training->weights))
                                    : training_metrics(training);
    json_t *json = json_pack("{s:I, s:I, s:o, s:o}", "rows", (json_int_t)training->fresh, "invalid_rows",
                             (json_int_t)training->data.invalid, "log_prob", number_json(out->log_prob),
                             "log_prob_error", number_json(out->log_prob_error));
    if (json && (!own || json_object_update(json, own) != 0)) {
        json_decref(json);
        json = NULL;
    }
    json_decref(own);
    if (json && training->left_out)
        json_object_set_new(json, "rows_left_out", json_integer((json_int_t)training->left_out));
    if (json && training->lost)
        json_object_set(json, "lost", training->lost);
    if (json && training->data.rows > training->fresh)
        json_object_set_new(json, "replay",
                            json_pack("{s:i, s:f, s:I, s:f, s:f, s:f}", "version", training->input.old_version, "share",
                                      training->input.replay, "rows",
                                      (json_int_t)(training->data.rows - training->fresh), "effective_rows",
                                      training->replay.rows, "largest_weight", training->replay.largest, "scale",
                                      training->replay.scale));
    if (json && out->distance.reference)
        json_object_set_new(json, "distance", distance_json(&out->distance));
    if (json && out->gated)
        json_object_set_new(json, "gate", gate_json(training, out));
    return json;
}

static int save(const struct training *training, struct training_outcome *out)
{
    struct tw_model_record record = {.seed = training->input.seed};
    snprintf(record.twin, sizeof(record.twin), "%s", training->input.twin->name);
    snprintf(record.cause, sizeof(record.cause), "%s",
             training_cause(!training->input.parent, training->input.reweight));
    snprintf(record.kernels, sizeof(record.kernels), "%s", training->kernels->detail);
    if (training->input.parent)
        snprintf(record.parent, sizeof(record.parent), "%s", training->input.parent->sha256);
    int status = tw_model_save(out->model, &record, &out->artifact, &out->artifact_size);
    if (status != TW_OK)
        return status;

    struct tw_data held;
    tw_data_init(&held, training->data.schema);
    status = tw_data_append_parts(&held, &training->data, 1u << TW_PART_STOP | 1u << TW_PART_GATE);
    if (status == TW_OK)
        status = tw_data_to_blob(&held, &out->reference, &out->reference_size);
    tw_data_fini(&held);
    return status;
}

static int measure_distance(const struct training *training, const struct tw_data *reference, int version,
                            struct training_outcome *out)
{
    if (!reference || !training->input.parent)
        return TW_OK;
    struct tw_observables *observables = registry_observables(training->input.twin);
    struct tw_data fresh = training->data; /* without what is replayed */
    fresh.rows = training->fresh;
    int status =
        distance_measure(observables, reference, version, &fresh, training->input.policy.gate_level, &out->distance);
    tw_observables_unref(observables);
    return status;
}

int training_finish(struct training *training, const struct tw_data *reference, int reference_version,
                    struct tw_pool *pool, struct training_outcome *out, struct tw_error *error)
{
    *out = (struct training_outcome){.log_prob = NAN, .log_prob_error = NAN};
    struct tw_error why = {""};
    int status = training->weights ? weights_finish(training->weights, &training->data, pool, &out->model, &why)
                                   : tw_trainer_model(training->trainer, &out->model);
    if (status == TW_OK)
        status = gate(training, pool, out);
    if (status == TW_OK)
        status = measure_distance(training, reference, reference_version, out);
    if (status == TW_OK)
        status = save(training, out);
    if (status == TW_OK && !(out->metrics = metrics(training, out)))
        status = TW_NO_MEMORY;
    if (status != TW_OK) {
        training_outcome_fini(out);
        return tw_error_set(error, status, "the trained model could not be evaluated or saved: %s",
                            why.text[0] ? why.text : tw_status_name(status));
    }
    if (out->asked)
        snprintf(out->reason, sizeof(out->reason), "gain %+.4f +- %.4f, lower bound %+.4f on %zu events (needs > %g)",
                 out->gate.gain, out->gate.error, out->gate.bound, out->gate.events,
                 training->input.policy.gate_min_gain);
    else if (out->gated)
        snprintf(out->reason, sizeof(out->reason),
                 "gain %+.4f +- %.4f on the %zu events that ended its training: the gate was not asked", out->hint.gain,
                 out->hint.error, out->hint.events);
    else
        snprintf(out->reason, sizeof(out->reason), "first training, log_prob %.4f +- %.4f on held-out events",
                 out->log_prob, out->log_prob_error);
    return TW_OK;
}

void training_outcome_fini(struct training_outcome *outcome)
{
    tw_model_unref(outcome->model);
    free(outcome->artifact);
    free(outcome->reference);
    json_decref(outcome->metrics);
    memset(outcome, 0, sizeof(*outcome));
}

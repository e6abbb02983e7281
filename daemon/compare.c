#include "daemon/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "daemon/memory.h"
#include "stat/drift.h"
#include "stat/fidelity.h"

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *statistic_json(const char *name, const char *verdict, const char *feature, double value, double error,
                              double floor, double p_value, double threshold)
{
    return json_pack("{s:s, s:s, s:s?, s:o, s:o, s:o, s:o, s:o}", "name", name, "verdict", verdict, "feature", feature,
                     "value", number(value), "error", number(error), "floor", number(floor), "p_value", number(p_value),
                     "threshold", number(threshold));
}

static int add_drift(struct comparison *out, const struct tw_schema *schema, const struct tw_drift *drift)
{
    out->drift = drift->drift;
    for (int i = 0; i < drift->count; i++) {
        const struct tw_statistic *s = &drift->statistics[i];
        const char *name = tw_drift_detector_name(s->detector);
        const char *feature = s->feature >= 0 ? schema->columns[s->feature].name : NULL;
        json_t *entry = statistic_json(name, "drift", feature, s->value, s->error, s->floor, s->p_value, s->threshold);
        if (!entry || json_array_append_new(out->statistics, entry) != 0)
            return TW_NO_MEMORY;
        if (s->alarm)
            json_array_append_new(out->alarms, json_sprintf(feature ? "%s %s" : "%s", name, feature));
    }
    return TW_OK;
}

/* Mean paired difference of log-likelihood to the version that people named as reference: how far the twin has moved
 * from it, as these data see it. Small and positive is healthy; a large value is what a learnt dead region looks like.
 */
static int add_distance(struct comparison *out, const struct compare_input *input, const struct tw_data *window,
                        const struct tw_kernels *kernels, struct tw_pool *pool)
{
    const struct tw_model *champion = input->champion->model;
    if (!input->reference_version || window->rows == 0 ||
        !(tw_model_kind(champion)->outputs & 1u << TW_OUTPUT_LOG_PROB))
        return TW_OK;
    double *mine = malloc(window->rows * sizeof(*mine));
    double *theirs = malloc(window->rows * sizeof(*theirs));
    int status = mine && theirs ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK)
        status = tw_model_proper_score(champion, kernels, pool, window, mine);
    if (status == TW_OK)
        status = tw_model_proper_score(input->reference_version->model, kernels, pool, window, theirs);
    double sum = 0, squares = 0;
    size_t n = 0;
    for (size_t i = 0; status == TW_OK && i < window->rows; i++) {
        double d = mine[i] - theirs[i];
        if (isfinite(d)) {
            sum += d;
            squares += d * d;
            n++;
        }
    }
    if (status == TW_OK && n > 1) {
        double mean = sum / (double)n;
        double error = sqrt(fmax(squares / (double)n - mean * mean, 0) / (double)n);
        json_array_append_new(out->statistics,
                              statistic_json("gain_over_reference", "fidelity", NULL, mean, error, 0, NAN, NAN));
    }
    free(mine);
    free(theirs);
    return status;
}

/* Which batch was the first after the change? The classifier that tells window from reference scores every batch of
 * the window and of what came shortly before. */
static int find_change(struct comparison *out, const struct compare_input *input, const struct tw_model *classifier,
                       const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_error *error)
{
    out->change = input->window.first;
    out->rows_since_change = out->rows;
    if (!classifier || input->earliest_change >= input->window.first)
        return TW_OK;

    struct window range = {.first = input->earliest_change, .last = input->window.last};
    struct tw_data data;
    size_t *offsets = NULL, batches = 0;
    uint64_t *ordinals = NULL;
    double *scores = NULL;
    tw_data_init(&data, input->twin->definition->schema);
    int status = window_read(input->twin, &range, window_rows_compare(input->twin), &data, &offsets, &ordinals,
                             &batches, NULL, NULL, error);
    struct tw_data seen;
    tw_data_init(&seen, input->observables->extended);
    if (status == TW_OK)
        status = tw_observables_extend(input->observables, &data, &seen);
    if (status == TW_OK && !(scores = malloc((data.rows + 1) * sizeof(*scores))))
        status = TW_NO_MEMORY;
    if (status == TW_OK)
        status = tw_model_score(classifier, kernels, pool, seen.rows, seen.features, seen.conditions, scores);
    if (status == TW_OK && batches > 0) {
        size_t last = 0;
        while (last + 1 < batches && ordinals[last] < input->window.first)
            last++;
        size_t change = tw_drift_change_point(scores, offsets, batches, last);
        out->change = ordinals[change];
        out->rows_since_change = data.rows - offsets[change];
    }
    free(scores);
    free(offsets);
    free(ordinals);
    tw_data_fini(&data);
    tw_data_fini(&seen);
    return status;
}

/* Columns of the window against those of the reference: the features, and the observables behind them. */
static int compare_columns(const struct compare_input *input, const struct tw_data *window,
                           const struct tw_kernels *kernels, struct tw_pool *pool, struct comparison *out,
                           struct tw_drift *drift, struct tw_error *error)
{
    const struct tw_schema *schema = input->observables->extended;
    struct tw_drift_options options = {
        .detectors = input->policy.detectors,
        .expected_run_time = input->policy.expected_run_time,
        .seed = input->seed,
    };
    struct tw_data reference, seen;
    tw_data_init(&reference, schema);
    tw_data_init(&seen, schema);
    int status = tw_observables_extend(input->observables, input->acceptance, &reference);
    if (status == TW_OK)
        status = tw_observables_extend(input->observables, window, &seen);
    if (status == TW_OK)
        status = tw_drift(&reference, &seen, &options, kernels, pool, drift, error);
    if (status == TW_OK)
        status = add_drift(out, schema, drift);
    tw_data_fini(&reference);
    tw_data_fini(&seen);
    return status;
}

static int compare_rows(const struct compare_input *input, const struct tw_data *window,
                        const struct tw_kernels *kernels, struct tw_pool *pool, struct comparison *out,
                        struct tw_error *error)
{
    struct tw_drift drift = {0};
    int status = compare_columns(input, window, kernels, pool, out, &drift, error);
    struct tw_fidelity fidelity;
    if (status == TW_OK) {
        int outcome = tw_fidelity(input->champion->model, window, input->observables, tw_rng_mix(input->seed, 1),
                                  kernels, pool, &fidelity, error);
        if (outcome == TW_OK) {
            json_array_append_new(out->statistics, statistic_json("c2st", "fidelity", NULL, fidelity.auc,
                                                                  fidelity.error, fidelity.floor, NAN, NAN));
            json_array_append_new(out->statistics, statistic_json("log_prob", "fidelity", NULL, fidelity.log_prob,
                                                                  fidelity.log_prob_error, NAN, NAN, NAN));
        } else if (outcome != TW_INVALID && outcome != TW_NOT_FINITE) {
            status = outcome; /* else too few rows, or a judge that failed: drift stands alone */
        }
    }
    if (status == TW_OK)
        status = add_distance(out, input, window, kernels, pool);
    if (status == TW_OK && drift.drift)
        status = find_change(out, input, drift.c2st.classifier, kernels, pool, error);
    tw_drift_fini(&drift);
    return status;
}

/* Rows that must be left of a window of which the spool has lost batches: fewer say nothing. */
enum { LEFT_MIN = 100 };

static void skip(struct comparison *out, size_t rows)
{
    out->skipped = true;
    snprintf(out->reason, sizeof(out->reason), "the spool has lost batches; %zu valid rows of the window are too few",
             rows);
}

int compare_window(const struct compare_input *input, const struct tw_kernels *kernels, struct tw_pool *pool,
                   struct comparison *out, struct tw_error *error)
{
    memset(out, 0, sizeof(*out));
    struct tw_data window;
    tw_data_init(&window, input->twin->definition->schema);
    int status = window_read(input->twin, &input->window, window_rows_compare(input->twin), &window, NULL, NULL, NULL,
                             &out->left_out, &out->lost, error);
    if (status == TW_OK) {
        out->rows = window.rows + window.invalid + out->left_out;
        out->statistics = json_array();
        out->alarms = json_array();
        status = out->statistics && out->alarms ? TW_OK : TW_NO_MEMORY;
    }
    /* One comparison is made at a time, and its rows were cut to fit: this only shows what it holds. */
    size_t bytes = window_bytes_compare(input->twin, window.rows);
    bool shown = memory_take(MEMORY_COMPARE, bytes);
    if (status == TW_OK && out->lost && window.rows < LEFT_MIN)
        skip(out, window.rows);
    else if (status == TW_OK)
        status = compare_rows(input, &window, kernels, pool, out, error);
    tw_data_fini(&window);
    if (shown)
        memory_give(MEMORY_COMPARE, bytes);
    if (status != TW_OK)
        compare_fini(out);
    return status;
}

void compare_fini(struct comparison *comparison)
{
    json_decref(comparison->statistics);
    json_decref(comparison->alarms);
    json_decref(comparison->lost);
    memset(comparison, 0, sizeof(*comparison));
}

#include "daemon/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "daemon/finding.h"
#include "daemon/memory.h"
#include "daemon/number.h"
#include "stat/drift.h"
#include "stat/fidelity.h"

static json_t *statistic_json(const char *name, const char *verdict, const char *feature, double value, double error,
                              double floor, double p_value, double threshold)
{
    return json_pack("{s:s, s:s, s:s?, s:o, s:o, s:o, s:o, s:o}", "name", name, "verdict", verdict, "feature", feature,
                     "value", number_json(value), "error", number_json(error), "floor", number_json(floor), "p_value",
                     number_json(p_value), "threshold", number_json(threshold));
}

static int add_drift(struct comparison *out, const struct tw_schema *schema, const struct tw_drift *drift)
{
    out->drift = drift->drift;
    for (int i = 0; i < drift->count; i++) {
        const struct tw_statistic *s = &drift->statistics[i];
        const char *name = tw_drift_detector_name(s->detector);
        const char *feature = s->feature >= 0 ? schema->columns[s->feature].name : NULL;
        json_t *entry = statistic_json(name, "drift", feature, s->value, s->error, s->floor, s->p_value, s->threshold);
        if (!entry || json_object_set_new(entry, "p_adjusted", number_json(s->p_adjusted)) != 0) {
            json_decref(entry);
            return TW_NO_MEMORY;
        }
        if (json_array_append_new(out->statistics, entry) != 0)
            return TW_NO_MEMORY;
        if (s->alarm)
            json_array_append_new(out->alarms, json_sprintf(feature ? "%s %s" : "%s", name, feature));
    }
    for (int d = 0; d < TW_DETECTORS; d++) {
        const char *name = tw_drift_detector_name((enum tw_detector)d), *reason = drift->left_out[d].text;
        if (reason[0] &&
            json_array_append_new(out->no_judgement, json_pack("{s:s, s:s}", "name", name, "reason", reason)) != 0)
            return TW_NO_MEMORY;
    }
    return TW_OK;
}

/* Mean paired difference of log-likelihood to the version that people named as reference: how far the twin has moved
 * from it, as these data see it. Small and positive is healthy. */
static int add_gain(struct comparison *out, const struct compare_input *input, const struct tw_data *window,
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

/* How far the data themselves are from what that version was accepted on: a dead region that was learnt does not look
 * healthy here. */
static int add_distance(struct comparison *out, const struct compare_input *input, const struct tw_data *extended)
{
    int status = distance_measure_extended(input->observables, input->reference, input->reference_version->version,
                                           extended, input->policy.gate_level, &out->distance);
    double limit = input->policy.max_distance;
    if (status == TW_OK)
        json_array_append_new(out->statistics,
                              statistic_json("distance", "fidelity", NULL, out->distance.measured.bound, NAN, 0, NAN,
                                             limit > 0 ? limit : NAN));
    return status;
}

/* What the comparison looks at: features, and the observables behind them. */
struct sight {
    struct tw_data reference, window;
    double *log_prob; /* of the window's rows */
    struct tw_drift drift;
};

static void sight_fini(struct sight *sight)
{
    tw_data_fini(&sight->reference);
    tw_data_fini(&sight->window);
    free(sight->log_prob);
    tw_drift_fini(&sight->drift);
}

/* The detector that accumulates, ready for this window. */
static int follow(const struct compare_input *input, const struct tw_data *window, const struct tw_kernels *kernels,
                  struct tw_pool *pool, struct sight *sight, struct cusum **out, struct tw_error *error)
{
    struct cusum_subject subject = {
        .version = input->champion->version,
        .model = input->champion->model,
        .observables = input->observables,
        .reference = input->acceptance,
        .extended = &sight->reference,
    };
    int status = cusum_follow(input->cusum, &subject, kernels, pool, out, error);
    if (status == TW_OK)
        status = cusum_log_prob(input->champion->model, window, kernels, pool, &sight->log_prob);
    return status;
}

static int compare_columns(const struct compare_input *input, const struct tw_data *window,
                           const struct tw_kernels *kernels, struct tw_pool *pool, struct comparison *out,
                           struct sight *sight, struct tw_error *error)
{
    const struct tw_schema *schema = input->observables->extended;
    *sight = (struct sight){0};
    tw_data_init(&sight->reference, schema);
    tw_data_init(&sight->window, schema);
    int status = tw_observables_extend(input->observables, input->acceptance, &sight->reference);
    if (status == TW_OK)
        status = tw_observables_extend(input->observables, window, &sight->window);
    if (status == TW_OK && input->policy.detectors >> TW_DETECT_CUSUM & 1)
        status = follow(input, window, kernels, pool, sight, &out->cusum, error);
    struct tw_drift_options options = {
        .detectors = input->policy.detectors,
        .expected_run_time = input->policy.expected_run_time,
        .seed = input->seed,
        .cusum = out->cusum ? &out->cusum->state : NULL,
        .log_prob = sight->log_prob,
        .tag = input->window.first,
    };
    if (status == TW_OK)
        status = tw_drift(&sight->reference, &sight->window, &options, kernels, pool, &sight->drift, error);
    return status == TW_OK ? add_drift(out, schema, &sight->drift) : status;
}

/* Since when, and what. */
static int describe(const struct compare_input *input, const struct sight *sight, const struct tw_kernels *kernels,
                    struct tw_pool *pool, struct comparison *out, struct tw_error *error)
{
    struct finding_input about = {
        .twin = input->twin,
        .champion = input->champion->model,
        .observables = input->observables,
        .drift = &sight->drift,
        .cusum = out->cusum,
        .reference = &sight->reference,
        .window = input->window,
        .rows = out->rows,
        .earliest = input->earliest_change,
        .oldest = input->accepted_next,
    };
    struct finding finding;
    int status = finding_make(&about, kernels, pool, &finding, error);
    if (status == TW_OK) {
        out->change = finding.change;
        out->rows_since_change = finding.rows_since_change;
        out->drifted = json_incref(finding.drifted);
        finding_fini(&finding);
    }
    return status;
}

static int compare_rows(const struct compare_input *input, const struct tw_data *window,
                        const struct tw_kernels *kernels, struct tw_pool *pool, struct comparison *out,
                        struct tw_error *error)
{
    struct sight sight;
    int status = compare_columns(input, window, kernels, pool, out, &sight, error);
    struct tw_fidelity fidelity;
    if (status == TW_OK) {
        int outcome = tw_fidelity(input->champion->model, window, input->observables, sight.log_prob,
                                  tw_rng_mix(input->seed, 1), kernels, pool, &fidelity, error);
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
        status = add_gain(out, input, window, kernels, pool);
    if (status == TW_OK && input->reference)
        status = add_distance(out, input, &sight.window);
    if (status == TW_OK && sight.drift.drift)
        status = describe(input, &sight, kernels, pool, out, error);
    sight_fini(&sight);
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
        out->no_judgement = json_array();
        status = out->statistics && out->alarms && out->no_judgement ? TW_OK : TW_NO_MEMORY;
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
    json_decref(comparison->drifted);
    json_decref(comparison->no_judgement);
    json_decref(comparison->lost);
    cusum_free(comparison->cusum);
    memset(comparison, 0, sizeof(*comparison));
}

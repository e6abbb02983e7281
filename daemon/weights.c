#include "daemon/weights.h"

#include <math.h>
#include <stdlib.h>

#include "daemon/memory.h"
#include "daemon/number.h"
#include "daemon/window.h"
#include "stat/closure.h"
#include "stat/reliability.h"
#include "stat/reweight.h"
#include "stat/weight_map.h"

/* In sizes of a row with its observables: the rows as they came and their training part; both sides with observables; a
 * network's rows, and in its own coordinates. */
enum { COPIES = 12, SAMPLE_COPIES = 4, SAMPLES_MOST = 50000, SAMPLES_LEAST = 200, CLOSURES_MOST = 64 };

struct weights {
    const struct tw_kernels *kernels;
    struct tw_observables *observables;
    struct tw_reweight *reweight;
    json_t *report;
};

static size_t row_bytes(struct twin *twin)
{
    struct tw_observables *observables = registry_observables(twin);
    size_t bytes = window_row_bytes(twin) + (size_t)observables->count * sizeof(float);
    tw_observables_unref(observables);
    return bytes;
}

/* New samples, which are to be many whatever the rows, within a quarter of the share. */
static size_t samples_of(struct twin *twin)
{
    size_t most = memory_rows(MEMORY_TRAINING, 0.25, row_bytes(twin), SAMPLE_COPIES);
    return most > SAMPLES_MOST ? SAMPLES_MOST : most < SAMPLES_LEAST ? SAMPLES_LEAST : most;
}

size_t weights_rows(struct twin *twin)
{
    size_t most = memory_rows(MEMORY_TRAINING, 0.75, row_bytes(twin), COPIES);
    return most < WINDOW_ROWS_MAX ? most : WINDOW_ROWS_MAX;
}

size_t weights_bytes(struct twin *twin, size_t rows)
{
    return row_bytes(twin) * (COPIES * rows + SAMPLE_COPIES * samples_of(twin));
}

int weights_begin(struct twin *twin, struct tw_model *parent, const struct tw_data *data, uint64_t seed,
                  const struct tw_kernels *kernels, struct tw_pool *pool, struct weights **out, struct tw_error *error)
{
    struct weights *weights = calloc(1, sizeof(*weights));
    *out = NULL;
    if (!weights)
        return TW_NO_MEMORY;
    weights->kernels = kernels;
    weights->observables = registry_observables(twin);
    struct tw_reweight_options options = {.seed = seed, .samples = samples_of(twin)};
    struct tw_data rows;
    tw_data_init(&rows, data->schema);
    int status = tw_data_append_parts(&rows, data, 1u << TW_PART_TRAIN);
    if (status == TW_OK)
        status =
            tw_reweight_new(parent, &rows, weights->observables, &options, kernels, pool, &weights->reweight, error);
    tw_data_fini(&rows);
    if (status == TW_OK)
        *out = weights;
    else
        weights_free(weights);
    return status;
}

void weights_free(struct weights *weights)
{
    if (!weights)
        return;
    tw_reweight_free(weights->reweight);
    tw_observables_unref(weights->observables);
    json_decref(weights->report);
    free(weights);
}

int weights_step(struct weights *weights, struct tw_pool *pool, double seconds, bool *done)
{
    return tw_reweight_run(weights->reweight, pool, seconds, done);
}

double weights_progress(const struct weights *weights)
{
    return tw_reweight_progress(weights->reweight);
}

static double mean_error(const struct tw_model *model)
{
    const struct tw_reweighting *reweighting = tw_model_reweighting(model);
    return reweighting ? reweighting->log_mean_error : 0;
}

double weights_doubt(const struct tw_model *after, const struct tw_model *before)
{
    return 3 * hypot(mean_error(after), mean_error(before));
}

json_t *weights_report(const struct weights *weights)
{
    return json_incref(weights->report);
}

json_t *weights_brief(const json_t *metrics)
{
    static const char *const lists[] = {"reliability", "closure", "map"};
    json_t *brief = json_copy((json_t *)(uintptr_t)metrics), *report = json_copy(json_object_get(brief, "weights"));
    for (size_t i = 0; report && i < sizeof(lists) / sizeof(lists[0]); i++)
        json_object_del(report, lists[i]);
    if (report && json_object_set_new(brief, "weights", report) != 0) {
        json_decref(brief);
        brief = NULL;
    }
    return brief;
}

/* --- the report --- */

static json_t *reliability_json(const struct tw_reliability *reliability)
{
    json_t *array = json_array();
    for (int i = 0; i < reliability->count; i++) {
        const struct tw_reliability_bin *bin = &reliability->bins[i];
        json_array_append_new(array, json_pack("{s:f, s:f, s:f, s:I}", "predicted", bin->predicted, "observed",
                                               bin->observed, "error", bin->error, "events", (json_int_t)bin->rows));
    }
    return array;
}

static json_t *ranges_json(const struct tw_weight_map_leaf *leaf, const struct tw_schema *schema)
{
    json_t *array = json_array();
    for (int r = 0; r < leaf->count; r++) {
        const struct tw_weight_map_range *range = &leaf->ranges[r];
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:o, s:o}", "feature", schema->columns[range->column].name, "unit",
                                        schema->columns[range->column].unit, "from",
                                        range->low > TW_WEIGHT_MAP_ABSENT ? number_json(range->low) : json_null(), "to",
                                        range->high > TW_WEIGHT_MAP_ABSENT ? number_json(range->high) : json_null()));
    }
    return array;
}

static json_t *map_json(const struct tw_weight_map *map, const struct tw_schema *schema)
{
    json_t *array = json_array();
    for (int l = 0; l < map->count; l++) {
        const struct tw_weight_map_leaf *leaf = &map->leaves[l];
        char words[TW_WEIGHT_MAP_WORDS];
        tw_weight_map_words(leaf, schema, words);
        json_array_append_new(array, json_pack("{s:s, s:o, s:I, s:f, s:f, s:o, s:o}", "where", words, "ranges",
                                               ranges_json(leaf, schema), "events", (json_int_t)leaf->rows, "data",
                                               leaf->data, "samples", leaf->samples, "ratio", number_json(leaf->ratio),
                                               "error", number_json(leaf->error)));
    }
    return array;
}

/* What the numbers of the training come to. */
static json_t *summary_json(const struct tw_reweight_report *report, const struct tw_reweighting *reweighting)
{
    return json_pack("{s:f, s:f, s:f, s:f, s:f, s:I, s:f, s:f, s:o, s:f, s:i, s:I, s:I}", "ess", report->ess, "largest",
                     report->largest, "cap", tw_reweighting_largest(reweighting), "overflow", report->overflow, "sum",
                     report->sum, "not_finite", (json_int_t)report->not_finite, "mean_error", report->mean_error,
                     "scale", report->scale, "scale_error", number_json(report->scale_error), "offset", report->offset,
                     "epochs", report->epochs, "trained_on", (json_int_t)report->rows, "samples",
                     (json_int_t)report->samples);
}

struct judged {
    const struct tw_schema *schema;
    struct tw_data samples, data; /* with observables */
    double *of_samples, *of_data; /* log weights */
};

static json_t *chi2_json(const struct tw_closure *closure)
{
    return json_pack("{s:o, s:i, s:o}", "chi2", number_json(closure->chi2), "ndf",
                     closure->bins > 0 ? closure->bins - 1 : 0, "p_value", number_json(closure->p_value));
}

struct column {
    int index;
    struct tw_closure before, after;
};

static int worst_first(const void *a, const void *b)
{
    const struct column *x = a, *y = b;
    return x->before.p_value != y->before.p_value ? (x->before.p_value > y->before.p_value) * 2 - 1
                                                  : x->index - y->index;
}

/* Every column, or those that were worst before: a thousand of them would say no more. */
static int add_closure(const struct judged *judged, json_t *report)
{
    int columns = judged->schema->features, status = TW_OK;
    struct column *column = calloc((size_t)columns, sizeof(*column));
    if (!column)
        return TW_NO_MEMORY;
    for (int c = 0; c < columns && status == TW_OK; c++) {
        column[c].index = c;
        status = tw_closure(&judged->data, &judged->samples, NULL, c, &column[c].before);
        if (status == TW_OK)
            status = tw_closure(&judged->data, &judged->samples, judged->of_samples, c, &column[c].after);
    }
    if (columns > CLOSURES_MOST)
        qsort(column, (size_t)columns, sizeof(*column), worst_first);
    json_t *array = json_array();
    for (int c = 0; c < columns && c < CLOSURES_MOST; c++) {
        const struct tw_column *about = &judged->schema->columns[column[c].index];
        json_array_append_new(array,
                              json_pack("{s:s, s:s, s:o, s:o}", "feature", about->name, "unit", about->unit, "before",
                                        chi2_json(&column[c].before), "after", chi2_json(&column[c].after)));
    }
    json_object_set_new(report, "closure", array);
    free(column);
    return status;
}

static int add_checks(const struct judged *judged, json_t *report)
{
    struct tw_reliability reliability;
    struct tw_weight_map map;
    int status = tw_reliability(judged->of_data, judged->data.weights, judged->data.rows, judged->of_samples,
                                judged->samples.rows, &reliability);
    if (status == TW_OK)
        status = tw_weight_map(&judged->samples, judged->of_samples, &judged->data, &map);
    if (status != TW_OK)
        return status;
    json_object_set_new(report, "events", json_integer((json_int_t)judged->data.rows));
    json_object_set_new(report, "reliability", reliability_json(&reliability));
    json_object_set_new(report, "map", map_json(&map, judged->schema));
    return add_closure(judged, report);
}

/* Held-out rows and new samples, side by side: no network has seen any of them. */
static int judge(struct weights *weights, const struct tw_model *model, const struct tw_data *data,
                 struct tw_pool *pool, const struct tw_data *samples, double *log_weights,
                 const struct tw_reweight_report *report)
{
    const struct tw_reweighting *reweighting = tw_model_reweighting(model);
    struct judged judged = {.schema = weights->observables->extended, .of_samples = log_weights};
    struct tw_data held;
    tw_data_init(&held, data->schema);
    tw_data_init(&judged.samples, judged.schema);
    tw_data_init(&judged.data, judged.schema);
    int status = tw_data_append_parts(&held, data, 1u << TW_PART_STOP | 1u << TW_PART_GATE);
    if (status == TW_OK && !(judged.of_data = malloc((held.rows + 1) * sizeof(*judged.of_data))))
        status = TW_NO_MEMORY;
    if (status == TW_OK)
        status = tw_reweighting_log_weights(reweighting, weights->kernels, pool, held.rows, held.features,
                                            held.conditions, judged.of_data);
    if (status == TW_OK)
        status = tw_observables_extend(weights->observables, &held, &judged.data);
    if (status == TW_OK)
        status = tw_observables_extend(weights->observables, samples, &judged.samples);
    json_decref(weights->report);
    weights->report = status == TW_OK ? summary_json(report, reweighting) : NULL;
    if (status == TW_OK)
        status = weights->report ? add_checks(&judged, weights->report) : TW_NO_MEMORY;
    free(judged.of_data);
    tw_data_fini(&judged.samples);
    tw_data_fini(&judged.data);
    tw_data_fini(&held);
    return status;
}

int weights_finish(struct weights *weights, const struct tw_data *data, struct tw_pool *pool, struct tw_model **out,
                   struct tw_error *error)
{
    struct tw_reweight_report report;
    struct tw_data samples;
    double *log_weights = NULL;
    tw_data_init(&samples, data->schema);
    int status = tw_reweight_finish(weights->reweight, pool, out, &report, &samples, &log_weights, error);
    if (status == TW_OK)
        status = judge(weights, *out, data, pool, &samples, log_weights, &report);
    free(log_weights);
    tw_data_fini(&samples);
    return status;
}

/* twin-bench --recovery: how much of a drift a retune recovered. The yardstick is trained here: a fresh and a
 * warm-started model on the same drifted events, each stopped early within ten times the retune's epochs. The warm one
 * gets a schedule three times as long as the retune's: with a longer one the rate is still high when it begins to
 * overfit. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "stat/recovery.h"

#define BUDGET  10
#define STRETCH 3

static double *log_prob(const struct bench *bench, const struct tw_model *model, const struct events *held,
                        double *mean)
{
    double *values = calloc(held->rows + 1, sizeof *values);

    if (!values || tw_model_log_prob(model, bench->kernels, bench->pool, held->rows, held->values, NULL, values))
        files_die("the model has no log_prob, or memory is out");
    *mean = 0;
    for (size_t i = 0; i < held->rows; i++)
        *mean += values[i] / (double)held->rows;
    return values;
}

static struct tw_model *yardstick(const struct bench *bench, const struct definition *definition,
                                  const struct tw_data *data, struct tw_model *parent)
{
    struct tw_train_options retune = training_options(bench, definition->kind, data->rows, true);
    struct tw_train_options options = training_options(bench, definition->kind, data->rows, parent);
    struct tw_train_report report;

    if (parent)
        options.epochs = STRETCH * retune.epochs;
    if (options.epochs > BUDGET * retune.epochs)
        options.epochs = BUDGET * retune.epochs;
    options.patience *= STRETCH;
    return training_fit(bench, definition, data, parent, &options, parent ? "warm" : "fresh", &report);
}

void recovery_run(const struct bench *bench, const char *definition_path, const char *before_path,
                  const char *after_path, const char *train_path, const char *held_path)
{
    struct definition definition = training_definition(definition_path);
    struct events train = files_events(train_path, bench->rows, bench->columns);
    struct events held = files_events(held_path, (struct range){0}, bench->columns);
    struct tw_data data = training_data(&definition, &train);
    struct tw_model *before = files_model(before_path), *after = files_model(after_path);
    struct tw_model *fresh = yardstick(bench, &definition, &data, NULL);
    struct tw_model *warm = yardstick(bench, &definition, &data, before);
    struct tw_recovery r;
    double mean[4], *values[4] = {
                        log_prob(bench, before, &held, &mean[0]),
                        log_prob(bench, after, &held, &mean[1]),
                        log_prob(bench, fresh, &held, &mean[2]),
                        log_prob(bench, warm, &held, &mean[3]),
                    };

    if (tw_recovery(values[0], values[1], mean[2] > mean[3] ? values[2] : values[3], held.rows, bench->seed, &r))
        files_die("%s: too few events", held_path);

    json_t *json =
        json_pack("{s:I, s:f, s:f, s:f, s:s, s:f, s:f, s:b}", "held_out_events", (json_int_t)held.rows, "before",
                  r.before, "after", r.after, "best", r.best, "best_is", mean[2] > mean[3] ? "fresh" : "warm", "span",
                  r.span, "span_error", r.span_error, "measurable", r.measurable);

    if (json && r.measurable) {
        json_object_set_new(json, "recovery", json_real(r.value));
        json_object_set_new(json, "recovery_error", json_real(r.error));
    }
    json_dumpf(json, stdout, JSON_REAL_PRECISION(8));
    putchar('\n');
    json_decref(json);
    for (int i = 0; i < 4; i++)
        free(values[i]);
    tw_model_unref(before);
    tw_model_unref(after);
    tw_model_unref(fresh);
    tw_model_unref(warm);
    tw_data_fini(&data);
    free(train.values);
    free(held.values);
    training_definition_free(&definition);
}

/* twin-bench --json: events per second of a flow in memory, best of repeated calls. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "bench/bench.h"

#define EVENTS 8192

static json_t *definition_json(const struct bench *bench)
{
    json_t *features = json_array(), *hidden = json_array();
    char *list = strdup(bench->hidden), *rest = list;

    for (int f = 0; f < bench->features; f++) {
        char name[16];

        snprintf(name, sizeof name, "x%d", f);
        json_array_append_new(features, json_pack("{s:s}", "name", name));
    }
    for (char *width; (width = strsep(&rest, ","));)
        json_array_append_new(hidden, json_integer(atoi(width)));
    free(list);
    return json_pack("{s:o, s:{s:s, s:i, s:i, s:s, s:o}}", "features", features, "model", "kind", "flow", "blocks",
                     bench->blocks, "bins", bench->bins, "activation", bench->activation, "hidden", hidden);
}

static void make_events(float *values, int features)
{
    for (int f = 0; f < features; f++) {
        tw_real row[EVENTS];

        tw_rng_normal(7, (uint64_t)f, 0, EVENTS, row);
        for (int i = 0; i < EVENTS; i++)
            values[i * features + f] = (float)row[i];
    }
}

struct timing {
    const struct bench *bench;
    struct tw_model *model;
    float *values;
    double *log_prob;
};

static void time_log_prob(struct timing *t, size_t n)
{
    tw_model_log_prob(t->model, t->bench->kernels, t->bench->pool, n, t->values, NULL, t->log_prob);
}

static void time_sample(struct timing *t, size_t n)
{
    tw_model_sample(t->model, t->bench->kernels, t->bench->pool, 1, 0, n, NULL, t->values);
}

/* Shortest time of a call within the seconds given, after one for warming up. */
static double best(void (*call)(struct timing *, size_t), struct timing *t, size_t n)
{
    double shortest = 1e300, start = bench_now();

    call(t, n);
    do {
        double begin = bench_now(), took;

        call(t, n);
        took = bench_now() - begin;
        shortest = took < shortest ? took : shortest;
    } while (bench_now() - start < t->bench->seconds);
    return shortest;
}

/* Rows that are trained on, per step. */
static double step_events(const struct tw_data *data, int batch)
{
    double rows = 0;

    for (size_t i = 0; i < data->rows; i++)
        rows += tw_data_part(data->keys[i]) == TW_PART_TRAIN;
    return rows / ceil(rows / batch);
}

/* Events per second of the fastest of steps of at most 1024 events. */
static double train_rate(const struct bench *bench, const struct definition *d, const struct tw_data *data,
                         struct tw_model **model)
{
    struct tw_train_options options;
    struct tw_train_report before, after;
    struct tw_trainer *trainer;
    struct tw_error error = {"out of memory"};
    double shortest = INFINITY, start = bench_now();
    bool done = false;

    tw_trainer_defaults(&options, d->kind, data->rows, false);
    options.epochs = 100000;
    options.patience = 0;
    options.batch = 1024;
    if (tw_trainer_new(d->kind, d->model, d->schema, data, NULL, &options, bench->kernels, &trainer, &error))
        files_die("%s", error.text);
    tw_trainer_report(trainer, &after);
    while (!done && (after.steps < 3 || bench_now() - start < bench->seconds)) {
        double begin = bench_now();

        before = after;
        if (tw_trainer_run(trainer, bench->pool, 1e-9, &done)) /* one unit: a step, or a part of a judgement */
            files_die("training failed");
        tw_trainer_report(trainer, &after);
        if (after.steps > before.steps)
            shortest = fmin(shortest, bench_now() - begin);
    }
    tw_trainer_free(trainer);

    options.epochs = 0;
    if (tw_trainer_new(d->kind, d->model, d->schema, data, NULL, &options, bench->kernels, &trainer, &error) ||
        tw_trainer_run(trainer, bench->pool, 0, &done) || tw_trainer_model(trainer, model))
        files_die("training failed");
    tw_trainer_free(trainer);
    return step_events(data, 1024) / shortest;
}

void throughput_run(const struct bench *bench)
{
    struct definition d = {.json = definition_json(bench), .kind = tw_kind_find("flow")};
    struct tw_error error = {"out of memory"};
    size_t features = (size_t)bench->features;
    struct timing t = {
        .bench = bench, .values = calloc(EVENTS, features * sizeof(float)), .log_prob = calloc(EVENTS, sizeof(double))};

    d.model = json_object_get(d.json, "model");
    if (!t.values || !t.log_prob || tw_schema_parse(json_object_get(d.json, "features"), NULL, &d.schema, &error))
        files_die("%s", error.text);
    make_events(t.values, bench->features);

    struct events events = {.rows = EVENTS, .cols = features, .values = t.values};
    struct tw_data data = training_data(&d, &events);
    double train = train_rate(bench, &d, &data, &t.model);
    double log_prob = EVENTS / best(time_log_prob, &t, EVENTS), single = 1e3 * best(time_log_prob, &t, 1);
    double sample = EVENTS / best(time_sample, &t, EVENTS);
    json_t *json = json_pack("{s:i, s:i, s:s, s:i, s:i, s:f, s:f, s:f, s:f, s:s, s:s}", "features", bench->features,
                             "blocks", bench->blocks, "hidden", bench->hidden, "bins", bench->bins, "threads",
                             (int)bench->threads, "log_prob_events_per_s", round(log_prob), "sample_events_per_s",
                             round(sample), "train_events_per_s", round(train), "log_prob_single_ms", single, "kernels",
                             bench->kernels->name, "blas", bench->kernels->detail);

    json_dumpf(json, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(json);
    tw_model_unref(t.model);
    tw_data_fini(&data);
    free(t.values);
    free(t.log_prob);
    training_definition_free(&d);
}

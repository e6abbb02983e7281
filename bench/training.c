/* twin-bench --train: one training as the daemon does it, from files. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"

#define SLICE 0.1 /* seconds between two looks at the progress */

struct definition training_definition(const char *path)
{
    struct definition d = {.json = files_json(path)};
    struct tw_error error = {"out of memory"};

    if (tw_schema_parse(json_object_get(d.json, "features"), json_object_get(d.json, "conditions"), &d.schema, &error))
        files_die("%s: %s", path, error.text);
    if (tw_observables_parse(json_object_get(d.json, "observables"), d.schema, &d.observables, &error))
        files_die("%s: %s", path, error.text);
    d.model = json_object_get(d.json, "model");

    const char *kind = json_string_value(json_object_get(d.model, "kind"));

    d.kind = tw_kind_find(kind ? kind : "flow");
    if (!d.kind)
        files_die("%s: model: unknown kind \"%s\"", path, kind);
    return d;
}

void training_definition_free(struct definition *definition)
{
    tw_observables_unref(definition->observables);
    tw_schema_free(definition->schema);
    json_decref(definition->json);
}

struct tw_data training_data(const struct definition *definition, const struct events *events)
{
    struct tw_data data;

    if (events->cols != (size_t)definition->schema->features)
        files_die("%zu columns of events for %d features (see --columns)", events->cols, definition->schema->features);
    tw_data_init(&data, definition->schema);
    if (tw_data_append(&data, 1, 0, events->rows, events->values, NULL, NULL))
        files_die("out of memory");
    return data;
}

struct tw_train_options training_options(const struct bench *bench, const struct tw_kind *kind, size_t rows, bool warm)
{
    struct tw_train_options options;

    tw_trainer_defaults(&options, kind, rows, warm);
    options.seed = bench->seed;
    if (bench->epochs)
        options.epochs = bench->epochs;
    if (bench->batch)
        options.batch = bench->batch;
    if (bench->rate > 0)
        options.rate = bench->rate;
    if (bench->decay > 0)
        options.decay = bench->decay;
    if (bench->weight_decay >= 0)
        options.weight_decay = bench->weight_decay;
    if (bench->patience)
        options.patience = bench->patience < 0 ? 0 : bench->patience;
    return options;
}

static void show(const struct bench *bench, const char *label, const struct tw_trainer *trainer, int epochs)
{
    struct tw_train_report report;
    double done = tw_trainer_progress(trainer);
    int filled = (int)(done * 30);

    if (!bench->progress)
        return;
    tw_trainer_report(trainer, &report);
    fprintf(stderr, "\r%-12s [%.*s%*s] %3.0f %%  epoch %d/%d  stop loss %.4f ", label, filled,
            "##############################", 30 - filled, "", 100 * done, report.epochs, epochs, report.stop_loss);
}

struct tw_model *training_fit(const struct bench *bench, const struct definition *definition,
                              const struct tw_data *data, struct tw_model *parent,
                              const struct tw_train_options *options, const char *label, struct tw_train_report *report)
{
    struct tw_trainer *trainer;
    struct tw_model *model;
    struct tw_error error = {"out of memory"};
    bool done = false;

    if (tw_trainer_new(definition->kind, definition->model, definition->schema, data, parent, options, bench->kernels,
                       &trainer, &error))
        files_die("%s", error.text);
    while (!done) {
        int status = tw_trainer_run(trainer, bench->pool, SLICE, &done);

        if (status)
            files_die("training: %s", tw_status_name(status));
        show(bench, label, trainer, options->epochs);
    }
    if (bench->progress)
        fputc('\n', stderr);
    tw_trainer_report(trainer, report);
    if (tw_trainer_model(trainer, &model))
        files_die("out of memory");
    tw_trainer_free(trainer);
    return model;
}

/* Mean and standard error of the finite ones. */
static double mean(const double *values, size_t n, double *error, size_t *finite)
{
    double sum = 0, squares = 0;

    *finite = 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i])) {
            sum += values[i];
            squares += values[i] * values[i];
            ++*finite;
        }

    double m = *finite ? sum / (double)*finite : NAN;

    *error = *finite > 1 ? sqrt((squares / (double)*finite - m * m) / (double)(*finite - 1)) : NAN;
    return m;
}

static void add_gate_score(json_t *json, const struct bench *bench, const struct tw_model *model,
                           const struct tw_data *data)
{
    struct tw_data gate;
    size_t finite;
    double error;

    tw_data_init(&gate, data->schema);
    if (tw_data_append_parts(&gate, data, 1u << TW_PART_GATE))
        files_die("out of memory");

    double *values = calloc(gate.rows + 1, sizeof *values);

    if (!values || tw_model_proper_score(model, bench->kernels, bench->pool, &gate, values))
        files_die("out of memory");

    double held = mean(values, gate.rows, &error, &finite);

    json_object_set_new(json, "held_out_events", json_integer((json_int_t)gate.rows));
    if (finite) {
        json_object_set_new(json, "held_out_log_prob", json_real(held));
        json_object_set_new(json, "held_out_error", json_real(error));
    }
    json_object_set_new(json, "held_out_not_finite", json_integer((json_int_t)(gate.rows - finite)));
    free(values);
    tw_data_fini(&gate);
}

static void save(const struct bench *bench, const struct tw_model *model, bool warm, const char *out)
{
    struct tw_model_record record = {.seed = bench->seed};
    unsigned char *bytes;
    size_t size;

    snprintf(record.twin, sizeof record.twin, "%s", "bench");
    snprintf(record.cause, sizeof record.cause, "%s", warm ? "weights" : "train");
    snprintf(record.kernels, sizeof record.kernels, "%s", bench->kernels->detail);
    if (tw_model_save(model, &record, &bytes, &size))
        files_die("%s: the model can't be saved", out);
    files_write(out, bytes, size);
    free(bytes);
}

/* The part of each valid row, in order. */
static void write_parts(const struct tw_data *data, const char *path)
{
    double *parts = calloc(data->rows + 1, sizeof *parts);

    if (!parts)
        files_die("out of memory");
    for (size_t i = 0; i < data->rows; i++)
        parts[i] = tw_data_part(data->keys[i]);
    files_write_vector(path, data->rows, parts);
    free(parts);
}

void training_run(const struct bench *bench, const char *definition_path, const char *events_path, const char *out)
{
    struct definition definition = training_definition(definition_path);
    struct events events = files_events(events_path, bench->rows, bench->columns);
    struct tw_data data = training_data(&definition, &events);
    struct tw_model *parent = bench->from ? files_model(bench->from) : NULL;
    struct tw_train_options options = training_options(bench, definition.kind, data.rows, parent);
    struct tw_train_report report;
    clock_t cpu = clock();
    double start = bench_now();
    struct tw_model *model =
        training_fit(bench, &definition, &data, parent, &options, parent ? "retune" : "train", &report);
    double wall = bench_now() - start, cpu_seconds = (double)(clock() - cpu) / CLOCKS_PER_SEC;

    save(bench, model, parent, out);
    if (bench->parts)
        write_parts(&data, bench->parts);

    json_t *json =
        json_pack("{s:I, s:I, s:i, s:i, s:f, s:i, s:I, s:f, s:f, s:i, s:f, s:f, s:I}", "rows", (json_int_t)data.rows,
                  "invalid", (json_int_t)data.invalid, "epochs", report.epochs, "best_epoch", report.best_epoch, "kept",
                  report.kept, "batch", options.batch, "steps", (json_int_t)report.steps, "start_loss",
                  report.start_loss, "stop_loss", report.stop_loss, "recoveries", report.recoveries, "cpu_seconds",
                  cpu_seconds, "wall_seconds", wall, "parameters", (json_int_t)tw_model_parameters(model));

    if (!json)
        files_die("the losses are not finite");
    add_gate_score(json, bench, model, &data);
    json_dumpf(json, stdout, JSON_REAL_PRECISION(8));
    putchar('\n');
    json_decref(json);
    tw_model_unref(model);
    tw_model_unref(parent);
    tw_data_fini(&data);
    free(events.values);
    training_definition_free(&definition);
}

/* twin-bench --drift: the loop's comparisons alone, on a stream from a file. Windows are cut by rows; nothing is
 * retuned. One JSON line for each window that has something to show. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "bench/bench.h"
#include "stat/drift.h"

enum { SAMPLES = 16384, SET_ASIDE = 10 };

/* Rows, observables among their columns, with the champion's log-likelihood of them where there is a champion. */
struct sample {
    struct tw_data data;
    double *log_prob;
};

static void widen(const struct definition *definition, struct tw_data *data)
{
    struct tw_data wide;
    tw_data_init(&wide, definition->observables->extended);
    if (tw_observables_extend(definition->observables, data, &wide))
        files_die("out of memory");
    tw_data_fini(data);
    *data = wide;
}

static struct sample make_sample(const struct bench *bench, const struct definition *definition,
                                 const struct tw_model *champion, const float *values, size_t rows, uint64_t ordinal)
{
    struct sample sample = {.log_prob = NULL};
    tw_data_init(&sample.data, definition->schema);
    if (tw_data_append(&sample.data, ordinal, 0, rows, values, NULL, NULL))
        files_die("out of memory");
    if (champion) {
        sample.log_prob = calloc(sample.data.rows + 1, sizeof *sample.log_prob);
        if (!sample.log_prob || tw_model_log_prob(champion, bench->kernels, bench->pool, sample.data.rows,
                                                  sample.data.features, sample.data.conditions, sample.log_prob))
            files_die("the artifact gives no log_prob");
    }
    widen(definition, &sample.data);
    return sample;
}

static void free_sample(struct sample *sample)
{
    tw_data_fini(&sample->data);
    free(sample->log_prob);
}

static unsigned detector_mask(const char *names)
{
    char text[128] = "", *save = NULL;
    unsigned mask = 0;
    snprintf(text, sizeof text, "%s", names ? names : "c2st,ks,cusum");
    for (char *name = strtok_r(text, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        int d = 0;
        while (d < TW_DETECTORS && strcmp(name, tw_drift_detector_name((enum tw_detector)d)))
            d++;
        if (d == TW_DETECTORS)
            files_die("--detectors: there is no %s", name);
        mask |= 1u << d;
    }
    return mask;
}

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *statistic_json(const struct tw_schema *schema, const struct tw_statistic *s)
{
    return json_pack("{s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:b}", "name", tw_drift_detector_name(s->detector),
                     "feature", s->feature >= 0 ? schema->columns[s->feature].name : NULL, "value", number(s->value),
                     "error", number(s->error), "floor", number(s->floor), "p_value", number(s->p_value), "threshold",
                     number(s->threshold), "alarm", s->alarm);
}

static bool shows(const struct bench *bench, const struct tw_drift *drift)
{
    bool found = false;
    for (int i = 0; i < drift->count; i++)
        found |= drift->statistics[i].alarm || drift->statistics[i].p_value <= bench->below;
    return found;
}

static void print_window(const struct bench *bench, const struct tw_schema *schema, const struct tw_drift *drift,
                         size_t window, size_t first, double seconds)
{
    json_t *statistics = json_array(), *alarms = json_array();
    for (int i = 0; i < drift->count; i++) {
        const struct tw_statistic *s = &drift->statistics[i];
        const char *name = tw_drift_detector_name(s->detector);
        if (s->p_value <= bench->below)
            json_array_append_new(statistics, statistic_json(schema, s));
        if (s->alarm && s->feature >= 0)
            json_array_append_new(alarms, json_sprintf("%s %s", name, schema->columns[s->feature].name));
        else if (s->alarm)
            json_array_append_new(alarms, json_string(name));
    }
    json_t *json = json_pack("{s:I, s:I, s:I, s:b, s:o, s:f, s:o}", "iteration", (json_int_t)window, "first",
                             (json_int_t)first, "events", (json_int_t)bench->window, "drift", drift->drift, "alarms",
                             alarms, "seconds", seconds, "statistics", statistics);
    if (!json)
        files_die("out of memory");
    json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(json);
}

/* The detector that accumulates begins: its bins come from the champion's samples, or from `stand_in`. */
static void begin(const struct bench *bench, const struct definition *definition, const struct tw_model *champion,
                  const struct events *stand_in, const struct sample *reference, struct tw_cusum *cusum)
{
    struct events made = *stand_in;
    if (champion) {
        made.rows = SAMPLES;
        made.values = calloc(made.rows * made.cols, sizeof *made.values);
        if (!made.values ||
            tw_model_sample(champion, bench->kernels, bench->pool, bench->seed, 0, made.rows, NULL, made.values))
            files_die("the artifact gives no samples");
    }
    struct sample grid = make_sample(bench, definition, champion, made.values, made.rows, 0);
    if (tw_cusum_init(cusum, &(struct tw_cusum_sample){&grid.data, grid.log_prob},
                      &(struct tw_cusum_sample){&reference->data, reference->log_prob}))
        files_die("out of memory");
    free_sample(&grid);
    if (champion)
        free(made.values);
}

void drift_run(const struct bench *bench, const char *definition_path, const char *reference_path,
               const char *stream_path)
{
    struct definition definition = training_definition(definition_path);
    struct events held = files_events(reference_path, (struct range){0}, bench->columns);
    struct events stream = files_events(stream_path, bench->rows, bench->columns);
    if (held.cols != (size_t)definition.schema->features || stream.cols != held.cols)
        files_die("%zu and %zu columns of events for %d features (see --columns)", held.cols, stream.cols,
                  definition.schema->features);
    struct tw_model *champion = bench->from ? files_model(bench->from) : NULL;
    struct events aside = {champion ? 0 : held.rows / SET_ASIDE, held.cols, held.values};
    struct sample reference =
        make_sample(bench, &definition, champion, held.values + aside.rows * held.cols, held.rows - aside.rows, 1);
    struct tw_cusum cusum;
    begin(bench, &definition, champion, &aside, &reference, &cusum);
    bool alarm = false;
    for (size_t first = 0, window = 1; first + (size_t)bench->window <= stream.rows && !(alarm && bench->until_alarm);
         first += (size_t)bench->window, window++) {
        double began = bench_now();
        struct sample rows = make_sample(bench, &definition, champion, stream.values + first * stream.cols,
                                         (size_t)bench->window, 1 + window);
        struct tw_drift_options options = {.detectors = detector_mask(bench->detectors),
                                           .expected_run_time = bench->run_time,
                                           .seed = tw_rng_mix(bench->seed, window),
                                           .cusum = &cusum,
                                           .log_prob = rows.log_prob,
                                           .tag = window};
        struct tw_drift drift;
        struct tw_error error = {"out of memory"};
        if (tw_drift(&reference.data, &rows.data, &options, bench->kernels, bench->pool, &drift, &error))
            files_die("%s", error.text);
        if (shows(bench, &drift))
            print_window(bench, definition.observables->extended, &drift, window, first, bench_now() - began);
        alarm = drift.drift;
        tw_drift_fini(&drift);
        free_sample(&rows);
    }
    tw_cusum_fini(&cusum);
    free_sample(&reference);
    tw_model_unref(champion);
    free(held.values);
    free(stream.values);
    training_definition_free(&definition);
}

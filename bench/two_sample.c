/* twin-bench --test: one of the tests of the loop on two samples from files. Not a decision: p-values as they are. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "stat/drift.h"

static struct tw_data read_sample(const struct bench *bench, const struct definition *definition, const char *path)
{
    struct events events = files_events(path, bench->rows, bench->columns);
    struct tw_data narrow = training_data(definition, &events), wide;
    tw_data_init(&wide, definition->observables->extended);
    if (tw_observables_extend(definition->observables, &narrow, &wide))
        files_die("out of memory");
    tw_data_fini(&narrow);
    free(events.values);
    return wide;
}

static void report(const struct tw_drift *drift, enum tw_detector detector, const struct tw_schema *schema,
                   double events, double seconds)
{
    json_t *statistics = json_array();
    double least = 1;
    for (int i = 0; i < drift->count; i++) {
        const struct tw_statistic *s = &drift->statistics[i];
        if (s->detector != detector)
            continue;
        const char *feature = s->feature >= 0 ? schema->columns[s->feature].name : NULL;
        json_array_append_new(statistics, json_pack("{s:s?, s:o, s:f, s:f}", "feature", feature, "value",
                                                    isfinite(s->value) ? json_real(s->value) : json_null(), "p_value",
                                                    s->p_value, "p_adjusted", s->p_adjusted));
        least = fmin(least, s->p_adjusted);
    }
    json_t *json =
        json_pack("{s:s, s:o, s:f, s:f, s:f}", "test", tw_drift_detector_name(detector), "statistics", statistics,
                  "p_value", least, "seconds", seconds, "events_per_s", seconds > 0 ? events / seconds : 0.0);
    if (!json)
        files_die("out of memory");
    json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
    putchar('\n');
    json_decref(json);
}

void two_sample_run(const struct bench *bench, const char *test, const char *definition_path, const char *a_path,
                    const char *b_path)
{
    enum tw_detector detector = tw_drift_find(test);
    if (detector == TW_DETECTORS || detector == TW_DETECT_CUSUM)
        files_die("--test: there is no %s; there are c2st, ks, cvm, chi2 and mmd", test);
    struct definition definition = training_definition(definition_path);
    struct tw_data a = read_sample(bench, &definition, a_path), b = read_sample(bench, &definition, b_path);
    struct tw_drift_options options = {.detectors = 1u << detector, .expected_run_time = 1, .seed = bench->seed};
    double best = INFINITY;
    for (long i = 0; i < bench->repeat; i++) {
        struct tw_drift drift;
        struct tw_error error = {"out of memory"};
        double began = bench_now();
        if (tw_drift(&a, &b, &options, bench->kernels, bench->pool, &drift, &error))
            files_die("%s", error.text);
        best = fmin(best, bench_now() - began);
        if (drift.left_out[detector].text[0])
            files_die("%s", drift.left_out[detector].text);
        if (i + 1 == bench->repeat)
            report(&drift, detector, a.schema, (double)(a.rows + b.rows), best);
        tw_drift_fini(&drift);
    }
    tw_data_fini(&a);
    tw_data_fini(&b);
    training_definition_free(&definition);
}

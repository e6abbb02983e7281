/* twin-bench --log-prob, --sample and --onnx: one thing on given input, so that it can be timed and checked from
 * outside. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "model/onnx.h"

static void report(const char *key, size_t n, double best, const struct bench *bench)
{
    json_t *json = json_pack("{s:I, s:f, s:f, s:s}", "events", (json_int_t)n, "seconds", best, key,
                             best > 0 ? (double)n / best : 0.0, "kernels", bench->kernels->name);

    json_dumpf(json, stdout, JSON_REAL_PRECISION(6));
    putchar('\n');
    json_decref(json);
}

void query_log_prob(const struct bench *bench, const char *artifact, const char *events_path, const char *out)
{
    struct tw_model *model = files_model(artifact);
    struct events events = files_events(events_path, bench->rows, bench->columns);
    double *values = calloc(events.rows, sizeof *values), best = 1e300;

    if (events.cols != (size_t)tw_model_schema(model)->features)
        files_die("%zu columns of events for %d features (see --columns)", events.cols,
                  tw_model_schema(model)->features);
    for (long i = 0; i < bench->repeat; i++) {
        double start = bench_now(), seconds;

        if (!values || tw_model_log_prob(model, bench->kernels, bench->pool, events.rows, events.values, NULL, values))
            files_die("%s: its kind has no log_prob, or memory is out", artifact);
        seconds = bench_now() - start;
        best = seconds < best ? seconds : best;
    }
    files_write_vector(out, events.rows, values);
    report("log_prob_events_per_s", events.rows, best, bench);
    free(values);
    free(events.values);
    tw_model_unref(model);
}

static int sample(const struct bench *bench, const struct tw_model *model, size_t n, float *out)
{
    return bench->member < 0 ? tw_model_sample(model, bench->kernels, bench->pool, bench->seed, 0, n, NULL, out)
                             : tw_model_sample_member(model, bench->member, bench->kernels, bench->pool, bench->seed, 0,
                                                      n, NULL, out);
}

void query_sample(const struct bench *bench, const char *artifact, const char *count, const char *out)
{
    struct tw_model *model = files_model(artifact);
    size_t d = (size_t)tw_model_schema(model)->features, n;
    char *end;
    double best = 1e300;

    n = strtoul(count, &end, 10);
    if (*end || n == 0 || n > 1000000000)
        files_die("the number of events must be from 1 to 1000000000");

    float *values = calloc(n, d * sizeof *values);

    for (long i = 0; i < bench->repeat; i++) {
        double start = bench_now(), seconds;

        if (!values || sample(bench, model, n, values))
            files_die("%s: its kind has no samples, it has no such member, or memory is out", artifact);
        seconds = bench_now() - start;
        best = seconds < best ? seconds : best;
    }
    files_write_events(out, n, d, values);
    report("sample_events_per_s", n, best, bench);
    free(values);
    tw_model_unref(model);
}

void query_onnx(const char *artifact, const char *output, const char *out)
{
    struct tw_model *model = files_model(artifact);
    struct tw_error error = {""};
    enum tw_onnx_output what;
    unsigned char *bytes;
    size_t size;

    if (!tw_onnx_output_find(output, &what))
        files_die("\"%s\": the output is log_prob or sample", output);
    if (tw_onnx_export(model, what, NULL, &bytes, &size, &error))
        files_die("%s: %s", artifact, error.text[0] ? error.text : "memory is out");
    files_write(out, bytes, size);
    printf("{\"output\": \"%s\", \"bytes\": %zu}\n", output, size);
    free(bytes);
    tw_model_unref(model);
}

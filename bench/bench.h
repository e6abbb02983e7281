/* What twin-bench does: one function a mode; each prints one JSON object on stdout, --drift one a line. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/pool.h"
#include "bench/files.h"
#include "kernel/kernel.h"
#include "model/observables.h"
#include "model/trainer.h"

struct bench {
    const struct tw_kernels *kernels;
    struct tw_pool *pool;
    unsigned threads;
    bool progress; /* bars on stderr */
    struct range rows, columns;
    long repeat;
    uint64_t seed;
    int member; /* whose samples; -1: the mixture's */
    /* --json */
    int features, blocks, bins;
    const char *hidden, *activation;
    double seconds;
    /* --train and --recovery: 0 = default; weight_decay -1 = default */
    const char *from, *parts;
    int epochs, batch, patience;
    double rate, decay, weight_decay;
    /* --drift */
    const char *detectors; /* NULL: all */
    long window;
    double run_time;
    double below; /* statistics with a larger p are not printed */
    bool until_alarm;
};

double bench_now(void); /* seconds, monotonic */

/* Times log_prob, sample and training of a flow on made-up events. */
void throughput_run(const struct bench *bench);

/* What one core can do at most. */
void peak_run(const struct bench *bench);

/* Evaluates or samples an artifact. */
void query_log_prob(const struct bench *bench, const char *artifact, const char *events, const char *out);
void query_sample(const struct bench *bench, const char *artifact, const char *count, const char *out);

/* Writes the artifact's log_prob or sample as ONNX. */
void query_onnx(const char *artifact, const char *output, const char *out);

/* A definition: its schema, what is made of it, and the JSON of its model. */
struct definition {
    struct json_t *json;
    const struct json_t *model;
    const struct tw_kind *kind;
    struct tw_schema *schema;
    struct tw_observables *observables;
};
struct definition training_definition(const char *path);
void training_definition_free(struct definition *definition);
/* Trains with a progress bar; the model is the caller's. */
struct tw_model *training_fit(const struct bench *bench, const struct definition *definition,
                              const struct tw_data *data, struct tw_model *parent,
                              const struct tw_train_options *options, const char *label,
                              struct tw_train_report *report);
/* Options after the command line, for `rows` rows. */
struct tw_train_options training_options(const struct bench *bench, const struct tw_kind *kind, size_t rows, bool warm);
struct tw_data training_data(const struct definition *definition, const struct events *events);

void training_run(const struct bench *bench, const char *definition, const char *events, const char *out);
void recovery_run(const struct bench *bench, const char *definition, const char *before, const char *after,
                  const char *train, const char *held);

/* Compares a stream, window by window, as the loop does: a JSON line each. */
void two_sample_run(const struct bench *bench, const char *test, const char *definition, const char *a, const char *b);
void drift_run(const struct bench *bench, const char *definition, const char *reference, const char *stream);

#endif

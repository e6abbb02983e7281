/* What the tests of this layer share: schemas from JSON text, made-up correlated events, a short training. */
#ifndef TESTS_MODEL_COMMON_H
#define TESTS_MODEL_COMMON_H

#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/rng.h"
#include "model/trainer.h"

#define MIXED                                                                                                          \
    "[{\"name\": \"pt\", \"transform\": \"log\", \"min\": 20}, {\"name\": \"eta\"},"                                   \
    " {\"name\": \"phi\", \"kind\": \"periodic\", \"min\": -3.141592653589793, \"max\": 3.141592653589793},"           \
    " {\"name\": \"u\", \"min\": 0, \"max\": 1},"                                                                      \
    " {\"name\": \"psi\", \"kind\": \"periodic\", \"min\": -3.141592653589793, \"max\": 3.141592653589793}]"
#define MIXED_FEATURES 5
#define CONDITIONS     "[{\"name\": \"alpha\", \"min\": 0.1, \"max\": 0.2, \"value\": 0.12}]"

static inline struct tw_schema *schema_of(const char *features, const char *conditions)
{
    json_t *f = json_loads(features, 0, NULL), *c = conditions ? json_loads(conditions, 0, NULL) : NULL;
    struct tw_schema *schema;
    struct tw_error error = {""};

    assert_non_null(f);
    if (tw_schema_parse(f, c, &schema, &error))
        fail_msg("%s", error.text);
    json_decref(f);
    json_decref(c);
    return schema;
}

/* A correlated event of MIXED; `shift` moves the physics. */
static inline void mixed_event(uint64_t key, uint64_t i, double shift, float *row)
{
    double n[3], t;
    tw_real draw[16];

    for (uint64_t k = 0; k < 3; k++) {
        tw_rng_normal(key, k, i, 1, draw);
        n[k] = (double)draw[0];
    }
    t = 6.283185307 * tw_rng_uniform(key, i, 3) - 3.141592653;
    row[0] = (float)(20 + exp(3 + 0.5 * n[0] + shift));
    row[1] = (float)(n[1] + 0.5 * n[0]);
    row[2] = (float)t;
    row[3] = (float)(1 / (1 + exp(-n[1] - 0.3 * n[2])));
    row[4] = (float)remainder(t + 2.5 + 0.3 * n[2], 6.283185307179586);
}

static inline struct tw_data mixed_data(const struct tw_schema *schema, uint64_t key, size_t rows, double shift)
{
    struct tw_data data;
    float *values = malloc(rows * MIXED_FEATURES * sizeof *values);

    for (size_t i = 0; i < rows; i++)
        mixed_event(key, i, shift, values + i * MIXED_FEATURES);
    tw_data_init(&data, schema);
    for (size_t i = 0; i < rows; i += 100) { /* batches, each with its condition */
        float condition = (float)(0.1 + 0.001 * (double)(i / 100 % 100));

        assert_int_equal(tw_data_append(&data, key * 1000 + i / 100, 0, rows - i < 100 ? rows - i : 100,
                                        values + i * MIXED_FEATURES, &condition, NULL),
                         0);
    }
    assert_int_equal(data.invalid, 0);
    free(values);
    return data;
}

static inline struct tw_trainer *trainer_of(const char *kind, const char *config, const struct tw_schema *schema,
                                            const struct tw_data *data, struct tw_model *parent,
                                            const struct tw_train_options *options)
{
    json_t *json = json_loads(config, 0, NULL);
    struct tw_trainer *trainer;
    struct tw_error error = {"out of memory"};

    assert_non_null(json);
    if (tw_trainer_new(tw_kind_find(kind), json, schema, data, parent, options, tw_kernels_choose(NULL, NULL), &trainer,
                       &error))
        fail_msg("%s", error.text);
    json_decref(json);
    return trainer;
}

/* Small and quick. */
#define SMALL_FLOW "{\"kind\": \"flow\", \"blocks\": 4, \"hidden\": [16, 16], \"bins\": 5, \"bound\": 5}"

static inline struct tw_train_options small_options(const char *kind, int epochs)
{
    struct tw_train_options options;

    tw_trainer_defaults(&options, tw_kind_find(kind), 2000, false);
    options.epochs = epochs;
    options.batch = 512;
    options.seed = 11;
    options.rate = 4e-3; /* few steps, small networks */
    options.weight_decay = 0;
    return options;
}

static inline struct tw_model *train_small(const char *kind, const char *config, const struct tw_schema *schema,
                                           const struct tw_data *data, int epochs)
{
    struct tw_train_options options = small_options(kind, epochs);
    struct tw_trainer *trainer = trainer_of(kind, config, schema, data, NULL, &options);
    struct tw_model *model;
    bool done = false;

    assert_int_equal(tw_trainer_run(trainer, NULL, 0, &done), 0);
    assert_true(done);
    assert_int_equal(tw_trainer_model(trainer, &model), 0);
    tw_trainer_free(trainer);
    return model;
}

static inline void save_model(const struct tw_model *model, unsigned char **bytes, size_t *size)
{
    struct tw_model_record record = {.twin = "test", .seed = 18446744073709551615u, .cause = "train", .kernels = "k"};

    assert_int_equal(tw_model_save(model, &record, bytes, size), 0);
}

#endif

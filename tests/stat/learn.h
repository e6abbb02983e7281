/* Training to the end, for tests. */
#ifndef TESTS_STAT_LEARN_H
#define TESTS_STAT_LEARN_H

#include "toy.h"

#include "model/trainer.h"

/* A model of `data` by the kind that config names; parent may be NULL. options may be NULL for the defaults. */
static inline struct tw_model *learn(const char *config, const struct tw_data *data, struct tw_model *parent,
                                     const struct tw_train_options *options, const struct tw_kernels *kernels,
                                     struct tw_pool *pool)
{
    json_t *json = json_loads(config, 0, NULL);
    const struct tw_kind *kind = tw_kind_find(json_string_value(json_object_get(json, "kind")));
    struct tw_train_options defaults;
    struct tw_trainer *trainer = NULL;
    struct tw_model *model = NULL;
    struct tw_error error = {""};
    bool done = false;
    assert_non_null(kind);
    tw_trainer_defaults(&defaults, kind, data->rows, parent != NULL);
    if (tw_trainer_new(kind, json, data->schema, data, parent, options ? options : &defaults, kernels, &trainer,
                       &error))
        fail_msg("%s", error.text);
    while (!done)
        assert_int_equal(tw_trainer_run(trainer, pool, 0, &done), TW_OK);
    assert_int_equal(tw_trainer_model(trainer, &model), TW_OK);
    tw_trainer_free(trainer);
    json_decref(json);
    return model;
}

#endif

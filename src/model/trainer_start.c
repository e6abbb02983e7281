/* From rows and a parent, or none, to a member that is ready to be judged for the first time. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "model/members.h"
#include "model/trainer_parts.h"

struct tw_kind_state tw_trainer_state(const struct tw_trainer *t, const struct tw_params *params)
{
    return (struct tw_kind_state){
        .config = t->config, .schema = t->schema, .statistics = &t->own, .parameters = params};
}

/* Config, and memory for statistics and parameters of all members: the parent's, or still to be made. */
static int make_model(struct tw_trainer *t, const json_t *config, const struct tw_model *parent, struct tw_error *error)
{
    json_t *json = NULL;
    int status;

    if (parent) {
        if (tw_model_kind(parent) != t->kind || !tw_schema_equal(tw_model_schema(parent), t->schema))
            return tw_error_set(error, TW_INVALID, "the parent is of another kind or has other columns");
        config = json = tw_model_json(parent);
        if (!json)
            return TW_NO_MEMORY;
    }
    status = t->kind->parse(config, t->schema, &t->config, error);
    json_decref(json);
    if (status || (status = tw_members_layout(t->kind, t->config, t->schema, &t->statistics, &t->best)) ||
        (status = tw_params_alloc(&t->statistics)) || (status = tw_params_alloc(&t->best)))
        return status;
    t->members = tw_kind_members(t->kind, t->config);
    t->warm = parent;
    for (int m = 0; parent && m < t->members; m++) {
        struct tw_params statistics = tw_members_view(&t->statistics, t->members, m);
        struct tw_params start = tw_members_view(&t->best, t->members, m);
        struct tw_kind_state from = tw_model_state(parent, m);

        memcpy(statistics.block, from.statistics->block, statistics.size * sizeof *statistics.block);
        memcpy(start.block, from.parameters->block, start.size * sizeof *start.block);
    }

    struct tw_params first = tw_members_view(&t->best, t->members, 0);

    return tw_params_copy(&t->params, &first);
}

/* Statistics and start of the member, which its parent has given already where there is one. */
static int make_start(struct tw_trainer *t, const struct tw_data *train)
{
    struct tw_params start = tw_members_view(&t->best, t->members, t->member);
    int status;

    t->own = tw_members_view(&t->statistics, t->members, t->member);
    if (t->warm)
        return t->kind->adapt ? t->kind->adapt(t->config, train, &t->own) : TW_OK;
    status = t->kind->prepare(t->config, train, &t->own);
    return status ? status : t->kind->init(t->config, t->schema, &start, tw_rng_mix(t->seed, 0));
}

static bool negative_weight(const struct tw_data *data)
{
    for (size_t i = 0; i < data->rows; i++)
        if (data->weights[i] < 0)
            return true;
    return false;
}

static int make_rows(struct tw_trainer *t, const struct tw_data *train, const struct tw_data *stop,
                     struct tw_error *error)
{
    struct tw_kind_state state = tw_trainer_state(t, &t->params);

    tw_rows_fini(&t->train);
    tw_rows_fini(&t->stop);
    if (tw_rows_init(&t->train, t->kind, &state, train) || tw_rows_init(&t->stop, t->kind, &state, stop))
        return TW_NO_MEMORY;
    if (t->train.count == 0 || t->train.count > UINT32_MAX)
        return tw_error_set(error, TW_INVALID, "there are no rows to train on");
    if (!(t->train.weight > 0))
        return tw_error_set(error, TW_INVALID, "the weights of the training rows do not have a positive sum");
    if (negative_weight(train) || negative_weight(stop)) /* -w log p has no minimum then */
        return tw_error_set(error, TW_INVALID,
                            "negative weights have to be refined to positive ones first, which is "
                            "not supported yet");
    tw_rows_scale(&t->train, (double)t->train.count / t->train.weight);
    t->steps = (long)((t->train.count + (size_t)t->options.batch - 1) / (size_t)t->options.batch);
    free(t->order);
    t->order = tw_size_alloc(t->train.count, sizeof *t->order);
    return t->order ? TW_OK : TW_NO_MEMORY;
}

static int make_buffers(struct tw_trainer *t)
{
    bool returns = t->warm && t->members == 1;

    t->good.params = tw_size_alloc(t->params.size + 1, sizeof *t->good.params);
    t->start = returns ? tw_size_alloc(t->params.size + 1, sizeof *t->start) : NULL;
    return !t->good.params || (returns && !t->start) || tw_optim_init(&t->optim, &t->params) ||
                   tw_optim_init(&t->good.optim, &t->params) ||
                   tw_minibatch_init(&t->batch, t->kind, t->kernels, t->options.batch / TW_BLOCK, t->params.size)
               ? TW_NO_MEMORY
               : TW_OK;
}

/* From the rows of the member to its first judgement, as if there were no other. */
static int start_member(struct tw_trainer *t, const struct tw_data *train, const struct tw_data *stop,
                        struct tw_error *error)
{
    struct tw_params start = tw_members_view(&t->best, t->members, t->member);
    int status;

    t->seed = tw_members_seed(t->options.seed, t->member);
    if ((status = make_start(t, train)) || (status = make_rows(t, train, stop, error)))
        return status;
    memcpy(t->params.block, start.block, start.size * sizeof *start.block);
    if (t->start)
        memcpy(t->start, start.block, start.size * sizeof *start.block);
    tw_optim_restart(&t->optim, &t->params);
    t->phase = JUDGE;
    t->epoch = t->anneal_from = t->anneal_to = 0;
    t->step = 0;
    t->way = WAY;
    t->rate_factor = 1;
    t->report = (struct tw_train_report){.start_loss = NAN, .stop_loss = NAN, .kept = 1};
    tw_trainer_save_good(t);
    return TW_OK;
}

int tw_trainer_begin_member(struct tw_trainer *t, int member, struct tw_error *error)
{
    struct tw_data train, stop;
    int status;

    t->member = member;
    if (t->members == 1) {
        status = start_member(t, &t->train_data, &t->stop_data, error);
    } else {
        tw_data_init(&train, t->schema);
        tw_data_init(&stop, t->schema);
        status = tw_members_resample(&t->train_data, member, &train);
        if (!status)
            status = tw_members_resample(&t->stop_data, member, &stop);
        if (!status)
            status = start_member(t, &train, &stop, error);
        tw_data_fini(&train);
        tw_data_fini(&stop);
    }
    if (member + 1 == t->members) {
        tw_data_fini(&t->train_data);
        tw_data_fini(&t->stop_data);
    }
    return status;
}

int tw_trainer_new(const struct tw_kind *kind, const struct json_t *config, const struct tw_schema *schema,
                   const struct tw_data *data, struct tw_model *parent, const struct tw_train_options *options,
                   const struct tw_kernels *kernels, struct tw_trainer **out, struct tw_error *error)
{
    struct tw_trainer *t;
    int status = tw_trainer_check_options(options, error);

    *out = NULL;
    if (status)
        return status;
    if (kind->labelled && !data->labels)
        return tw_error_set(error, TW_INVALID, "kind \"%s\" needs labels", kind->name);
    t = calloc(1, sizeof *t);
    if (!t)
        return TW_NO_MEMORY;
    t->kind = kind;
    t->kernels = kernels;
    t->options = *options;
    t->schema = tw_schema_copy(schema);
    tw_data_init(&t->train_data, t->schema);
    tw_data_init(&t->stop_data, t->schema);
    if (!t->schema || tw_data_append_parts(&t->train_data, data, 1u << TW_PART_TRAIN) ||
        tw_data_append_parts(&t->stop_data, data, 1u << TW_PART_STOP))
        status = TW_NO_MEMORY;
    if (!status)
        status = make_model(t, config, parent, error);
    if (!status)
        status = make_buffers(t);
    if (!status)
        status = tw_trainer_begin_member(t, 0, error);
    if (status)
        tw_trainer_free(t);
    else
        *out = t;
    return status;
}

void tw_trainer_free(struct tw_trainer *trainer)
{
    struct tw_trainer *t = trainer;

    if (!t)
        return;
    if (t->config)
        t->kind->config_free(t->config);
    tw_schema_free(t->schema);
    tw_params_fini(&t->statistics);
    tw_params_fini(&t->params);
    tw_params_fini(&t->best);
    tw_optim_fini(&t->optim);
    tw_optim_fini(&t->good.optim);
    tw_data_fini(&t->train_data);
    tw_data_fini(&t->stop_data);
    tw_rows_fini(&t->train);
    tw_rows_fini(&t->stop);
    tw_minibatch_fini(&t->batch);
    free(t->good.params);
    free(t->start);
    free(t->order);
    free(t);
}

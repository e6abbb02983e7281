#include "model/members.h"

#include <math.h>
#include <stdio.h>

#include "base/rng.h"

/* Streams of random numbers that nothing else uses. */
#define STREAM_SEED   0x6d656d6265722d31u
#define STREAM_WEIGHT 0x6d656d6265722d32u
#define STREAM_CHOICE 0x6d656d6265722d33u

/* The tensors of `own` again, under the name of a member. */
static int declare(const struct tw_params *own, int member, struct tw_params *all)
{
    for (int t = 0; t < own->count; t++) {
        const struct tw_tensor *tensor = &own->tensors[t];
        char name[2 * TW_TENSOR_NAME_MAX];

        snprintf(name, sizeof name, "member%d/%s", member, tensor->name);

        int index = tensor->dims == 1 ? tw_params_add_vector(all, name, tensor->cols)
                                      : tw_params_add(all, name, tensor->rows, tensor->cols);

        if (index < 0)
            return TW_NO_MEMORY;
    }
    return TW_OK;
}

int tw_members_layout(const struct tw_kind *kind, void *config, const struct tw_schema *schema,
                      struct tw_params *statistics, struct tw_params *parameters)
{
    int members = tw_kind_members(kind, config);
    struct tw_params own_statistics, own_parameters;

    if (members == 1)
        return kind->layout(config, schema, statistics, parameters);
    tw_params_init(&own_statistics);
    tw_params_init(&own_parameters);

    int status = kind->layout(config, schema, &own_statistics, &own_parameters);

    for (int m = 0; m < members && !status; m++)
        if (!(status = declare(&own_statistics, m, statistics)))
            status = declare(&own_parameters, m, parameters);
    tw_params_fini(&own_statistics);
    tw_params_fini(&own_parameters);
    return status;
}

struct tw_params tw_members_view(const struct tw_params *all, int members, int member)
{
    struct tw_params view = *all;

    view.count = all->count / members;
    view.size = all->size / (size_t)members; /* tensors begin at multiples of 64 bytes, so all members are alike */
    if (all->block)
        view.block = all->block + (size_t)member * view.size;
    view.turned_size = all->turned_size / (size_t)members;
    if (all->turned)
        view.turned = all->turned + (size_t)member * view.turned_size;
    return view;
}

uint64_t tw_members_seed(uint64_t seed, int member)
{
    return member ? tw_rng_mix(tw_rng_mix(seed, STREAM_SEED), (uint64_t)member) : seed;
}

double tw_members_weight(int member, uint64_t key)
{
    return -log(tw_rng_uniform(tw_rng_mix(STREAM_WEIGHT, (uint64_t)member), key, 0));
}

int tw_members_resample(const struct tw_data *from, int member, struct tw_data *to)
{
    size_t first = to->rows;
    int status = tw_data_append_rows(to, from, 0, from->rows, -1);

    for (size_t i = first; i < to->rows && !status; i++)
        to->weights[i] *= (float)tw_members_weight(member, to->keys[i]);
    return status;
}

int tw_members_of_event(uint64_t seed, uint64_t event, int members)
{
    uint32_t words[4];

    tw_rng_words(tw_rng_mix(seed, STREAM_CHOICE), event, 0, words);
    return (int)((uint64_t)words[0] * (unsigned)members >> 32); /* biased by less than 2^-27 */
}

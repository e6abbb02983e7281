#include "stat/sampler.h"

#include <stdlib.h>
#include <string.h>

#include "base/size.h"

struct sampler {
    const struct tw_model *model;
    const struct tw_kernels *kernels;
    struct tw_pool *pool;
    const struct tw_data *like; /* rows whose conditions are used */
    uint32_t *order;            /* (rows of like): equal conditions side by side */
    uint64_t seed;
};

static const float *conditions_of(const struct tw_data *data, size_t row)
{
    return data->conditions ? data->conditions + row * (size_t)data->schema->conditions : NULL;
}

/* Any total order will do. */
static int by_conditions(const void *a, const void *b, void *context)
{
    const struct tw_data *data = context;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = data->conditions ? memcmp(conditions_of(data, x), conditions_of(data, y),
                                          (size_t)data->schema->conditions * sizeof(float))
                                 : 0;
    return order ? order : (x > y) - (x < y);
}

static size_t run_end(const struct sampler *s, size_t first)
{
    size_t end = first + 1, bytes = (size_t)s->like->schema->conditions * sizeof(float);
    while (end < s->like->rows && (bytes == 0 || !memcmp(conditions_of(s->like, s->order[first]),
                                                         conditions_of(s->like, s->order[end]), bytes)))
        end++;
    return end;
}

/* One call of the model for each run of equal conditions: it takes one condition at a time. */
static int sample_runs(const struct sampler *s, float *values, struct tw_data *out)
{
    for (size_t first = 0, end; first < s->like->rows; first = end) {
        end = run_end(s, first);
        const float *conditions = conditions_of(s->like, s->order[first]);
        int status = tw_model_sample(s->model, s->kernels, s->pool, s->seed, first, end - first, conditions, values);
        if (status == TW_OK)
            status = tw_data_append(out, 0, first, end - first, values, conditions, NULL);
        if (status)
            return status;
    }
    return TW_OK;
}

int tw_sampler_like(const struct tw_model *model, const struct tw_data *like, uint64_t seed,
                    const struct tw_kernels *kernels, struct tw_pool *pool, struct tw_data *out)
{
    size_t n = like->rows;
    float *values = tw_size_alloc(n, (size_t)like->schema->features * sizeof *values);
    struct sampler s = {model, kernels, pool, like, tw_size_alloc(n, sizeof *s.order), seed};
    int status = values && s.order ? TW_OK : TW_NO_MEMORY;
    if (status == TW_OK) {
        for (size_t i = 0; i < n; i++)
            s.order[i] = (uint32_t)i;
        qsort_r(s.order, n, sizeof *s.order, by_conditions, (void *)like);
        status = sample_runs(&s, values, out);
    }
    free(s.order);
    free(values);
    return status;
}

#include "stat/closure.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "stat/chi2.h"

static float *copy_column(const struct tw_data *data, int column)
{
    size_t width = (size_t)data->schema->features;
    float *values = tw_size_alloc(data->rows + 1, sizeof *values);
    for (size_t i = 0; values && i < data->rows; i++) {
        float x = data->features[i * width + (size_t)column];
        values[i] = isnan(x) ? -FLT_MAX : x;
    }
    return values;
}

static float *copy_weights(const struct tw_data *samples, const double *log_weights)
{
    float *weights = tw_size_alloc(samples->rows + 1, sizeof *weights);
    for (size_t i = 0; weights && i < samples->rows; i++)
        weights[i] = log_weights ? (float)exp(log_weights[i]) : 1;
    return weights;
}

int tw_closure(const struct tw_data *data, const struct tw_data *samples, const double *log_weights, int column,
               struct tw_closure *out)
{
    float *x = copy_column(data, column), *y = copy_column(samples, column);
    float *weights = copy_weights(samples, log_weights);
    struct tw_pair pair = {0};
    int status = x && y && weights ? TW_OK : TW_NO_MEMORY;
    *out = (struct tw_closure){.chi2 = NAN, .p_value = 1};
    if (status == TW_OK)
        status = tw_pair_init(&pair, x, data->weights, data->rows, y, weights, samples->rows);
    if (status == TW_OK)
        status = tw_chi2_of(&pair, &out->chi2, &out->bins, &out->p_value, NULL);
    if (status == TW_INVALID) { /* too few effective events: nothing to be said */
        *out = (struct tw_closure){.chi2 = NAN, .p_value = 1};
        status = TW_OK;
    }
    tw_pair_fini(&pair);
    free(x);
    free(y);
    free(weights);
    return status;
}

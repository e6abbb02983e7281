#include "model/reach.h"

#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "model/columns.h"
#include "model/flow_config.h"
#include "model/flow_rows.h"

/* Coordinate k of the rows that have it; *n of them. */
static void gather(const struct tw_flow_config *config, const struct tw_data *data, const tw_real *prepared, int k,
                   double *y, size_t *n)
{
    size_t f = (size_t)config->columns[k], d = (size_t)data->schema->features;
    size_t width = (size_t)tw_flow_rows_count(config, data->schema) * TW_BLOCK;

    *n = 0;
    for (size_t i = 0; i < data->rows; i++) {
        double value = (double)prepared[i / TW_BLOCK * width + (size_t)k * TW_BLOCK + i % TW_BLOCK];

        if (!isnan(data->features[i * d + f]) && fabs(value) <= TW_REACH_FAR * config->coupling.bound)
            y[(*n)++] = value;
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* By what the width has to grow; 1 where enough rows are in reach. Sorts y. */
static double stretch(double *y, size_t n, double bound)
{
    size_t out = 0, spared = n / TW_REACH_SPARED;

    for (size_t i = 0; i < n; i++)
        out += fabs(y[i]) > bound;
    if (out < TW_REACH_LEAST || out * TW_REACH_SHARE < n)
        return 1;
    qsort(y, n, sizeof *y, ascending);
    return fmax(fmax(-y[spared], y[n - 1 - spared]) / bound, 1);
}

int tw_reach_extend(const struct tw_flow_config *config, const struct tw_data *data, struct tw_params *statistics)
{
    const struct tw_kind_state state = {.config = config, .schema = data->schema, .statistics = statistics};
    size_t blocks = (data->rows + TW_BLOCK - 1) / TW_BLOCK, d = (size_t)data->schema->features;
    size_t width = (size_t)tw_flow_rows_count(config, data->schema) * TW_BLOCK;
    tw_real *prepared = tw_size_alloc(blocks * width + 1, sizeof *prepared);
    double *y = tw_size_alloc(data->rows + 1, sizeof *y);

    for (size_t b = 0; prepared && y && b < blocks; b++) {
        size_t left = data->rows - b * TW_BLOCK;

        tw_flow_rows_prepare(&state, data->features + b * TW_BLOCK * d, left < TW_BLOCK ? (int)left : TW_BLOCK,
                             TW_BLOCK, prepared + b * width, NULL);
    }
    for (int k = 0; prepared && y && k < config->coupling.features; k++) {
        size_t n;

        if (config->coupling.kinds[k] != TW_SPLINE_TAILS)
            continue;
        gather(config, data, prepared, k, y, &n);
        tw_columns_widen(statistics, config->columns[k], stretch(y, n, config->coupling.bound));
    }

    int status = prepared && y ? TW_OK : TW_NO_MEMORY;

    free(prepared);
    free(y);
    return status;
}

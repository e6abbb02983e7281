/* Halves by permutation and not by coin: their sizes are exact, so that no half can come out too small to test. */
#include <stdlib.h>

#include "base/rng.h"
#include "base/size.h"
#include "stat/split.h"

int tw_split_init(struct tw_split *split, const struct tw_data *data, uint64_t key)
{
    *split = (struct tw_split){.data = data, .count = {data->rows / 2, data->rows - data->rows / 2}};
    if (data->rows >= UINT32_MAX)
        return TW_INVALID;
    split->order = tw_size_alloc(data->rows, sizeof *split->order);
    if (!split->order)
        return TW_NO_MEMORY;
    tw_rng_permutation(key, data->rows, split->order);
    return TW_OK;
}

void tw_split_fini(struct tw_split *split)
{
    free(split->order);
    *split = (struct tw_split){0};
}

int tw_split_append(const struct tw_split *split, int half, int label, struct tw_data *to)
{
    const uint32_t *order = split->order + (half ? split->count[0] : 0);
    for (size_t i = 0; i < split->count[half]; i++) {
        int status = tw_data_append_rows(to, split->data, order[i], 1, label);
        if (status)
            return status;
    }
    return TW_OK;
}

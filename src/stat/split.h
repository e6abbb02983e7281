/* A sample cut into two halves at random. */
#ifndef TW_STAT_SPLIT_H
#define TW_STAT_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "model/data.h"

struct tw_split {
    const struct tw_data *data; /* borrowed */
    uint32_t *order;            /* (rows): a random permutation; the first half, then the second */
    size_t count[2];            /* rows / 2 and the rest */
};

/* A function of key and the number of rows alone. TW_INVALID from 2^32 rows on, TW_NO_MEMORY or 0. */
int tw_split_init(struct tw_split *split, const struct tw_data *data, uint64_t key);
void tw_split_fini(struct tw_split *split); /* accepts a zeroed split */

/* Appends the rows of half 0 or 1; label as in tw_data_append_rows. */
int tw_split_append(const struct tw_split *split, int half, int label, struct tw_data *to);

#endif

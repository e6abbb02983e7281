/* Where a model is off, as a shifter would say it: a few regions, each a range of one or two columns, with the share of
 * the data and of the samples in it.
 *
 * A shallow tree with cuts along the axes is grown on the weights of samples, cut by cut where the most is gained: of a
 * region with n samples and the sum of weights W, the weights explain W ln(W/n) nats of the data's log-likelihood, and
 * no cut is made that explains less than the data can confirm. The shares are then counted on rows that had no part in
 * growing it: other samples, and data that no network was trained on.
 */
#ifndef TW_STAT_WEIGHT_MAP_H
#define TW_STAT_WEIGHT_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "model/data.h"

#define TW_WEIGHT_MAP_LEAVES 8
#define TW_WEIGHT_MAP_WORDS  256

/* low <= value < high of a column; infinite where there is no bound. Absent values lie below all others, above -inf:
 * with `high` at TW_WEIGHT_MAP_ABSENT they alone are meant, with `low` there all others. */
struct tw_weight_map_range {
    int column;
    double low, high;
    bool absent; /* the column has absent values */
};
#define TW_WEIGHT_MAP_ABSENT (-3.5e38)

struct tw_weight_map_leaf {
    int count; /* of ranges; 0: everywhere */
    struct tw_weight_map_range ranges[TW_WEIGHT_MAP_LEAVES];
    size_t rows;          /* of the data in it */
    double data, samples; /* shares of the sums of weights */
    double ratio, error;  /* data / samples and its standard error; NaN without samples */
};

struct tw_weight_map {
    int count;                                              /* at least 1; the regions part the space */
    struct tw_weight_map_leaf leaves[TW_WEIGHT_MAP_LEAVES]; /* the surest deviations first */
};

/* samples with their log weights (rows), and data, of one schema; a function of them alone. Even rows of the samples
 * grow the tree, odd ones are counted. TW_NO_MEMORY or 0. */
int tw_weight_map(const struct tw_data *samples, const double *log_weights, const struct tw_data *data,
                  struct tw_weight_map *out);

/* "pt 22 to 31 GeV and eta above 2.1". */
void tw_weight_map_words(const struct tw_weight_map_leaf *leaf, const struct tw_schema *schema,
                         char words[TW_WEIGHT_MAP_WORDS]);

#endif

/* Closure of weights: does the histogram of the weighted samples agree with that of the data, column by column? */
#ifndef TW_STAT_CLOSURE_H
#define TW_STAT_CLOSURE_H

#include "model/data.h"

struct tw_closure {
    double chi2, p_value; /* of tw_chi2_of; NaN and 1 where it cannot be made */
    int bins;             /* chi2 has bins - 1 degrees of freedom */
};

/* Column `column` of data and of samples, which have one schema. log_weights (rows of the samples), or NULL for samples
 * as they are. Absent values are a bin of their own, below the others. The error of the weights themselves is not in
 * it: p is for rows that are few beside those which the weights were learnt from. TW_NO_MEMORY or 0. */
int tw_closure(const struct tw_data *data, const struct tw_data *samples, const double *log_weights, int column,
               struct tw_closure *out);

#endif

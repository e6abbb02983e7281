/* Histograms of data and samples for a page or a plot. */
#ifndef TW_STAT_HISTOGRAM_H
#define TW_STAT_HISTOGRAM_H

#include <stddef.h>

#include "model/data.h"

struct tw_histogram {
    int bins;
    double low, high;      /* uniform bins; values outside are counted in under and over */
    double *data;          /* (bins) sum of weights */
    double *data_variance; /* (bins) sum of squared weights */
    double under, over;
    double absent; /* sum of weights of NaN */
};

/* Bins for a column: `wanted`, or one for each value of a discrete one, whose range is half a unit wider at both ends
 * than its bounds. */
int tw_histogram_bins(const struct tw_column *column, int wanted);
/* A range that shows the bulk of the values (0.5 % and 99.5 % quantiles, widened), or the hard bounds of the column
 * where it has both. */
void tw_histogram_range(const struct tw_column *column, const float *values, size_t n, size_t stride, double *low,
                        double *high);
int tw_histogram_init(struct tw_histogram *histogram, int bins, double low, double high);
void tw_histogram_fini(struct tw_histogram *histogram);
void tw_histogram_fill(struct tw_histogram *histogram, const float *values, const float *weights, size_t n,
                       size_t stride);

#endif

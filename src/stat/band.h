/* The histogram of a twin's samples with its two errors: that of the draws and that of the model.
 *
 * Each event is drawn from every member with equal random numbers (tw_model_sample_member), so that members' histograms
 * share most of their noise. With I_im = 1 where member m puts event i into the bin, y_i = mean_m I_im and
 * c_m = sum_i I_im, the histogram is mean_m c_m = sum_i y_i; its statistical variance is sum_i y_i^2, as for weighted
 * counts. sum_m (c_m - mean c)^2 holds, beside the scatter of the members, what is left of the draws in it, whose
 * expectation sum_i sum_m (I_im - y_i)^2 = M sum_i y_i (1 - y_i) is taken off:
 *
 *     s^2 = [ sum_m (c_m - mean c)^2 - M sum_i y_i (1 - y_i) ] / (M - 1), at least 0.
 *
 * A member scatters about the mean of all possible members as that mean does about the truth, over data sets: this is
 * what resampling rests on. The mean of M members misses the truth by both, the one divided by M, so by s sqrt(1 +
 * 1/M); and as s is itself known from M members only, 68.3 % of the misses lie within t times as much, where t is the
 * quantile of Student's distribution with M - 1 degrees of freedom. The model's error is t s sqrt(1 + 1/M).
 */
#ifndef TW_STAT_BAND_H
#define TW_STAT_BAND_H

#include <stddef.h>

struct tw_band {
    int bins, members;
    double low, high; /* uniform bins, as those of tw_histogram */
    size_t events;
    double under, over, absent; /* means over members; absent: NaN */
    double *counts;             /* (members, bins) */
    double *squares;            /* (bins): sum_i y_i^2 */
    int *hits;                  /* (bins): scratch */
};

int tw_band_init(struct tw_band *band, int members, int bins, double low, double high);
void tw_band_fini(struct tw_band *band); /* accepts a zeroed one */

/* Adds n events: values[m][i * stride] is event i of member m. */
void tw_band_fill(struct tw_band *band, const float *const *values, size_t n, size_t stride);

double tw_band_mean(const struct tw_band *band, int bin);
double tw_band_statistical_error(const struct tw_band *band, int bin);
/* t s sqrt(1 + 1/M); NaN if there is one member. */
double tw_band_model_error(const struct tw_band *band, int bin);

#endif

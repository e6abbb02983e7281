/* The weights of a model's samples, capped and divided by their mean. */
#include <math.h>
#include <stdlib.h>

#include "stat/reweight.h"

#define OVERFLOW 1e-3 /* of the sum of weights, that the cap may take away */

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double capped_mean(const double *w, size_t n, double cap)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += fmin(w[i], cap);
    return sum / (double)n;
}

/* w (n) falls. */
static double choose_cap(const double *w, size_t n, double sum)
{
    double above = 0, cap = w[0]; /* above: sum of w larger than the cap, less the cap for each */
    for (size_t i = 1; i < n; i++) {
        double more = above + (double)i * (cap - w[i]);
        if (more > OVERFLOW * sum)
            break;
        above = more;
        cap = w[i];
    }
    while (cap > TW_REWEIGHTING_MAX * capped_mean(w, n, cap))
        cap *= 0.8;
    return cap;
}

void tw_reweight_normalise(double *log_weights, size_t n, double *sorted, struct tw_reweighting *reweighting,
                           struct tw_reweight_report *report)
{
    double top = -INFINITY, sum = 0, squares = 0;
    size_t finite = 0;
    for (size_t i = 0; i < n; i++)
        top = isfinite(log_weights[i]) ? fmax(top, log_weights[i]) : top;
    top = isfinite(top) ? top : 0;
    for (size_t i = 0; i < n; i++)
        if (isfinite(log_weights[i]))
            sum += sorted[finite++] = exp(log_weights[i] - top);
    report->samples = n;
    report->not_finite = n - finite;
    double mean = finite ? sum / (double)finite : 1;
    for (size_t i = finite; i < n; i++)
        sorted[i] = mean;
    sum = mean * (double)n;
    qsort(sorted, n, sizeof *sorted, falling);

    double cap = n ? choose_cap(sorted, n, sum) : 1, kept = n ? capped_mean(sorted, n, cap) : 1;
    report->largest = n ? sorted[0] / mean : 1;
    for (size_t i = 0; i < n; i++)
        squares += fmin(sorted[i], cap) * fmin(sorted[i], cap);
    double spread = n ? fmax(squares / (double)n - kept * kept, 0) : 0;
    report->mean_error = n ? sqrt(spread / (double)n) / kept : 0;
    report->ess = kept * kept / (kept * kept + spread);
    report->overflow = fmax(0, 1 - kept / mean);
    reweighting->log_cap = log(cap) + top;
    reweighting->log_mean = log(kept) + top;
    reweighting->log_mean_error = report->mean_error;
    reweighting->ess = report->ess;
    reweighting->overflow = report->overflow;
    for (size_t i = 0; i < n; i++)
        log_weights[i] =
            isfinite(log_weights[i]) ? fmin(log_weights[i], reweighting->log_cap) - reweighting->log_mean : 0;
    report->sum = mean * exp(top) * (double)n;
}

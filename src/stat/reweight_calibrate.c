/* Logistic calibration: a straight line between logits and log-likelihood ratio. */
#include <math.h>

#include "stat/reweight.h"

/* Derivatives of the log-likelihood sum w [y log s(z) + (1-y) log(1-s(z))], z = scale x + offset. */
struct newton {
    double value, of_scale, of_offset; /* and gradient */
    double ss, so, oo;                 /* minus the Hessian */
};

static struct newton derivatives(const double *x, const float *labels, const float *weights, size_t n, double scale,
                                 double offset)
{
    struct newton d = {0};
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i]))
            continue;
        double w = weights[i], y = labels[i], z = scale * x[i] + offset;
        double s = z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z)), v = w * s * (1 - s);
        d.value += w * (y * z - fmax(z, 0) - log1p(exp(-fabs(z))));
        d.of_scale += w * (y - s) * x[i];
        d.of_offset += w * (y - s);
        d.ss += v * x[i] * x[i];
        d.so += v * x[i];
        d.oo += v;
    }
    return d;
}

void tw_reweight_calibrate(const double *logits, const float *labels, const float *weights, size_t n, double *scale,
                           double *offset, double *scale_error)
{
    double a = 1, b = 0;
    struct newton at = derivatives(logits, labels, weights, n, a, b);
    for (int step = 0; step < 50; step++) {
        double det = at.ss * at.oo - at.so * at.so;
        if (!(det > 1e-12 * at.ss * at.oo)) /* all logits alike: nothing to scale */
            break;
        double da = (at.oo * at.of_scale - at.so * at.of_offset) / det;
        double db = (at.ss * at.of_offset - at.so * at.of_scale) / det, share = 1;
        struct newton next;
        for (; share > 1e-6; share /= 2) { /* the likelihood is concave, but a full step may overshoot */
            next = derivatives(logits, labels, weights, n, a + share * da, b + share * db);
            if (next.value >= at.value)
                break;
        }
        if (share <= 1e-6)
            break;
        a += share * da;
        b += share * db;
        at = next;
        if (fabs(da) < 1e-9 * (1 + fabs(a)) && fabs(db) < 1e-9)
            break;
        if (a > TW_REWEIGHT_SCALE_MAX)
            break;
    }
    *scale = a < 0 ? 0 : a > TW_REWEIGHT_SCALE_MAX ? TW_REWEIGHT_SCALE_MAX : a;
    *offset = a < 0 ? 0 : b;
    double det = at.ss * at.oo - at.so * at.so;
    *scale_error = det > 0 ? sqrt(at.oo / det) : NAN;
}

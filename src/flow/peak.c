#include "flow/peak.h"

#include <math.h>

double tw_peak_forward(const struct tw_peak *peak, double m, double *log_jacobian)
{
    if (!(peak->width > 0)) {
        *log_jacobian -= log(m);
        return log(m);
    }

    double ratio = peak->at / m, z = (m - peak->at) * (1 + ratio) / peak->width;

    *log_jacobian += log((1 + ratio * ratio) / peak->width) - log(hypot(1, z));
    return asinh(z);
}

/* The positive root of m^2 - Gamma z m - M^2 = 0. */
double tw_peak_inverse(const struct tw_peak *peak, double h)
{
    if (!(peak->width > 0))
        return exp(h);

    double half = 0.5 * peak->width * sinh(fabs(h)), larger = half + hypot(half, peak->at);

    return h < 0 ? peak->at * (peak->at / larger) : larger;
}

double tw_peak_open(double h, double low, double *log_jacobian)
{
    double inside = -expm1(low - h);

    *log_jacobian -= log(inside);
    return h + log(inside);
}

double tw_peak_close(double y, double low)
{
    double above = y - low;

    if (!(above < 40)) /* also L = -inf */
        return y;
    return low + log1p(exp(above));
}

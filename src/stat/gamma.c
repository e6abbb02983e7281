#include "stat/gamma.h"

#include <float.h>
#include <math.h>

/* --- the gamma function, whole and incomplete --- */

double tw_gamma_log(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

enum { TERMS = 10000 };

/* x^shape e^-x / Gamma(shape) */
static double prefactor(double shape, double x)
{
    return exp(shape * log(x) - x - tw_gamma_log(shape));
}

/* P by its series, for x < shape + 1 (Abramowitz, Stegun 6.5.29). */
static double lower(double shape, double x)
{
    double term = 1 / shape, sum = term;
    for (int k = 1; k < TERMS && term > DBL_EPSILON * sum; k++) {
        term *= x / (shape + k);
        sum += term;
    }
    return sum * prefactor(shape, x);
}

/* Q by its continued fraction (6.5.31), evaluated as Lentz does. */
static double upper(double shape, double x)
{
    const double tiny = 1e-300;
    double b = x + 1 - shape, c = 1 / tiny, d = 1 / b, h = d;
    for (int k = 1; k < TERMS; k++) {
        double a = -k * (k - shape);
        b += 2;
        d = a * d + b;
        c = b + a / c;
        d = 1 / (fabs(d) < tiny ? tiny : d);
        c = fabs(c) < tiny ? tiny : c;
        h *= d * c;
        if (fabs(d * c - 1) < DBL_EPSILON)
            break;
    }
    return h * prefactor(shape, x);
}

double tw_gamma_survival(double shape, double x)
{
    if (isnan(x))
        return x;
    if (x <= 0)
        return 1;
    return x < shape + 1 ? 1 - lower(shape, x) : upper(shape, x);
}

/* --- the saddlepoint --- */

/* The cumulant generating function K(t) = -1/2 sum log(1 - 2 t lambda_i) and its derivatives. */
struct cumulants {
    double k, first, second, third;
};

static struct cumulants cumulants_at(const double *lambda, int count, double t)
{
    struct cumulants out = {0};
    for (int i = 0; i < count; i++) {
        double room = 1 - 2 * t * lambda[i], pull = lambda[i] / room;
        out.k -= log(room) / 2;
        out.first += pull;
        out.second += 2 * pull * pull;
        out.third += 8 * pull * pull * pull;
    }
    return out;
}

/* The t with K'(t) = x. K' rises from 0 at minus infinity to infinity at 1 / (2 largest): bisection, with Newton's step
 * wherever it stays inside. */
static double saddle(const double *lambda, int count, double largest, double x)
{
    /* K'(t) <= count / (-2 t) for t < 0, and >= the largest term alone for t > 0 */
    double low = -(double)count / (2 * x), high = 1 / (2 * largest) * (1 - DBL_EPSILON), t = 0;
    for (int step = 0; step < 200; step++) {
        struct cumulants at = cumulants_at(lambda, count, t);
        *(at.first > x ? &high : &low) = t;
        double next = t - (at.first - x) / at.second;
        if (!(next > low && next < high))
            next = (low + high) / 2;
        if (fabs(next - t) <= 1e-14 * fabs(t) || next == t)
            break;
        t = next;
    }
    return t;
}

static double normal_survival(double z)
{
    return 0.5 * erfc(z * M_SQRT1_2);
}

double tw_gamma_mixture_survival(const double *lambda, int count, double x)
{
    double largest = 0;
    for (int i = 0; i < count; i++)
        largest = fmax(largest, lambda[i]);
    if (isnan(x))
        return x;
    if (x <= 0)
        return 1;
    if (largest == 0)
        return 0;
    double t = saddle(lambda, count, largest, x);
    struct cumulants at = cumulants_at(lambda, count, t);
    double w = copysign(sqrt(fmax(0, 2 * (t * x - at.k))), t), v = t * sqrt(at.second);
    /* near the mean both vanish, and log(v / w) / w tends to a sixth of the skewness */
    double shift = fabs(w) < 1e-3 ? at.third / (6 * pow(at.second, 1.5)) : log(v / w) / w;
    return fmin(1, fmax(normal_survival(w + shift), DBL_MIN));
}

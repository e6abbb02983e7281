/* Coordinates of a mass m > 0 in which a narrow line is as wide as everything else.
 *
 *   no line   h = ln m
 *   a line    h = asinh(z), z = (m - M^2/m) / Gamma
 *
 * Near M, z counts half widths at half maximum: a Breit-Wigner line becomes p(h) = 1 / (pi cosh h). Far from it h goes
 * as ln(m / Gamma) above and -ln(M^2 / (m Gamma)) below, so that tails are those of a logarithm. (The arc tangent that
 * makes a Breit-Wigner uniform maps them onto ends of an interval, where float32 has no room for them.)
 *
 * A mass has a lower edge that depends on the event: H, standardised h, is above L. It is opened by
 *
 *   y = H + ln(1 - exp(-(H - L))),   H = L + ln(1 + exp(y - L))
 *
 * a map of (L, inf) onto all numbers that leaves what is far above the edge where it is.
 */
#ifndef TW_FLOW_PEAK_H
#define TW_FLOW_PEAK_H

struct tw_peak {
    double at, width; /* M and Gamma, the full width at half maximum; width 0: no line */
};

/* h of m; *log_jacobian += ln dh/dm. */
double tw_peak_forward(const struct tw_peak *peak, double m, double *log_jacobian);
double tw_peak_inverse(const struct tw_peak *peak, double h);

/* y of H > L; *log_jacobian += ln dy/dH. L may be -inf. */
double tw_peak_open(double h, double low, double *log_jacobian);
double tw_peak_close(double y, double low);

#endif

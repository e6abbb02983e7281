/* The invariant mass of some particles as a function of one transverse momentum among them, and back.
 *
 * With E, p the summed energy and momentum of the others and M their mass, a particle of mass m, direction (eta, phi)
 * and transverse momentum x has c = cosh eta, e = sqrt(m^2 + c^2 x^2), and
 *
 *   s(x) = M^2 + m^2 + 2 q(x),   q = E e - a x,   a = p_x cos phi + p_y sin phi + p_z sinh eta
 *
 * q falls from x = 0 to x* = a m / (c sqrt(E^2 c^2 - a^2)) if a > 0 and m > 0, and rises for ever above: there x is the
 * larger root of (E^2 c^2 - a^2) x^2 - 2 a q x + E^2 m^2 - q^2 = 0. Nothing here subtracts large numbers that are
 * nearly equal, as E c - a and E c + a are sums of terms that are never negative.
 */
#ifndef TW_FLOW_MASS_H
#define TW_FLOW_MASS_H

struct tw_mass_particle {
    double pt, eta, phi, mass; /* phi in radians */
};

/* Everything about an event but x. */
struct tw_mass {
    double minus, plus; /* E c - a, E c + a */
    double c, m;
    double rest; /* M^2 */
};

/* The others, and the direction and mass of the particle whose pt is left open (its member pt is not looked at). */
struct tw_mass tw_mass_of(const struct tw_mass_particle *others, int count, const struct tw_mass_particle *open);

/* s at x; *slope = ds/dx. */
double tw_mass_square(const struct tw_mass *mass, double x, double *slope);

/* Where s begins to rise: x*, or 0. */
double tw_mass_turn(const struct tw_mass *mass);

/* The x at and above x* with s(x) = s; x* if s is below all of them. */
double tw_mass_solve(const struct tw_mass *mass, double s);

#endif

#include "flow/mass.h"

#include <math.h>

static double square(double x)
{
    return x * x;
}

/* Of one other particle: E c - a = c m^2 / (E + p) + pt (cosh(eta - eta') - cos(phi - phi')), p = pt cosh eta, with
 * cosh u - cos v = 2 sinh^2(u/2) + 2 sin^2(v/2); E c + a is the same for the direction opposite to the open one. */
static void add(const struct tw_mass_particle *other, const struct tw_mass_particle *open, struct tw_mass *mass)
{
    double p = other->pt * cosh(other->eta), energy = hypot(other->mass, p);
    double massive = energy + p > 0 ? mass->c * square(other->mass) / (energy + p) : 0;
    double turn = 0.5 * (other->phi - open->phi);

    mass->minus += massive + 2 * other->pt * (square(sinh(0.5 * (other->eta - open->eta))) + square(sin(turn)));
    mass->plus += massive + 2 * other->pt * (square(sinh(0.5 * (other->eta + open->eta))) + square(cos(turn)));
}

/* q(x) = x (E c - a) + E m^2 / (e + c x) */
static double product(const struct tw_mass *mass, double x, double *slope)
{
    double energy = (mass->minus + mass->plus) / (2 * mass->c), e = hypot(mass->m, mass->c * x);
    double sum = e + mass->c * x, massive = sum > 0 ? energy * square(mass->m) / sum : 0;

    *slope = mass->minus - (e > 0 ? mass->c * massive / e : 0);
    return x * mass->minus + massive;
}

struct tw_mass tw_mass_of(const struct tw_mass_particle *others, int count, const struct tw_mass_particle *open)
{
    struct tw_mass mass = {.c = cosh(open->eta), .m = open->mass};
    double unused;

    for (int i = 0; i < count; i++) {
        add(&others[i], open, &mass);
        mass.rest += square(others[i].mass);
        for (int j = 0; j < i; j++) {
            struct tw_mass pair = {.c = cosh(others[i].eta), .m = others[i].mass};

            add(&others[j], &others[i], &pair);
            mass.rest += 2 * product(&pair, others[i].pt, &unused);
        }
    }
    return mass;
}

double tw_mass_square(const struct tw_mass *mass, double x, double *slope)
{
    double q = product(mass, x, slope);

    *slope *= 2;
    return mass->rest + square(mass->m) + 2 * q;
}

double tw_mass_turn(const struct tw_mass *mass)
{
    double a = 0.5 * (mass->plus - mass->minus);

    return a > 0 && mass->m > 0 ? a * mass->m / (mass->c * sqrt(mass->minus) * sqrt(mass->plus)) : 0;
}

double tw_mass_solve(const struct tw_mass *mass, double s)
{
    double energy = (mass->minus + mass->plus) / (2 * mass->c), a = 0.5 * (mass->plus - mass->minus);
    double m = mass->m, q = fmax(0.5 * (s - mass->rest - square(m)), 0);
    double root = energy * sqrt(fmax(square(q * mass->c) - square(m) * mass->minus * mass->plus, 0));

    if (a > 0)
        return fmax((a * q + root) / mass->minus / mass->plus, tw_mass_turn(mass));

    double below = root - a * q; /* the product of both roots is that of the quadratic's coefficients */

    return below > 0 ? fmax((q - energy * m) * (q + energy * m), 0) / below : 0;
}

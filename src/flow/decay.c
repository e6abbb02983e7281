#include "flow/decay.h"

#include <math.h>

/* Momentum of two particles of masses a and b that have energy m at rest. */
static double momentum(double m, double a, double b)
{
    return sqrt((m - a - b) * (m + a + b)) / m * (0.5 * sqrt((m - a + b) * (m + a - b)));
}

static double transverse_mass(const struct tw_mass_particle *p)
{
    return hypot(p->pt, p->mass);
}

static double rapidity(const struct tw_mass_particle *p)
{
    return asinh(p->pt * sinh(p->eta) / transverse_mass(p));
}

/* ln of pt |p|/E */
static double measure(const struct tw_mass_particle *p)
{
    double along = p->pt * cosh(p->eta);

    return log(p->pt) + log(along / hypot(along, p->mass));
}

struct tw_decay tw_decay_of(const struct tw_mass_particle *first, const struct tw_mass_particle *second,
                            double *log_jacobian)
{
    struct tw_mass both = tw_mass_of(first, 1, second);
    double y[] = {rapidity(first), rapidity(second)}, mt[] = {transverse_mass(first), transverse_mass(second)};
    double x = first->pt * cos(first->phi) + second->pt * cos(second->phi);
    double z = first->pt * sin(first->phi) + second->pt * sin(second->phi), unused;
    struct tw_decay d = {.pt = hypot(x, z),
                         .rapidity = 0.5 * (y[0] + y[1]) +
                                     0.5 * log((mt[0] * exp(0.5 * (y[0] - y[1])) + mt[1] * exp(0.5 * (y[1] - y[0]))) /
                                               (mt[0] * exp(0.5 * (y[1] - y[0])) + mt[1] * exp(0.5 * (y[0] - y[1])))),
                         .phi = atan2(z, x),
                         .mass = sqrt(tw_mass_square(&both, second->pt, &unused))};
    double rest = momentum(d.mass, first->mass, second->mass), turn = first->phi - d.phi;
    double energy = mt[0] * cosh(y[0] - d.rapidity), beam = mt[0] * sinh(y[0] - d.rapidity);
    double along = (hypot(d.mass, d.pt) * first->pt * cos(turn) - d.pt * energy) / d.mass;

    d.cosine = fmin(fmax(beam / rest, -1), 1);
    d.azimuth = atan2(first->pt * sin(turn), along);
    *log_jacobian += d.pt > 0 && rest > 0 ? measure(first) + measure(second) - log(d.pt) - log(rest) : NAN;
    return d;
}

/* One of both, from its momentum (along, across, beam) in the rest frame. */
static void boost(const struct tw_decay *d, double along, double across, double beam, struct tw_mass_particle *p)
{
    double energy = sqrt(along * along + across * across + beam * beam + p->mass * p->mass);
    double forward = (hypot(d->mass, d->pt) * along + d->pt * energy) / d->mass;

    p->pt = hypot(forward, across);
    p->phi = d->phi + atan2(across, forward);

    double mt = transverse_mass(p), y = asinh(beam / mt) + d->rapidity;

    p->eta = asinh(mt * sinh(y) / p->pt);
}

void tw_decay_particles(const struct tw_decay *decay, struct tw_mass_particle *first, struct tw_mass_particle *second)
{
    double rest = momentum(decay->mass, first->mass, second->mass);
    double across = rest * sqrt((1 - decay->cosine) * (1 + decay->cosine));
    double x = across * cos(decay->azimuth), y = across * sin(decay->azimuth), beam = rest * decay->cosine;

    boost(decay, x, y, beam, first);
    boost(decay, -x, -y, -beam, second);
}

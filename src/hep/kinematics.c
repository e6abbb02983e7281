/* Invariant masses come from differences between particles, not from sums of components: at 1 TeV the mass of two
 * nearly collinear muons would be what is left of twelve digits that cancel.
 *
 * With mT^2 = m^2 + pT^2 and the rapidity y,
 *     m^2 = sum_i m_i^2 + 2 sum_(i<j) p_i.p_j
 *     p_i.p_j = mT_i mT_j cosh(dy) - pT_i pT_j cos(dphi)
 *             = 2 mT_i mT_j sinh^2(dy/2) + (mT_i mT_j - pT_i pT_j) + 2 pT_i pT_j sin^2(dphi/2)
 *     mT_i mT_j - pT_i pT_j = (m_i^2 pT_j^2 + m_j^2 pT_i^2 + m_i^2 m_j^2) / (mT_i mT_j + pT_i pT_j),
 * where every term is positive: nothing cancels, and m^2 is never negative. (Rapidity and transverse mass: Review of
 * Particle Physics, Kinematics, eqs. 49.36-49.39.)
 */
#include <math.h>
#include <stdbool.h>

#include "hep/kinematics.h"

static double square(double x)
{
    return x * x;
}

static double mass_of(const struct tw_particle *p)
{
    return p->m < 0 ? 0 : p->m;
}

static double transverse_mass(const struct tw_particle *p)
{
    return hypot(mass_of(p), p->pt);
}

/* y = asinh(pz / mT); of a massless particle eta itself, which sinh would carry out of the range of numbers. */
static double rapidity_of(const struct tw_particle *p, double transverse_mass)
{
    return p->m > 0 ? asinh(p->pt * sinh(p->eta) / transverse_mass) : p->eta;
}

static bool whole(const struct tw_particle *particles, int n)
{
    for (int i = 0; i < n; i++) {
        const struct tw_particle *p = &particles[i];
        if (!(p->pt >= 0) || isnan(p->eta) || isnan(p->phi) || isnan(p->m))
            return false;
    }
    return true;
}

static double product(const struct tw_particle *a, const struct tw_particle *b)
{
    double ma = mass_of(a), mb = mass_of(b), mta = transverse_mass(a), mtb = transverse_mass(b);
    double mt = mta * mtb, pt = a->pt * b->pt, dy = rapidity_of(a, mta) - rapidity_of(b, mtb);
    double masses = square(ma * b->pt) + square(mb * a->pt) + square(ma * mb);
    return 2 * mt * square(sinh(0.5 * dy)) + (masses > 0 ? masses / (mt + pt) : 0) +
           2 * pt * square(sin(0.5 * (a->phi - b->phi)));
}

double tw_kinematics_mass(const struct tw_particle *particles, int n)
{
    if (!whole(particles, n))
        return NAN;
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += square(mass_of(&particles[i]));
        for (int j = 0; j < i; j++)
            sum += 2 * product(&particles[i], &particles[j]);
    }
    return sqrt(sum);
}

struct momentum {
    double x, y, z;
};

static struct momentum add(const struct tw_particle *particles, int n)
{
    struct momentum sum = {0};
    for (int i = 0; i < n; i++) {
        const struct tw_particle *p = &particles[i];
        sum.x += p->pt * cos(p->phi);
        sum.y += p->pt * sin(p->phi);
        sum.z += p->pt * sinh(p->eta);
    }
    return sum;
}

double tw_kinematics_pt(const struct tw_particle *particles, int n)
{
    if (!whole(particles, n))
        return NAN;
    struct momentum sum = add(particles, n);
    return hypot(sum.x, sum.y);
}

double tw_kinematics_eta(const struct tw_particle *particles, int n)
{
    if (!whole(particles, n))
        return NAN;
    struct momentum sum = add(particles, n);
    return asinh(sum.z / hypot(sum.x, sum.y));
}

double tw_kinematics_rapidity(const struct tw_particle *particles, int n)
{
    if (!whole(particles, n))
        return NAN;
    struct momentum sum = add(particles, n);
    return asinh(sum.z / hypot(hypot(sum.x, sum.y), tw_kinematics_mass(particles, n)));
}

double tw_kinematics_phi(const struct tw_particle *particles, int n)
{
    if (!whole(particles, n))
        return NAN;
    struct momentum sum = add(particles, n);
    return atan2(sum.y, sum.x);
}

double tw_kinematics_delta_phi(double a, double b)
{
    return remainder(a - b, 2 * M_PI);
}

double tw_kinematics_delta_r(double eta1, double phi1, double eta2, double phi2)
{
    double eta = eta1 - eta2, phi = tw_kinematics_delta_phi(phi1, phi2);
    return isnan(eta) || isnan(phi) ? NAN : hypot(eta, phi); /* hypot(inf, NaN) is inf */
}

/* mT^2 = 2 pT MET (1 - cos dphi), with the difference as a square. */
double tw_kinematics_mt(double pt, double phi, double met, double met_phi)
{
    return pt >= 0 && met >= 0 ? 2 * sqrt(pt * met) * fabs(sin(0.5 * (phi - met_phi))) : NAN;
}

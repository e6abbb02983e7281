/* Four-vectors of particles and of systems of them, as experiments write them: transverse momentum, pseudorapidity,
 * azimuth, mass.
 *
 * Angles in radians, momenta and masses in one unit. A NaN anywhere in a system makes the answer NaN, so does a
 * negative transverse momentum; a negative mass, which rounding makes of a massless particle, counts as 0.
 */
#ifndef TW_HEP_KINEMATICS_H
#define TW_HEP_KINEMATICS_H

struct tw_particle {
    double pt, eta, phi, m;
};

/* Of the sum of n >= 1 particles. Pseudorapidity is infinite where the sum has no transverse momentum. */
double tw_kinematics_mass(const struct tw_particle *particles, int n);
double tw_kinematics_pt(const struct tw_particle *particles, int n);
double tw_kinematics_eta(const struct tw_particle *particles, int n);
double tw_kinematics_rapidity(const struct tw_particle *particles, int n);
double tw_kinematics_phi(const struct tw_particle *particles, int n); /* [-pi, pi] */

double tw_kinematics_delta_phi(double a, double b); /* a - b on the circle: [-pi, pi] */
double tw_kinematics_delta_r(double eta1, double phi1, double eta2, double phi2);
/* Transverse mass of a massless particle and missing momentum. */
double tw_kinematics_mt(double pt, double phi, double met, double met_phi);

#endif

/* Two particles as what they decayed from: six numbers for six.
 *
 * Of the pair: transverse momentum, rapidity, azimuth and mass m. Of the first particle, in the pair's rest frame
 * (which is reached by a boost along the beam to rapidity 0 and one along the pair's transverse momentum): cosine of
 * the angle to the beam, and azimuth around the beam from the direction of that transverse momentum. With k the
 * momentum there, two-body phase space d^3p_1/2E_1 d^3p_2/2E_2 = d^4P k/(4m) dcos dazimuth and d^4P = m dm dy pt dpt
 * dphi give
 *
 *   d(pt, y, phi, m, cos, azimuth) / d(pt_1, eta_1, phi_1, pt_2, eta_2, phi_2)
 *       = (pt_1 |p_1|/E_1) (pt_2 |p_2|/E_2) / (pt k)
 */
#ifndef TW_FLOW_DECAY_H
#define TW_FLOW_DECAY_H

#include "flow/mass.h"

struct tw_decay {
    double pt, rapidity, phi, mass;
    double cosine, azimuth; /* in [-1, 1], [-pi, pi] */
};

/* *log_jacobian += the log of the above; NaN where the pair has no transverse momentum or no energy to decay. */
struct tw_decay tw_decay_of(const struct tw_mass_particle *first, const struct tw_mass_particle *second,
                            double *log_jacobian);

/* The particles, whose masses are given; decay->mass is above their sum. */
void tw_decay_particles(const struct tw_decay *decay, struct tw_mass_particle *first, struct tw_mass_particle *second);

#endif

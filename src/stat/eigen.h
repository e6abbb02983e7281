/* Eigenvalues of a symmetric matrix. */
#ifndef TW_STAT_EIGEN_H
#define TW_STAT_EIGEN_H

/* a (n, n) symmetric, overwritten; values (n) ascending, within `tolerance` (>= 1e-15) times the largest magnitude.
 * TW_NO_MEMORY or 0. */
int tw_eigen_values(double *a, int n, double tolerance, double *values);

#endif

/* p-values of several hypotheses, adjusted so that each may be compared with one level for all of them. */
#ifndef TW_STAT_ADJUST_H
#define TW_STAT_ADJUST_H

/* Holm (1979): with p_(1) <= p_(2) <= ... the adjusted value is max_{j <= i} min(1, (n - j + 1) p_(j)). Rejecting what
 * is at or below alpha rejects any true hypothesis with a chance of at most alpha, however they depend on each other.
 * Both (n). TW_NO_MEMORY or 0. */
int tw_adjust_holm(const double *p, int n, double *adjusted);

#endif

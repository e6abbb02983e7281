/* Shapes of the cases in golden.h. */
#ifndef TESTS_STAT_GOLDEN_CASES_H
#define TESTS_STAT_GOLDEN_CASES_H

#include <stddef.h>

struct ks_case {
    size_t n, m, mod;
    int shift;
    double d, exact, limit;
};

struct survival_case {
    double x, p;
};

struct fisher_case {
    size_t x1, n1, x2, n2;
    double p;
};

struct u_case {
    size_t n, m, mod;
    int shift;
    double auc, error, p;
};

#endif

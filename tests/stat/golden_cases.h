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

struct cvm_case {
    size_t n, m, mod;
    int shift;
    double t, p;
};

/* Weights as weight() in test_columns.c makes them, `spread` apart. */
struct weighted_case {
    size_t n, m, mod;
    int shift, spread;
    double d, ks, t, cvm;
};

struct chi2_case {
    size_t n, m, mod;
    int shift, spread; /* spread 0: no weights */
    int bins;
    double x2, p;
};

struct gamma_case {
    double shape, x, q;
};

/* The law of sum lambda_i z_i^2 with lambda_i = decay^i, i < count. */
struct mixture_case {
    int count;
    double decay, x, p;
};

struct weighted_u_case {
    size_t n, m, mod;
    int shift, spread;
    double auc, error, p;
};

#endif

/* Householder's reduction to a tridiagonal matrix, then bisection: the number of negative pivots of T - x is the number
 * of eigenvalues below x (Golub, Van Loan, Matrix Computations, 8.3.1 and 8.4.1). */
#include "stat/eigen.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "base/status.h"

/* Reflects rows and columns k+1 .. n-1 so that column k ends one below the diagonal; returns what stands there. v, p
 * (n) are scratch. */
static double reflect(double *a, int n, int k, double *v, double *p)
{
    double norm = 0;
    for (int i = k + 1; i < n; i++) {
        v[i] = a[(long)i * n + k];
        norm += v[i] * v[i];
    }
    double beside = -copysign(sqrt(norm), v[k + 1]), length = norm - beside * v[k + 1]; /* half of v's squared */
    v[k + 1] -= beside;
    if (!(length > 0))
        return v[k + 1];
    double along = 0;
    for (int i = k + 1; i < n; i++) {
        p[i] = 0;
        for (int j = k + 1; j < n; j++)
            p[i] += a[(long)i * n + j] * v[j];
        p[i] /= length;
        along += p[i] * v[i];
    }
    for (int i = k + 1; i < n; i++)
        p[i] -= along / (2 * length) * v[i];
    for (int i = k + 1; i < n; i++)
        for (int j = k + 1; j < n; j++)
            a[(long)i * n + j] -= v[i] * p[j] + p[i] * v[j];
    return beside;
}

static int count_below(const double *diagonal, const double *squares, int n, double x, double tiny)
{
    int count = 0;
    double pivot = 1;
    for (int i = 0; i < n; i++) {
        pivot = diagonal[i] - x - (i ? squares[i - 1] / pivot : 0);
        if (fabs(pivot) < tiny)
            pivot = -tiny;
        count += pivot < 0;
    }
    return count;
}

int tw_eigen_values(double *a, int n, double tolerance, double *values)
{
    double *diagonal = tw_size_alloc((size_t)n, 4 * sizeof *diagonal);
    if (!diagonal)
        return TW_NO_MEMORY;
    double *squares = diagonal + n, *v = squares + n, *p = v + n, bound = 0, before = 0;
    for (int k = 0; k < n; k++) {
        double beside = k + 2 < n ? reflect(a, n, k, v, p) : k + 1 < n ? a[(long)(k + 1) * n + k] : 0;
        diagonal[k] = a[(long)k * n + k];
        squares[k] = beside * beside;
        bound = fmax(bound, fabs(diagonal[k]) + fabs(before) + fabs(beside)); /* Gershgorin */
        before = beside;
    }
    double from = -bound;
    for (int i = 0; i < n; i++) {
        double low = from, high = bound;
        while (high - low > tolerance * bound) {
            double middle = (low + high) / 2;
            *(count_below(diagonal, squares, n, middle, DBL_MIN + DBL_EPSILON * DBL_EPSILON * bound) > i ? &high
                                                                                                         : &low) =
                middle;
        }
        from = low;
        values[i] = (low + high) / 2;
    }
    free(diagonal);
    return TW_OK;
}

#!/usr/bin/python3
"""Writes golden.h: what SciPy finds for the two-sample tests, on inputs that both sides can make from integers.

Run by hand when cases are added (SciPy 1.10 made the stored numbers); the tests read golden.h alone.
"""
import os

import numpy as np
from scipy import special, stats


def sequence(n, a, b, mod, shift):
    """The same as sequence() in test_two_sample.c: small integers, scattered, with ties where n > mod."""
    i = np.arange(n, dtype=np.int64)
    return (i * i * a + i * b) % mod + shift


KS = [  # n, m, mod, shift of the second
    (5, 7, 1009, 300), (20, 20, 1009, 0), (20, 30, 10007, 3000), (50, 40, 10007, 5000), (100, 250, 10007, 1500),
    (300, 300, 10007, 900), (400, 1000, 10007, 700), (64, 64, 10, 2), (900, 800, 50, 3), (8000, 5000, 100003, 1500),
    (8000, 20000, 100003, 2500), (1000, 100000, 1000003, 30000), (30, 30, 101, 200),
]
FISHER = [  # x1, n1, x2, n2
    (0, 10, 0, 10), (3, 10, 1, 12), (0, 1000, 7, 1200), (10, 20, 10, 20), (0, 5, 5, 5), (7, 5000, 2, 8000),
    (12, 5000, 0, 20000), (150, 100000, 100, 100000), (1, 20000, 0, 8000), (499, 1000, 551, 1000),
    (2000, 10000, 2130, 10000), (5000000, 10000000, 4996000, 10000000), (30, 10000000, 9, 10000000),
    (99990, 100000, 99970, 100000),
]
U = [  # n, m, mod, shift of the second
    (20, 20, 100003, 20000), (25, 40, 7, 1), (100, 80, 10007, -500), (500, 700, 10007, 500), (4000, 2500, 100003, 4000),
    (4000, 2500, 100003, 20000), (300, 300, 2, 0), (60, 60, 101, 101),
]


def delong(a, b):
    """AUC and its error by the pairs themselves (DeLong et al. 1988)."""
    psi = (b[None, :] > a[:, None]) + 0.5 * (b[None, :] == a[:, None])
    return psi.mean(), np.sqrt(psi.mean(1).var(ddof=1) / len(a) + psi.mean(0).var(ddof=1) / len(b))


def main():
    out = ["/* Written by golden.py; SciPy's answers. */", "#ifndef TESTS_STAT_GOLDEN_H", "#define TESTS_STAT_GOLDEN_H", "",
           '#include "golden_cases.h"', "",
           "static const struct ks_case ks_cases[] = {"]
    for n, m, mod, shift in KS:
        a, b = sequence(n, 37, 11, mod, 0).astype(float), sequence(m, 53, 29, mod, shift).astype(float)
        exact = stats.ks_2samp(a, b, method="exact")
        limit = special.kolmogorov(np.sqrt(n * m / (n + m)) * exact.statistic)
        out.append(f"    {{{n}, {m}, {mod}, {shift}, {exact.statistic!r}, {exact.pvalue!r}, {float(limit)!r}}},")
    out += ["};", "static const struct survival_case survival_cases[] = {"]
    out += [f"    {{{x}, {float(special.kolmogorov(x))!r}}}," for x in (0.03, 0.2, 0.5, 0.9, 0.999, 1.0, 1.3, 2.0, 3.5, 8.0)]
    out += ["};", "static const struct fisher_case fisher_cases[] = {"]
    for x1, n1, x2, n2 in FISHER:
        p = stats.fisher_exact([[x1, n1 - x1], [x2, n2 - x2]])[1]
        out.append(f"    {{{x1}, {n1}, {x2}, {n2}, {float(p)!r}}},")
    out += ["};", "static const struct u_case u_cases[] = {"]
    for n, m, mod, shift in U:
        a, b = sequence(n, 37, 11, mod, 0).astype(float), sequence(m, 53, 29, mod, shift).astype(float)
        p = stats.mannwhitneyu(b, a, alternative="greater", method="asymptotic", use_continuity=True).pvalue
        auc, error = delong(a, b)
        out.append(f"    {{{n}, {m}, {mod}, {shift}, {float(auc)!r}, {float(error)!r}, {float(p)!r}}},")
    out += ["};", "", "#endif"]
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.h"), "w") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Writes golden.h: what SciPy finds for the two-sample tests, on inputs that both sides can make from integers.

Run by hand when cases are added (SciPy 1.10 made the stored numbers); the tests read golden.h alone.
"""
import os

import numpy as np
from scipy import integrate, special, stats


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


CVM = [  # n, m, mod, shift of the second; the last two with ties
    (20, 30, 10007, 0), (50, 40, 10007, 3000), (100, 250, 10007, 1500), (400, 1000, 10007, 700),
    (5000, 3000, 100003, 2500), (5000, 3000, 100003, 4000), (64, 64, 10, 2), (900, 800, 50, 2),
]
WEIGHTED = [  # n, m, mod, shift of the second, spread of the weights
    (300, 200, 10007, 0, 3), (300, 200, 10007, 700, 3), (900, 1000, 100003, 5000, 9), (2000, 900, 50, 1, 2),
]
CHI2 = [  # n, m, mod, shift of the second, spread of the weights (0: none)
    (500, 400, 100003, 0, 0), (500, 400, 100003, 9000, 0), (5000, 3000, 100003, 3000, 0), (900, 800, 20, 0, 0),
    (900, 800, 7, 1, 0), (600, 900, 100003, 0, 3), (3000, 2000, 100003, 4000, 9), (900, 800, 50, 1, 3),
    (3000, 2000, 100003, 1000, -4),
]
GAMMA = [(0.5, 0.1), (0.5, 30), (1, 2), (3.5, 0.2), (3.5, 4), (15.5, 15), (15.5, 40), (15.5, 300), (500, 480), (500, 700)]
MIXTURE = [  # number, decay, x
    (1, 1, 6.6), (1, 1, 19.5), (2, 1, 9.2), (10, 1, 23.2), (10, 0.7, 4), (10, 0.7, 12), (30, 0.9, 25), (30, 0.9, 40),
    (100, 0.97, 60), (100, 0.97, 90),
]


def weights(n, spread, salt):
    """The same as weight() in test_columns.c; a negative spread makes some of them negative."""
    i = np.arange(n, dtype=np.int64)
    w = 1 + (i * 7 + salt) % 5 * abs(spread) / 4
    return np.where((spread < 0) & (i % 11 == salt % 11), -w, w)


def shares(values, weight, at, side="right"):
    """The share of the weights at or below (right) or below (left) each of `at`."""
    order = np.argsort(values, kind="stable")
    total = np.concatenate([[0], np.cumsum(weight[order])])
    return total[np.searchsorted(values[order], at, side)] / total[-1]


def cvm_survival(x):
    return 1 - stats._hypotests._cdf_cvm_inf(max(x, 1e-3)) if x > 0.003 else 1.0


def cvm(a, b):
    """T with differences taken halfway across each value, and its p after Anderson (1962)."""
    n, m, z = len(a), len(b), np.concatenate([a, b])
    one = lambda v: np.ones(len(v))
    d = sum(shares(a, one(a), z, s) - shares(b, one(b), z, s) for s in ("left", "right")) / 2
    total = n + m
    t = n * m / total**2 * np.sum(d**2) + 1 / (4 * total)
    mean = (1 + 1 / total) / 6
    variance = (total + 1) / 45 * (4 * n * m * total - 3 * (n**2 + m**2) - 2 * n * m) / (4 * total**2 * n * m)
    return t, cvm_survival(1 / 6 + (t - mean) / np.sqrt(45 * variance))


def weighted(a, wa, b, wb):
    """KS and CvM of src/stat/pair.h, by their formulas; the mean over N by adaptive quadrature."""
    z = np.unique(np.concatenate([a, b]))
    va, vb = np.sum(wa**2) / np.sum(wa)**2, np.sum(wb**2) / np.sum(wb)**2
    v = va + vb
    f = [[shares(x, w, z, s) for s in ("left", "right")] for x, w in ((a, wa), (b, wb), (a, wa**2), (b, wb**2))]
    f = np.array(f)  # (4, 2, values)
    d, off = f[0] - f[1], (va * (f[2] - f[0]) + vb * (f[3] - f[1])) / v
    mass = (va * (f[2, 1] - f[2, 0]) + vb * (f[3, 1] - f[3, 0])) / v
    largest, away = np.abs(d[1]).max(), np.abs(off[1]).max()
    t, norm = np.sum(mass * d.mean(0)**2) / v, np.sqrt(np.sum(mass * off.mean(0)**2))
    root = lambda x: cvm_survival(x * x) if x > 0 else 1.0
    mean = lambda g: 2 * integrate.quad(lambda y: stats.norm.pdf(y) * g(y), 0, 12, epsabs=0, epsrel=1e-9, limit=500)[0]
    return (largest, mean(lambda y: special.kolmogorov(max(0, largest / np.sqrt(v) - away * y))),
            t, mean(lambda y: root(np.sqrt(t) - norm * y)))


def chi2(a, wa, b, wb):
    """Two histograms in the bins of src/stat/chi2.h; SciPy's contingency table where there are no weights."""
    na, nb = np.sum(wa)**2 / np.sum(wa**2), np.sum(wb)**2 / np.sum(wb**2)
    plain = np.all(wa == 1) and np.all(wb == 1)
    bins, part = int(min(32, min(na, nb) / (20 if plain else 40))), na / (na + nb)
    z = np.unique(np.concatenate([a, b]))
    pooled = part * shares(a, wa**2, z) + (1 - part) * shares(b, wb**2, z)
    edges, filled = [], 0.0
    for value, share in zip(z[:-1], pooled[:-1]):
        if share >= (np.floor(filled * bins + 1e-6) + 1) / bins - 1e-9:
            edges.append(value)
            filled = share
    if edges and (1 - filled) * bins < 0.5:
        edges.pop()
    cut = lambda x, w: np.bincount(np.searchsorted(edges, x, "left"), w, len(edges) + 1)
    table = np.array([cut(a, wa), cut(b, wb)])
    if plain:
        found = stats.chi2_contingency(table, correction=False)
        return len(edges) + 1, found[0], found[1]
    squares = np.array([cut(a, wa**2), cut(b, wb**2)])
    whole = table.sum(1, keepdims=True)
    share = table / whole
    p = part * share[0] + (1 - part) * share[1]
    signs = (wa < 0).any() or (wb < 0).any()
    ratio = np.where(table > 0, squares / np.where(table > 0, table, 1), squares.sum(1, keepdims=True) / whole)
    parts = squares / whole**2 if signs else p * ratio / whole
    scatter = np.array([cut(x, w**4) / cut(x, w**2)**2 - 1 / cut(x, np.ones(len(x))) for x, w in ((a, wa), (b, wb))])
    scatter = np.where(squares > 0, scatter, 0)
    v = parts.sum(0) + (parts**2 * scatter).sum(0) / parts.sum(0)
    # the covariance of the differences, without the last bin, as it stands: a generalised Hotelling statistic
    d = share[0] - share[1]
    u = np.diag(v)
    c = u - np.outer(p, v) - np.outer(v, p) + np.outer(p, p) * v.sum()
    x2 = d[:-1] @ np.linalg.solve(c[:-1, :-1], d[:-1])
    return len(edges) + 1, x2, stats.chi2.sf(x2, len(edges))


def imhof(lam, x):
    """P(sum lambda z^2 > x) by inverting the characteristic function (Imhof 1961, eq. 3.2)."""
    theta = lambda u: np.arctan(lam * u).sum() / 2 - x * u / 2
    rho = lambda u: np.exp(0.25 * np.log1p((lam * u)**2).sum())
    g = lambda u: np.sin(theta(u)) / (u * rho(u))
    end, total, step = 0.0, 0.0, 2 * np.pi / x
    while True:
        part = integrate.quad(g, max(end, 1e-14), end + step, epsabs=1e-15, epsrel=1e-12, limit=200)[0]
        total, end = total + part, end + step
        if abs(part) < 1e-15 or end > 4000 * step:
            break
    return 0.5 + total / np.pi


def weighted_u(a, wa, b, wb):
    """AUC of weighted scores by the pairs themselves; p from the variance under the null hypothesis."""
    psi = (b[None, :] > a[:, None]) + 0.5 * (b[None, :] == a[:, None])
    wa, wb = wa / wa.sum(), wb / wb.sum()
    place_a, place_b = psi @ wb, wa @ psi
    auc = wa @ place_a
    error = np.sqrt(np.sum(wa**2 * (place_a - auc)**2) + np.sum(wb**2 * (place_b - auc)**2))
    na, nb = 1 / np.sum(wa**2), 1 / np.sum(wb**2)
    h = lambda z: sum(n / (na + nb) * (shares(x, w, z, "left") + shares(x, w, z, "right")) / 2
                      for n, x, w in ((na, a, wa), (nb, b, wb))) - 0.5
    null = np.sum(wa**2 * h(a)**2) + np.sum(wb**2 * h(b)**2)
    k = (np.sum(wb**3 * h(b)**3) - np.sum(wa**3 * h(a)**3)) / null**1.5
    z = (auc - 0.5) / np.sqrt(null)
    return auc, error, stats.norm.sf(min(z, z + k / 6 + k * z**2 / 3 + k**2 * z**3 / 27))


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
    out += ["};", "static const struct cvm_case cvm_cases[] = {"]
    for n, m, mod, shift in CVM:
        a, b = sequence(n, 37, 11, mod, 0).astype(float), sequence(m, 53, 29, mod, shift).astype(float)
        t, p = cvm(a, b)
        if len(np.unique(np.concatenate([a, b]))) == n + m:
            scipys = stats.cramervonmises_2samp(a, b, method="asymptotic")
            assert np.isclose(t, scipys.statistic, rtol=1e-10) and np.isclose(p, scipys.pvalue, rtol=1e-6, atol=1e-12)
        out.append(f"    {{{n}, {m}, {mod}, {shift}, {float(t)!r}, {float(p)!r}}},")
    out += ["};", "static const struct weighted_case weighted_cases[] = {"]
    for n, m, mod, shift, spread in WEIGHTED:
        a, b = sequence(n, 37, 11, mod, 0).astype(float), sequence(m, 53, 29, mod, shift).astype(float)
        found = weighted(a, weights(n, spread, 0), b, weights(m, spread, 3))
        out.append(f"    {{{n}, {m}, {mod}, {shift}, {spread}, " + ", ".join(repr(float(v)) for v in found) + "},")
    out += ["};", "static const struct chi2_case chi2_cases[] = {"]
    for n, m, mod, shift, spread in CHI2:
        a, b = sequence(n, 37, 11, mod, 0).astype(float), sequence(m, 53, 29, mod, shift).astype(float)
        bins, x2, p = chi2(a, weights(n, spread, 0), b, weights(m, spread, 3))
        out.append(f"    {{{n}, {m}, {mod}, {shift}, {spread}, {bins}, {float(x2)!r}, {float(p)!r}}},")
    out += ["};", "static const struct gamma_case gamma_cases[] = {"]
    out += [f"    {{{shape}, {x}, {float(special.gammaincc(shape, x))!r}}}," for shape, x in GAMMA]
    out += ["};", "static const struct mixture_case mixture_cases[] = {"]
    for count, decay, x in MIXTURE:
        out.append(f"    {{{count}, {decay}, {x}, {float(imhof(decay ** np.arange(count), x))!r}}},")
    out += ["};", "static const struct weighted_u_case weighted_u_cases[] = {"]
    for n, m, mod, shift, spread in WEIGHTED:
        a, b = sequence(n, 37, 11, mod, 0).astype(float), sequence(m, 53, 29, mod, shift).astype(float)
        found = weighted_u(a, weights(n, spread, 0), b, weights(m, spread, 3))
        out.append(f"    {{{n}, {m}, {mod}, {shift}, {spread}, " + ", ".join(repr(float(v)) for v in found) + "},")
    out += ["};", "", "#endif"]
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.h"), "w") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()

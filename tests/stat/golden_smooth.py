#!/usr/bin/python3
"""Writes golden_smooth.h: the components of a smooth change by SciPy, from the values themselves and their ranks.

Run by hand when cases are added; the test reads golden_smooth.h alone.
"""
import os

import numpy as np
from scipy import special, stats

CASES = [  # how often each of the values 0, 1, 2, ... occurs; absent ones; periodic
    ([5, 3, 8, 4, 1, 9], 0, False),
    ([100, 250, 80, 3, 500, 17, 40, 10], 12, False),
    ([40, 40, 1, 70, 30, 20, 25, 8], 0, True),
    ([30, 12], 5, False),
    ([7], 0, False),
]


def scores(counts, absent, periodic):
    values = np.repeat(np.arange(len(counts)), counts)
    u = (stats.rankdata(values) - 0.5) / len(values)
    if periodic:
        angle = 2 * np.pi * u
        found = [np.cos(angle), np.sin(angle), np.cos(2 * angle), np.sin(2 * angle),
                 np.cos(3 * angle), np.sin(3 * angle)]
    else:
        found = [special.eval_legendre(k, 2 * u - 1) for k in (1, 2, 3, 4)]
        x = stats.cauchy.ppf(u)  # the scores -f'/f and -1 - x f'/f
        found += [2 * x / (1 + x**2), (x**2 - 1) / (1 + x**2)]
    rows = []
    for f in found:
        z = (f - f.mean()) / f.std() if f.std() > 1e-9 else 0 * f
        rows.append([z[values == v][0] for v in range(len(counts))] + [0.0])
    is_absent = np.repeat([0.0, 1.0], [len(values), absent])
    z = (is_absent - is_absent.mean()) / is_absent.std() if absent else np.zeros(len(values))
    rows.insert(4, [z[0]] * len(counts) + [z[-1] if absent else 0.0])
    return rows


def main():
    out = ["/* Written by golden_smooth.py; SciPy's answers. */", "#ifndef TESTS_STAT_GOLDEN_SMOOTH_H",
           "#define TESTS_STAT_GOLDEN_SMOOTH_H", "", "#include <stdbool.h>", "",
           "/* scores[k]: of each value, then of absent ones. */", "struct smooth_case {",
           "    int values, counts[8], absent;", "    bool periodic;", "    double scores[7][9];", "};", "",
           "static const struct smooth_case smooth_cases[] = {"]
    for counts, absent, periodic in CASES:
        rows = ",\n      ".join("{" + ", ".join(repr(float(x)) for x in row) + "}"
                                for row in scores(counts, absent, periodic))
        out.append(f"    {{{len(counts)}, {{{', '.join(map(str, counts))}}}, {absent}, {str(periodic).lower()},\n"
                   f"     {{{rows}}}}},")
    out += ["};", "", "#endif"]
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden_smooth.h"), "w") as f:
        f.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()

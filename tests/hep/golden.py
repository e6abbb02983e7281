#!/usr/bin/python3
"""Writes golden.h: what NumPy and the package `vector` find for expressions, and mpmath with 60 digits for four-vectors.

Run by hand when cases are added (NumPy 2.4, vector 1.9 and mpmath 1.4 made the stored numbers); the tests read golden.h
alone.
"""
import os

import mpmath
import numpy as np
import vector

mpmath.mp.dps = 60
nan, inf = float("nan"), float("inf")

# --- systems: (pt, eta, phi, m) of particles ---

MU = 0.1056583755
SYSTEMS = [
    [(45.2, 0.3, 1.1, MU), (38.7, -0.9, -2.0, MU)],
    [(45.2, 2.3, 3.1, MU), (38.7, 2.1, -3.1, MU)],
    [(1000.0, 1.5, 0.2, MU), (999.0, 1.5 + 1e-7, 0.2 - 2e-7, MU)],  # nearly collinear
    [(1000.0, 4.5, 0.2, 0.0), (500.0, 4.5 + 1e-9, 0.2, 0.0)],
    [(1000.0, 1.5, 0.2, MU), (1000.0, 1.5, 0.2, MU)],  # exactly: 2 m
    [(30.0, -1.0, 2.0, 91.2)],
    [(0.0, 1.0, 2.0, 5.0), (10.0, 0.0, 1.0, 0.0)],
    [(120.0, 0.1, -1.2, 15.0), (80.0, 1.9, 2.7, 8.0), (60.0, -2.2, 0.4, 4.2), (25.0, 3.9, 1.8, 0.0)],
    [(1e-3, 6.0, 0.0, 172.5), (1e4, -3.0, 3.0, 172.5)],
    [(20.0, 5.0, 0.5, 0.000511), (20.0, -5.0, 0.5 - 3.0, 0.000511)],
]


def system(particles):
    """Mass, pt, eta, rapidity and phi of the sum."""
    e = x = y = z = mpmath.mpf(0)
    for pt, eta, phi, m in (map(mpmath.mpf, p) for p in particles):
        e += mpmath.sqrt((pt * mpmath.cosh(eta)) ** 2 + m * m)
        x += pt * mpmath.cos(phi)
        y += pt * mpmath.sin(phi)
        z += pt * mpmath.sinh(eta)
    pt, m2 = mpmath.sqrt(x * x + y * y), e * e - x * x - y * y - z * z
    return [mpmath.sqrt(m2), pt, mpmath.asinh(z / pt), mpmath.atanh(z / e), mpmath.atan2(y, x)]


def check_with_vector(particles, found):
    """The formulas above are ours too; `vector` is not. Where it loses digits it is let off."""
    total = sum((vector.obj(pt=p, eta=e, phi=f, mass=m) for p, e, f, m in particles), vector.obj(px=0, py=0, pz=0, E=0))
    theirs = [total.mass, total.pt, total.eta, total.rapidity, total.phi]
    slack = 1e-7 if found[0] > 1e-3 * total.E else 1e-2
    assert np.allclose(theirs, [float(f) for f in found], rtol=slack, atol=slack), (particles, theirs, found)


# --- expressions over a few columns, of four events ---

COLUMNS = {
    "a": [1.5, -2.25, 0.0, 7.0], "b": [-0.5, 3.0, 2.0, 1e-3], "pt": [45.25, 30.0, 0.5, 700.0],
    "gone": [nan, 2.0, nan, 0.0], "eta1": [0.5, -1.25, 2.0, -0.125], "phi1": [3.0, -3.0, 0.5, 1.0],
    "eta2": [-0.75, 2.5, 2.0, 0.25], "phi2": [-3.0, 3.125, 0.75, -2.5], "m_": [0.0, 0.125, 5.0, 91.0],
}
c = {name: np.array(values) for name, values in COLUMNS.items()}
with np.errstate(all="ignore"):
    dphi = np.angle(np.exp(1j * (c["phi1"] - c["phi2"])))
    first = vector.array({"pt": c["pt"], "eta": c["eta1"], "phi": c["phi1"], "mass": c["m_"]})
    second = vector.array({"pt": 2 * c["pt"], "eta": c["eta2"], "phi": c["phi2"], "mass": c["m_"]})
    pair = first + second
    EXPRESSIONS = {
        "a": c["a"], "1": np.ones(4), " 1.5e2 ": np.full(4, 150.0), ".5 + 1.": np.full(4, 1.5), "pi": np.full(4, np.pi),
        "a + b * 2": c["a"] + c["b"] * 2, "(a + b) * 2": (c["a"] + c["b"]) * 2, "a - b - 1": c["a"] - c["b"] - 1,
        "a / b / 2": c["a"] / c["b"] / 2, "a-b+1": c["a"] - c["b"] + 1, "-a^2": -(c["a"] ** 2), "2^-1": np.full(4, 0.5),
        "2^3^2": np.full(4, 512.0), "(-a)^2": c["a"] ** 2, "--a": c["a"], "a*-b": -c["a"] * c["b"], "+a": c["a"],
        "a < b": c["a"] < c["b"], "a <= 0": c["a"] <= 0, "a > b": c["a"] > c["b"], "b >= 2": c["b"] >= 2,
        "a == 0": c["a"] == 0, "a != 0": c["a"] != 0, "!a": c["a"] == 0, "a > 0 && b > 0": (c["a"] > 0) & (c["b"] > 0),
        "a > 0 || b > 2": (c["a"] > 0) | (c["b"] > 2), "a + 1 < b * 2 && 1": c["a"] + 1 < c["b"] * 2,
        "abs(a)": abs(c["a"]), "sqrt(pt)": np.sqrt(c["pt"]), "exp(a)": np.exp(c["a"]), "log(pt)": np.log(c["pt"]),
        "log10(pt)": np.log10(c["pt"]), "sin(a)": np.sin(c["a"]), "cos(a)": np.cos(c["a"]), "tan(a)": np.tan(c["a"]),
        "sinh(a)": np.sinh(c["a"]), "cosh(a)": np.cosh(c["a"]), "tanh(a)": np.tanh(c["a"]),
        "asinh(a)": np.arcsinh(c["a"]), "atan2(a, b)": np.arctan2(c["a"], c["b"]),
        "hypot(a, b)": np.hypot(c["a"], c["b"]), "min(a, b, 1)": np.minimum(np.minimum(c["a"], c["b"]), 1),
        "max(a, b)": np.maximum(c["a"], c["b"]), "max(a)": c["a"], "if(a > 0, b, pt)": np.where(c["a"] > 0, c["b"], c["pt"]),
        "where(a, 1, 2)": np.where(c["a"] != 0, 1, 2),
        "sqrt(a)": np.sqrt(c["a"]), "log(a)": np.where(c["a"] > 0, np.log(c["a"]), nan), "1 / a": np.where(c["a"] != 0, 1 / c["a"], nan),
        "exp(pt)": np.where(c["pt"] < 88, np.exp(c["pt"]), nan), "gone": c["gone"], "gone + 1": c["gone"] + 1,
        "gone^0": np.where(np.isnan(c["gone"]), nan, 1), "gone < 1": np.where(np.isnan(c["gone"]), nan, c["gone"] < 1),
        "!gone": np.where(np.isnan(c["gone"]), nan, c["gone"] == 0), "min(gone, a)": np.minimum(c["gone"], c["a"]),
        "gone || 1": np.where(np.isnan(c["gone"]), nan, 1),
        "max(a, gone)": np.maximum(c["gone"], c["a"]), "hypot(gone, 1)": np.hypot(c["gone"], 1),
        "present(gone)": ~np.isnan(c["gone"]), "if(present(gone), gone, -1)": np.nan_to_num(c["gone"], nan=-1),
        "if(gone, 1, 2)": np.where(np.isnan(c["gone"]), nan, np.where(c["gone"] != 0, 1, 2)), "ht(pt, gone)": c["pt"] + np.nan_to_num(c["gone"]),
        "ht(gone)": np.nan_to_num(c["gone"]), "delta_phi(phi1, phi2)": dphi, "delta_phi(gone, 1)": c["gone"] - 1,
        "delta_r(eta1, phi1, eta2, phi2)": np.hypot(c["eta1"] - c["eta2"], dphi),
        "mt(pt, phi1, 2 * pt, phi2)": np.sqrt(2 * c["pt"] * 2 * c["pt"] * (1 - np.cos(dphi))), "mt(-1, 0, 1, 1)": np.full(4, nan),
        "mass(pt, eta1, phi1, m_, 2*pt, eta2, phi2, m_)": pair.mass, "pt(pt, eta1, phi1, m_, 2*pt, eta2, phi2, m_)": pair.pt,
        "eta(pt, eta1, phi1, m_, 2*pt, eta2, phi2, m_)": pair.eta, "rapidity(pt, eta1, phi1, m_, 2*pt, eta2, phi2, m_)": pair.rapidity,
        "phi(pt, eta1, phi1, m_, 2*pt, eta2, phi2, m_)": pair.phi, "mass(pt, eta1, phi1, m_)": c["m_"],
        "mass(pt, eta1, gone, m_)": c["m_"] + 0 * c["gone"], "mass(-pt, eta1, phi1, m_)": np.full(4, nan),
        "mass(pt, eta1, phi1, -1e-6)": np.zeros(4),
        "a\n+\tb": c["a"] + c["b"], "((((a))))": c["a"],
    }


def number(x):
    return "NAN" if np.isnan(float(x)) else repr(float(x))


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden.h"), "w") as out:
    print("/* Written by golden.py; mpmath's, NumPy's and vector's answers. */\n#ifndef TESTS_HEP_GOLDEN_H\n"
          "#define TESTS_HEP_GOLDEN_H\n\n#include <math.h>\n\n#include \"hep/kinematics.h\"\n", file=out)
    print("/* clang-format off */\nstatic const struct system_case {\n    int n;\n    struct tw_particle particles[4];\n"
          "    double mass, pt, eta, rapidity, phi;\n} systems[] = {", file=out)
    for particles in SYSTEMS:
        found = system(particles)
        check_with_vector(particles, found)
        inside = ", ".join("{" + ", ".join(map(repr, p)) + "}" for p in particles)
        print(f"    {{{len(particles)}, {{{inside}}}, {', '.join(number(f) for f in found)}}},", file=out)
    print("};\n\nenum { EVENTS = 4 };\n\nstatic const char *const names[] = {"
          + ", ".join(f'"{n}"' for n in COLUMNS) + "};", file=out)
    print("static const float columns[][EVENTS] = {", file=out)
    for values in COLUMNS.values():
        print("    {" + ", ".join(number(v) for v in values) + "},", file=out)
    print("};\n\nstatic const struct expression_case {\n    const char *text;\n    double values[EVENTS];\n"
          "} expressions[] = {", file=out)
    for text, values in EXPRESSIONS.items():
        escaped = text.replace("\n", "\\n").replace("\t", "\\t")
        print(f'    {{"{escaped}", {{' + ", ".join(number(v) for v in np.asarray(values, float)) + "}},", file=out)
    print("};\n/* clang-format on */\n\n#endif", file=out)

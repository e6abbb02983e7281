#!/usr/bin/env python3
"""flow_mass: a golden flow with coordinates, for events in and outside of their domain.

Masses are those of four-vectors in extended precision, and the Jacobian is a numerical derivative of the coordinate: no
formula of docs/model-format.md for either is used. The chain of splines is computed by tests/model/reader.py, which the
other golden flows hold to PyTorch.

Needs: numpy
Run:   python make_mass.py, in this folder
"""
import json
import os
import struct
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model"))
import reader

EVENTS = 256
WIDE = np.longdouble
CIRCLE = dict(kind="periodic", min=0.0, max=360.0)
POSITIVE = dict(transform="log", min=0.0)
FEATURES = [dict(name="a_pt", **POSITIVE), dict(name="a_eta"), dict(name="a_phi", **CIRCLE),
            dict(name="b_pt", **POSITIVE), dict(name="b_eta"), dict(name="b_phi", **CIRCLE),
            dict(name="j_pt", transform="log", min=20.0), dict(name="j_eta"), dict(name="j_phi", **CIRCLE),
            dict(name="j_m", **POSITIVE)]
NAMES = [f["name"] for f in FEATURES]
A, B, J = ["a_pt", "a_eta", "a_phi", 0.10566], ["b_pt", "b_eta", "b_phi", 1.777], ["j_pt", "j_eta", "j_phi", "j_m"]
COORDINATES = [dict(name="m_ab", kind="mass", of=[B, A], replaces="b_pt", peak=dict(at=91.19, width=2.5), min=0.0),
               dict(name="m_abj", kind="mass", of=[A, J, B], replaces="j_pt", peak=None, min=110.0)]
MODEL = dict(kind="flow", blocks=4, hidden=[8, 6], activation="silu", bins=5, bound=4.0, harmonics=1, torus=True,
             masks=["0011010110", "1100101001", "0101101001", "1010010110"], coordinates=COORDINATES)


def square(coordinate, x, momentum):
    """s with the replaced momentum at `momentum`, from summed four-vectors."""
    total = [0, 0, 0, 0]
    for pt, eta, phi, mass in coordinate["of"]:
        pt = momentum if pt == coordinate["replaces"] else x[NAMES.index(pt)]
        eta, phi = x[NAMES.index(eta)], x[NAMES.index(phi)] * WIDE(np.pi) / 180
        m = x[NAMES.index(mass)] if isinstance(mass, str) else WIDE(mass)
        p = [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
        total = [t + v for t, v in zip(total, [np.sqrt(m * m + sum(c * c for c in p))] + p)]
    return total[0] ** 2 - sum(c * c for c in total[1:])


def line(coordinate, m):
    if coordinate["peak"] is None:
        return np.log(m)
    at, width = WIDE(coordinate["peak"]["at"]), WIDE(coordinate["peak"]["width"])
    return np.arcsinh((m - at * at / m) / width)


def least(coordinate, x):
    """Where s begins to rise, by golden section; not below the feature's min."""
    low, high, ratio = WIDE(0), WIDE(1e3), (np.sqrt(WIDE(5)) - 1) / 2
    for _ in range(150):
        u, v = high - ratio * (high - low), low + ratio * (high - low)
        if square(coordinate, x, u) < square(coordinate, x, v):
            high = v
        else:
            low = u
    return max(low if low > 1e-9 else WIDE(0), WIDE(FEATURES[NAMES.index(coordinate["replaces"])]["min"]))


def coordinate_of(coordinate, x, mean, width):
    """y and ln dy/dx of one event, None outside the domain."""
    at, start = x[NAMES.index(coordinate["replaces"])], least(coordinate, x)
    edge = max(WIDE(coordinate["min"]), np.sqrt(square(coordinate, x, start)))

    def y(momentum):
        gap = (line(coordinate, np.sqrt(square(coordinate, x, momentum))) - line(coordinate, edge)) / width
        return (line(coordinate, edge) - mean) / width + gap + np.log(-np.expm1(-gap))

    if at <= start or np.sqrt(square(coordinate, x, at)) <= edge:
        return None
    step = WIDE(1e-5) * min(at, at - start)
    return y(at), np.log((8 * (y(at + step) - y(at - step)) - y(at + 2 * step) + y(at - 2 * step)) / (12 * step))


def draw(generator):
    """Muon pairs of a line and a jet; the masses of every fourth event are anything, also too small to be allowed."""
    n = EVENTS
    pt = lambda: np.exp(generator.normal(3.6, 0.5, n))
    eta = lambda: generator.normal(0, 1.5, n)
    phi = lambda: generator.uniform(0, 360, n)
    x = np.column_stack([pt(), eta(), phi(), pt(), eta(), phi(), 20 + pt(), eta(), phi(), np.exp(generator.normal(2, 0.5, n))])
    mass = 91.19 + 1.25 * np.tan(np.pi * generator.uniform(-0.45, 0.45, n))
    angle = np.cosh(x[:, 1] - x[:, 4]) - np.cos(np.radians(x[:, 2] - x[:, 5]))
    x[:, 3] = np.where(np.arange(n) % 4 == 0, x[:, 3], mass ** 2 / (2 * x[:, 0] * angle))
    near = np.arange(n) % 16 == 0  # nearly collinear, on both sides of where s begins to rise
    x[near, 4], x[near, 5] = x[near, 1] + 0.02, x[near, 2] + 1
    x[near, 3] = x[near, 0] * np.exp(generator.uniform(1, 5, near.sum()))
    return x.astype(np.float32)


def main():
    generator = np.random.default_rng(11)
    single = lambda v: np.float32(v).astype(np.float64)
    real = np.array([reader.kind_of(f) != "periodic" for f in FEATURES])
    tensors = {"statistics/mean": np.where(real, single(generator.uniform(-0.5, 0.5, 10)), 0),
               "statistics/width": np.where(real, single(generator.uniform(1, 2, 10)), 1)}
    for f in range(10):
        if FEATURES[f].get("transform") == "log" and NAMES[f] != "b_pt":
            tensors["statistics/mean"][f] = {"a_pt": 3.5, "j_pt": 5.5, "j_m": 2}[NAMES[f]]
            tensors["statistics/width"][f] = 0.5
    for b, mask in enumerate(MODEL["masks"]):
        inputs = sum(2 if not real[f] else 1 for f in range(10) if mask[f] == "0")
        outputs = sum(3 * MODEL["bins"] + (-1 if real[f] else 1) for f in range(10) if mask[f] == "1")
        for i, (rows, cols) in enumerate(zip(MODEL["hidden"] + [outputs], [inputs] + MODEL["hidden"])):
            tensors[f"parameters/block{b}/{i}/weight"] = single(generator.uniform(-1, 1, (rows, cols)) * 0.5 * (3 / cols) ** 0.5)
            tensors[f"parameters/block{b}/{i}/bias"] = single(generator.uniform(-0.5, 0.5, rows))
    meta = {"format": 1, "library": "golden", "kind": "flow", "model": MODEL, "features": FEATURES, "conditions": [],
            "twin": "flow_mass", "seed": "0", "parent": "", "cause": "import", "kernels": "numpy"}
    header, offset = {"__metadata__": {"twin": json.dumps(meta)}}, 0
    for key, t in tensors.items():
        header[key] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [offset, offset + 4 * t.size]}
        offset += 4 * t.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open("flow_mass.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(t.astype("<f4").tobytes() for t in tensors.values()))

    x = draw(generator)
    log_prob = np.full(EVENTS, -np.inf)
    plain = dict(meta, model={k: v for k, v in MODEL.items() if k != "coordinates"})
    y, jacobian = reader.coordinates(x.astype(np.float64), plain, tensors)
    inside = np.ones(EVENTS, bool)
    for coordinate in COORDINATES:
        f = NAMES.index(coordinate["replaces"])
        mean, width = tensors["statistics/mean"][f], tensors["statistics/width"][f]
        jacobian -= -np.log(x[:, f].astype(np.float64) - FEATURES[f]["min"]) - np.log(width)
        for i in range(EVENTS):
            made = coordinate_of(coordinate, x[i].astype(WIDE), mean, width)
            inside[i] &= made is not None
            if made:
                y[i, f], jacobian[i] = made[0], jacobian[i] + made[1]
    log_prob[inside] = (reader.density(meta, tensors, "parameters", y.copy()) + jacobian)[inside]
    np.save("flow_mass_x.npy", x)
    np.save("flow_mass_log_prob.npy", log_prob)
    print(f"flow_mass: {inside.sum()} of {EVENTS} inside, log p from {log_prob[inside].min():.3f} to {log_prob.max():.3f}")


if __name__ == "__main__":
    main()

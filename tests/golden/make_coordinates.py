#!/usr/bin/env python3
"""Golden flows with coordinates, for events in and outside of their domain.

flow_mass  the mass of two particles in place of a momentum, then that of three
flow_pair  two particles as a pair and its decay, then the mass of three
flow_difference  of rapidities and of angles, then the mass of two

Four-vectors are summed and boosted in extended precision, and Jacobians are numerical derivatives: no formula of
docs/model-format.md for either is used. The chain of splines is computed by tests/model/reader.py, which the other golden
flows hold to PyTorch.

Needs: numpy
Run:   python make_coordinates.py, in this folder
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
LINE = dict(peak=dict(at=91.19, width=2.5), min=0.0)
THREE = dict(name="m_abj", kind="mass", of=[A, J, B], replaces="j_pt", peak=None, min=110.0)
LISTS = {"flow_mass": [dict(name="m_ab", kind="mass", of=[B, A], replaces="b_pt", **LINE), THREE],
         "flow_pair": [dict(name="z", kind="pair", of=[A, B], **LINE), THREE],
         "flow_difference": [dict(name="deta", kind="difference", of=["b_eta", "a_eta"]),
                             dict(name="dphi", kind="difference", of=["j_phi", "b_phi"]),
                             dict(name="m_ab", kind="mass", of=[A, B], replaces="b_pt", **LINE)]}
MODEL = dict(kind="flow", blocks=4, hidden=[8, 6], activation="silu", bins=5, bound=4.0, harmonics=1, torus=True,
             masks=["0011010110", "1100101001", "0101101001", "1010010110"])


def vector(particle, x):
    """(e, px, py, pz); x (10) in the order of NAMES."""
    pt, eta, phi = (x[NAMES.index(n)] for n in particle[:3])
    m = x[NAMES.index(particle[3])] if isinstance(particle[3], str) else WIDE(particle[3])
    phi = phi * WIDE(np.pi) / 180
    p = [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)]
    return np.array([np.sqrt(m * m + sum(c * c for c in p))] + p)


def square_of(v):
    return v[0] ** 2 - (v[1:] ** 2).sum()


def square(coordinate, x, momentum):
    """s with the replaced momentum at `momentum`, from summed four-vectors."""
    x = x.copy()
    x[NAMES.index(coordinate["replaces"])] = momentum
    return square_of(sum(vector(p, x) for p in coordinate["of"]))


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


def boost(v, direction, velocity):
    """v seen from a frame that moves with `velocity` in the (unit) `direction`."""
    gamma, along = 1 / np.sqrt(1 - velocity ** 2), (v[1:] * direction).sum()
    space = v[1:] + ((gamma - 1) * along - gamma * velocity * v[0]) * direction
    return np.concatenate([[gamma * (v[0] - velocity * along)], space])


def pair_of(coordinate, x, means, widths):
    """The six values in the places of pt, eta, phi of both, None outside the domain; `means` and `widths` in that order."""
    first, both = vector(coordinate["of"][0], x), sum(vector(p, x) for p in coordinate["of"])
    beam, pt, m = np.array([0, 0, 1], WIDE), np.hypot(both[1], both[2]), np.sqrt(square_of(both))
    rest = [boost(v, beam, both[3] / both[0]) for v in (first, both)]
    along = np.array([both[1] / pt, both[2] / pt, 0], WIDE)
    here = boost(rest[0], along, (rest[1][1:] * along).sum() / rest[1][0])[1:]
    across = np.array([-along[1], along[0], 0], WIDE)
    edge = max(WIDE(coordinate["min"]), sum(np.sqrt(square_of(vector(p, x))) for p in coordinate["of"]))
    gap = (line(coordinate, m) - line(coordinate, edge)) / widths[3]
    return np.array([(np.log(pt) - means[0]) / widths[0],
                     (np.arctanh(both[3] / both[0]) - means[1]) / widths[1],
                     np.arctan2(-both[2], -both[1]),  # coordinates of angles begin at 180 degrees less
                     (line(coordinate, m) - means[3]) / widths[3] + np.log(-np.expm1(-gap)),
                     MODEL["bound"] * here[2] / np.sqrt((here ** 2).sum()),
                     np.arctan2((here * across).sum(), (here * along).sum())])


def pair_jacobian(coordinate, x, means, widths):
    """y, and ln |det| by differences."""
    columns = [NAMES.index(n) for p in coordinate["of"] for n in p[:3]]
    y, matrix = pair_of(coordinate, x, means, widths), np.zeros((6, 6))
    for j, c in enumerate(columns):
        step, at = WIDE(1e-5) * (1 + abs(x[c])), []
        for k in (1, -1, 2, -2):
            moved = x.copy()
            moved[c] += k * step
            at.append(pair_of(coordinate, moved, means, widths) - y)
        at = [np.where(np.isin(np.arange(6), (2, 5)), np.remainder(v + np.pi, 2 * WIDE(np.pi)) - np.pi, v) for v in at]
        matrix[:, j] = (8 * (at[0] - at[1]) - at[2] + at[3]) / (12 * step)
    return y, np.linalg.slogdet(matrix)[1]


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


def wrap(a):
    return np.remainder(a + np.pi, 2 * np.pi) - np.pi


@np.errstate(invalid="ignore")  # momenta below their min
def log_prob_of(meta, tensors, x):
    log_prob, wide = np.full(EVENTS, -np.inf), x.astype(WIDE)
    model = {k: v for k, v in meta["model"].items() if k != "coordinates"}
    y, jacobian = reader.coordinates(x.astype(np.float64), dict(meta, model=dict(model, torus=False)), tensors)
    inside, origin = np.ones(EVENTS, bool), NAMES.index("a_phi")
    mean, width = tensors["statistics/mean"], tensors["statistics/width"]
    for coordinate in meta["model"]["coordinates"]:
        pair = coordinate["kind"] == "pair"
        if coordinate["kind"] == "difference":
            first, second = (NAMES.index(n) for n in coordinate["of"])
            delta = x[:, first].astype(np.float64) - x[:, second].astype(np.float64)
            angle = "kind" in FEATURES[first]
            y[:, first] = wrap(np.radians(delta)) if angle else (delta - mean[first]) / width[first]
            continue  # the Jacobian is that of the feature
        names = [n for p in coordinate["of"] for n in p[:3]] if pair else [coordinate["replaces"]]
        fs = [NAMES.index(n) for n in names]
        for f in fs:  # the feature's own
            jacobian -= {"log": -np.log(x[:, f].astype(np.float64) - FEATURES[f].get("min", 0)) - np.log(width[f]),
                         "real": -np.log(width[f]), "periodic": np.log(np.pi / 180)}[reader.kind_of(FEATURES[f])]
        for i in range(EVENTS):
            made = (pair_jacobian(coordinate, wide[i], mean[fs], width[fs]) if pair
                    else coordinate_of(coordinate, wide[i], mean[fs[0]], width[fs[0]]))
            inside[i] &= made is not None
            if made:
                y[i, fs], jacobian[i] = made[0], jacobian[i] + made[1]
    # relative to the pair, or to the first angle
    kind = meta["model"]["coordinates"][0]["kind"]
    for name in {"pair": ["j_phi"], "mass": ["b_phi", "j_phi"], "difference": ["b_phi"]}[kind]:
        y[:, NAMES.index(name)] = wrap(y[:, NAMES.index(name)] - y[:, origin])
    log_prob[inside] = (reader.density(meta, tensors, y, x, None) + jacobian)[inside]
    return log_prob


def make(name, generator):
    single = lambda v: np.float32(v).astype(np.float64)
    meta = {"format": 1, "library": "golden", "kind": "flow", "model": MODEL | dict(coordinates=LISTS[name]),
            "features": FEATURES, "conditions": [], "twin": name, "seed": "0", "parent": "", "cause": "import",
            "kernels": "numpy"}
    kinds = reader.kinds_of(meta)
    real = np.array([k in ("real", "log") for k in kinds])
    tensors = {"statistics/mean": np.where(real, single(generator.uniform(-0.5, 0.5, 10)), 0),
               "statistics/width": np.where(real, single(generator.uniform(1, 2, 10)), 1)}
    for f, mean in (("a_pt", 3.5), ("j_pt", 5.5), ("j_m", 2)):
        tensors["statistics/mean"][NAMES.index(f)], tensors["statistics/width"][NAMES.index(f)] = mean, 0.5
    for b, mask in enumerate(MODEL["masks"]):
        inputs = sum(2 if kinds[f] == "periodic" else 1 for f in range(10) if mask[f] == "0")
        outputs = sum(3 * MODEL["bins"] + (-1 if real[f] else 1) for f in range(10) if mask[f] == "1")
        for i, (rows, cols) in enumerate(zip(MODEL["hidden"] + [outputs], [inputs] + MODEL["hidden"])):
            tensors[f"parameters/block{b}/{i}/weight"] = single(generator.uniform(-1, 1, (rows, cols)) * 0.5 * (3 / cols) ** 0.5)
            tensors[f"parameters/block{b}/{i}/bias"] = single(generator.uniform(-0.5, 0.5, rows))
    header, offset = {"__metadata__": {"twin": json.dumps(meta)}}, 0
    for key, t in tensors.items():
        header[key] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [offset, offset + 4 * t.size]}
        offset += 4 * t.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(name + ".safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(t.astype("<f4").tobytes() for t in tensors.values()))

    x = draw(generator)
    log_prob = log_prob_of(meta, tensors, x)
    inside = np.isfinite(log_prob)
    np.save(name + "_x.npy", x)
    np.save(name + "_log_prob.npy", log_prob)
    print(f"{name}: {inside.sum()} of {EVENTS} inside, log p from {log_prob[inside].min():.3f} to {log_prob.max():.3f}")


if __name__ == "__main__":
    for seed, flow in enumerate(LISTS):
        make(flow, np.random.default_rng(11 + seed))

#!/usr/bin/env python3
"""log_prob from an artifact, in NumPy and double, written from docs/model-format.md alone.

Run: reader.py ARTIFACT EVENTS.npy OUT.npy
"""
import json
import struct
import sys

import numpy as np


def load(path):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    meta = json.loads(header.pop("__metadata__")["twin"])
    body = data[8 + length:]
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(body[begin:end], "<f4").reshape(entry["shape"]).astype(np.float64)
    return meta, tensors


def wrap(a):
    return a - 2 * np.pi * np.floor((a + np.pi) / (2 * np.pi))


def kind_of(feature):
    if feature.get("kind") in ("periodic", "discrete"):
        return feature["kind"]
    if feature.get("transform") == "log":
        return "log"
    return "bounded" if "min" in feature and "max" in feature else "real"


def replaced_by(coordinate):
    """The features in whose places its values stand."""
    if coordinate["kind"] == "pair":
        return [n for p in coordinate["of"] for n in p[:3]]
    return [coordinate["replaces"] if coordinate["kind"] == "mass" else coordinate["of"][0]]


def kinds_of(meta):
    """How each coordinate is spread."""
    kinds, names = [kind_of(f) for f in meta["features"]], [f["name"] for f in meta["features"]]
    for coordinate in meta["model"].get("coordinates", []):
        new = {"mass": ["real"], "pair": ["real", "real", "periodic", "real", "bounded", "periodic"]}.get(coordinate["kind"])
        new = new or [kinds[names.index(coordinate["of"][0])]]
        for name, kind in zip(replaced_by(coordinate), new):
            kinds[names.index(name)] = kind
    return kinds


def levels(x, meta):
    """(n, D) -> (n, J) levels and how many there are of each, for features that are optional or discrete."""
    of, counts = [np.zeros((len(x), 0))], []
    for f, feature in enumerate(meta["features"]):
        absent, optional = np.isnan(x[:, f]), feature.get("optional", False)
        if kind_of(feature) == "discrete":
            values = int(feature["max"] - feature["min"]) + 1
            of.append(np.where(absent, values, x[:, f] - feature["min"])[:, None])
            counts.append(values + optional)
        elif optional:
            of.append(1.0 - absent[:, None])
            counts.append(2)
    return np.concatenate(of, 1), counts


def code(x, meta):
    at, counts = levels(x, meta)
    return np.concatenate([np.zeros((len(x), 0))] +
                          [1.0 * (at[:, j:j + 1] == np.arange(1, n)) for j, n in enumerate(counts)], 1)


def log_prob_of_class(meta, tensors, x, c):
    """c: conditions as networks see them, or None."""
    at, counts = levels(x, meta)
    if not counts:
        return 0
    table, shares = tensors["statistics/class_levels"], tensors["statistics/class_shares"]
    known = int((shares[:-1] > 0).sum())
    a = network(tensors, "parameters/classes", meta["model"]["activation"], c) if c is not None else np.zeros((len(x), known))
    p = shares[:known] * np.exp(a[:, :known])
    p *= (1 - shares[-1]) / p.sum(1, keepdims=True)
    same = (at[:, None] == table[:known]).all(2)
    others = np.prod([float(n) for n in counts]) - known
    return np.log(np.where(same.any(1), (p * same).sum(1), shares[-1] / max(others, 1)))


def coordinates(x, meta, tensors):
    """(n, D) -> coordinates and the summed log Jacobian; 0 where a feature is absent or has none."""
    bound, y, terms, jacobian = meta["model"]["bound"], np.zeros_like(x), np.zeros_like(x), np.zeros(len(x))
    names, replaced = [f["name"] for f in meta["features"]], []
    for coordinate in meta["model"].get("coordinates", []):
        values, extra = COORDINATES[coordinate["kind"]](coordinate, meta, tensors, x)
        columns = [names.index(n) for n in replaced_by(coordinate)]
        y[:, columns], jacobian, replaced = values, jacobian + extra, replaced + columns
    for f, feature in enumerate(meta["features"]):
        kind, v = kind_of(feature), x[:, f]
        if f in replaced:
            continue
        mean, width = tensors["statistics/mean"][f], tensors["statistics/width"][f]
        if kind in ("periodic", "bounded"):
            low, high = feature["min"], feature["max"]
            half = np.pi if kind == "periodic" else bound
            y[:, f] = half * (2 * (v - low) / (high - low) - 1)
            if kind == "periodic":
                y[:, f] = wrap(y[:, f])
            terms[:, f] = np.log(2 * half / (high - low))
        elif kind == "log":
            u = np.log(v - feature["min"])
            y[:, f] = (u - mean) / width
            terms[:, f] = -u - np.log(width)
        elif kind == "real":
            y[:, f] = (v - mean) / width
            terms[:, f] = -np.log(width)
    if meta["model"]["torus"]:
        circle = lambda f: (meta["features"][f]["min"], meta["features"][f]["max"])
        angles = [f for f, feature in enumerate(meta["features"]) if kind_of(feature) == "periodic" and f not in replaced]
        origins = [names.index(c["of"][0][2]) for c in meta["model"].get("coordinates", []) if c["kind"] == "pair"]
        origins += [f for f in angles if not meta["features"][f].get("optional")]
        original, first = y.copy(), {}
        for f in origins:
            first.setdefault(circle(f), f)
        for f in angles:
            if f != first.get(circle(f), f):
                y[:, f] = wrap(original[:, f] - original[:, first[circle(f)]])
    absent = np.isnan(x)
    return np.where(absent, 0, y), jacobian + np.where(absent, 0, terms).sum(1)


def line(coordinate, m):
    """h of a mass and the log of its slope."""
    if coordinate["peak"] is None:
        return np.log(m), -np.log(m)
    at, width = coordinate["peak"]["at"], coordinate["peak"]["width"]
    z = (m - at * at / m) / width
    return np.arcsinh(z), np.log((1 + (at / m) ** 2) / width) - 0.5 * np.log1p(z * z)


def mass_of(coordinate, meta, x):
    """Four-vectors: the sum of the others (e, px, py, pz), and of the particle whose momentum is replaced its cosh eta,
    sinh eta, phi and mass; names are columns, angles in radians."""
    names = [f["name"] for f in meta["features"]]
    total, opened = np.zeros((4, len(x))), None
    for pt, eta, phi, mass in coordinate["of"]:
        circle = meta["features"][names.index(phi)]
        angle = x[:, names.index(phi)] * 2 * np.pi / (circle["max"] - circle["min"])
        eta, m = x[:, names.index(eta)], x[:, names.index(mass)] if isinstance(mass, str) else np.full(len(x), mass)
        if pt == coordinate["replaces"]:
            opened = np.cosh(eta), np.sinh(eta), angle, m
            continue
        pt = x[:, names.index(pt)]
        px, py, pz = pt * np.cos(angle), pt * np.sin(angle), pt * np.sinh(eta)
        total += [np.sqrt(m * m + px * px + py * py + pz * pz), px, py, pz]
    return total, opened


@np.errstate(invalid="ignore", divide="ignore")
def mass_coordinate(coordinate, meta, tensors, x):
    """y and its log Jacobian in place of those of the replaced feature; outside the domain 0 and -inf."""
    f = [g["name"] for g in meta["features"]].index(coordinate["replaces"])
    (e, px, py, pz), (c, s, phi, m) = mass_of(coordinate, meta, x)
    a = px * np.cos(phi) + py * np.sin(phi) + pz * s
    square = lambda v: e * e - px * px - py * py - pz * pz + m * m + 2 * (e * np.sqrt(m * m + (c * v) ** 2) - a * v)
    turn = np.where((a > 0) & (m > 0), a * m / (c * np.sqrt(e * e * c * c - a * a)), 0)
    least = np.maximum(meta["features"][f]["min"], turn)
    edge = np.maximum(coordinate["min"], np.sqrt(np.maximum(square(least), 0)))
    v, mean, width = x[:, f], tensors["statistics/mean"][f], tensors["statistics/width"][f]
    mass = np.sqrt(np.maximum(square(v), 0))
    slope = (e * c * c * v / np.sqrt(m * m + (c * v) ** 2) - a) / mass
    h, log_slope = line(coordinate, mass)
    gap = (h - line(coordinate, edge)[0]) / width  # H - L
    inside = (v > least) & (mass > edge)
    y = np.where(inside, (h - mean) / width + np.log(-np.expm1(-gap)), 0)
    jacobian = np.log(slope) + log_slope - np.log(width) - np.log(-np.expm1(-gap))
    return y[:, None], np.where(inside, jacobian, -np.inf)


@np.errstate(invalid="ignore", divide="ignore")
def pair_coordinate(coordinate, meta, tensors, x):
    """Six values and their log Jacobian."""
    names, bound = [f["name"] for f in meta["features"]], meta["model"]["bound"]
    columns = [names.index(n) for n in replaced_by(coordinate)]
    jacobian, e, p, masses = np.log(bound) * np.ones(len(x)), [], [], []
    for i, (pt, eta, phi, mass) in enumerate(coordinate["of"]):
        low, high = (meta["features"][names.index(phi)][k] for k in ("min", "max"))
        angle = wrap(np.pi * (2 * (x[:, names.index(phi)] - low) / (high - low) - 1))
        pt, eta = x[:, names.index(pt)], x[:, names.index(eta)]
        m = x[:, names.index(mass)] if isinstance(mass, str) else np.full(len(x), mass)
        p.append(np.array([pt * np.cos(angle), pt * np.sin(angle), pt * np.sinh(eta)]))
        e.append(np.sqrt(m * m + (pt * np.cosh(eta)) ** 2))
        masses.append(m)
        jacobian += np.log(pt) + np.log(pt * np.cosh(eta) / e[i]) + np.log(2 * np.pi / (high - low))
    energy, (px, py, pz) = e[0] + e[1], p[0] + p[1]
    pt, phi, rapidity = np.hypot(px, py), np.arctan2(py, px), np.arctanh(pz / energy)
    mass = np.sqrt(np.maximum(energy ** 2 - px ** 2 - py ** 2 - pz ** 2, 0))
    k = np.sqrt((mass ** 2 - (masses[0] + masses[1]) ** 2) * (mass ** 2 - (masses[0] - masses[1]) ** 2)) / (2 * mass)
    # the first particle, boosted along the beam, then along the transverse momentum of the pair
    e1 = e[0] * np.cosh(rapidity) - p[0][2] * np.sinh(rapidity)
    z1 = p[0][2] * np.cosh(rapidity) - e[0] * np.sinh(rapidity)
    along = p[0][0] * np.cos(phi) + p[0][1] * np.sin(phi)
    along = (np.hypot(mass, pt) * along - pt * e1) / mass
    across = p[0][1] * np.cos(phi) - p[0][0] * np.sin(phi)
    mean, width = tensors["statistics/mean"][columns], tensors["statistics/width"][columns]
    h, log_slope = line(coordinate, mass)
    edge = np.maximum(coordinate["min"], masses[0] + masses[1])
    gap = (h - line(coordinate, edge)[0]) / width[3]
    inside = (mass > edge) & (pt > 0)
    y = np.column_stack([(np.log(pt) - mean[0]) / width[0], (rapidity - mean[1]) / width[1], phi,
                         (h - mean[3]) / width[3] + np.log(-np.expm1(-gap)), bound * np.clip(z1 / k, -1, 1),
                         np.arctan2(across, along)])
    jacobian += log_slope - 2 * np.log(pt) - np.log(k) - np.log(width[[0, 1, 3]]).sum() - np.log(-np.expm1(-gap))
    return np.where(inside[:, None], y, 0), np.where(inside, jacobian, -np.inf)


def difference_coordinate(coordinate, meta, tensors, x):
    first, second = ([f["name"] for f in meta["features"]].index(n) for n in coordinate["of"])
    feature, width, delta = meta["features"][first], tensors["statistics/width"][first], x[:, first] - x[:, second]
    if feature.get("kind") == "periodic":
        turn = 2 * np.pi / (feature["max"] - feature["min"])
        return wrap(delta * turn)[:, None], np.full(len(x), np.log(turn))
    return ((delta - tensors["statistics/mean"][first]) / width)[:, None], np.full(len(x), -np.log(width))


COORDINATES = {"mass": mass_coordinate, "pair": pair_coordinate, "difference": difference_coordinate}


def softplus(s):
    return np.logaddexp(0, s)


def spline(kind, bins, bound, x, p):
    """x (n), p (n, parameters) -> y, log dy/dx."""
    reach = np.pi if kind == "periodic" else bound
    n, rows = len(x), np.arange(len(x))

    def knots(logits):
        e = np.exp(logits - logits.max(1, keepdims=True))
        parts = 2 * reach * (1e-3 + (1 - 1e-3 * bins) * e / e.sum(1, keepdims=True))
        k = np.concatenate([np.zeros((n, 1)), np.cumsum(parts, 1)], 1) - reach
        k[:, -1] = reach
        return k

    xs, ys, rest = knots(p[:, :bins]), knots(p[:, bins:2 * bins]), p[:, 2 * bins:]
    if kind == "periodic":
        slopes, shift = 1e-3 + softplus(rest[:, :bins]), rest[:, bins]
        slopes = np.concatenate([slopes, slopes[:, :1]], 1)
    elif kind == "bounded":
        slopes = 1e-3 + softplus(rest)
        x = np.clip(x, -reach, reach)
    else:
        slopes = np.concatenate([np.ones((n, 1)), 1e-3 + softplus(rest), np.ones((n, 1))], 1)
    inside = np.clip(x, -reach, reach)
    k = np.clip((inside[:, None] >= xs[:, 1:-1]).sum(1), 0, bins - 1)
    x0, y0 = xs[rows, k], ys[rows, k]
    dx, dy = xs[rows, k + 1] - x0, ys[rows, k + 1] - y0
    s0, s1, d, t = slopes[rows, k], slopes[rows, k + 1], dy / dx, (inside - x0) / dx
    den = d + (s1 + s0 - 2 * d) * t * (1 - t)
    y = y0 + dy * (d * t * t + s0 * t * (1 - t)) / den
    log_slope = np.log(d * d * (s1 * t * t + 2 * d * t * (1 - t) + s0 * (1 - t) ** 2) / den ** 2)
    if kind == "periodic":
        y = wrap(y + shift)
    elif kind not in ("bounded",):
        outside = np.abs(x) > reach
        y, log_slope = np.where(outside, x, y), np.where(outside, 0, log_slope)
    return y, log_slope


ACTIVATIONS = {"relu": lambda v: np.maximum(v, 0), "tanh": np.tanh, "silu": lambda v: v / (1 + np.exp(-v))}


def network(tensors, prefix, activation, x):
    layer = 0
    while f"{prefix}/{layer}/weight" in tensors:
        if layer:
            x = ACTIVATIONS[activation](x)
        x = x @ tensors[f"{prefix}/{layer}/weight"].T + tensors[f"{prefix}/{layer}/bias"]
        layer += 1
    return x


def logit(meta, model, tensors, prefix, x, conditions=None):
    """Of a classifier whose tensors begin with prefix."""
    part = {name[len(prefix):]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    y, _ = coordinates(np.asarray(x, np.float64), {**meta, "model": {"bound": np.sqrt(3), "torus": False}}, part)
    y[np.isnan(x)] = np.nan  # an input is 0 where something that it is made of is absent
    inputs, circles = [], []
    for f, feature in enumerate(meta["features"]):
        if kind_of(feature) == "discrete":
            continue
        if kind_of(feature) != "periodic":
            inputs.append(np.clip(y[:, f], -8, 8))
            continue
        circle = (feature["min"], feature["max"])
        earlier = [g for g, other in circles if other == circle]
        for angle in [y[:, f]] + [y[:, f] - y[:, g] for g in (earlier if len(earlier) < 8 else earlier[:1])]:
            inputs += [np.cos(angle), np.sin(angle)]
        circles.append((f, circle))
    inputs = list(np.nan_to_num(inputs)) + list(code(x, meta).T)
    if meta["conditions"]:
        inputs += list(((np.asarray(conditions, np.float64) - part["statistics/condition_mean"])
                        / part["statistics/condition_width"]).T)
    return network(part, "parameters/net", model["activation"], np.stack(inputs, 1))[:, 0]


def log_weight(meta, tensors, x, conditions=None):
    """0 where the artifact has no weights."""
    about = meta.get("reweighting")
    if about is None:
        return 0
    logits = [logit(meta, about["model"], tensors, f"discriminator{k}/", x, conditions) for k in range(about["members"])]
    return np.minimum(about["scale"] * np.mean(logits, 0), about["log_cap"]) - about["log_mean"]


def log_prob(meta, tensors, x, conditions=None):
    """x (n, D) in raw units, conditions (n, C) -> (n)."""
    return log_prob_of_flows(meta, tensors, x, conditions) + log_weight(meta, tensors, x, conditions)


def log_prob_of_flows(meta, tensors, x, conditions):
    members = meta["model"].get("members", 1)
    if members == 1:
        return log_prob_of_flow(meta, tensors, x, conditions)
    each = [log_prob_of_flow(meta, member(tensors, n), x, conditions) for n in range(members)]
    return np.logaddexp.reduce(each, 0) - np.log(members)


def member(tensors, n):
    """The tensors of one flow of an ensemble, under the names that they have in one that is alone."""
    return {name.replace(f"/member{n}/", "/"): tensor for name, tensor in tensors.items() if f"/member{n}/" in name}


def log_prob_of_flow(meta, tensors, x, conditions):
    x, c = np.asarray(x, np.float64), None
    y, jacobian = coordinates(x, meta, tensors)
    if meta["conditions"]:
        c = ((np.asarray(conditions, np.float64) - tensors["statistics/condition_mean"])
             / tensors["statistics/condition_width"])
    return density(meta, tensors, y, x, c) + log_prob_of_class(meta, tensors, x, c) + jacobian


def density(meta, tensors, y, x, c):
    """Log density of a flow, given the class, at coordinates y (n, D) of events x, which are overwritten; c as above."""
    model, there = meta["model"], ~np.isnan(x)
    kinds = [(f, kind) for f, kind in enumerate(kinds_of(meta)) if kind != "discrete"]
    bins, bound = model["bins"], model["bound"]
    result = np.zeros(len(y))
    count = {"real": 3 * bins - 1, "log": 3 * bins - 1, "bounded": 3 * bins + 1, "periodic": 3 * bins + 1}
    extra = [code(x, meta)] + ([c] if c is not None else [])
    for b, mask in enumerate(model["masks"]):
        inputs = []
        for (f, kind), moved in zip(kinds, mask):
            if moved == "1":
                continue
            if kind == "periodic":
                for m in range(1, model["harmonics"] + 1):
                    inputs += [np.cos(m * y[:, f])[:, None], np.sin(m * y[:, f])[:, None]]
            else:
                inputs.append(y[:, f:f + 1] * (np.sqrt(3) / bound if kind == "bounded" else 1))
        inputs = np.concatenate(inputs + extra, 1)
        p, at = network(tensors, f"parameters/block{b}", model["activation"], inputs), 0
        for (f, kind), moved in zip(kinds, mask):
            if moved == "1":
                to, log_slope = spline(kind, bins, bound, y[:, f], p[:, at:at + count[kind]])
                y[:, f] = np.where(there[:, f], to, 0)
                result += np.where(there[:, f], log_slope, 0)
                at += count[kind]
    for f, kind in kinds:
        base = {"bounded": -np.log(2 * bound), "periodic": -np.log(2 * np.pi)}.get(
            kind, -0.5 * y[:, f] ** 2 - 0.5 * np.log(2 * np.pi))
        result += np.where(there[:, f], base, 0)
    return result


if __name__ == "__main__":
    contents = load(sys.argv[1])
    np.save(sys.argv[3], log_prob(*contents, np.load(sys.argv[2])))

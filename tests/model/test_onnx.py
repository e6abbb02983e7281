#!/usr/bin/env python3
"""What twin-bench --onnx writes, in onnxruntime, against the plain reader and twin-bench itself (TAP).

log_prob is compared with the reader's. Samples are compared through the reader too: it takes events of twin-bench
--sample to the base, from which the noise follows that has to give these events back.

Run: test_onnx.py TWIN_BENCH GOLDEN_FOLDER
"""
import os
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import pypi  # noqa: E402
pypi.need("onnx", "onnxruntime")

import numpy as np  # noqa: E402
import onnx  # noqa: E402
import onnxruntime  # noqa: E402

import reader  # noqa: E402
from twins import SMALL, classes, ensemble, mass, trained  # noqa: E402

bench, golden = sys.argv[1:3]
ndtri = np.vectorize(statistics.NormalDist().inv_cdf, otypes=[float])


def session(artifact, output, scratch):
    path = os.path.join(scratch, output + ".onnx")
    subprocess.run([bench, "--onnx", artifact, output, path], stdout=subprocess.DEVNULL, check=True)
    onnx.checker.check_model(path, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def conditions_of(meta, n):
    values = np.array([[c["value"] for c in meta["conditions"]]] * n, np.float32)
    return {"conditions": values} if meta["conditions"] else {}


def log_prob(artifact, x, scratch):
    """Largest difference to the reader's, in units of 1 + |log p|."""
    meta, tensors = reader.load(artifact)
    given = conditions_of(meta, len(x))
    with np.errstate(all="ignore"):
        wanted = reader.log_prob(meta, tensors, x, given.get("conditions"))
    wanted[outside(meta, x)] = -np.inf
    run = session(artifact, "log_prob", scratch)
    got = run.run(None, {"x": x, **given})[0]
    one = np.concatenate([run.run(None, {"x": x[i:i + 1], **{k: v[:1] for k, v in given.items()}})[0] for i in range(3)])
    if not np.array_equal(np.isneginf(got), np.isneginf(wanted)) or not np.allclose(one, got[:3], rtol=1e-4):
        return np.inf
    there = np.isfinite(wanted)
    return np.max(np.abs(got - wanted)[there] / (1 + np.abs(wanted[there])))


def outside(meta, x):
    """Rows with a value that the hard domain of its feature does not have."""
    bad = np.zeros(len(x), bool)
    for f, feature in enumerate(meta["features"]):
        v, kind = x[:, f], reader.kind_of(feature)
        absent = np.isnan(v)
        bad |= absent & (not feature.get("optional", False)) | np.isinf(v)
        if kind == "log":
            bad |= ~absent & (v <= feature["min"])
        if kind in ("bounded", "discrete"):
            bad |= ~absent & ((v < feature["min"]) | (v > feature["max"]))
    return bad


def noise_of(meta, tensors, x):
    """Normal numbers that have to give the events x of a single flow."""
    given = conditions_of(meta, len(x)).get("conditions")
    c = given if given is None else (given - tensors["statistics/condition_mean"]) / tensors["statistics/condition_width"]
    z, _ = reader.coordinates(x.astype(np.float64), meta, tensors)
    reader.density(meta, tensors, z, x.astype(np.float64), c)  # takes z to the base
    bound, columns = meta["model"]["bound"], []
    for f, kind in enumerate(reader.kinds_of(meta)):
        half = {"bounded": bound, "periodic": np.pi}.get(kind)
        if kind != "discrete":
            columns.append(z[:, f] if half is None else ndtri(np.clip(0.5 * (z[:, f] / half + 1), 1e-7, 1 - 1e-7)))
    level, counts = reader.levels(x, meta)
    if counts:
        table, shares = tensors["statistics/class_levels"], tensors["statistics/class_shares"][:-1]
        shares, table = shares[shares > 0] / shares.sum(), table[:(shares > 0).sum()]
        slot = (level[:, None, :] == table[None]).all(2).argmax(1)
        columns.append(ndtri((np.cumsum(shares) - 0.5 * shares)[slot]))
    return np.nan_to_num(np.stack(columns, 1)).astype(np.float32)


def samples(artifact, scratch, n=500):
    """Largest difference of events, in units of each feature's spread, of all but the worst percent: noise in float32
    ends at 5 sigma, and what lies in a steep bin is moved by its last digit."""
    meta, tensors = reader.load(artifact)
    events = os.path.join(scratch, "samples.npy")
    subprocess.run([bench, "--sample", artifact, str(n), events], stdout=subprocess.DEVNULL, check=True)
    x = np.load(events)
    got = session(artifact, "sample", scratch).run(None, {"noise": noise_of(meta, tensors, x), **conditions_of(meta, n)})[0]
    if not np.array_equal(np.isnan(got), np.isnan(x)) or outside(meta, got).any():
        return np.inf
    worst = 0
    for f, feature in enumerate(meta["features"]):
        delta = np.abs(got[:, f] - x[:, f])
        if feature.get("kind") == "periodic":
            delta = np.minimum(delta, feature["max"] - feature["min"] - delta)
        worst = max(worst, np.nanquantile(delta, 0.99) / (np.nanstd(x[:, f]) or 1))
    return worst


def mixture(artifact, scratch, n=3000):
    """An ensemble's events have the log_prob, in the mean, of those that twin-bench draws: in standard errors."""
    meta, tensors = reader.load(artifact)
    events = os.path.join(scratch, "samples.npy")
    subprocess.run([bench, "--sample", artifact, str(n), events], stdout=subprocess.DEVNULL, check=True)
    width = len(meta["features"]) + 1
    noise = np.random.default_rng(7).normal(size=(n, width)).astype(np.float32)
    got = session(artifact, "sample", scratch).run(None, {"noise": noise})[0]
    ours, theirs = (reader.log_prob(meta, tensors, x) for x in (np.load(events), got))
    return abs(ours.mean() - theirs.mean()) / np.hypot(ours.std(), theirs.std()) * np.sqrt(n)


cases = []


def case(name, value, limit):
    cases.append(value <= limit)  # false for nan
    print(f"{'ok' if cases[-1] else 'not ok'} {len(cases)} - {name}: {value:.2e}", flush=True)


with tempfile.TemporaryDirectory() as made:
    for name in ("tails", "mixed", "torus", "single", "mass", "pair", "difference"):
        path = os.path.join(golden, f"flow_{name}")
        events = np.load(path + "_x.npy").astype(np.float32)
        events[:3] = events[3:6]
        events[-1, 0] = np.nan
        case(f"{name}: log_prob", log_prob(path + ".safetensors", events, made), 1e-4)
        case(f"{name}: sample", samples(path + ".safetensors", made), 2e-3)
    conditions = [{"name": "t", "min": 0, "max": 2, "value": 0.5}]
    for name, what in (("ensemble", ensemble()), ("classes", classes(model=SMALL)), ("classes, mass", mass()),
                       ("classes, conditions", classes(model={**SMALL, "members": 2}, conditions=conditions))):
        artifact, rows = trained(bench, made, *what)
        case(f"{name}: log_prob", log_prob(artifact, np.load(rows), made), 1e-4)
        if name == "ensemble":
            case(f"{name}: sample", mixture(artifact, made), 4)
        elif "conditions" not in name:
            case(f"{name}: sample", samples(artifact, made), 2e-3)
    refused = subprocess.run([bench, "--onnx", os.path.join(golden, "reweighted_mixed.safetensors"), "sample",
                              os.path.join(made, "no.onnx")], capture_output=True, text=True)
    case("weights are refused by name", float(refused.returncode != 1 or "weights" not in refused.stderr), 0)
print(f"1..{len(cases)}")
sys.exit(not all(cases))

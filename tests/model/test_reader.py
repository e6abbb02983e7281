#!/usr/bin/env python3
"""A reader in plain NumPy against twin-bench --log-prob, on the golden flows and some that are trained here (TAP).

Run: test_reader.py TWIN_BENCH GOLDEN_FOLDER
"""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

import reader

bench, folder = sys.argv[1:3]
names = ["flow_tails", "flow_mixed", "flow_torus", "flow_single", "flow_mass", "flow_pair", "flow_difference",
         "reweighted_mixed"]
print(f"1..{len(names) + 4}")


def trained(scratch, x, definition_json):
    """Trained for a moment: an artifact, and the events."""
    definition, artifact, events = (os.path.join(scratch, n) for n in ("twin.json", "twin.safetensors", "x.npy"))
    np.save(events, x)
    with open(definition, "w") as file:
        json.dump(definition_json, file)
    subprocess.run([bench, "--train", definition, events, artifact, "--epochs", "4", "--rate", "0.01", "--quiet"],
                   stdout=subprocess.DEVNULL, check=True)
    return artifact, events


SMALL = {"blocks": 3, "hidden": [8], "bins": 4}


def ensemble():
    return (np.random.default_rng(1).normal(size=(1000, 2)).astype(np.float32),
            {"name": "e", "features": [{"name": "a"}, {"name": "b", "min": -9, "max": 9}], "model": {**SMALL, "members": 3}})


def classes(**more):
    """Features that come and go, an angle before the one that stays among them, and discrete ones; the last event is of a
    class that the others do not have."""
    draw = np.random.default_rng(2)
    n, k = 1000, draw.integers(1, 4, 1000)
    x = np.stack([draw.uniform(-3, 3, n), draw.normal(size=n) + k, k, draw.uniform(-3, 3, n), draw.exponential(size=n),
                  draw.integers(0, 2, n)], 1).astype(np.float32)
    x[k < 2, 0] = x[k < 3, 4] = x[draw.random(n) < 0.3, 5] = np.nan
    x[-1] = [1, 0, 1, 1, 1, 1]
    circle = {"kind": "periodic", "min": -np.pi, "max": np.pi}
    features = [{"name": "phi2", "optional": True, **circle}, {"name": "a"},
                {"name": "k", "kind": "discrete", "min": 1, "max": 3}, {"name": "phi1", **circle},
                {"name": "pt", "transform": "log", "optional": True},
                {"name": "tag", "kind": "discrete", "min": 0, "max": 1, "optional": True}]
    return x, {"name": "c", "features": features, **more}


def mass():
    """A mass in place of the second momentum, beside classes: rows and features are numbered differently."""
    draw = np.random.default_rng(3)
    n = 1000
    momentum, angle = lambda: draw.lognormal(3, 0.3, n), lambda: draw.uniform(-3, 3, n)
    x = np.stack([draw.integers(0, 3, n), momentum(), draw.normal(size=n), angle(), draw.normal(size=n), momentum(),
                  draw.normal(size=n), angle()], 1).astype(np.float32)
    x[x[:, 0] < 1, 4] = np.nan
    circle = {"kind": "periodic", "min": -np.pi, "max": np.pi}
    particle = lambda k: [{"name": f"pt{k}", "transform": "log"}, {"name": f"eta{k}"}, {"name": f"phi{k}", **circle}]
    pair = {"name": "m", "kind": "mass", "of": [[f"pt{k}", f"eta{k}", f"phi{k}", 0.1] for k in (1, 2)], "replaces": "pt2"}
    features = [{"name": "n", "kind": "discrete", "min": 0, "max": 2}, *particle(1), {"name": "tag", "optional": True},
                *particle(2)]
    return x, {"name": "m", "features": features, "model": {**SMALL, "coordinates": [pair]}}


def check(number, name, artifact, events):
    meta, tensors = reader.load(artifact)
    x = np.load(events)
    defaults = [[np.float32(c["value"]) for c in meta["conditions"]]] * len(x)
    wanted = reader.log_prob(meta, tensors, x, defaults)
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "log_prob.npy")
        run = subprocess.run([bench, "--log-prob", artifact, events, out], stdout=subprocess.DEVNULL)
        got = np.load(out) if run.returncode == 0 else np.full(len(x), np.nan)
    outside = np.isneginf(wanted)  # of the domain of a coordinate
    got, wanted = np.where(outside, np.isneginf(got), got), np.where(outside, 1, wanted)
    worst = np.max(np.abs(got - wanted) / (1 + np.abs(wanted)))
    good = worst <= 1e-4  # false for nan
    print(f"{'ok' if good else 'not ok'} {number} - {name}: largest |delta| / (1 + |log p|) = {worst:.2e}")
    return good


results = [check(number, name, os.path.join(folder, name + ".safetensors"),
                 os.path.join(folder, name.replace("reweighted", "flow") + "_x.npy"))
           for number, name in enumerate(names, 1)]
with tempfile.TemporaryDirectory() as made:
    for name, what in (("ensemble", ensemble()), ("classes", classes(model=SMALL)), ("classes, mass", mass()),
                       ("classes, conditions", classes(model={**SMALL, "members": 2},
                                                       conditions=[{"name": "t", "min": 0, "max": 2, "value": 0.5}]))):
        results.append(check(len(results) + 1, name, *trained(made, *what)))
sys.exit(not all(results))

#!/usr/bin/env python3
"""A reader in plain NumPy against twin-bench --log-prob, on the golden flows and an ensemble (TAP).

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
names = ["flow_tails", "flow_mixed", "flow_torus", "flow_single", "flow_mass", "flow_pair",
         "reweighted_mixed"]
print(f"1..{len(names) + 1}")


def ensemble(scratch):
    """Three members, trained for a moment: an artifact and events."""
    definition, artifact, events = (os.path.join(scratch, n) for n in ("twin.json", "twin.safetensors", "x.npy"))
    x = np.random.default_rng(1).normal(size=(1000, 2)).astype(np.float32)
    np.save(events, x)
    with open(definition, "w") as file:
        json.dump({"name": "e", "features": [{"name": "a"}, {"name": "b", "min": -9, "max": 9}],
                   "model": {"members": 3, "blocks": 2, "hidden": [8], "bins": 4}}, file)
    subprocess.run([bench, "--train", definition, events, artifact, "--epochs", "4", "--rate", "0.01", "--quiet"],
                   stdout=subprocess.DEVNULL, check=True)
    return artifact, events


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
    results.append(check(len(names) + 1, "ensemble", *ensemble(made)))
sys.exit(not all(results))

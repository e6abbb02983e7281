#!/usr/bin/env python3
"""A reader in plain NumPy against twin-bench --log-prob, on the golden flows and some that are trained here (TAP).

Run: test_reader.py TWIN_BENCH GOLDEN_FOLDER
"""
import os
import subprocess
import sys
import tempfile

import numpy as np

import reader
from twins import SMALL, classes, ensemble, mass, trained

bench, folder = sys.argv[1:3]
names = ["flow_tails", "flow_mixed", "flow_torus", "flow_single", "flow_mass", "flow_pair", "flow_difference",
         "reweighted_mixed"]
print(f"1..{len(names) + 4}")


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
        results.append(check(len(results) + 1, name, *trained(bench, made, *what)))
sys.exit(not all(results))

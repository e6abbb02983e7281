#!/usr/bin/env python3
"""A reader in plain NumPy against twin-bench --log-prob, on the golden flows (TAP).

Run: test_reader.py TWIN_BENCH GOLDEN_FOLDER
"""
import os
import subprocess
import sys
import tempfile

import numpy as np

import reader

bench, folder = sys.argv[1:3]
names = ["flow_tails", "flow_mixed", "flow_torus", "flow_single"]
failed = 0
print(f"1..{len(names)}")
for number, name in enumerate(names, 1):
    artifact, events = (os.path.join(folder, name + suffix) for suffix in (".safetensors", "_x.npy"))
    meta, tensors = reader.load(artifact)
    x = np.load(events)
    defaults = [[np.float32(c["value"]) for c in meta["conditions"]]] * len(x)
    wanted = reader.log_prob(meta, tensors, x, defaults)
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "log_prob.npy")
        run = subprocess.run([bench, "--log-prob", artifact, events, out], stdout=subprocess.DEVNULL)
        got = np.load(out) if run.returncode == 0 else np.full(len(x), np.nan)
    worst = np.max(np.abs(got - wanted) / (1 + np.abs(wanted)))
    good = worst <= 1e-4  # false for nan
    failed += not good
    print(f"{'ok' if good else 'not ok'} {number} - {name}: largest |delta| / (1 + |log p|) = {worst:.2e}")
sys.exit(failed > 0)

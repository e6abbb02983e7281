#!/usr/bin/env python3
"""reweighted_mixed.safetensors: the golden flow of all kinds of features, with weights of two random networks on top
(docs/model-format.md). Its events are flow_mixed_x.npy; what they come to, tests/model/reader.py says in plain NumPy.

Run: python make_reweighted.py, in this folder
"""
import json
import struct

import numpy as np

MEMBERS, HIDDEN = 2, 5
rng = np.random.default_rng(11)

with open("flow_mixed.safetensors", "rb") as file:
    flow = file.read()
length = struct.unpack("<Q", flow[:8])[0]
header, body = json.loads(flow[8:8 + length]), flow[8 + length:]
meta = json.loads(header["__metadata__"]["twin"])
features, conditions = len(meta["features"]), len(meta["conditions"])
inputs = 3 + 2 * 2 + conditions  # two angles, of different periods

for k in range(MEMBERS):
    part = {
        "statistics/mean": rng.normal(0, 0.3, features),
        "statistics/width": rng.uniform(0.5, 2, features),
        "statistics/condition_mean": rng.uniform(0.1, 0.4, conditions),
        "statistics/condition_width": rng.uniform(0.1, 0.3, conditions),
        "parameters/net/0/weight": rng.normal(0, 0.4, (HIDDEN, inputs)),
        "parameters/net/0/bias": rng.normal(0, 0.1, HIDDEN),
        "parameters/net/1/weight": rng.normal(0, 0.9, (1, HIDDEN)),
        "parameters/net/1/bias": rng.normal(0, 0.1, 1),
    }
    for name, values in part.items():
        raw = values.astype("<f4").tobytes()
        header[f"discriminator{k}/{name}"] = {"dtype": "F32", "shape": list(values.shape),
                                              "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw

meta.update(twin="reweighted_mixed", cause="reweight", kernels="", reweighting={
    "members": MEMBERS, "model": {"kind": "classifier", "hidden": [HIDDEN], "activation": "silu"}, "scale": 0.875,
    "log_cap": 0.75, "log_mean": 0.0625, "log_mean_error": 0.01, "ess": 0.75, "overflow": 0.001})
header["__metadata__"]["twin"] = json.dumps(meta)
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open("reweighted_mixed.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + body)

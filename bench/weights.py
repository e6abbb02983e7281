#!/usr/bin/env python3
"""Weights on real events of the tree: a twin of Z to mu mu + jet, data whose muons are scaled by 1 %, and what a retune of
kind reweight makes of them: weights, closure of every column, the map.

Run: weights.py TWIND [--scale 1.01] [--train 60000] [--events 30000]
"""
import argparse
import json
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../tests/system"))

parser = argparse.ArgumentParser()
parser.add_argument("twind")
parser.add_argument("--scale", type=float, default=1.01)
parser.add_argument("--train", type=int, default=60000, help="events of the twin's training")
parser.add_argument("--events", type=int, default=30000, help="events of scaled data")
options = parser.parse_args()
os.environ["TWIND"] = os.path.abspath(options.twind)

from daemon import Daemon  # noqa: E402
from feed import Feed  # noqa: E402
from test_loop import settled, wait_until  # noqa: E402

with open(os.path.join(HERE, "../data/zjets.json")) as file:
    definition = json.load(file)
definition.update(name="toy", loop={"window": 5000, "auto": False, "detectors": ["ks"]})
definition["model"].update(blocks=6, hidden=[64, 64])
rows = np.load(os.path.join(HERE, "../data/zjets_nominal.npy")).astype(np.float32)
data = rows[options.train:options.train + options.events].copy()
names = [f["name"] for f in definition["features"]]
for name in ("mum_pt", "mup_pt"):
    data[:, names.index(name)] *= options.scale

daemon = Daemon()
daemon.start()
try:
    daemon.create(definition)
    print("training on", options.train, "events:", daemon.train("toy", rows[:options.train])["state"], flush=True)
    feed = Feed(daemon.ingest, "toy")
    feed.push_all([data[i:i + 2500] for i in range(0, len(data), 2500)])
    wait_until(lambda: settled(daemon, (len(data) + 2499) // 2500), 600)
    answer = daemon.request("POST", "/v1/twins/toy/retunes",
                            {"kind": "reweight", "promote": False, "events": len(data), "seed": 1})
    result = daemon.wait(answer.json()["id"], 900)["result"]
    print(result["decision"], result["reason"], f"{result['cpu_seconds']} s of CPU")
    report = daemon.get("/v1/twins/toy/weights")
    print({k: report[k] for k in ("ess", "largest", "cap", "overflow", "sum", "samples", "scale", "scale_error",
                                  "not_finite", "events")})
    for column in report["closure"]:
        before, after = column["before"], column["after"]
        print(f"{column['feature']:10} chi2/ndf {before['chi2']:8.1f} -> {after['chi2']:6.1f} / {after['ndf']}"
              f"   p {before['p_value']:.1e} -> {after['p_value']:.2g}")
    for leaf in report["map"]:
        print(f"{leaf['where']:60} data {leaf['data']:.4f} samples {leaf['samples']:.4f}"
              f" ratio {leaf['ratio']:.3f} +- {leaf['error']:.3f}")
    pulls = [(b["observed"] - b["predicted"]) / b["error"] for b in report["reliability"]]
    print("reliability, pulls:", " ".join(f"{p:+.1f}" for p in pulls))
finally:
    daemon.stop()

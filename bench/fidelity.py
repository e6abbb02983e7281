#!/usr/bin/env python3
"""How faithful is the default model? Train on the first rows of a file, sample, and let a classifier judge.

The judge is scripts/judge.py or any module with `auc(a, b)` (--judge PATH), which may give its error as a second number; it
sees events that nothing was trained on.
Prints one JSON object: AUC of samples against data, AUC of data against data (the floor), CPU seconds of the training.

Needs: a built twin-bench; numpy (and what the judge needs)
Run:   python3 bench/fidelity.py build/bench/twin-bench data/zjets.json data/zjets_nominal.npy --train 0:100000
"""
import argparse
import importlib.util
import json
import os
import pathlib
import subprocess
import tempfile

import numpy as np

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("bench")
parser.add_argument("definition")
parser.add_argument("events")
parser.add_argument("--columns", help="A:B: columns of the file (all)")
parser.add_argument("--train", default="0:100000", help="A:B: rows to train on; what follows is held out")
parser.add_argument("--judge", default=str(pathlib.Path(__file__).resolve().parents[1] / "scripts" / "judge.py"))
parser.add_argument("--threads", default="1")
options = parser.parse_args()

def auc(a, b):
    return round(float(np.ravel(judge.auc(a, b))[0]), 4)


spec = importlib.util.spec_from_file_location("judge", options.judge)
judge = importlib.util.module_from_spec(spec)
spec.loader.exec_module(judge)

columns = ["--columns", options.columns] if options.columns else []
with tempfile.TemporaryDirectory() as scratch:
    artifact, samples = os.path.join(scratch, "twin.safetensors"), os.path.join(scratch, "samples.npy")
    trained = json.loads(subprocess.run([options.bench, "--train", options.definition, options.events, artifact, "--rows",
                                         options.train, "--threads", options.threads, *columns],
                                        check=True, stdout=subprocess.PIPE).stdout)
    events = np.load(options.events, mmap_mode="r")
    if options.columns:
        events = events[:, slice(*map(int, options.columns.split(":")))]
    held = np.array(events[int(options.train.split(":")[1]):])
    starts = [f["min"] if f.get("transform") == "log" else -np.inf
              for f in json.loads(pathlib.Path(options.definition).read_text())["features"]]
    held = held[(held > starts).all(1)]  # the twin's domain: data/README.md
    subprocess.run([options.bench, "--sample", artifact, str(len(held)), samples, "--seed", "1"], check=True,
                   stdout=subprocess.DEVNULL)
    half = len(held) // 2
    print(json.dumps({"auc": auc(np.load(samples), held), "floor": auc(held[:half], held[half:]),
                      "held_out_events": len(held),
                      "cpu_seconds": trained["cpu_seconds"], "epochs": trained["epochs"],
                      "held_out_log_prob": trained["held_out_log_prob"]}))

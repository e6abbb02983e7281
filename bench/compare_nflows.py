#!/usr/bin/env python3
"""Does the flow learn as well as nflows? Same events, same split, same architecture, same number of epochs.

Architecture: every column a real feature (angles too, as nflows has no circular splines in its coupling), L blocks with
the same masks, ReLU networks H x H, K bins on [-5, 5] with identity tails, standard normal base. nflows is trained
with Adam, warm-up and cosine schedule, clipping and averaged weights as `twin` is, in float32 on one thread.

Prints both held-out log-likelihoods, in raw units, with the standard error of the paired difference.

Needs: pip install torch nflows numpy; a built twin-bench
Run:   python compare_nflows.py TWIN_BENCH EVENTS.npy [--columns 1:11] [--rows 0:100000] [--epochs 10] ...
"""
import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, PiecewiseRationalQuadraticCouplingTransform as Coupling

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("bench")
parser.add_argument("events")
parser.add_argument("--columns", default="1:11")
parser.add_argument("--rows", default="0:100000")
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--blocks", type=int, default=8)
parser.add_argument("--hidden", type=int, default=128)
parser.add_argument("--bins", type=int, default=8)
parser.add_argument("--batch", type=int, default=512)
parser.add_argument("--rate", type=float, default=2e-3)
parser.add_argument("--log", default="0,3,6,9", help="columns to take the logarithm of, above their smallest value")
args = parser.parse_args()
torch.set_num_threads(1)


def span(text):
    return slice(*map(int, text.split(":")))


def train_twin(folder):
    x = np.load(args.events)[span(args.rows), span(args.columns)]
    logs = [int(c) for c in args.log.split(",") if c]
    features = [dict(name=f"x{f}") | (dict(transform="log", min=float(x[:, f].min()) - 1e-2) if f in logs else {})
                for f in range(x.shape[1])]
    paths = [os.path.join(folder, n) for n in ("definition.json", "twin.safetensors", "parts.npy", "log_prob.npy")]
    model = dict(kind="flow", blocks=args.blocks, hidden=[args.hidden] * 2, bins=args.bins, bound=5, activation="relu")
    with open(paths[0], "w") as file:
        json.dump(dict(name="compare", features=features, model=model), file)
    common = ["--rows", args.rows, "--columns", args.columns]
    start = time.process_time()
    subprocess.run([args.bench, "--train", paths[0], args.events, paths[1], "--parts", paths[2], "--epochs",
                    str(args.epochs), "--patience", "-1", "--batch", str(args.batch), "--rate", str(args.rate),
                    "--weight-decay", "0"] + common, check=True)
    subprocess.run([args.bench, "--log-prob", paths[1], args.events, paths[3]] + common, check=True,
                   stdout=subprocess.DEVNULL)
    with open(paths[1], "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    masks = json.loads(header["__metadata__"]["twin"])["model"]["masks"]
    return x.astype(np.float64), features, masks, np.load(paths[2]), np.load(paths[3])


class Net(torch.nn.Sequential):
    def __init__(self, inputs, outputs):
        h = args.hidden
        super().__init__(torch.nn.Linear(inputs, h), torch.nn.ReLU(), torch.nn.Linear(h, h), torch.nn.ReLU(),
                         torch.nn.Linear(h, outputs))

    def forward(self, x, context=None):
        return super().forward(x)


def train_nflows(y, stop, masks):
    steps = -(-len(y) // args.batch) * args.epochs
    flow = Flow(CompositeTransform([Coupling([int(m) for m in mask], Net, num_bins=args.bins, tails="linear",
                                             tail_bound=5.0) for mask in masks]), StandardNormal([y.shape[1]]))
    optimiser = torch.optim.Adam(flow.parameters(), args.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda t: (t + 1) / (0.05 * steps + 1) if t < 0.05 * steps
                                                 else 0.5 * (1 + np.cos(np.pi * (t / steps - 0.05) / 0.95)))
    decay = min(0.999, 1 - 1 / (1 + 0.05 * steps))
    average = torch.optim.swa_utils.AveragedModel(
        flow, avg_fn=lambda a, p, n: a + (1 - min(decay, (1 + n) / (10 + n))) * (p - a))
    best, kept = np.inf, None
    for epoch in range(args.epochs):
        order = torch.randperm(len(y))
        for batch in order.tensor_split(-(-len(y) // args.batch)):
            loss = -flow.log_prob(y[batch]).mean()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(flow)
        with torch.no_grad():
            judged = -average.module.log_prob(stop).mean().item()
        print(f"nflows epoch {epoch + 1}/{args.epochs}: stop loss {judged:.4f}", file=sys.stderr)
        if judged < best:
            best, kept = judged, {k: v.clone() for k, v in average.module.state_dict().items()}
    average.module.load_state_dict(kept)
    return average.module


def main():
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        x, features, masks, parts, ours = train_twin(folder)
    logged = [f for f, feature in enumerate(features) if "min" in feature]
    u, jacobian = x.copy(), np.zeros(len(x))
    for f in logged:
        u[:, f] = np.log(x[:, f] - features[f]["min"])
        jacobian -= u[:, f]
    mean, width = u[parts == 0].mean(0), u[parts == 0].std(0)
    y = torch.as_tensor((u - mean) / width, dtype=torch.float32)
    start = time.process_time()
    flow = train_nflows(y[parts == 0], y[parts == 1], masks)
    print(f"nflows: {time.process_time() - start:.0f} CPU seconds", file=sys.stderr)
    held = parts == 2
    with torch.no_grad():
        theirs = np.concatenate([flow.log_prob(part).numpy() for part in y[held].split(2000)]).astype(np.float64)
    theirs += jacobian[held] - np.log(width).sum()
    delta = ours[held] - theirs
    print(json.dumps(dict(events=int(held.sum()), twin=round(ours[held].mean(), 4), nflows=round(theirs.mean(), 4),
                          difference=round(delta.mean(), 4), error=round(delta.std() / held.sum() ** 0.5, 4))))


if __name__ == "__main__":
    main()

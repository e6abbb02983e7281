#!/usr/bin/env python3
"""How long between false alarms, and how soon a shift is found: twin-bench --drift on made-up streams.

    bench/detectors.py null  --run-time 50 --pairs 200 --horizon 100 [--detectors c2st,ks,cusum]
    bench/detectors.py delay --pairs 16 --horizon 200 --detectors ks,cusum -o docs/delay.svg

Needs numpy. `null`: independent (reference, stream) pairs without drift, each until its horizon; the windows until the first
alarm, jointly and of each detector at its share, beside the bound P(T <= m) <= m / (2 run time). `delay`: after ten windows
without drift one column is shifted; windows until the alarm without and with the detector that accumulates, as a table and a
plot.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEFINITION = {"name": "toy", "features": [
    {"name": "x"}, {"name": "y"}, {"name": "phi", "kind": "periodic", "min": -np.pi, "max": np.pi},
    {"name": "u", "min": 0, "max": 1}]}


def events(rng, n, shift=0.0):
    """Two correlated normals, an angle that depends on the first, a uniform; x is shifted, in standard deviations."""
    a, b, c = rng.normal(size=(3, n))
    x, y = a + shift, 0.6 * a + 0.8 * b
    return np.stack([x, y, (0.5 * x + c + np.pi) % (2 * np.pi) - np.pi, rng.uniform(size=n)], 1).astype(np.float32)


def compare(args, reference, stream, window, run_time, detectors, until_alarm=False):
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("toy.json", "reference.npy", "stream.npy")]
        with open(paths[0], "w") as f:
            json.dump(DEFINITION, f)
        np.save(paths[1], reference)
        np.save(paths[2], stream)
        command = [args.bench, "--drift", *paths, "--window", str(window), "--run-time", str(run_time), "--detectors",
                   detectors] + (["--until-alarm"] if until_alarm else [])
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return [json.loads(line) for line in out.splitlines()]


def first_alarms(lines):
    """Window of the first alarm by detector, and of any; None where there was none."""
    found = {"any": None}
    for line in lines:
        for statistic in line["statistics"]:
            name = statistic["name"]
            found.setdefault(name, None)
            if statistic["alarm"] and found[name] is None:
                found[name] = line["iteration"]
        if line["drift"] and found["any"] is None:
            found["any"] = line["iteration"]
    return found


def null(args):
    def pair(i):
        rng = np.random.default_rng([args.seed, i])
        return first_alarms(compare(args, events(rng, args.reference), events(rng, args.window * args.horizon),
                                    args.window, args.run_time, args.detectors))

    with ThreadPoolExecutor(args.jobs) as pool:
        found = list(pool.map(pair, range(args.pairs)))
    print(f"{args.pairs} pairs, {args.reference} reference rows, windows of {args.window}, {args.horizon} windows each, "
          f"promised run time {args.run_time:g}")
    print(f"{'detector':14s} {'alarms':>6s} {'run time':>20s} {'T <= L/2':>9s} {'T <= L':>9s}   (bound: 0.25, 0.50)")
    for name in sorted(found[0], key=lambda n: n != "any"):
        times = [f[name] for f in found]
        alarms = sum(t is not None for t in times)
        windows = sum(args.horizon if t is None else t for t in times)
        run = f"{windows / alarms:.0f} +- {windows / alarms / alarms ** 0.5:.0f}" if alarms else f"> {windows / 3:.0f} (95 %)"
        by = [sum(t is not None and t <= share * args.run_time for t in times) / args.pairs for share in (0.5, 1)]
        print(f"{name:14s} {alarms:6d} {run:>20s} {by[0]:9.3f} {by[1]:9.3f}")
        early = sorted(t for t in times if t is not None)
        if early:
            print(f"{'':14s} first alarms at windows {early[:12]}{' ...' if len(early) > 12 else ''}")


COLOURS = ("#b3261e", "#14713d")
SHIFTS = [0.02, 0.03, 0.045, 0.065, 0.1, 0.15, 0.22, 0.33, 0.5]
QUIET = 10


def delays(args, shift, detectors):
    def run(i):
        rng = np.random.default_rng([args.seed, i])
        reference = events(rng, args.reference)
        stream = np.concatenate([events(rng, args.window * QUIET),
                                 events(rng, args.window * args.horizon, shift)])
        lines = compare(args, reference, stream, args.window, args.run_time, detectors, until_alarm=True)
        return lines[-1]["iteration"] - QUIET if lines[-1]["drift"] else args.horizon

    with ThreadPoolExecutor(args.jobs) as pool:
        return np.array(list(pool.map(run, range(args.pairs))))


def delay(args):
    curves, alone = {}, ",".join(d for d in args.detectors.split(",") if d != "cusum")
    print(f"{args.pairs} streams a point, {args.reference} reference rows, windows of {args.window}, run time "
          f"{args.run_time:g}; windows until the alarm: median (16 %, 84 %), at most {args.horizon}")
    for detectors in (alone, args.detectors):
        for shift in SHIFTS:
            d = delays(args, shift, detectors)
            low, middle, high = np.quantile(d, [0.16, 0.5, 0.84])
            curves.setdefault(detectors, []).append((shift, low, middle, high))
            print(f"{detectors:16s} shift {shift:5.3f} sigma: {middle:5.1f} ({low:.1f}, {high:.1f})", flush=True)
    if args.output:
        with open(args.output, "w") as f:
            f.write(plot(args, curves))


def plot(args, curves):
    """Both axes logarithmic; the bands hold the central 68 % of the streams."""
    width, height, left, bottom, top, right = 640, 360, 60, 50, 40, 16
    lowest, highest = np.log10(SHIFTS[0] * 0.9), np.log10(SHIFTS[-1] * 1.1)

    def px(shift):
        return left + (np.log10(shift) - lowest) / (highest - lowest) * (width - left - right)

    def py(windows):
        top_value = np.log10(args.horizon * 1.1)
        return height - bottom - (np.log10(max(windows, 0.9)) - np.log10(0.9)) / (top_value - np.log10(0.9)) * (
            height - bottom - top)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
           'font-size="12" fill="#333">', f'<rect width="{width}" height="{height}" fill="#fff"/>',
           f'<text x="{left}" y="20">Windows until the alarm; {args.window} rows each, run time {args.run_time:g}, '
           f'{args.reference} reference rows</text>']
    for windows in [w for w in (1, 2, 5, 10, 20, 50, 100, 200, 500) if w <= args.horizon]:
        out.append(f'<path d="M{left} {py(windows):.1f}H{width - right}" stroke="#ddd"/>'
                   f'<text x="{left - 6}" y="{py(windows) + 4:.1f}" text-anchor="end">{windows}</text>')
    for shift in (0.02, 0.05, 0.1, 0.2, 0.5):
        out.append(f'<path d="M{px(shift):.1f} {top}V{height - bottom}" stroke="#ddd"/><text x="{px(shift):.1f}" '
                   f'y="{height - bottom + 16}" text-anchor="middle">{shift}</text>')
    out.append(f'<text x="{(left + width) / 2}" y="{height - 10}" text-anchor="middle">shift of one of four columns, '
               'in standard deviations</text>')
    for k, ((detectors, points), colour) in enumerate(zip(curves.items(), COLOURS)):
        band = [f"{px(s):.1f} {py(h):.1f}" for s, _, _, h in points]
        band += [f"{px(s):.1f} {py(l):.1f}" for s, l, _, _ in reversed(points)]
        line = [f"{px(s):.1f} {py(m):.1f}" for s, _, m, _ in points]
        out.append(f'<path d="M{"L".join(band)}Z" fill="{colour}" fill-opacity=".15"/>'
                   f'<path d="M{"L".join(line)}" fill="none" stroke="{colour}" stroke-width="2"/>'
                   f'<text x="{width - right - 6}" y="{top + 16 + 16 * k}" text-anchor="end" fill="{colour}">{detectors.replace(",", ", ")}</text>')
    return "\n".join(out + ["</svg>"]) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["null", "delay"])
    parser.add_argument("--bench", default=os.path.join(ROOT, "build-release", "bench", "twin-bench"))
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--reference", type=int)
    parser.add_argument("--window", type=int)
    parser.add_argument("--horizon", type=int, default=100, help="windows of a stream, at most")
    parser.add_argument("--run-time", type=float)
    parser.add_argument("--detectors", default="c2st,ks,cusum")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output")
    args = parser.parse_args()
    defaults = {"null": (2000, 500, 50), "delay": (20000, 2000, 1000)}[args.what]
    args.reference, args.window, args.run_time = (
        d if v is None else v for v, d in zip((args.reference, args.window, args.run_time), defaults))
    {"null": null, "delay": delay}[args.what](args)


if __name__ == "__main__":
    sys.exit(main())

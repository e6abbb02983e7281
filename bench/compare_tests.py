#!/usr/bin/env python3
"""Our tests and detectors beside those of SciPy and alibi-detect, on the same events.

Two tables, in Markdown, and everything as JSON with --out:

1. Tests of two samples: the p-value of the same question, and events a second of CPU time on one core.
2. Streams: every detector reads the same events one after the other (the columns of the definition and its
   observables), with the same reference. Each gives a number at every event or window; the threshold on it is set so
   that the mean run time on streams without drift is the same for all of them, as measured here: the sum of the times
   until the first alarm, or the end of the stream, over the number of alarms. Promises of the programs play no part.
   Then a change comes at event --quiet, and the delay is counted in events until the first alarm; streams that alarm
   before the change are left out, and a delay ends at --limit.

Events are drawn with replacement: the reference from the first rows of the nominal sample, streams from the others.

Needs: pip install numpy scipy alibi-detect torch; a built twin-bench (release)
Run:   python compare_tests.py TWIN_BENCH [--data data] [--more ../shared/data/zjets] [--out figures.json]
About five minutes of one core; --only twin,scipy takes one.
"""
import argparse
import json
import os
import pathlib
import resource
import subprocess
import tempfile
import time
import warnings

os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")})
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
warnings.filterwarnings("ignore")
import numpy as np  # noqa: E402
from scipy import stats  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("bench")
parser.add_argument("--data", type=pathlib.Path, default=ROOT / "data")
parser.add_argument("--more", type=pathlib.Path, help="a folder with zjets_drift_alphaS.npy")
parser.add_argument("--only", default="tests,twin,scipy,mmd,lsdd,cvm,fet", help="the first table and which detectors")
parser.add_argument("--twin", default="c2st,ks,cusum;ks,cusum", help="sets of our detectors, with ; between them")
parser.add_argument("--reference", type=int, default=3000)
parser.add_argument("--window", type=int, default=500, help="of twin and SciPy")
parser.add_argument("--their-window", type=int, default=200, help="of alibi-detect's online detectors")
parser.add_argument("--run-time", type=float, default=5000, help="events between false alarms, of all detectors")
parser.add_argument("--null", type=int, default=8, help="streams without drift, of twice as many events")
parser.add_argument("--streams", type=int, default=3, help="of each kind of drift")
parser.add_argument("--quiet", type=int, default=1000, help="events before the change")
parser.add_argument("--limit", type=int, default=6000, help="events after it")
parser.add_argument("--out")
options = parser.parse_args()
DEFINITION = options.data / "zjets.json"
NAMES = [f["name"] for f in json.loads(DEFINITION.read_text())["features"]]
AT = {name: i for i, name in enumerate(NAMES)}
NOMINAL = np.load(options.data / "zjets_nominal.npy")
FIRST = 30000  # rows that references are drawn from


# --- events ---

def momentum(x, prefix):
    pt, eta, phi = (x[:, AT[f"{prefix}_{name}"]].astype(float) for name in ("pt", "eta", "phi"))
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)], 1)


def separation(x, a, b):
    phi = x[:, AT[f"{a}_phi"]] - x[:, AT[f"{b}_phi"]]
    return np.hypot(x[:, AT[f"{a}_eta"]] - x[:, AT[f"{b}_eta"]], np.angle(np.exp(1j * phi)))


def columns(x):
    """Features, then the observables of the shipped definition."""
    p, q = momentum(x, "mum"), momentum(x, "mup")
    mass = 0.10566
    energy = sum(np.sqrt((v**2).sum(1) + mass**2) for v in (p, q))
    m = np.sqrt(np.maximum(energy**2 - ((p + q)**2).sum(1), 0))
    near = np.minimum(separation(x, "j1", "mum"), separation(x, "j1", "mup"))
    return np.column_stack([x, m, np.hypot(*(p + q)[:, :2].T), separation(x, "mum", "mup"), near])


def draw(pool, rng, n):
    return pool[rng.integers(len(pool), size=n)].copy()


def scaled(x, factor, prefixes=("mum", "mup"), also=()):
    for name in [f"{p}_pt" for p in prefixes] + list(also):
        x[:, AT[name]] *= factor
    return x


def smeared(x, rng, width):
    for name in ("mum_pt", "mup_pt"):
        x[:, AT[name]] *= np.exp(width * rng.standard_normal(len(x)))
    return x


def dead(pool):
    phi = pool[:, [AT["mum_phi"], AT["mup_phi"]]]
    return pool[~((phi > 0.5) & (phi < 0.8)).any(1)]


def background(x, rng, share):
    """One muon of some events is that of another event: no peak in the mass."""
    mup, hit = [AT[f"mup_{c}"] for c in ("pt", "eta", "phi")], rng.random(len(x)) < share
    x[np.ix_(hit, mup)] = draw(NOMINAL[FIRST:], rng, hit.sum())[:, mup]
    return x


def kinds():
    """Name: function of (rng, n) that gives the events after the change."""
    pool = NOMINAL[FIRST:]
    found = {
        "muon scale 0.5 %": lambda rng, n: scaled(draw(pool, rng, n), 1.005),
        "muon scale 1 %": lambda rng, n: scaled(draw(pool, rng, n), 1.01),
        "muon resolution 2 %": lambda rng, n: smeared(draw(pool, rng, n), rng, 0.02),
        "dead region in phi": lambda rng, n: draw(dead(pool), rng, n),
        "background of 1 %": lambda rng, n: background(draw(pool, rng, n), rng, 0.01),
        "multiparton activity": lambda rng, n: draw(np.load(options.data / "zjets_mpi_on.npy"), rng, n),
        "slow scale, 2 % in 6k": lambda rng, n: scaled(draw(pool, rng, n), np.linspace(1, 1 + 0.02 * n / 6000, n)),
        "sudden jet scale 5 %": lambda rng, n: scaled(draw(pool, rng, n), 1.05, ["j1"], ["j1_m"]),
    }
    alpha = options.more and options.more / "zjets_drift_alphaS.npy"
    if alpha and alpha.exists():
        other = np.load(alpha)[:, 1:1 + len(NAMES)]  # after the number of jets
        found["other alpha_s"] = lambda rng, n: draw(other, rng, n)
    return found


# --- what is compared: each reads a stream and yields (events read, number that grows with drift) ---

def child_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Twin:
    """The loop's joint decision: the least p-value in units of its threshold."""

    def __init__(self, reference, detectors):
        self.folder, self.detectors = tempfile.TemporaryDirectory(), detectors
        np.save(self.folder.name + "/reference.npy", reference)

    def read(self, rows):
        np.save(self.folder.name + "/stream.npy", rows)
        lines = subprocess.run(
            [options.bench, "--drift", DEFINITION, self.folder.name + "/reference.npy", self.folder.name + "/stream.npy",
             "--window", str(options.window), "--run-time", "1e9", "--detectors", self.detectors, "--threads", "1"],
            check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        for line in map(json.loads, lines):
            yield line["first"] + line["events"], max(np.log10(s["threshold"] / s["p_value"]) for s in line["statistics"])


class SciPy:
    """A Kolmogorov-Smirnov test of every column in every window, with Bonferroni's correction (a constant)."""

    def __init__(self, reference):
        self.reference = columns(reference)

    def read(self, rows):
        x = columns(rows)
        for first in range(0, len(x) - options.window + 1, options.window):
            part = x[first:first + options.window]
            p = min(stats.ks_2samp(self.reference[:, c], part[:, c]).pvalue for c in range(x.shape[1]))
            yield first + options.window, -np.log10(max(p, 1e-300))


class Alibi:
    """An online detector of alibi-detect, event by event: its statistic in units of its own threshold, which depends on
    the time since its start and, for several columns, on nothing else."""

    def __init__(self, reference, name):
        from alibi_detect.cd import CVMDriftOnline, FETDriftOnline, LSDDDriftOnline, MMDDriftOnline
        import torch
        torch.set_num_threads(1)
        torch.manual_seed(1)
        np.random.seed(1)
        x = columns(reference)
        self.mean, self.width, self.median = x.mean(0), x.std(0), np.median(x, 0)
        self.binary = name == "fet"  # it takes yes or no: above the median
        # its own promise only shapes the threshold in time; few bootstraps do for few events
        common = {"ert": 1.5 * options.their_window, "n_bootstraps": 4 * options.their_window, "verbose": False}
        columnwise = {**common, "n_bootstraps": x.shape[1] * common["n_bootstraps"]}  # its level is shared by columns
        kernel = {"window_size": options.their_window, "backend": "pytorch", "device": "cpu"}
        make = {"mmd": lambda z: MMDDriftOnline(z, **common, **kernel),
                "lsdd": lambda z: LSDDDriftOnline(z, **common, **kernel),
                "cvm": lambda z: CVMDriftOnline(z, window_sizes=[options.their_window], **columnwise),
                "fet": lambda z: FETDriftOnline(z, window_sizes=[options.their_window], alternative="greater", **columnwise)}
        self.detector = make[name](self.prepare(reference))

    def prepare(self, rows):
        x = columns(rows)
        return x > self.median if self.binary else ((x - self.mean) / self.width).astype(np.float32)

    def read(self, rows):
        self.detector.reset_state()
        for t, x in enumerate(self.prepare(rows), 1):
            found = self.detector.predict(x)["data"]
            ratio = np.asarray(found["test_stat"], float) / np.asarray(found["threshold"], float)
            yield t, -np.inf if np.isnan(ratio).all() else float(np.nanmax(ratio))


def detectors(reference):
    only, found = options.only.split(","), {}
    if "twin" in only:
        for chosen in options.twin.split(";"):
            found[f"twin: {chosen.replace(',', ', ')}"] = lambda chosen=chosen: Twin(reference, chosen)
    if "scipy" in only:
        found["SciPy: KS in windows"] = lambda: SciPy(reference)
    for name, title in (("mmd", "MMDDriftOnline"), ("lsdd", "LSDDDriftOnline"), ("cvm", "CVMDriftOnline"),
                        ("fet", "FETDriftOnline")):
        if name in only:
            found[f"alibi-detect: {title}"] = lambda name=name: Alibi(reference, name)
    return found


# --- run times and delays ---

def first_passage(path, threshold):
    return next((t for t, value in path if value > threshold), None)


def mean_run_time(paths, threshold, length):
    times = [first_passage(path, threshold) for path in paths]
    alarms = sum(t is not None for t in times)
    return sum(length if t is None else t for t in times) / alarms if alarms else np.inf


def calibrate(paths, length):
    """The least threshold with a mean run time of at least --run-time, among the values seen."""
    seen = np.unique([v for path in paths for _, v in path if np.isfinite(v)])
    low, high = 0, len(seen) - 1
    while low < high:
        middle = (low + high) // 2
        if mean_run_time(paths, seen[middle], length) >= options.run_time:
            high = middle
        else:
            low = middle + 1
    return float(seen[low]), mean_run_time(paths, seen[low], length)


def measure(detector, streams):
    """Paths on null streams, threshold, delays, and events a second of CPU time."""
    own, child, events = time.process_time(), child_seconds(), 0
    length = int(2 * options.run_time)
    paths = []
    for rows in streams["null"]:
        paths.append(list(detector.read(rows)))
        events += len(rows)
    speed = events / (time.process_time() - own + child_seconds() - child)
    threshold, run_time = calibrate(paths, length)
    delays = {}
    for kind, many in streams.items():
        if kind != "null":
            times = [first_passage(detector.read(rows), threshold) or np.inf for rows in many]
            kept = [t - options.quiet for t in times if t > options.quiet]
            delays[kind] = {"delays": [min(t, options.limit) for t in kept],
                            "missed": sum(not np.isfinite(t) for t in kept), "left_out": len(times) - len(kept)}
    return {"threshold": threshold, "run_time": run_time, "events_per_s": speed, "delays": delays}


def make_streams():
    pool = NOMINAL[FIRST:]
    streams = {"null": [draw(pool, np.random.default_rng([1, i]), int(2 * options.run_time)) for i in range(options.null)]}
    for k, (kind, after) in enumerate(kinds().items()):
        streams[kind] = []
        for i in range(options.streams):
            rng = np.random.default_rng([2, k, i])
            streams[kind].append(np.concatenate([draw(pool, rng, options.quiet), after(rng, options.limit)]))
    return streams


# --- the tests of two samples ---

def ours(test, a, b, repeat):
    with tempfile.TemporaryDirectory() as folder:
        np.save(folder + "/a.npy", a)
        np.save(folder + "/b.npy", b)
        command = [options.bench, "--test", test, DEFINITION, folder + "/a.npy", folder + "/b.npy", "--repeat"]
        used = []
        for times in (1, 1 + repeat):  # the difference leaves out start and reading
            start = child_seconds()
            found = json.loads(subprocess.run([*command, str(times)], check=True, stdout=subprocess.PIPE).stdout)
            used.append(child_seconds() - start)
        return found["p_value"], (used[1] - used[0]) / repeat


def theirs(name, a, b):
    """p-values and CPU seconds of the same question."""
    x, y = columns(a), columns(b)
    one = {"ks": stats.ks_2samp, "cvm": stats.cramervonmises_2samp,
           "chi2": lambda u, v: chi2_of_deciles(u, v)}
    start = time.process_time()
    if name in one:
        p = [float(one[name](x[:, c], y[:, c]).pvalue) for c in range(x.shape[1])]
    else:
        from alibi_detect.cd import MMDDrift
        z = ((x - x.mean(0)) / x.std(0)).astype(np.float32)
        detector = MMDDrift(z, backend="pytorch", n_permutations=100, device="cpu")
        p = [float(detector.predict(((y - x.mean(0)) / x.std(0)).astype(np.float32))["data"]["p_val"])]
    return p, time.process_time() - start


def chi2_of_deciles(u, v):
    edges = np.quantile(np.concatenate([u, v]), np.linspace(0, 1, 33)[1:-1])
    table = np.array([np.bincount(np.searchsorted(edges, s), minlength=32) for s in (u, v)])
    return stats.chi2_contingency(table, correction=False)


def compare_tests():
    rng, rows = np.random.default_rng(5), []
    for test, other, n in (("ks", "SciPy", 20000), ("cvm", "SciPy", 20000), ("chi2", "SciPy", 20000),
                           ("mmd", "alibi-detect, 100 permutations", 1000), ("c2st", None, 20000)):
        a = draw(NOMINAL[:FIRST], rng, n)
        b = scaled(draw(NOMINAL[FIRST:], rng, n), 1.005)
        p, seconds = ours(test, a, b, 4 if test == "c2st" else 20)
        row = {"test": test, "events": 2 * n, "p": p, "events_per_s": 2 * n / seconds}
        if other:
            p, seconds = theirs(test, a, b)
            row |= {"other": other, "other_p": min(1, min(p) * len(p)), "other_events_per_s": 2 * n / seconds}
        rows.append(row)
    return rows


def main():
    result = {"options": {k: str(v) for k, v in vars(options).items()}, "detectors": {}}
    result["tests"] = compare_tests() if "tests" in options.only.split(",") else []
    print("| test | events | p (ours) | events/s | other | p | events/s |\n|---|---|---|---|---|---|---|")
    for row in result["tests"]:
        print(f"| {row['test']} | {row['events']} | {row['p']:.3g} | {row['events_per_s']:.3g} | {row.get('other', '')} | "
              f"{row.get('other_p', float('nan')):.3g} | {row.get('other_events_per_s', float('nan')):.3g} |", flush=True)
    streams = make_streams()
    names = [kind for kind in streams if kind != "null"]
    print("\n| detector | run time | events/s | " + " | ".join(names) + " |\n|" + "---|" * (3 + len(names)))
    for name, make in detectors(draw(NOMINAL[:FIRST], np.random.default_rng(3), options.reference)).items():
        found = result["detectors"][name] = measure(make(), streams)
        cells = []
        for kind in names:
            d = found["delays"][kind]
            cells.append((f"{np.mean(d['delays']):.0f}" if d["delays"] else "–") +
                         (f" ({d['missed']} of {len(d['delays'])} missed)" if d["missed"] else ""))
        print(f"| {name} | {found['run_time']:.0f} | {found['events_per_s']:.3g} | " + " | ".join(cells) + " |", flush=True)
        if options.out:
            pathlib.Path(options.out).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

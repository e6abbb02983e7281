#!/usr/bin/env python3
"""Our tests and detectors beside those of SciPy and alibi-detect, on the same events.

Two tables, in Markdown:

1. Tests of two samples (--only tests): the p-value of the same question, and events a second of CPU time on one core.
2. Streams: every detector reads the same events one after the other (the columns of the definition and its
   observables), with the same references. Each gives a number at every event or window; the threshold on it is set so
   that the mean run time on streams without drift is the same for all of them, as measured here: the sum of the times
   until the first alarm, or the end of the stream, over the number of alarms. Promises of the programs play no part.
   Then a change comes, at a place between --quiet and 500 events more that is another one in each stream, as nature does not
   wait for a window to end. The delay is counted in events until the first alarm; streams that alarm before the change are
   left out, and a delay ends at --limit. A detector that sees nothing alarms by chance: with a run
   time of 10,000 its mean delay is 4500. Errors are of the mean over streams, by the bootstrap.

Events are drawn with replacement: references from the first rows of the nominal sample, streams from the others; stream
i goes with reference i mod --references. The first streams are the same for every detector, however many it is given.
Each detector's answers are kept in --results, one file each, so that a campaign may be cut into pieces; --only table
prints the table of what is there, with a verdict for each kind: ours against the best of the others.

A detector is NAME@WINDOW:
  twin:cusum@50      any set of ours, with + between them (twin-bench --drift)
  scipy:ks@250       ks, cvm or chi2 (of eight quantile bins) of each column in windows, with Bonferroni's correction
  alibi:mmd@100      mmd, lsdd, cvm or fet, online

Needs: pip install numpy scipy alibi-detect torch; a built twin-bench (release)
Run:   python compare_tests.py TWIN_BENCH [--data data] [--more FOLDER] [--only A,B] [--results FOLDER]
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
DETECTORS = ("twin:cusum@50,twin:cusum@25,twin:cusum@10,scipy:ks@100,scipy:ks@250,scipy:cvm@100,scipy:cvm@250,scipy:chi2@100,scipy:chi2@250,"
             "alibi:mmd@100,alibi:mmd@200,alibi:lsdd@100,alibi:lsdd@200,alibi:cvm@100,alibi:fet@100,alibi:fet@200")
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("bench")
parser.add_argument("--data", type=pathlib.Path, default=ROOT / "data")
parser.add_argument("--more", type=pathlib.Path, help="a folder with zjets_drift_alphaS.npy")
parser.add_argument("--only", default="tests," + DETECTORS + ",table", help="tests, table, and which detectors")
parser.add_argument("--reference", type=int, default=2000, help="rows of a reference")
parser.add_argument("--references", type=int, default=4)
parser.add_argument("--run-time", type=float, default=10000, help="events between false alarms, of all detectors")
parser.add_argument("--null", type=int, default=40, help="streams without drift, of twice as many events")
parser.add_argument("--streams", type=int, default=40, help="of each kind of drift")
parser.add_argument("--kinds", help="some of them, by the titles of the table: A,B")
parser.add_argument("--quiet", type=int, default=1000, help="events before the change, and up to PHASE more")
parser.add_argument("--limit", type=int, default=6000, help="events after it")
parser.add_argument("--speed", type=int, default=200000, help="events that ours is timed on; the others on null streams")
parser.add_argument("--results", type=pathlib.Path, default=pathlib.Path("compare_results"))
options = parser.parse_args()
DEFINITION = options.data / "zjets.json"
NAMES = [f["name"] for f in json.loads(DEFINITION.read_text())["features"]]
AT = {name: i for i, name in enumerate(NAMES)}
NOMINAL = np.load(options.data / "zjets_nominal.npy")
FIRST = 30000  # rows that references are drawn from
PHASE = 500


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


def creeping(n):
    """A scale that grows by 2 % in 6000 events."""
    return np.linspace(1, 1 + 0.02 * n / 6000, n)


def in_turns(n, factor):
    """500 events with a factor, 500 without, and again."""
    return np.where(np.arange(n) // 500 % 2, 1, factor)


def background(x, rng, share):
    """One muon of some events is that of another event: no peak in the mass."""
    mup, hit = [AT[f"mup_{c}"] for c in ("pt", "eta", "phi")], rng.random(len(x)) < share
    x[np.ix_(hit, mup)] = draw(NOMINAL[FIRST:], rng, hit.sum())[:, mup]
    return x


def kinds():
    """Name: function of (rng, n) that gives the events after the change."""
    pool, multiparton = NOMINAL[FIRST:], np.load(options.data / "zjets_mpi_on.npy")
    found = {
        "scale 0.5 %": lambda rng, n: scaled(draw(pool, rng, n), 1.005),
        "scale 1 %": lambda rng, n: scaled(draw(pool, rng, n), 1.01),
        "resolution 2 %": lambda rng, n: smeared(draw(pool, rng, n), rng, 0.02),
        "dead φ": lambda rng, n: draw(dead(pool), rng, n),
        "1 % background": lambda rng, n: background(draw(pool, rng, n), rng, 0.01),
        "multiparton": lambda rng, n: draw(multiparton, rng, n),
        "slow scale": lambda rng, n: scaled(draw(pool, rng, n), creeping(n)),
        "step of 5 %": lambda rng, n: scaled(draw(pool, rng, n), 1.05),
        "jet scale 5 %": lambda rng, n: scaled(draw(pool, rng, n), 1.05, ["j1"], ["j1_m"]),
        "returns": lambda rng, n: scaled(draw(pool, rng, n), in_turns(n, 1.01)),
        "mixed 2 %": lambda rng, n: scaled(draw(pool, rng, n), np.where(rng.random(n) < 0.5, 1.02, 1)),
    }
    alpha = options.more and options.more / "zjets_drift_alphaS.npy"
    if alpha and alpha.exists():
        other = np.load(alpha)[:, 1:1 + len(NAMES)]  # after the number of jets
        found["α_s"] = lambda rng, n: draw(other, rng, n)
    return found


# --- what is compared: each reads a stream and yields (events read, number that grows with drift) ---

def child_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Twin:
    """The loop's joint decision: the least p-value in units of its threshold, of the detectors that were chosen. (The rate
    of invalid rows, which the loop watches too, is nobody else's business.)"""

    def __init__(self, reference, name, window):
        self.folder, self.detectors, self.window = tempfile.TemporaryDirectory(), name.replace("+", ","), window
        self.chosen = name.split("+")
        np.save(self.folder.name + "/reference.npy", reference)

    def run(self, rows):
        np.save(self.folder.name + "/stream.npy", rows)
        return subprocess.run(
            [options.bench, "--drift", DEFINITION, self.folder.name + "/reference.npy", self.folder.name + "/stream.npy",
             "--window", str(self.window), "--run-time", "1e9", "--detectors", self.detectors, "--threads", "1", "--below", "0.02"],
            check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()

    def read(self, rows):
        for line in map(json.loads, self.run(rows)):
            for s in line["statistics"]:
                if s["name"] in self.chosen:
                    yield line["first"] + line["events"], np.log10(s["threshold"] / s["p_value"])


class SciPy:
    """A test of every column in every window, with Bonferroni's correction (a constant). SciPy's own functions are timed.
    Their p falls with the statistic and with nothing else, as all windows have one size; streams are read by computing it
    for all windows at once, and that both have the same order is checked."""

    BINS = 8

    def __init__(self, reference, name, window):
        self.columns, self.window, self.name = list(columns(reference).T), window, name
        self.test = {"ks": stats.ks_2samp, "cvm": stats.cramervonmises_2samp, "chi2": self.chi2_test}[name]
        self.statistic = {"ks": self.ks, "cvm": self.cvm, "chi2": self.chi2}[name]
        self.edges = [np.quantile(c, np.arange(1, self.BINS) / self.BINS) for c in self.columns]

    def chi2_test(self, a, b):
        edges = self.edges[next(c for c, column in enumerate(self.columns) if column is a)]
        table = [np.bincount(np.searchsorted(edges, s), minlength=self.BINS) for s in (a, b)]
        return stats.chi2_contingency(table, correction=False)

    def by_scipy(self, rows):
        x = columns(rows)
        return np.array([[self.test(c, part).pvalue for c, part in zip(self.columns, x[i:i + self.window].T)]
                         for i in range(0, len(x) - self.window + 1, self.window)])

    def ks(self, c, windows):
        """The largest distance is at a value of the window or just below one."""
        reference, windows = np.sort(self.columns[c]), np.sort(windows, 1)
        upto, below = (np.searchsorted(reference, windows, side) / len(reference) for side in ("right", "left"))
        i = np.arange(1, self.window + 1) / self.window
        tied = np.diff(windows, axis=1) == 0  # the distribution function steps once, at the last of equal values
        above = np.where(np.pad(tied, ((0, 0), (0, 1))), 0, abs(i - upto)).max(1)
        return np.maximum(above, np.where(np.pad(tied, ((0, 0), (1, 0))), 0, abs(below - i + 1 / self.window)).max(1))

    def cvm(self, c, windows):
        n, m = len(self.columns[c]), self.window
        both = np.concatenate([np.broadcast_to(np.sort(self.columns[c]), (len(windows), n)), np.sort(windows, 1)], 1)
        ranks = stats.rankdata(both, axis=1)
        return n * ((ranks[:, :n] - np.arange(1, n + 1))**2).sum(1) + m * ((ranks[:, n:] - np.arange(1, m + 1))**2).sum(1)

    def chi2(self, c, windows):
        counts = np.array([np.bincount(np.searchsorted(self.edges[c], w), minlength=self.BINS) for w in windows])
        reference = np.bincount(np.searchsorted(self.edges[c], self.columns[c]), minlength=self.BINS)
        share = (counts + reference) / (self.window + len(self.columns[c]))
        return ((counts - self.window * share)**2 / share).sum(1)

    def statistics(self, rows):
        x = columns(rows)
        windows = x[:len(x) // self.window * self.window].reshape(-1, self.window, x.shape[1])
        return np.array([self.statistic(c, windows[:, :, c]) for c in range(x.shape[1])]).T

    def read(self, rows):
        for i, value in enumerate(self.statistics(rows).max(1), 1):
            yield i * self.window, value


class Alibi:
    """An online detector of alibi-detect, event by event.

    The number is its statistic in units of its own threshold, which depends on the time since its start alone; of
    FET, whose statistic ends at 1 - p = 1, it is -log p. Their own promise only shapes the threshold in time, so that
    few bootstraps do: CVM with 10,000, as they come, takes longer than all streams. CVM's functions are timed; its
    streams are read by computing the same statistic another way, or 40 of each kind would take hours, and that both
    agree is checked."""

    CHECKED = 500  # events

    def __init__(self, reference, name, window):
        from alibi_detect.cd import CVMDriftOnline, FETDriftOnline, LSDDDriftOnline, MMDDriftOnline
        import torch
        torch.set_num_threads(1)
        torch.manual_seed(1)
        np.random.seed(1)
        x = columns(reference)
        self.mean, self.width, self.median = x.mean(0), x.std(0), np.median(x, 0)
        self.binary = name == "fet"  # it takes yes or no: above the median, and below
        joint = {"ert": 1.5 * window, "n_bootstraps": 4 * window, "verbose": False, "window_size": window,
                 "backend": "pytorch", "device": "cpu"}
        by_column = {"ert": 20, "verbose": False, "window_sizes": [window]}
        make = {"mmd": lambda z: MMDDriftOnline(z, **joint), "lsdd": lambda z: LSDDDriftOnline(z, **joint),
                "cvm": lambda z: CVMDriftOnline(z, n_bootstraps=600, batch_size=50, **by_column),
                "fet": lambda z: FETDriftOnline(z, n_bootstraps=2000, alternative="greater", **by_column)}
        self.reference = self.prepare(reference)
        self.detector = make[name](self.reference)
        self.fast, self.checked, self.window = name == "cvm", False, window

    def prepare(self, rows):
        x = columns(rows)
        if self.binary:
            return np.concatenate([x > self.median, x <= self.median], 1)
        return ((x - self.mean) / self.width).astype(np.float32)

    def read(self, rows):
        if not self.fast:
            yield from self.by_alibi(rows)
            return
        found = self.cvm(rows)
        if not self.checked:  # an event that was drawn twice within a window is a rank apart from itself
            expected = [value for _, value in self.by_alibi(rows[:self.CHECKED])]
            assert np.allclose(found[:self.CHECKED], expected, rtol=2e-3, atol=2e-3), "not the statistic of alibi-detect"
            self.checked = True
        yield from enumerate(found, 1)

    def cvm(self, rows):
        """The largest statistic of all columns at every event, in units of the threshold."""
        x, n, m = self.prepare(rows), len(self.reference), self.window
        most = np.full(len(x), -np.inf)
        for c in range(x.shape[1]):
            most = np.maximum(most, distances(np.sort(self.reference[:, c]), x[:, c], m))
        mean = 1 / 6 + 1 / (6 * (n + m))
        variance = (n + m + 1) * (4 * n * m * (n + m) - 3 * (n * n + m * m) - 2 * n * m) / (180 * n * m * (n + m)**2)
        threshold = np.asarray(self.detector.thresholds, float)[np.minimum(np.arange(len(x)), 2 * m - 2), 0]
        found = (most * n * m / (n + m)**2 - mean) / np.sqrt(variance) / threshold
        found[:m - 1] = -np.inf  # the window is not full
        return found

    def by_alibi(self, rows):
        self.detector.reset_state()
        for t, x in enumerate(self.prepare(rows), 1):
            found = self.detector.predict(x)["data"]
            value = np.asarray(found["test_stat"], float)
            value = -np.log10(np.maximum(1 - value, 1e-8)) if self.binary else value / np.asarray(found["threshold"], float)
            yield t, -np.inf if np.isnan(value).all() else float(np.nanmax(value))


def compiled(function):
    """By numba, which alibi-detect brings, when it is first called."""
    def call(*arguments):
        nonlocal function
        if call.plain:
            import numba
            function, call.plain = numba.njit(function), False
        return function(*arguments)
    call.plain = True
    return call


@compiled
def distances(reference, x, m):
    """For each event, the sum of (F - G)^2 over the reference and the last m events, F and G their distribution
    functions; none before there are m. `difference` holds F - G at the reference, `ranks` the sorted F of the window."""
    n, found = len(reference), np.full(len(x), -np.inf)
    after, first = np.searchsorted(reference, x, side="right") / n, np.searchsorted(reference, x)
    difference = np.searchsorted(reference, reference, side="right") / n
    ranks = np.full(m + 1, np.inf)
    for t in range(len(x)):
        difference[first[t]:] -= 1 / m
        if t >= m:
            difference[first[t - m]:] += 1 / m
            gone = np.searchsorted(ranks, after[t - m])
            ranks[gone:m] = ranks[gone + 1:]
        place = np.searchsorted(ranks, after[t])
        for i in range(m, place, -1):
            ranks[i] = ranks[i - 1]
        ranks[place] = after[t]
        if t >= m - 1:
            total = 0.0
            for i in range(n):
                total += difference[i] * difference[i]
            for i in range(m):
                total += (ranks[i] - (i + 1) / m)**2
            found[t] = total
    return found


def make_detectors(spec):
    """Title, and one detector for each reference."""
    (family, name), window = spec.partition("@")[0].split(":"), int(spec.partition("@")[2])
    families = {"twin": Twin, "scipy": SciPy, "alibi": Alibi}
    return [families[family](draw(NOMINAL[:FIRST], np.random.default_rng([3, i]), options.reference), name, window)
            for i in range(options.references)]


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


def records(path):
    """Of a path, the steps that rise above all before: all that a first passage needs."""
    most, kept = -np.inf, []
    for t, value in path:
        if value > most:
            most = value
            kept.append((t, value))
    return kept


def events_per_s(detector, rows):
    """Of CPU time on one core. Ours starts a process that reads files; the others are started already."""
    if isinstance(detector, Twin):
        rows, before = draw(NOMINAL[FIRST:], np.random.default_rng(4), options.speed), child_seconds()
        detector.run(rows)
        return len(rows) / (child_seconds() - before)
    before = time.process_time()
    if isinstance(detector, SciPy):
        p = detector.by_scipy(rows)
        seconds, value = time.process_time() - before, detector.statistics(rows)
        order = np.argsort(value, axis=None, kind="stable")
        assert (np.diff(p.ravel()[order]) <= 1e-9 * p.ravel()[order][1:]).all(), "p does not fall with the statistic"
        return len(rows) / seconds
    for _ in detector.by_alibi(rows):
        pass
    return len(rows) / (time.process_time() - before)


def delay(path, threshold, change):
    """The limit: no alarm. None: one before the change."""
    t = first_passage(path, threshold)
    return None if t is not None and t <= change else options.limit if t is None else t - change


def measure(spec, streams):
    """Paths on null streams, threshold, delays, and events a second of CPU time."""
    detectors, length = make_detectors(spec), int(2 * options.run_time)
    speed = events_per_s(detectors[0], streams["null"][0][:5000])
    paths = [records(detectors[i % len(detectors)].read(rows)) for i, rows in enumerate(streams["null"])]
    threshold, run_time = calibrate(paths, length)
    found = {"threshold": threshold, "run_time": run_time, "null": len(paths), "events_per_s": speed, "delays": {}}
    for kind, many in streams.items():
        if kind != "null":
            found["delays"][kind] = [delay(detectors[i % len(detectors)].read(rows), threshold, change)
                                     for i, (rows, change) in enumerate(many)]
    return found


def make_streams():
    pool = NOMINAL[FIRST:]
    streams = {"null": [draw(pool, np.random.default_rng([1, i]), int(2 * options.run_time)) for i in range(options.null)]}
    for k, (kind, after) in enumerate(kinds().items()):
        if options.kinds and kind not in options.kinds.split(","):
            continue
        streams[kind] = []
        for i in range(options.streams):
            rng = np.random.default_rng([2, k, i])
            change = options.quiet + int(rng.integers(PHASE))
            streams[kind].append((np.concatenate([draw(pool, rng, change), after(rng, options.limit)]), change))
    return streams


# --- the table ---

def mean_and_error(delays):
    """Of the streams that did not alarm too early; the error by the bootstrap."""
    kept = np.array([d for d in delays if d is not None], float)
    if len(kept) == 0:
        return np.nan, np.nan
    draws = np.random.default_rng(6).integers(len(kept), size=(2000, len(kept)))
    return kept.mean(), kept[draws].mean(1).std()


def pull(a, b):
    """How many standard errors the mean delay a is longer than b."""
    return (a[0] - b[0]) / max(np.hypot(a[1], b[1]), 1e-9)


def print_table(found):
    names = list(dict.fromkeys(kind for result in found.values() for kind in result["delays"]))
    delays = {spec: {k: mean_and_error(d) for k, d in result["delays"].items()} for spec, result in found.items()}
    ours = [spec for spec in found if spec.startswith("twin")]
    theirs = [spec for spec in found if not spec.startswith("twin")]
    heads = ["detector", "run time", "streams", "events/s", *names, *(f"{spec} is sooner, alike, later" for spec in ours)]
    print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for spec, result in found.items():
        cells = [f"{delays[spec][k][0]:.0f} ± {delays[spec][k][1]:.0f}" if k in delays[spec] else "" for k in names]
        for own in ours:
            pulls = [pull(delays[own][k], delays[spec][k]) for k in names if k in delays[spec] and k in delays[own]]
            sooner, later = sum(p < -2 for p in pulls), sum(p > 2 for p in pulls)
            cells.append("" if spec in ours else f"{sooner}, {len(pulls) - sooner - later}, {later}")
        streams = max(len(d) for d in result["delays"].values())
        print(f"| {spec} | {result['run_time']:.0f} | {streams} | {result['events_per_s']:.3g} | {' | '.join(cells)} |")
    for own in ours if theirs else []:
        cells = []
        for k in names:
            pulls = {spec: pull(delays[own][k], delays[spec][k]) for spec in theirs if k in delays[spec]}
            worst = max(pulls, key=pulls.get)
            verdict = "longer" if pulls[worst] > 2 else "shorter" if pulls[worst] < -2 else "no difference"
            cells.append(f"{verdict} ({pulls[worst]:+.1f} σ, {worst})")
        print(f"| {own} against the best of the others | | | | {' | '.join(cells)} |" + " |" * len(ours))


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


def print_tests():
    print("| test | events | p (ours) | events/s | other | p | events/s |\n|---|---|---|---|---|---|---|")
    for row in compare_tests():
        print(f"| {row['test']} | {row['events']} | {row['p']:.3g} | {row['events_per_s']:.3g} | {row.get('other', '')} | "
              f"{row.get('other_p', float('nan')):.3g} | {row.get('other_events_per_s', float('nan')):.3g} |", flush=True)


def main():
    only = options.only.split(",")
    if "tests" in only:
        print_tests()
    options.results.mkdir(exist_ok=True)
    wanted, streams = [spec for spec in only if "@" in spec], None
    for spec in wanted:
        streams = streams or make_streams()
        path = options.results / (spec.replace(":", "_") + ".json")
        path.write_text(json.dumps({"detector": spec, **measure(spec, streams)}) + "\n")
        print_table({spec: json.loads(path.read_text())})
    if "table" in only:
        found = [json.loads(path.read_text()) for path in options.results.glob("*.json")]
        order = {spec: i for i, spec in enumerate(DETECTORS.split(","))}
        found.sort(key=lambda r: order.get(r["detector"], -1))
        print_table({r["detector"]: r for r in found})


if __name__ == "__main__":
    main()

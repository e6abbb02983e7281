"""The flow itself: log_prob, sample, a training step and a single event, in turn with the peers on one core."""
import json
import os
import subprocess
import sys

import numpy as np

from common import ROOT, Failed, median, progress, si

sys.path.insert(0, str(ROOT / "tests" / "model"))
import reader  # noqa: E402

PEERS = ("torch-compile", "torch-compile-256", "torch-eager", "flowjax", "nflows")
MEASURES = ("log_prob", "sample", "train", "single")
OURS = {"log_prob": "log_prob_events_per_s", "sample": "sample_events_per_s", "train": "train_events_per_s",
        "single": "log_prob_single_ms"}
KERNELS = ("ref", "blas", "avx2", "avx512", "avx512bf16")
GOALS = {"log_prob": 2.5, "sample": 2.2, "train": 2.5, "single": 2.5}


class Shape:
    def __init__(self, features=16, hidden=128, blocks=8, bins=8):
        self.features, self.hidden, self.blocks, self.bins = features, hidden, blocks, bins

    def __str__(self):
        return f"{self.features} features, hidden {self.hidden}×{self.hidden}"

    @staticmethod
    def default(setting):
        """The flow that a definition gets unless it says otherwise; a small one where only a look is wanted."""
        return Shape(hidden=32, blocks=2) if setting.quick else Shape()

    def arguments(self, activation):
        return ["--activation", activation, "--features", self.features, "--hidden", f"{self.hidden},{self.hidden}",
                "--blocks", self.blocks, "--bins", self.bins]

    def flop(self):
        """Of the products, for log_prob of one event: twice the weights."""
        kept, h = self.features // 2, self.hidden
        return 2 * self.blocks * (kept * h + h * h + h * (self.features - kept) * (3 * self.bins - 1))


class Peer:
    """bench/peers.py in a process of its own, which waits for its turn."""

    def __init__(self, setting, name, shape):
        self.name, self.setting = name, setting
        cache = {"TORCHINDUCTOR_CACHE_DIR": str(setting.build / "cache"), "TORCHINDUCTOR_FX_GRAPH_CACHE": "1"}
        self.log = open(setting.scratch / f"{name}.log", "w+")
        self.process = setting.start(
            [setting.python, ROOT / "bench" / "peers.py", name, "--features", shape.features, "--blocks", shape.blocks,
             "--hidden", shape.hidden, "--bins", shape.bins], cores=setting.cores, environment=cache,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True)

    def _read(self):
        line = self.process.stdout.readline()
        if not line:
            self.log.seek(0)
            raise Failed(f"{self.name} does not run here:\n{self.log.read()[-3000:]}")
        return json.loads(line)

    def _ask(self, name, seconds):
        self.process.stdin.write(f"{name} {seconds}\n")
        self.process.stdin.flush()

    def load(self):
        self.versions = self._read()["versions"]

    def ask_for_all(self):
        """Has everything compiled, on whatever cores there are."""
        for m in MEASURES:
            self._ask(m, 0)

    def get_ready(self):
        """Waits for that; from now on all its threads have the measured core."""
        self.load()
        for _ in MEASURES:
            self._read()
        for thread in os.listdir(f"/proc/{self.process.pid}/task"):
            os.sched_setaffinity(int(thread), [self.setting.core])

    def measure(self, name, seconds):
        self._ask(name, seconds)
        return self._read()["value"]

    def end(self):
        self.process.stdin.close()
        peak = self._read()["peak_mib"]
        self.process.wait()
        self.log.close()
        return peak


def ratio(measure, ours, theirs):
    """How many times as fast."""
    return theirs / ours if measure == "single" else ours / theirs


def best(measure, values):
    return min(values) if measure == "single" else max(values)


def show(measure, value):
    return f"{value:.3f}" if measure == "single" else si(value)


# --- agreement ---

def artifact(setting, shape, environment=None):
    """A flow that was trained for a moment, and the events."""
    folder = setting.scratch / f"{shape.features}-{shape.hidden}-{shape.blocks}"
    paths = [str(folder / n) for n in ("definition.json", "events.npy", "flow.safetensors")]
    if not folder.exists():
        folder.mkdir()
        rng = np.random.default_rng(7)
        mixed = rng.normal(size=(shape.features, shape.features)) / shape.features ** 0.5
        x = rng.normal(size=(4096, shape.features)) @ mixed
        np.save(paths[1], (x + 0.3 * np.roll(x, 1, 1) ** 2).astype(np.float32))
        definition = {"name": "bench", "features": [{"name": f"x{f}"} for f in range(shape.features)],
                      "model": {"kind": "flow", "blocks": shape.blocks, "hidden": [shape.hidden] * 2, "bins": shape.bins,
                                "activation": "relu"}}
        with open(paths[0], "w") as file:
            json.dump(definition, file)
        setting.bench("--train", paths[0], paths[1], paths[2], "--epochs", "2" if setting.quick else "6", "--rate", "0.005",
                      "--quiet", environment=environment)
    return paths


def agreement(setting, shape, kernels=None, events=512):
    """The largest |log_prob - that of the NumPy reader| / (1 + |log_prob|), on events and on our own samples."""
    _, events_path, path = artifact(setting, shape)
    out, own = str(setting.scratch / "log_prob.npy"), str(setting.scratch / "samples.npy")
    environment = {"TWIN_KERNELS": kernels}
    worst = 0
    setting.bench("--sample", path, events, own, environment=environment)
    for x in (events_path, own):
        setting.bench("--log-prob", path, x, out, "--rows", f"0:{events}", environment=environment)
        theirs = reader.log_prob(*reader.load(path), np.load(x)[:events])
        worst = max(worst, float(np.max(np.abs(np.load(out) - theirs) / (1 + np.abs(theirs)))))
    if not worst < (0.05 if kernels == "avx512bf16" else 2e-5):
        raise Failed(f"{shape}, kernels {kernels or 'default'}: log_prob differs from the NumPy reader's by {worst:.2g} (1 + |log p|)")
    return worst


# --- measuring ---

def ours(setting, shape, seconds, kernels=None, coretype=None, threads=1, activation="relu"):
    result = setting.bench("--json", *shape.arguments(activation), "--seconds", seconds, "--threads", threads,
                           cores=setting.cores[:threads] if threads > 1 else None,
                           environment={"TWIN_KERNELS": kernels, "OPENBLAS_CORETYPE": coretype})
    return {**{m: result[OURS[m]] for m in MEASURES}, "detail": result["blas"], "kernels": result["kernels"]}


def variants(setting):
    """Ways to run twin-bench: (name, arguments for `ours`). Kernels that do not work here are left out."""
    found = [("twin", {})]
    for kernels in KERNELS:
        try:
            setting.bench("--peak", "--seconds", "0", environment={"TWIN_KERNELS": kernels})
        except Failed as failed:
            if failed.status != 64:
                raise
            continue
        if kernels != "ref":
            found.append((f"twin, kernels {kernels}", {"kernels": kernels}))
    found.append(("twin, SiLU", {"activation": "silu"}))
    found.append(("twin, kernels blas, OPENBLAS_CORETYPE=Haswell", {"kernels": "blas", "coretype": "Haswell"}))
    if len(setting.cores) > 1:
        found.append(("twin, 2 threads", {"threads": 2}))
    return found


def measure(setting, shape, ways, peers, rounds, seconds):
    """{subject: {measure: [value of each round]}}, all in turn in each round; "peak" has that of the core."""
    values = {name: {m: [] for m in MEASURES} for name in [w for w, _ in ways] + [p.name for p in peers]}
    values["peak"] = {"float32": [], "bf16": []}
    details = {}
    for r in range(rounds):
        progress(f"{shape}: round {r + 1} of {rounds}")
        peak = setting.bench("--peak", "--seconds", min(seconds, 0.5))
        values["peak"]["float32"].append(1e9 * peak["float32_gflop_per_s"])
        values["peak"]["bf16"].append(1e9 * (peak["bf16_gflop_per_s"] or 0))
        for name, how in ways:
            result = ours(setting, shape, seconds, **how)
            details[name] = f"{result['kernels']}: {result['detail']}"
            for m in MEASURES:
                values[name][m].append(result[m])
        for peer in peers:
            for m in MEASURES:
                values[peer.name][m].append(peer.measure(m, seconds))
    return values, details


def ratios(values, measure_name, peers, name="twin"):
    """Against the best peer of the same round."""
    each = zip(values[name][measure_name], *(values[p][measure_name] for p in peers))
    return [ratio(measure_name, first, best(measure_name, rest)) for first, *rest in each]


def start_peers(setting, shape):
    """All at once, as their compilers leave cores free; ready to be measured one by one."""
    if not setting.peers:
        return []
    progress(f"{shape}: peers are loaded and compiled")
    peers = [Peer(setting, name, shape) for name in PEERS]
    for peer in peers:
        peer.ask_for_all()
    for peer in peers:
        peer.get_ready()
    return peers


def prepare(setting):
    for shape in [Shape(), *setting.shapes]:
        for peer in start_peers(setting, shape):
            peer.end()


def headline(setting, report):
    shape = Shape.default(setting)
    report.heading(f"The flow, one core, float32, {shape}, {shape.blocks} blocks, {shape.bins} bins")
    error = agreement(setting, shape)
    peers = start_peers(setting, shape)
    ways = variants(setting)
    values, details = measure(setting, shape, ways, peers, setting.rounds, setting.seconds)
    peak = median(values["peak"]["float32"])
    bound = {"log_prob": peak / shape.flop(), "sample": peak / shape.flop(), "train": peak / (3 * shape.flop())}
    rows = [[name] + [show(m, median(values[name][m])) for m in MEASURES] for name in values if name != "peak"]
    rows.append(["bound by multiply-adds alone"] + [si(bound[m]) for m in ("log_prob", "sample", "train")] + [""])
    report.table(["", "log_prob, events/s", "sample", "train", "one event, ms"], rows)
    fractions = {m: median(values["twin"][m]) / bound[m] for m in bound}
    rows = [["twin, of the multiply-add bound"] + [f"{fractions[m]:.0%}" for m in bound] + [""]]
    if peers:
        names = [p.name for p in peers]
        rows.insert(0, ["twin over the best peer of a round"] + [f"{median(ratios(values, m, names)):.2f}×" for m in MEASURES])
        for m in MEASURES:
            report.goal(f"{'log_prob of one event' if m == 'single' else m}, over the best peer",
                        median(ratios(values, m, names)), least=GOALS[m])
    if "twin, kernels avx512bf16" in values:
        gain = {m: median(ratios(values, m, ["twin, kernels avx512"], "twin, kernels avx512bf16")) for m in MEASURES}
        rows.append(["bf16 over float32"] + [f"{gain[m]:.2f}×" for m in MEASURES])
        for m in ("log_prob", "sample"):
            report.goal(f"bf16 over float32, {m}", gain[m], least=1.3)
    if "twin, 2 threads" in values:
        gain = {m: median(ratios(values, m, ["twin"], "twin, 2 threads")) for m in MEASURES}
        rows.append(["two threads over one"] + [f"{gain[m]:.2f}×" for m in MEASURES[:3]] + [""])
        for m in MEASURES[:3]:
            report.goal(f"two threads over one, {m}", gain[m], least=1.8)
    report.table(["median of ratios"] + list(MEASURES[:3]) + ["one event"], rows)
    report.words(f"Medians of {setting.rounds} rounds. One core: {si(peak)}FLOP/s of multiply-adds in float32"
                 + (f", {si(median(values['peak']['bf16']))}FLOP/s in bf16" if median(values['peak']['bf16']) else "")
                 + f"; {shape.flop() / 1e3:.0f} kFLOP an event, three times that to train. "
                 f"`log_prob` equals the NumPy reader's within {error:.1g} (1 + |log p|).")
    report.words("What ran: " + "; ".join(f"{name}: {detail}" for name, detail in details.items())
                 + ("; " + "; ".join(f"{p.name}: {p.versions}" for p in peers) if peers else "") + ".")
    for way, how in ways:
        if how.get("kernels") and not how.get("coretype"):
            report.number(f"error, {how['kernels']}", agreement(setting, shape, how["kernels"]))
    report.words("Largest difference from the NumPy reader, by kernels: "
                 + ", ".join(f"{k.split(', ')[1]} {v:.1g}" for k, v in report.numbers.items() if k.startswith("error, ")) + ".")
    for name in values:
        report.number(f"flows, {name}", values[name])
    for peer in peers:
        peer.end()


def sweep(setting, report):
    """Other shapes: behind any peer anywhere?"""
    report.heading("Other shapes, one core")
    rows, worst = [], {m: (float("inf"), "") for m in MEASURES}
    rounds, seconds = (1, setting.seconds) if setting.quick else (3, 0.3)
    for shape in setting.shapes:
        error = agreement(setting, shape, events=128)
        peers = start_peers(setting, shape)
        values, _ = measure(setting, shape, [("twin", {})], peers, rounds, seconds)
        bound = median(values["peak"]["float32"]) / shape.flop()
        row = [str(shape)] + [show(m, median(values["twin"][m])) for m in MEASURES]
        row.append(f"{median(values['twin']['log_prob']) / bound:.0%}")
        for m in MEASURES if peers else ():
            r = median(ratios(values, m, [p.name for p in peers]))
            name = max(peers, key=lambda p: -ratio(m, 1, median(values[p.name][m]))).name
            row.append(f"{r:.2f}× {name}")
            worst[m] = min(worst[m], (r, str(shape)))
        rows.append(row)
        report.number(f"flows, {shape}", {**values, "error": error})
        for peer in peers:
            peer.end()
    more = [f"{m}, over" for m in MEASURES] if setting.peers else []
    report.table(["", "log_prob, events/s", "sample", "train", "one event, ms", "of the bound"] + more, rows)
    for m in MEASURES if setting.peers else ():
        report.goal(f"{m}, the least of all shapes ({worst[m][1]}), over the best peer", worst[m][0], least=1.0)


def cost(setting, report):
    """How cost grows with events, features, width, blocks and threads; one thing changed at a time."""
    report.heading("How cost grows")
    base = Shape.default(setting)
    seconds = setting.seconds if setting.quick else 0.4
    shapes = {"features": [Shape(features=d) for d in ((2,) if setting.quick else (2, 6, 16, 32, 64, 128))],
              "hidden": [Shape(hidden=h) for h in ((32,) if setting.quick else (32, 64, 128, 256, 512))],
              "blocks": [Shape(blocks=b) for b in ((2,) if setting.quick else (2, 4, 8, 16))]}
    rows = []
    for what, of in shapes.items():
        for shape in of:
            r = ours(setting, shape, seconds)
            rows.append([f"{what} {getattr(shape, what)}", f"{shape.flop() / 1e3:.0f}"]
                        + [f"{1e6 / r[m]:.2f}" for m in MEASURES[:3]] + [f"{1e3 * r['single']:.0f}"])
    for threads in range(1, (1 if setting.quick else len(setting.cores)) + 1):
        r = ours(setting, base, seconds, threads=threads)
        rows.append([f"threads {threads}", f"{base.flop() / 1e3:.0f}"] + [f"{1e6 / r[m]:.2f}" for m in MEASURES[:3]]
                    + [f"{1e3 * r['single']:.0f}"])
    report.table(["16 features, hidden 128, 8 blocks but", "kFLOP", "log_prob, µs an event", "sample", "train", "single"], rows)
    _, _, path = artifact(setting, base)
    x, out = str(setting.scratch / "many.npy"), str(setting.scratch / "many_log_prob.npy")
    np.save(x, np.random.default_rng(3).normal(size=(65536, base.features)).astype(np.float32))
    rows = []
    for n in (1, 256) if setting.quick else (1, 16, 256, 257, 4096, 65536):
        r = setting.bench("--log-prob", path, x, out, "--rows", f"0:{n}", "--repeat", max(3, min(2000, 65536 // n)))
        rows.append([n, f"{1e6 * r['seconds']:.0f}", f"{1e6 * r['seconds'] / n:.2f}"])
        report.number(f"log_prob of {n} events, s", r["seconds"])
    report.table(["events in a call", "µs", "µs an event"], rows)


def memory(setting, report):
    """Peak of the resident memory of a training, and what of it the events themselves take."""
    report.heading("Memory of a training")
    shape, rows, step = Shape.default(setting), [], {}
    definition = artifact(setting, shape)[0]
    for n in (2000, 4000) if setting.quick else (10000, 100000, 300000):
        path = str(setting.scratch / "train.npy")
        np.save(path, np.random.default_rng(4).normal(size=(n, shape.features)).astype(np.float32))
        for batch in (1024,) if n > 10000 else (1024, 8192):
            r = setting.bench("--train", definition, path, setting.scratch / "out.safetensors", "--epochs", "1", "--batch",
                              batch, "--quiet")
            step[n, batch] = r["peak_mib"]
            rows.append([f"twin-bench --train, {n} events, steps of {batch}", f"{r['peak_mib']:.0f}",
                         f"{n * shape.features * 4 / 2 ** 20:.1f}"])
    few, many = min(n for n, _ in step), max(n for n, _ in step)
    report.number("memory of a training, MiB", step[few, 1024])
    report.number("memory of a training with more events, MiB", step[many, 1024])
    if setting.peers:
        for name in ("torch-eager", "torch-compile"):
            peer = Peer(setting, name, shape)
            peer.load()
            peer.measure("train", 0.5)
            peak = peer.end()
            rows.append([f"{peer.versions}, {name.split('-')[1]}, steps of 1024", f"{peak:.0f}", "0.1"])
            if name == "torch-eager":
                report.goal("peak of a training step, of PyTorch's", step[few, 1024] / peak, most=0.2)
    report.table(["", "peak resident, MiB", "of it the events"], rows)


def run(setting, report):
    headline(setting, report)
    sweep(setting, report)
    cost(setting, report)
    memory(setting, report)

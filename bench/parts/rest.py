"""Answers over HTTP: the server beside libmicrohttpd on its own, queries beside the library, and both while it trains."""
import json
import subprocess
import time

import numpy as np

from common import median, progress, si
from flows import Shape, artifact
from ingest import daemon_of



def definition(shape, name):
    return {"name": name, "features": [{"name": f"x{f}"} for f in range(shape.features)],
            "model": {"kind": "flow", "blocks": shape.blocks, "hidden": [shape.hidden] * 2, "bins": shape.bins},
            "loop": {"auto": False}}


class Load:
    """bench-http load against one server."""

    def __init__(self, setting, port, seconds):
        self.setting, self.port, self.seconds = setting, port, seconds

    def __call__(self, connections, method, path, *body):
        return self.setting.run([self.setting.program("bench-http"), "load", self.port, connections, self.seconds, method,
                                 path, *body], self.setting.cores)


class Bare:
    """libmicrohttpd with a constant answer, in a process of its own."""

    def __init__(self, setting):
        self.process = setting.start([setting.program("bench-http"), "serve"], setting.cores, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE)
        self.port = json.loads(self.process.stdout.readline())["port"]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def trained(daemon, shape, setting):
    """A twin with a champion; how it was trained does not matter here."""
    daemon.create(definition(shape, "bench"))
    x = np.load(artifact(setting, shape)[1])
    daemon.train("bench", x, "?epochs=1")
    one = str(setting.scratch / "one.npy")
    np.save(one, x[:1])
    return one


def training(daemon, shape, rows, r):
    """Begins a training, of another twin, that lasts; its operation."""
    x = np.random.default_rng(5).normal(size=(rows, shape.features)).astype(np.float32)
    daemon.create(definition(shape, f"busy{r}"))
    return daemon.request("POST", f"/v1/twins/busy{r}/train?epochs=1000", x).json()["id"]


def cancel(daemon, operation):
    daemon.request("DELETE", f"/v1/operations/{operation}")
    daemon.wait(operation)


def run(setting, report):
    report.heading("HTTP")
    shape = Shape.default(setting)
    rounds, seconds, n = (1, 0.05, 1000) if setting.quick else (5, 1.0, 200000)
    daemon, bare = daemon_of(setting), Bare(setting)
    daemon.start()
    try:
        one = trained(daemon, shape, setting)
        ours, theirs = Load(setting, daemon.port, seconds), Load(setting, bare.port, seconds)
        log_prob = ("POST", "/v1/twins/bench/log_prob", one, "application/x-npy")
        sample = ("GET", f"/v1/twins/bench/sample?seed=1&n={n}")
        values = {name: [] for name in ("bare", "livez", "bare, one", "livez, one", "log_prob, one", "sample", "library")}
        path = artifact(setting, shape)[2]
        for r in range(rounds):
            progress(f"HTTP: round {r + 1} of {rounds}")
            for _ in range(1 if setting.quick else 3):
                values["bare"].append(theirs(4, "GET", "/livez"))
                values["livez"].append(ours(4, "GET", "/livez"))
            values["bare, one"].append(theirs(1, "GET", "/livez"))
            values["livez, one"].append(ours(1, "GET", "/livez"))
            values["log_prob, one"].append(ours(1, *log_prob))
            values["library"].append(setting.bench("--sample", path, n, setting.scratch / "s.npy", "--repeat", 2,
                                                   cores=setting.cores))
            values["sample"].append(ours(1, *sample))
        busy = []
        for r in range(rounds):
            progress(f"HTTP while it trains: round {r + 1} of {rounds}")
            operation = training(daemon, shape, 2000 if setting.quick else 50000, r)
            time.sleep(0.05 if setting.quick else 1)
            busy.append(ours(1, *log_prob))
            cancel(daemon, operation)
    finally:
        daemon.stop()
        bare.end()
    show(report, values, busy, n)


def show(report, values, busy, n):
    def of(name, member):
        return median(v[member] for v in values[name])

    def ratio(a, b, member):
        return median(x[member] / y[member] for x, y in zip(values[a], values[b]))

    rows = [[label, si(of(name, "requests_per_s")), f"{of(name, 'p50_ms'):.3f}", f"{of(name, 'p99_ms'):.3f}"]
            for label, name in (("libmicrohttpd alone, 4 connections", "bare"), ("/livez, 4 connections", "livez"),
                                ("libmicrohttpd alone, 1 connection", "bare, one"), ("/livez, 1 connection", "livez, one"),
                                ("log_prob of one event, 1 connection", "log_prob, one"))]
    rows.append(["the same while a training runs on all cores", si(median(b["requests_per_s"] for b in busy)),
                 f"{median(b['p50_ms'] for b in busy):.3f}", f"{median(b['p99_ms'] for b in busy):.3f}"])
    report.table(["", "answers/s", "p50, ms", "p99, ms"], rows)
    streamed = [n * v["requests_per_s"] for v in values["sample"]]
    library = [v["sample_events_per_s"] for v in values["library"]]
    report.table([f"{n} samples", "events/s"], [["GET …/sample as .npy, one client", si(median(streamed))],
                                                ["twin-bench --sample, one thread", si(median(library))]])
    for name, each in values.items():
        report.number(f"http, {name}", [{k: v for k, v in of.items() if not isinstance(v, str)} for of in each])
    report.number("http, log_prob while training", busy)
    report.goal("/livez, of libmicrohttpd alone", ratio("livez", "bare", "requests_per_s"), least=0.8)
    report.goal("log_prob of one event, p50, of /livez", ratio("log_prob, one", "livez, one", "p50_ms"), most=2)
    report.goal("sample streamed, of the library", median(a / b for a, b in zip(streamed, library)), least=0.8)
    report.goal("log_prob of one event while training, p99 of idle",
                median(b["p99_ms"] for b in busy) / of("log_prob, one", "p99_ms"), most=5)

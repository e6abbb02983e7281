"""The loop's own work, in CPU seconds as the daemon counts them: a comparison, and the retune of the demo."""
import json
import time

import numpy as np

from common import ROOT, Failed, median, progress
from flows import Shape
from ingest import daemon_of
from rest import definition

import feed as wire


def spent(daemon):
    """CPU seconds of trainings and comparisons so far."""
    text = daemon.request("GET", "/metrics").body.decode()
    return float(next(line for line in text.splitlines() if line.startswith("twin_training_cpu_seconds_total ")).split()[1])


def settle(daemon, twin, iterations, limit_s=300):
    """Waits until so many windows are compared and nothing more is due."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        at = daemon.get(f"/v1/twins/{twin}")
        done = (at.get("last_iteration") or {}).get("iteration", 0) >= iterations
        if done and at["activity"] == "idle" and not at["ingest"]["lag_batches"]:
            return
        time.sleep(0.05)
    raise Failed(f"{twin} is not through after {limit_s} s: {json.dumps(at)[:500]}")


def comparison(setting, report):
    """Windows of 20,000 events from the distribution that was trained on, all default detectors, nothing retuned."""
    shape = Shape.default(setting)
    window, windows = (1000, 1) if setting.quick else (20000, 5)
    rng = np.random.default_rng(9)
    events = lambda n: rng.normal(size=(n, shape.features)).astype(np.float32)
    daemon = daemon_of(setting)
    daemon.start()
    try:
        made = definition(shape, "bench")
        made["loop"]["window"] = window
        daemon.create(made)
        daemon.train("bench", events(2 * window), "?epochs=2")
        source = wire.Feed(daemon.ingest, "bench")
        taken = []
        for w in range(windows):
            progress(f"loop: window {w + 1} of {windows}")
            before = spent(daemon)
            source.push_all(np.split(events(window), 10), first=10 * w)
            settle(daemon, "bench", w + 1)
            taken.append(spent(daemon) - before)
        source.close()
        names = sorted({s["name"] for s in daemon.get("/v1/twins/bench/iterations?limit=1")["items"][0]["statistics"]})
    finally:
        daemon.stop()
    report.number("loop, comparison", taken)
    report.words(f"Comparing a window of {window} events with {shape.features} features: {median(taken):.2f} CPU s "
                 f"(median of {windows}; {', '.join(names)}).")
    report.goal(f"comparison of {window} events, CPU s", median(taken), most=1)


def retune(setting, report):
    """The demo's events and definition: trained on one physics, fed with another."""
    rows, fed, epochs = (2000, 5000, "?epochs=1") if setting.quick else (60000, 30000, "")
    made = json.loads((ROOT / "data" / "zjets.json").read_text())
    nominal, shifted = (np.load(ROOT / "data" / f"zjets_{name}.npy", mmap_mode="r") for name in ("nominal", "mpi_on"))
    daemon = daemon_of(setting)
    daemon.start()
    try:
        daemon.create(made)
        progress(f"loop: the demo's twin is trained on {rows} events")
        trained = daemon.train("zmumu", np.array(nominal[:rows], np.float32), epochs)
        progress("loop: the physics changes")
        source = wire.Feed(daemon.ingest, "zmumu")
        source.push_all(np.split(np.array(shifted[:fed], np.float32), fed // 1000))
        source.close()
        settle(daemon, "zmumu", fed // made["loop"]["window"])
        retunes = [o["result"]["cpu_seconds"] for o in daemon.get("/v1/operations?limit=100")["items"]
                   if o["kind"] == "retune" and o.get("result")]
    finally:
        daemon.stop()
    report.number("loop, initial training", trained["result"]["cpu_seconds"])
    report.number("loop, retunes", retunes)
    report.words(f"The twin of the demo: {trained['result']['cpu_seconds']:.1f} CPU s to train on {rows} events; retunes after "
                 f"the change of physics took {', '.join(f'{s:.1f}' for s in sorted(retunes, reverse=True)) or 'none'} CPU s.")
    if retunes:
        report.goal("retune of the demo, the longest, CPU s", max(retunes), most=10, form="{:.1f}")


def run(setting, report):
    report.heading("The loop")
    comparison(setting, report)
    retune(setting, report)

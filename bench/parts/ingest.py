"""How much a feed gets through to the disk: beside the disk alone and libzmq alone, in turn."""
import sys

from common import ROOT, median, progress, si

sys.path.insert(0, str(ROOT / "tests" / "system"))

COLUMNS = 16
DEFINITION = {"name": "bench", "features": [{"name": f"x{f}"} for f in range(COLUMNS)]}
MIB, GROUP = 1 << 20, 8 << 20  # twind syncs once for a group of at most 8 MiB


def daemon_of(setting, **more):
    """A twind on all cores, with its state on the disk that is measured."""
    import os
    import tempfile

    from daemon import Daemon
    os.environ["TWIND"] = setting.program("twind")
    return Daemon(state=tempfile.mkdtemp(dir=setting.scratch), **more)


def run(setting, report):
    report.heading("Ingest")
    mib, small, rounds = (8, 50, 1) if setting.quick else (256, 20000, 5)
    load = [setting.program("bench-ingest")]
    rows = MIB // (4 * COLUMNS) - 2  # with the header of .npy and that of the message, a little below 1 MiB
    daemon = daemon_of(setting)
    daemon.start()
    try:
        daemon.create(DEFINITION)
        values = {name: [] for name in ("disk", "raw", "feed", "small")}
        for r in range(rounds):
            progress(f"ingest: round {r + 1} of {rounds}")
            values["disk"].append(setting.run([*load, "disk", setting.scratch, GROUP, mib * MIB], setting.cores))
            values["raw"].append(setting.run([*load, "raw", MIB, mib], setting.cores))
            values["feed"].append(setting.run([*load, "feed", daemon.ingest, "bench", rows, mib], setting.cores))
            values["small"].append(setting.run([*load, "feed", daemon.ingest, "bench", 1, small], setting.cores))
    finally:
        daemon.stop()
    speed = {name: median(v["mib_per_s"] for v in of) for name, of in values.items()}
    share = median(feed["mib_per_s"] / min(disk["mib_per_s"], raw["mib_per_s"])
                   for feed, disk, raw in zip(values["feed"], values["disk"], values["raw"]))
    events = median(v["events_per_s"] for v in values["feed"])
    report.table(["durable, over the loopback", "MiB/s", "a second"], [
        ["batches of 1 MiB to twind, all acknowledged", f"{speed['feed']:.0f}", f"{si(events)} events of 64 bytes"],
        ["batches of one event of 64 bytes", f"{speed['small']:.2f}", f"{si(median(v['events_per_s'] for v in values['small']))} events"],
        ["the disk: 8 MiB, fdatasync, 8 MiB, …", f"{speed['disk']:.0f}", f"{median(v['syncs_per_s'] for v in values['disk']):.0f} syncs"],
        ["libzmq: messages of 1 MiB, thrown away", f"{speed['raw']:.0f}", f"{si(median(v['messages_per_s'] for v in values['raw']))} messages"]])
    for name, of in values.items():
        report.number(f"ingest, {name}", of)
    report.goal("ingest, of the slower of disk and libzmq", share, least=0.5)

"""From the command to the first answer, and the memory that an idle daemon holds, as twins become many."""
import pathlib
import re
import time

import numpy as np

from common import median, progress
from flows import Shape, artifact
from ingest import daemon_of
from rest import definition


def ready_s(daemon):
    """Seconds from the start of the process until its line that says ready; the daemon runs then."""
    begin = time.monotonic()
    daemon.spawn()
    while True:
        with open(daemon.log_path, "rb") as log:
            log.seek(daemon.log_offset)
            text = log.read().decode(errors="replace")
        taken = time.monotonic() - begin
        ready = re.search(r"event=ready http=(\S+) ingest=(\S+) publish=(\S+)", text)
        if ready:
            daemon.url, daemon.ingest, daemon.publish = ready.groups()
            return taken
        if daemon.process.poll() is not None or taken > 60:
            raise RuntimeError(text)
        time.sleep(0.001)


def run(setting, report):
    report.heading("Start")
    shape = Shape.default(setting)
    x = np.load(artifact(setting, shape)[1])
    rows, have = [], 0
    daemon = daemon_of(setting)
    try:
        for twins in (1, 2) if setting.quick else (1, 50):
            progress(f"start: {twins} twins")
            daemon.start()
            for have in range(have, twins):
                daemon.create(definition(shape, f"twin{have}"))
                daemon.train(f"twin{have}", x, "?epochs=1")
            have = twins
            size = pathlib.Path(daemon.state, "state", "twin.db").stat().st_size / 2 ** 20
            daemon.end()
            seconds, memory, used = [], [], []
            for _ in range(1 if setting.quick else 5):
                seconds.append(ready_s(daemon))
                memory.append(daemon.memory_mb())
                for twin in range(twins):
                    if daemon.request("GET", f"/v1/twins/twin{twin}/sample?n=1000").status != 200:
                        raise RuntimeError(f"twin{twin} has no samples")
                used.append(daemon.memory_mb())
                daemon.end()
            rows.append([twins, f"{1e3 * median(seconds):.0f}", f"{median(memory):.0f}", f"{median(used):.0f}", f"{size:.0f}"])
            report.number(f"start, {twins} twins", {"seconds": seconds, "mib": memory})
    finally:
        daemon.stop()
    report.table([f"trained twins ({shape})", "ready after, ms", "resident, MiB", "when all have been sampled", "twin.db, MiB"],
                 rows)

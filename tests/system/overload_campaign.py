"""Everything that test_overload and test_http_overload do in small, at once and for long: scripts/campaign overload."""
import pathlib
import re
import resource
import time

import overload_zmq as mad
import toy
from daemon import Daemon
from overload_http import Crowd, GoodClient

MEMORY_MB = 1024
ROLES = {"idle": 600, "drip": 300, "keep-alive": 60, "body": 20, "reader": 10}
PATHS = ["/livez", "/v1/twins/toy", "/v1/twins/toy/iterations", "/v1/twins/toy/sample?n=2000&seed=1"]


def kilobytes(daemon, what):
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    return int(re.search(what + r":\s+(\d+) kB", status).group(1))


def run(seconds, say):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    daemon = Daemon(arguments=["--memory-mb", str(MEMORY_MB), "--http-connections", "200"]).start()
    try:
        daemon.create({**toy.DEFINITION, "loop": {"window": 2000}})
        daemon.train("toy", toy.events(6000, seed=1))
        good, client = mad.Good(daemon), GoodClient(daemon, PATHS)
        bad = {
            "endless, empty frames": mad.Endless(daemon, size=0),
            "endless, 1 KiB frames": mad.Endless(daemon, size=1024),
            "endless, 1 MiB frames": mad.Endless(daemon, size=1 << 20),
            "idle feeds": mad.Idle(daemon, connections=min(8000, hard // 3)),
            "idle listeners": mad.Idle(daemon, connections=min(2000, hard // 6), port="publish"),
            "subscriptions": mad.Subscriptions(daemon),
            "deaf listener": mad.Deaf(daemon),
            "deaf feed": mad.Deafened(daemon),
            "tiny batches": mad.Tiny(daemon),
        }
        curve, end = [], time.monotonic() + seconds
        with Crowd(daemon.port, ROLES, comeback=1):
            for scenario in (good, *bad.values()):
                scenario.start()
            while time.monotonic() < end and good.is_alive():
                client.ask(8)
                time.sleep(min(1, seconds / 60))
                curve.append(kilobytes(daemon, "VmRSS") // 1024)
                if len(curve) % 30 == 0:
                    say(f"{curve[-1]} MiB, {good.count} batches acked, slowest {good.slowest:.2f} s")
            counts = {name: scenario.end() for name, scenario in bad.items()}
            acked = good.end()
        metrics = daemon.request("GET", "/metrics").body.decode()
        peak = kilobytes(daemon, "VmHWM") / 1024
        return {
            "campaign": "overload", "seconds": seconds, "memory_mb": MEMORY_MB, "peak_mb": round(peak),
            "rss_mb": curve[:: max(1, len(curve) // 40)], "acked": acked, "slowest_ack_s": round(good.slowest, 2),
            "http_failures": client.failures[:3], "mad": counts,
            "ended": dict(re.findall(r'^twin_(\w+_connections_ended_total\{reason="\w+")\} (\d+)$', metrics, re.M)),
            "ok": peak < MEMORY_MB and acked > seconds and not client.failures,
        }
    finally:
        daemon.stop()

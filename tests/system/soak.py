"""A daemon under everything at once, for as long as one likes: feeds whose physics shifts to and fro, queries,
roll-backs, retunes, backups, restarts and kills. Meanwhile what it holds is measured, and at the end must be flat.

scripts/soak is the long form, test_soak.py the short one.
"""
import hashlib
import json
import math
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import threading
import time

import toy
from daemon import Daemon, program
from feed import Feed

# Small, so that every limit is reached early in a run.
LIMITS = ["--segment-mb", "1", "--spool-mb", "24", "--iterations", "400", "--versions", "20", "--history", "40",
          "--memory-mb", "512", "--threads", "1"]
BATCH = 200


class Worker(threading.Thread):
    """Repeats step() until told to stop. What a dying daemon cuts off is tried again; anything else is a failure."""

    def __init__(self, soak, pause_s):
        super().__init__(daemon=True)
        self.soak, self.pause_s, self.failure = soak, pause_s, None
        self.steps = self.broken_off = 0

    def run(self):
        while not self.soak.over.wait(self.pause_s):
            life = self.soak.life
            try:
                self.step()
                self.steps += 1
            except (OSError, TimeoutError, RuntimeError, AssertionError, json.JSONDecodeError) as error:
                if self.soak.calm() and life == self.soak.life:
                    self.failure = f"{type(self).__name__}: {type(error).__name__}: {error}"
                    self.soak.over.set()
                self.broken_off += 1


class Pusher(Worker):
    """A feed that never gives up. Its physics shifts every `period_s` seconds."""

    def __init__(self, soak, name, rate):
        super().__init__(soak, 0)
        self.name, self.rate, self.next, self.acked = name, rate, 0, -1

    def rows(self, seq):
        shift = 0.5 if int(seq / (self.rate * self.soak.period_s)) % 2 else 0.0
        return toy.events(BATCH, seed=[ord(self.name[-1]), seq], shift=shift)

    def step(self):
        endpoint = self.soak.daemon.ingest
        feed = Feed(endpoint, "toy", feed=self.name)
        try:
            self.session(feed, endpoint)
        finally:
            feed.close()

    def session(self, feed, endpoint):
        tag, body = feed.hello(timeout_s=2)
        if tag != "WELCOME":
            raise RuntimeError(f"hello: {body}")
        if body["last_durable_seq"] < self.acked:
            raise RuntimeError(f"acked {self.acked}, but the daemon knows {body['last_durable_seq']}")
        self.next, waiting, begin, sent = body["last_durable_seq"] + 1, set(), time.monotonic(), 0
        heard = begin
        while not self.soak.over.is_set() and endpoint == self.soak.daemon.ingest:
            while len(waiting) < 16 and sent < self.rate * (time.monotonic() - begin):
                feed.send(self.next, self.rows(self.next))
                waiting.add(self.next)
                self.next, sent = self.next + 1, sent + 1
            reply = feed.receive(0.05)
            if reply is None:
                if waiting and time.monotonic() - heard > 20:
                    raise TimeoutError(f"no answer for 20 s to {len(waiting)} batches")
                if not waiting:
                    heard = time.monotonic()
                continue
            heard = time.monotonic()
            if reply[0] == "ACK":
                waiting.discard(reply[1]["seq"])
                self.acked = min(waiting, default=self.next) - 1
            elif reply[0] == "NACK":
                if reply[1]["code"] not in ("no_credit", "full"):
                    raise RuntimeError(f"NACK: {reply[1]}")
                time.sleep(0.2)
                return


class Asker(Worker):
    """What dashboards and physicists ask; keeps the time of each kind of question."""

    PATHS = {
        "twin": "/v1/twins/toy",
        "drift": "/v1/twins/toy/drift",
        "iterations": "/v1/twins/toy/iterations?limit=50",
        "batches": "/v1/twins/toy/batches?limit=50",
        "feeds": "/v1/twins/toy/feeds",
        "versions": "/v1/twins/toy/versions?limit=50",
        "history": "/v1/twins/toy/history?limit=50",
        "histograms": "/v1/twins/toy/histograms",
        "metrics": "/metrics",
        "sample": "/v1/twins/toy/sample?n=1000&seed=1",
    }

    def __init__(self, soak):
        super().__init__(soak, 0.02)
        self.lock, self.seconds = threading.Lock(), {}

    def step(self):
        name = random.choice([*self.PATHS, "log_prob"])
        begin = time.monotonic()
        if name == "log_prob":
            answer = self.soak.daemon.request("POST", "/v1/twins/toy/log_prob", toy.events(1, seed=5))
        else:
            answer = self.soak.daemon.request("GET", self.PATHS[name])
        if answer.status != 200:
            raise RuntimeError(f"{name}: {answer.status} {answer.body[:200]!r}")
        with self.lock:
            self.seconds.setdefault(name, []).append(time.monotonic() - begin)

    def take(self):
        with self.lock:
            taken, self.seconds = self.seconds, {}
        return taken


class Operator(Worker):
    """Rolls back and lifts the hold again, asks for retunes, takes backups."""

    def __init__(self, soak, pause_s):
        super().__init__(soak, pause_s)
        self.done = {"roll_backs": 0, "retunes": 0, "backups": 0}

    def step(self):
        daemon = self.soak.daemon
        for act in (self.roll_back, self.retune, self.backup):
            act(daemon)

    def roll_back(self, daemon):
        alias = daemon.request("GET", "/v1/twins/toy/aliases/champion")
        moves = daemon.get("/v1/twins/toy/history?alias=champion&limit=2")["items"]
        if len(moves) > 1:
            answer = daemon.request("PUT", "/v1/twins/toy/aliases/champion",
                                    {"version": moves[1]["version"], "reason": "soak: roll back"},
                                    headers={"If-Match": alias.headers["ETag"]})
            if answer.status not in (200, 412):
                raise RuntimeError(f"roll back: {answer.status} {answer.body!r}")
            self.done["roll_backs"] += answer.status == 200
        answer = daemon.request("PATCH", "/v1/twins/toy", {"hold": False})
        if answer.status != 200:
            raise RuntimeError(f"hold: {answer.status} {answer.body!r}")

    def retune(self, daemon):
        answer = daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "weights", "events": 5000})
        if answer.status != 202:
            raise RuntimeError(f"retune: {answer.status} {answer.body!r}")
        self.done["retunes"] += 1

    def backup(self, daemon):
        path = os.path.join(self.soak.scratch, "backup.tar")
        done = subprocess.run([program("TWINCTL", "client/twinctl"), "--url", daemon.url, "--token-file",
                               os.path.join(daemon.state, "state", "admin.token"), "backup", path],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"backup: {done.returncode} {done.stderr}")
        os.unlink(path)
        self.done["backups"] += 1


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else math.nan


class Soak:
    def __init__(self, seconds, interval_s=10, restart_s=300, operator_s=45, period_s=60, rate=40, arguments=(),
                 say=lambda line: None):
        self.seconds, self.interval_s, self.restart_s, self.period_s = seconds, interval_s, restart_s, period_s
        self.over, self.say = threading.Event(), say
        self.daemon = Daemon(arguments=[*LIMITS, *arguments])
        self.life, self.quiet_until = 0, 0.0
        self.scratch = tempfile.mkdtemp(prefix="twin-soak-")
        self.restarts = self.kills = 0
        self.asker, self.operator = Asker(self), Operator(self, operator_s)
        self.pushers = [Pusher(self, name, rate) for name in ("daq1", "daq2")]
        self.rows = []

    def calm(self):
        """Not while the daemon is down, nor just after: then a broken connection is no failure."""
        return time.monotonic() > self.quiet_until

    # --- measuring ---

    def measure(self, begin):
        proc = pathlib.Path(f"/proc/{self.daemon.process.pid}")
        status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
        state = pathlib.Path(self.daemon.state, "state")
        size = {}
        for path in state.rglob("*"):
            try:
                if path.is_file():
                    size[path.relative_to(state).parts[0]] = (size.get(path.relative_to(state).parts[0], 0)
                                                              + path.stat().st_blocks * 512)
            except FileNotFoundError:
                pass
        asked = self.asker.take()
        everything = [s for values in asked.values() for s in values]
        twin = self.daemon.get("/v1/twins/toy")
        return {
            "minutes": round((time.monotonic() - begin) / 60, 3),
            "rss_mb": int(status["VmRSS"].split()[0]) / 1024,
            "peak_mb": int(status["VmHWM"].split()[0]) / 1024,
            "threads": int(status["Threads"]),
            "descriptors": len(list((proc / "fd").iterdir())),
            "disk_mb": sum(size.values()) / 2**20,
            "database_mb": sum(v for k, v in size.items() if k.startswith("twin.db")) / 2**20,
            "spool_mb": size.get("spool", 0) / 2**20,
            "batches": twin["ingest"]["batches"],
            "lag_batches": twin["ingest"]["lag_batches"],
            "iteration": (twin["last_iteration"] or {}).get("iteration", 0),
            "version": (twin["champion"] or {}).get("version", 0),
            "answers": len(everything),
            "p50_ms": 1000 * percentile(everything, 0.5),
            "p99_ms": 1000 * percentile(everything, 0.99),
            "log_prob_p50_ms": 1000 * percentile(asked.get("log_prob", []), 0.5),
        }

    # --- the run ---

    def restart(self):
        """By turns a clean stop and a kill."""
        kill = self.restarts > self.kills
        self.quiet_until = math.inf
        self.life += 1
        status = self.daemon.kill() if kill else self.daemon.end()
        if not kill and status != 0:
            raise RuntimeError(f"twind ended with {status}")
        self.daemon.start(timeout_s=60)
        self.restarts += not kill
        self.kills += kill
        self.quiet_until = time.monotonic() + 5

    def run(self):
        self.daemon.start()
        definition = {**toy.DEFINITION, "loop": {"window": 2000}}
        self.daemon.create(definition)
        operation = self.daemon.train("toy", toy.events(4000, seed=1))
        if operation["state"] != "succeeded":
            raise RuntimeError(f"training: {operation}")
        workers = [*self.pushers, self.asker, self.operator]
        begin = time.monotonic()
        try:
            for worker in workers:
                worker.start()
            next_restart = begin + self.restart_s
            while not self.over.wait(self.interval_s) and time.monotonic() - begin < self.seconds:
                if time.monotonic() > next_restart:
                    self.restart()
                    next_restart += self.restart_s
                    continue
                self.rows.append(self.measure(begin))
                self.say(self.rows[-1])
        finally:
            self.over.set()
            for worker in workers:
                worker.join(60)
        failures = [w.failure for w in workers if w.failure]
        if failures:
            raise AssertionError("; ".join(failures))
        return self.finish(workers)

    def finish(self, workers):
        end = time.monotonic() + 300
        while True:
            twin = self.daemon.get("/v1/twins/toy")
            if twin["ingest"]["lag_batches"] == 0 and twin["activity"] in ("idle", "held"):
                break
            if time.monotonic() > end:
                raise AssertionError(f"not settled: {twin}")
            time.sleep(0.2)
        for pusher in self.pushers:
            known = {f["feed"]: f for f in self.daemon.get("/v1/twins/toy/feeds")["items"]}[pusher.name]
            if known["last_durable_seq"] < pusher.acked or known["gaps"]:
                raise AssertionError(f"{pusher.name}: acked {pusher.acked}, known {known}")
        same = self.daemon.request("GET", "/v1/twins/toy/sample?n=2000&seed=9").body
        if self.daemon.restart() != 0:
            raise AssertionError("the daemon did not end cleanly")
        again = self.daemon.request("GET", "/v1/twins/toy/sample?n=2000&seed=9").body
        if hashlib.sha256(same).digest() != hashlib.sha256(again).digest():
            raise AssertionError("the same seed gives other events after a restart")
        return {"minutes": round(self.seconds / 60, 1), "batches": twin["ingest"]["batches"],
                "iterations": twin["last_iteration"]["iteration"], "version": twin["champion"]["version"],
                "restarts": self.restarts, "kills": self.kills, **self.operator.done, "answers": self.asker.steps,
                "broken_off": sum(w.broken_off for w in workers)}

    def flatness(self):
        """{figure: (median of the second quarter of the run, of the last quarter)}"""
        quarter = len(self.rows) // 4
        early, late = self.rows[quarter:2 * quarter], self.rows[-quarter:]
        names = ["rss_mb", "peak_mb", "threads", "descriptors", "disk_mb", "database_mb", "spool_mb", "p50_ms",
                 "p99_ms", "log_prob_p50_ms"]
        return {n: (round(statistics.median(r[n] for r in early), 2), round(statistics.median(r[n] for r in late), 2))
                for n in names} if quarter else {}

    def close(self):
        self.over.set()
        if self.daemon.process:
            self.daemon.kill()
        self.daemon.stop()
        for name in os.listdir(self.scratch):
            os.unlink(os.path.join(self.scratch, name))
        os.rmdir(self.scratch)

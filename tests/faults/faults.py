#!/usr/bin/python3
"""Everything that can fail does: each call of a class in turn, once and for ever, in a run that does a bit of all.

  faults.py [--jobs 2] [--stride N] [--keep] [CLASS ...]       classes: alloc, write, sync, open, thread; default: all

inject.c makes the calls fail. A run is a compact day of a daemon (class Day): two scenes, one on an empty state, one on
the state that a killed daemon left. After each fault
  - the process ended by itself with a status of its man page, or went on until it was told to end; it did not hang;
  - if it ended early, a line says what failed; a failed sync always ends it, with 74, and nothing is acked after it;
  - every answer it gave was whole;
  - after a fault that came once and did not end it, the day went on to its end in the same process;
  - a daemon started again on the same state finds everything that was acked and goes on.
"""
import argparse
import collections
import hashlib
import http.client
import itertools
import json
import multiprocessing
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))

import toy  # noqa: E402
from daemon import Daemon, program  # noqa: E402
from feed import Feed, npy  # noqa: E402

CLASSES = ["alloc", "write", "sync", "open", "thread"]
ERRORS = {"write": ["ENOSPC", "EIO"], "open": ["EMFILE", "ENOSPC"]}
NUMBERS = {"ENOSPC": 28, "EIO": 5, "EMFILE": 24}
STATUSES = {0, 1, 74, 75, 78}
SCENES = ["fresh", "again"]
ANSWER_S, SETTLE_S, END_S = 15, 30, 30

DEFINITION = {**toy.DEFINITION, "model": {"kind": "flow", "blocks": 1, "hidden": [8], "bins": 4},
              "features": toy.DEFINITION["features"][:2], "loop": {"window": 400}}


def events(n, seed, shift=0.0):
    return toy.events(n, seed, shift)[:, :2]


class Found(Exception):
    """Something that must not happen under any fault."""


class Gone(Exception):
    """The process has ended; what follows of the day cannot be done."""


# --- the fault ---

class Fault(collections.namedtuple("Fault", "scene kind at stack ever error", defaults=("none", 0, 0, False, None))):
    def environment(self, report):
        extra = {"FAULT_FILE": report, "FAULT_CLASS": self.kind, "FAULT_AT": str(self.at),
                 "FAULT_STACK": f"{self.stack:x}", "FAULT_EVER": str(int(self.ever)),
                 "LD_PRELOAD": os.environ.get("FAULT_INJECT") or str(ROOT / "build/tests/faults/inject.so")}
        if self.error:
            extra["FAULT_ERRNO"] = str(NUMBERS[self.error])
        return extra

    def __str__(self):
        what = f"stack {self.stack:016x}" if self.kind == "alloc" else f"number {self.at}"
        return f"{self.scene} {self.kind} {what} {'for ever' if self.ever else 'once'} {self.error or ''}".strip()


class Report:
    """What inject.c wrote: struct report."""
    FRAMES, STACKS = 24, 1 << 14

    def __init__(self, path):
        raw = pathlib.Path(path).read_bytes() if os.path.exists(path) else b""
        raw = raw.ljust(8 * (len(CLASSES) + 2 + 2 * self.FRAMES + 3 * self.STACKS + 1), b"\0")
        words = iter(struct.unpack(f"{len(raw) // 8}Q", raw))
        self.calls = dict(zip(CLASSES, itertools.islice(words, len(CLASSES))))
        self.failed, frames = next(words), next(words)
        places = list(itertools.islice(words, 2 * self.FRAMES))
        self.where = list(zip(places[::2], places[1::2]))[:frames]
        table = list(itertools.islice(words, 3 * self.STACKS))
        self.stacks = [h for order, h in sorted(zip(table[1::3], table[0::3])) if h]

    def place(self):
        """The functions of twind on the stack of the call that failed."""
        inside = [hex(offset - 1) for module, offset in self.where if module == 0]
        if not inside:
            return "?"
        out = subprocess.run(["addr2line", "-fspe", program("TWIND", "daemon/twind"), *inside], text=True,
                             stdout=subprocess.PIPE).stdout
        return " < ".join(re.sub(r" at .*/", " ", line) for line in out.splitlines())


def failed(path):
    with open(path, "rb") as file:
        file.seek(8 * len(CLASSES))
        return struct.unpack("Q", file.read(8))[0]


# --- a day of a daemon ---

class Day:
    def __init__(self, daemon, fault, report):
        self.daemon, self.fault, self.report = daemon, fault, report
        self.acked, self.versions, self.twins = set(), 0, set()
        self.struck_at = None

    def strict(self):
        """May the daemon be held to everything? Not while calls keep failing, nor when it is about to end for it."""
        ends = self.fault.ever or self.fault.kind == "sync" or self.fault.error == "EIO"
        return not (ends and failed(self.report))

    def alive(self):
        return self.daemon.process.poll() is None

    def check_alive(self):
        if not self.alive():
            raise Gone()

    # --- HTTP ---

    def ask(self, method, path, body=None, headers=None, expect=(200, 201, 202, 204)):
        """The answer, or None where the fault excuses that there is none. Asked again as a client would."""
        answer = None
        for attempt in range(4):
            self.check_alive()
            try:
                answer = self.daemon.request(method, path, body, headers, timeout_s=ANSWER_S)
            except TimeoutError:
                self.check_alive()
                raise Found(f"{method} {path}: no answer in {ANSWER_S} s")
            except (OSError, http.client.HTTPException):
                answer = None
                if not self.alive() or not self.strict():
                    break
                time.sleep(0.05)
                continue
            self.check_answer(method, path, answer)
            if answer.status < 500 or not self.strict():
                break
            time.sleep(0.1)
        self.check_alive()
        if answer is None and self.strict():
            raise Found(f"{method} {path}: no answer, again and again")
        if answer and answer.status in expect:
            return answer
        if answer and self.strict() and not (attempt and answer.status in (404, 409, 412)):
            raise Found(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return None

    def check_answer(self, method, path, answer):
        if answer.status < 400:
            if "json" in answer.headers.get("Content-Type", ""):
                answer.json()
            return
        if answer.headers.get("Content-Type") != "application/problem+json":
            if not answer.body and answer.status in (400, 500, 503):  # the server itself, without memory for a request
                return
            if path.startswith("/readyz"):
                return
            raise Found(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        problem = answer.json()
        if not {"status", "error"} <= set(problem) or problem["status"] != answer.status:
            raise Found(f"{method} {path}: {problem}")

    def finish(self, answer):
        """Waits for the end of an operation."""
        if answer is None:
            return
        number = answer.json().get("id")
        end = time.monotonic() + SETTLE_S
        while number is not None and time.monotonic() < end:
            row = self.ask("GET", f"/v1/operations/{number}?wait=1")
            if row and row.json().get("state") in ("succeeded", "failed", "cancelled"):
                return
            if not self.strict():
                return
        if self.strict():
            raise Found(f"operation {number} does not end: {row and row.body!r}")

    def settle(self):
        """Until everything has been compared and nothing is due."""
        end = time.monotonic() + SETTLE_S
        twin = {}
        while time.monotonic() < end:
            answer = self.ask("GET", "/v1/twins/toy")
            twin = answer.json() if answer else {}
            if self.strict() and "stopped" in (twin.get("fault") or ""):
                break
            if not self.strict() or (twin.get("ingest", {}).get("lag_batches") == 0
                                     and twin.get("activity") in ("idle", "held", "untrained")):
                return
            time.sleep(0.01)
        raise Found(f"the loop does not go on: {twin}")

    # --- batches ---

    def post(self, seq, rows, content="application/x-npy", twin="toy"):
        before = failed(self.report)
        answer = self.ask("POST", f"/v1/twins/{twin}/batches?feed=http&run=1&seq={seq}", rows,
                          headers={"Content-Type": content})
        if answer and twin == "toy":
            self.ack("http", seq, before)

    def ack(self, feed, seq, before):
        if self.fault.kind == "sync" and before:
            raise Found(f"{feed}/{seq} was acked after a sync had failed")
        self.acked.add((feed, seq))

    def push(self, batches, first):
        """As docs/feeds.md says: what was not acked is sent again."""
        feed = Feed(self.daemon.ingest, "toy")
        try:
            for attempt in range(8):
                left = [i for i in range(len(batches)) if ("daq1", first + i) not in self.acked]
                if not left:
                    return
                self.check_alive()
                before = failed(self.report)
                for i in left:
                    feed.send(first + i, batches[i])
                for _ in left:
                    reply = feed.receive(1.5)
                    if reply is None:
                        break
                    if reply[0] == "ACK":
                        self.ack("daq1", reply[1]["seq"], before)
                    elif reply[0] != "NACK" or "code" not in reply[1]:
                        raise Found(f"the wire answered {reply}")
                    elif self.strict() and reply[1]["code"] not in ("full", "unknown_twin", "no_credit"):
                        raise Found(f"the wire answered {reply}")
                if not self.strict():
                    return
                time.sleep(0.1 * attempt)
            self.check_alive()
            raise Found(f"batches {left} are not acked, again and again")
        finally:
            feed.close()

    def hello(self):
        feed = Feed(self.daemon.ingest, "toy")
        try:
            for _ in range(3):
                feed.socket.send_multipart([b"TWH1", json.dumps(feed.key).encode()])
                if feed.receive(1.5) or not self.strict():
                    return
                self.check_alive()
            raise Found("no answer to a hello, again and again")
        finally:
            feed.close()

    # --- scenes ---

    def read(self):
        for path in ["/", "/livez", "/readyz?verbose", "/metrics", "/v1/twins", "/v1/twins/toy",
                     "/v1/twins/toy/batches?limit=2", "/v1/twins/toy/feeds", "/v1/twins/toy/iterations",
                     "/v1/twins/toy/drift", "/v1/operations", "/v1/twins/toy/versions", "/v1/twins/toy/history"]:
            self.ask("GET", path, expect=(200, 503))

    def query(self):
        """What needs a champion."""
        rows = events(20, seed=9)
        for path in ["/sample?n=40&seed=1", "/versions/1", "/versions/1/artifact", "/aliases/champion"]:
            self.ask("GET", "/v1/twins/toy" + path, expect=(200, 404))
        self.ask("GET", "/v1/twins/toy/histograms?feature=pt", expect=(200, 404, 409))
        for accept in ("application/json", "text/csv", "application/x-npy"):
            self.ask("POST", "/v1/twins/toy/log_prob", rows, headers={"Accept": accept}, expect=(200, 409))
            self.ask("GET", "/v1/twins/toy/sample?n=300&seed=2", headers={"Accept": accept}, expect=(200, 409))
        self.ask("POST", "/v1/twins/toy/sample", {"n": 10, "seed": 3}, expect=(200, 409))

    def move(self, version, **more):
        alias = self.ask("GET", "/v1/twins/toy/aliases/champion", expect=(200, 404))
        if alias and alias.status == 200:
            self.ask("PUT", "/v1/twins/toy/aliases/champion", {"version": version, "reason": "a test", **more},
                     headers={"If-Match": alias.headers["ETag"]}, expect=(200, 409, 412))

    def fresh(self):
        for name in ("toy", "other"):
            if self.ask("POST", "/v1/twins", {**DEFINITION, "name": name}):
                self.twins.add(name)
        self.post(0, events(50, seed=4), twin="other")
        self.post(0, npy(events(100, seed=5)))
        training = self.ask("POST", "/v1/twins/toy/train?epochs=3", events(1500, seed=1))
        self.finish(training)
        self.hello()
        self.push(toy.batches(events(700, seed=2), 100), first=0)
        csv = "pt,eta\n" + "\n".join(f"{a:.6g},{b:.6g}" for a, b in events(100, seed=6))
        self.post(1, csv.encode(), content="text/csv")
        self.settle()
        self.query()
        self.push(toy.batches(events(800, seed=3, shift=1.5), 100), first=7)
        self.settle()
        self.read()
        self.finish(self.ask("POST", "/v1/twins/toy/retunes", {"kind": "weights"}, headers={"Idempotency-Key": "a"},
                             expect=(202, 409)))
        self.move(1)
        self.ask("PATCH", "/v1/twins/toy", {"description": "another", "hold": False})
        cancelled = self.ask("POST", "/v1/twins/toy/train?epochs=10000", events(600, seed=7), expect=(202, 409))
        if cancelled and cancelled.status == 202:
            self.ask("DELETE", f"/v1/operations/{cancelled.json()['id']}", expect=(200, 409))
        if self.ask("DELETE", "/v1/twins/other"):
            self.twins.discard("other")
        self.push([events(100, seed=2)], first=15)
        self.settle()

    def again(self):
        self.hello()
        self.push(toy.batches(events(400, seed=8, shift=1.5), 100), first=100)
        self.post(100, npy(events(100, seed=10)))
        self.settle()
        self.read()
        self.query()

    def struck_late(self):
        """A sync that fails while nothing is asked of the daemon ends it within moments."""
        end = time.monotonic() + 5
        while self.fault.kind == "sync" and failed(self.report) and time.monotonic() < end:
            self.check_alive()
            time.sleep(0.02)


# --- after the day ---

def check_state(folder, day):
    """Everything that was acked is there once and in at most one iteration, and what is stored is whole."""
    db = sqlite3.connect(f"file:{folder}/twin.db?mode=ro", uri=True)
    if db.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
        raise Found("integrity_check")
    twins = dict(db.execute("SELECT name, id FROM twins").fetchall())
    missing = day.twins - set(twins) - {"other"}
    if missing:
        raise Found(f"created and lost: {missing}")
    if "toy" not in twins:
        if day.acked:
            raise Found("batches were acked for a twin that is not there")
        return
    toy_id = twins["toy"]
    rows = db.execute("SELECT feed, seq, count(*), max(iteration), ordinal FROM batches WHERE feed <> 'train' "
                      "AND twin = ? GROUP BY feed, run, seq", (toy_id,)).fetchall()
    twice = [r for r in rows if r[2] != 1]
    lost = day.acked - {(feed, seq) for feed, seq, *_ in rows}
    if twice or lost:
        raise Found(f"batches counted twice: {twice}, acked and lost: {sorted(lost)}")
    ranges = db.execute("SELECT iteration, first_ordinal, last_ordinal, decision FROM iterations WHERE twin = ? "
                        "ORDER BY iteration", (toy_id,)).fetchall()
    if [r[0] for r in ranges] != list(range(1, len(ranges) + 1)):
        raise Found(f"iterations have gaps: {ranges}")
    if any(a[2] >= b[1] for a, b in zip(ranges, ranges[1:])):
        raise Found(f"iterations overlap: {ranges}")
    for feed, seq, _, iteration, ordinal in rows:
        owners = [r[0] for r in ranges if r[1] <= ordinal <= r[2]]
        if owners != ([iteration] if iteration else []):
            raise Found(f"batch {feed}/{seq} says iteration {iteration}, the ranges say {owners}")
        if not iteration and any(r[2] > ordinal for r in ranges):
            raise Found(f"batch {feed}/{seq} was skipped")
    for sha256, blob in db.execute("SELECT sha256, bytes FROM blobs"):
        if hashlib.sha256(blob).hexdigest() != sha256:
            raise Found(f"blob {sha256} is not what its name says")
    champions = {v for (v,) in db.execute("SELECT version FROM moves WHERE twin = ?", (toy_id,))}
    if not champions <= {v for (v,) in db.execute("SELECT version FROM versions WHERE twin = ?", (toy_id,))}:
        raise Found("an alias names a version that is not there")
    db.close()


def check_end(status, log, fault, report):
    """`status` of the process, that ended by itself or when it was told to."""
    if status not in STATUSES:
        raise Found(f"ended with {status}")
    if status != 0 and not re.search(r"^twind: \S.{6,}| error event=\S+ .*\S", log, re.MULTILINE):
        raise Found(f"ended with {status} and does not say why")
    if fault.kind == "sync" and report.failed and status != 74:
        raise Found(f"a sync failed and the status is {status}")
    if "ERROR: " in log or "Assertion" in log or "Fatal error in GNU libmicrohttpd" in log:
        raise Found("the log tells of a defect")


def mend(state, day):
    """Starts without faults on what is there: it must go on as if nothing had been."""
    daemon = Daemon(state=state, arguments=["--segment-mb", "1"])
    try:
        daemon.start()
        after = Day(daemon, Fault(day.fault.scene), os.devnull)
        after.strict = lambda: True
        names = {t["name"] for t in daemon.get("/v1/twins")["items"]}
        if not day.twins - {"other"} <= names:
            raise Found(f"created and lost: {day.twins}, there are {names}")
        if "toy" in names:
            # as feeds do: what was not acked is sent again; here something new
            feed = Feed(daemon.ingest, "toy", feed="after")
            reply = feed.push(0, events(100, seed=11))
            feed.close()
            if reply[0] != "ACK":
                raise Found(f"after a restart: {reply}")
            day.acked.add(("after", 0))
            end = time.monotonic() + SETTLE_S
            while time.monotonic() < end:
                twin = daemon.get("/v1/twins/toy")
                if twin["ingest"]["lag_batches"] == 0 and twin["activity"] in ("idle", "held", "untrained"):
                    break
                time.sleep(0.01)
            else:
                raise Found(f"the loop does not go on after a restart: {twin}")
        status = daemon.end(timeout_s=END_S)
        if status != 0:
            raise Found(f"after a restart it ended with {status}")
        text = daemon.log()
        if " error event=" in text:
            raise Found("errors after a restart: " + text)
    except (RuntimeError, TimeoutError, subprocess.TimeoutExpired) as why:
        raise Found(f"after a restart: {why}")
    finally:
        if daemon.process:
            daemon.process.kill()
            daemon.process.wait()
        os.unlink(daemon.log_path)


def backtrace(process):
    return subprocess.run(["gdb", "-p", str(process.pid), "-batch", "-ex", "thread apply all bt 12"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def end_day(daemon, day):
    """The exit status. Whoever does not end when told to hangs."""
    process = daemon.process
    if day.alive():
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(END_S)
    except subprocess.TimeoutExpired:
        where = backtrace(process)
        process.kill()
        process.wait()
        raise Found(f"it does not end within {END_S} s of SIGTERM\n{where}")


def run(fault, template, keep=False):
    """One fault: (fault, outcome, what was found or None, where it struck)."""
    folder = tempfile.mkdtemp(prefix="twin-fault-")
    path = os.path.join(folder, "report")
    daemon = Daemon(state=folder, arguments=["--segment-mb", "1"], environment=fault.environment(path))
    os.unlink(daemon.log_path)
    daemon.log_path = os.path.join(folder, "log")
    found, outcome, report = None, "?", None
    try:
        if fault.scene == "again":
            shutil.copytree(template["state"], os.path.join(folder, "state"))
        day = Day(daemon, fault, path)
        try:
            daemon.start()
        except RuntimeError:
            pass  # it ended; check_end says whether that was well done
        except TimeoutError:
            found = "it does not become ready\n" + backtrace(daemon.process)
        if fault.scene == "again":
            day.acked, day.twins = set(template["acked"]), {"toy"}
        try:
            if day.alive():
                getattr(day, fault.scene)()
                day.struck_late()
        except Gone:
            pass
        except Found as why:
            found = str(why)
        report = Report(path)
        early = not day.alive()
        status = end_day(daemon, day)
        report = Report(path)
        if not found:
            check_end(status, daemon.log(), fault, report)
            if early and status == 0:
                raise Found("it ended by itself with status 0")
            mend(folder, day)
            check_state(os.path.join(folder, "state"), day)
        outcome = "not reached" if not report.failed else f"ended {status}" if status else "went on"
    except Found as why:
        found = found or str(why)
    finally:
        if daemon.process and daemon.process.poll() is None:
            daemon.process.kill()
            daemon.process.wait()
    if found and keep:
        pathlib.Path(folder, "found").write_text(f"{fault}\n{found}\n{report and report.place()}\n")
        found += f"\n  kept in {folder}"
    elif found:
        found += "\n" + "\n".join(daemon.log().splitlines()[-12:])
    if not (found and keep):
        shutil.rmtree(folder, ignore_errors=True)
    return fault, "found" if found else outcome, found, report.place() if found and report else None


# --- the campaign ---

def prepare(folder):
    """The state that a daemon leaves which is killed with work in hand."""
    daemon = Daemon(state=folder, arguments=["--segment-mb", "1"], environment=Fault("fresh").environment(
        os.path.join(folder, "report")))
    daemon.start()
    day = Day(daemon, Fault("fresh"), os.path.join(folder, "report"))
    day.fresh()
    day.push(toy.batches(events(1000, seed=12, shift=-1.4), 100), first=16)
    daemon.kill()
    os.unlink(daemon.log_path)
    return {"state": os.path.join(folder, "state"), "acked": sorted(day.acked)}


def survey(template):
    """What there is to fail: calls of each class and distinct stacks, for each scene."""
    plan = {}
    for scene in SCENES:
        calls, stacks = collections.Counter(), {}
        for _ in range(2):  # timing makes a few stacks come and go
            folder = tempfile.mkdtemp(prefix="twin-fault-")
            path = os.path.join(folder, "report")
            if scene == "again":
                shutil.copytree(template["state"], os.path.join(folder, "state"))
            daemon = Daemon(state=folder, arguments=["--segment-mb", "1"], environment=Fault(scene).environment(path))
            daemon.start()
            day = Day(daemon, Fault(scene), path)
            getattr(day, scene)()
            if daemon.end(timeout_s=END_S) != 0:
                raise Found("a day without faults does not end well")
            os.unlink(daemon.log_path)
            report = Report(path)
            shutil.rmtree(folder)
            calls |= collections.Counter(report.calls)
            stacks.update(dict.fromkeys(report.stacks))
        plan[scene] = {"calls": dict(calls), "stacks": list(stacks)}
    return plan


def faults(plan, classes, stride=1, offset=0):
    """All of them, or a sample: every stride-th. What both scenes reach fails in the first; which error it is matters
    when it comes once."""
    every, seen = [], set()
    for scene in SCENES:
        for kind in classes:
            new = [s for s in plan[scene]["stacks"] if s not in seen]
            for ever in (False, True):
                if kind == "alloc":
                    every += [Fault(scene, kind, stack=s, ever=ever) for s in new]
                    continue
                numbers = range(1, plan[scene]["calls"][kind] + 3)
                for error in [None] if ever else ERRORS.get(kind, [None]):
                    every += [Fault(scene, kind, at=n, ever=ever, error=error) for n in numbers]
        seen.update(plan[scene]["stacks"])
    return every[offset::stride]


def work(job):
    fault, template, keep = job
    try:
        return run(fault, template, keep)
    except Exception as why:  # pylint: disable=broad-except
        return fault, "found", f"the driver failed: {why!r}", None


def choose(plan, classes, stride, offset, sample):
    if not sample:
        return faults(plan, classes, stride, offset)
    chosen = []
    for kind, count in sample.items():
        every = faults(plan, [kind])
        chosen += [every[(2 * i + 1) * len(every) // (2 * count)] for i in range(count)]
    return chosen


def campaign(classes=None, jobs=2, stride=1, offset=0, keep=False, sample=None, say=print):
    """Figures: what there was, what came of it; and what was found. `sample`: so many of each class, evenly spread."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="twin-fault-") as folder:
        template = prepare(folder)
        plan = survey(template)
        todo = choose(plan, classes or CLASSES, stride, offset, sample)
        outcomes, findings = collections.defaultdict(collections.Counter), []
        with multiprocessing.Pool(jobs) as pool:
            for fault, outcome, found, where in pool.imap_unordered(work, [(f, template, keep) for f in todo]):
                outcomes[f"{fault.kind} {'ever' if fault.ever else 'once'}"][outcome] += 1
                if found:
                    findings.append(f"{fault}: {found}\n  at {where}")
                    say(f"FOUND {fault}: {found}\n  at {where}")
    return {"calls": {s: plan[s]["calls"] for s in SCENES}, "stacks": {s: len(plan[s]["stacks"]) for s in SCENES},
            "runs": len(todo), "outcomes": {k: dict(v) for k, v in outcomes.items()}, "found": len(findings),
            "seconds": round(time.monotonic() - begun)}, findings


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("classes", nargs="*", metavar="CLASS")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--stride", type=int, default=1, help="only every N-th fault")
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="keep the folder of each run that found something")
    options = parser.parse_args()
    figures, findings = campaign(options.classes, options.jobs, options.stride, options.offset, options.keep,
                                 say=lambda text: print(text, file=sys.stderr, flush=True))
    print(json.dumps(figures, indent=1))
    sys.exit(1 if findings else 0)

"""A daemon under siege: feeds push with 16 batches in flight each, their physics changes to and fro so that retunes and
promotions happen all the time, and the process is killed at random moments, in its start too. On a disk that loses
power (tests/faults/powerloss.py) the same is worth much more.

What must hold afterwards, whatever was interrupted:

- a batch that was acked is there, in exactly one iteration or after the last; its feed is told so when it comes back
- what a client was shown stays: iterations, promotions, the token
- nothing was taken for damaged, and the log has no error
- the database is whole, artifacts are the bytes that their SHA-256 names, versions and moves fit the decisions
- an undisturbed daemon that gets the same batches in the same order makes the same iterations and the same bits
"""
import bisect
import hashlib
import http.client
import json
import os
import pathlib
import random
import re
import shutil
import sqlite3
import struct
import sys
import tempfile
import threading
import time
import urllib.request

import toy
from daemon import ROOT, Daemon
from feed import Feed

sys.path.insert(0, str(ROOT / "tests" / "faults"))
from powerloss import WAYS, Disk  # noqa: E402, F401

IN_FLIGHT = 16
LAG_MAX = 100  # batches that wait for the loop before the feeds take a breath
TRAIN = toy.events(3000, seed=1)
SMALL = ["--segment-mb", "1"]  # segments come and go
KEEP_LITTLE = ["--spool-mb", "2", "--iterations", "30", "--versions", "3"]
SKIPPING = {**toy.DEFINITION, "loop": {**toy.DEFINITION["loop"], "max_lag_windows": 3}}


def rows(feed, seq, count=100):
    """The batch of a feed, of either physics in turn."""
    return toy.events(count, seed=[ord(feed[-1]), seq], shift=0.6 if seq // 60 % 2 else 0.0).astype(float)


class Worker(threading.Thread):
    """A thread of the campaign; what it finds wrong ends the campaign."""

    def __init__(self, siege):
        super().__init__(daemon=True)
        self.siege, self.stopping, self.error = siege, False, None

    def run(self):
        while not self.stopping and not self.error:
            try:
                self.work()
            except Exception as error:
                self.error = error

    def finish(self):
        self.stopping = True
        self.join()


class Pusher(Worker):
    """A feed that never gives up: reconnects, asks where it stands, resends what was not acked."""

    def __init__(self, siege, name):
        super().__init__(siege)
        self.feed_name, self.acked, self.next = name, set(), 0

    def work(self):
        endpoint = self.siege.daemon.ingest
        if not endpoint:
            time.sleep(0.01)
            return
        feed = Feed(endpoint, "toy", feed=self.feed_name)
        try:
            self.session(feed, endpoint)
        except TimeoutError:
            pass
        finally:
            feed.close()

    def welcome(self, feed, endpoint):
        """An ACK may be lost on its way, never taken back."""
        feed.socket.send_multipart([b"TWH1", json.dumps(feed.key).encode()])
        while not self.stopping and endpoint == self.siege.daemon.ingest:
            tag, body = feed.receive(0.05) or (None, None)
            if tag == "WELCOME":
                durable = body["last_durable_seq"]
                if durable < max(self.acked, default=-1):
                    raise AssertionError(f"{self.feed_name}: {max(self.acked)} was acked, {durable} is there")
                return durable
            if tag == "NACK":
                raise AssertionError(f"hello was refused: {body}")
        raise TimeoutError

    def session(self, feed, endpoint):
        self.next = min(self.next, self.welcome(feed, endpoint) + 1)
        waiting, quiet = set(), time.monotonic()
        while not self.stopping and endpoint == self.siege.daemon.ingest and time.monotonic() - quiet < 2:
            while len(waiting) < IN_FLIGHT and (self.siege.pruning or self.siege.lag < LAG_MAX):
                waiting.add(self.next)
                feed.send(self.next, rows(self.feed_name, self.next, 800 if self.siege.pruning else 100))
                self.next += 1
            tag, body = feed.receive(0.05) or (None, None)
            if tag == "ACK":
                self.acked.add(body["seq"])
                waiting.discard(body["seq"])
            elif tag == "NACK" and body["code"] in ("full", "no_credit"):
                time.sleep(0.02)
                break
            elif tag == "NACK":
                raise AssertionError(f"a good batch was refused: {body}")
            if tag or not waiting:
                quiet = time.monotonic()
        self.next = min(waiting, default=self.next)


class Witness(Worker):
    """A client that looks all the time, and remembers what it was shown."""

    def __init__(self, siege):
        super().__init__(siege)
        self.seen = {}

    def work(self):
        url = self.siege.daemon.url
        time.sleep(0.02)
        try:
            twin = url and json.load(urllib.request.urlopen(url + "/v1/twins/toy", timeout=10))
            champion = url and json.load(urllib.request.urlopen(url + "/v1/twins/toy/aliases/champion", timeout=10))
        except (OSError, http.client.HTTPException, ValueError):  # killed before its answer was whole
            return
        if not twin:
            return
        if twin.get("fault"):
            raise AssertionError(f"the twin shows a fault: {twin['fault']}")
        shown = {"iteration": (twin["last_iteration"] or {}).get("iteration", 0),
                 "move": champion["move"], "batches": twin["ingest"]["batches"]}
        for what, number in shown.items():
            if number < self.seen.get(what, 0):
                raise AssertionError(f"{what} {self.seen[what]} was shown and is {number} now")
        self.seen = shown
        self.siege.lag = twin["ingest"]["lag_batches"]


class Siege:
    """shim: the path of powerloss.so, for a disk that loses power; lies: as for Disk. pruning: little is kept, and the
    feeds are faster than the loop, which may skip windows, so that segments and iterations go all the time."""

    def __init__(self, seed=1, shim=None, lies=None, pruning=False):
        self.pruning, self.definition = pruning, SKIPPING if pruning else toy.DEFINITION
        self.random = random.Random(seed)
        self.root = os.path.realpath(tempfile.mkdtemp(prefix="twin-test-"))
        self.disk = Disk(self.root, shim, self.random, lies) if shim else None
        self.daemon = Daemon(os.path.join(self.root, "site", "beam"), SMALL + KEEP_LITTLE if pruning else SMALL,
                             self.disk.environment if self.disk else None)
        os.unlink(self.daemon.log_path)
        self.daemon.log_path = self.root + ".log"
        self.lag, self.kills, self.early, self.token = 0, 0, 0, None
        self.pushers = [Pusher(self, f"daq{n}") for n in (1, 2, 3)]
        self.workers = [*self.pushers, Witness(self)]

    # --- kills ---

    def start(self):
        self.daemon.start()
        token = self.daemon.token()
        if token != (self.token or token):
            raise AssertionError("the token has changed")
        self.token = token

    def kill(self):
        """The daemon, and two times in three the power with it if the disk is one that can lose it."""
        self.daemon.url = self.daemon.ingest = None
        status = self.daemon.kill()
        self.daemon.environment.pop("TWIN_POWER_DIE", None)
        self.kills += 1
        if status not in (-9, None):
            raise AssertionError(f"twind ended with {status} before it was killed: {self.daemon.log()[-1000:]}")
        if self.disk and self.random.random() < 2 / 3:
            self.disk.power_loss()
        elif self.disk:
            self.disk.kill()

    def doomed(self, low, high):
        """On a disk that loses power a moment is also a number of changes of its files, which ends the daemon: what
        happens between a change and its sync is over within microseconds, and no timer hits it."""
        if self.disk and self.random.random() < 0.5:
            self.daemon.environment["TWIN_POWER_DIE"] = str(self.random.randint(low, high))

    def kill_early(self):
        """In the first 150 ms: linking, self-tests, migration, recovery, the first folders and files."""
        self.doomed(1, 120)
        self.daemon.spawn()
        time.sleep(self.random.uniform(0, 0.15))
        self.early += 1
        self.kill()

    def kill_at_work(self):
        self.doomed(100, 2000)
        try:
            self.start()
        except RuntimeError:
            if self.daemon.process.returncode != -9:
                raise
        else:
            time.sleep(self.random.choice([0.05, 0.2, 0.5, 1.0]) * self.random.uniform(0.5, 1.5))
        self.kill()

    # --- the campaign ---

    def run(self, kills, replayed=1000, first_starts=4):
        """Returns figures; raises where something does not hold. `replayed`: how many batches are told again."""
        begin = time.monotonic()
        try:
            for _ in range(min(first_starts, kills)):
                self.kill_early()
            self.start()
            self.kill()
            self.start()
            self.daemon.create(self.definition)
            operation = self.daemon.train("toy", TRAIN, "?seed=5")
            if operation["state"] != "succeeded":
                raise AssertionError(operation)
            for worker in self.workers:
                worker.start()
            self.kill()
            while self.kills < kills:
                self.kill_early() if self.random.random() < 0.3 else self.kill_at_work()
                self.look_at_workers()
            self.start()
            self.work_on()
            self.settle()
            history = iterations(self.daemon)
            if self.daemon.end() != 0:
                raise AssertionError("the daemon did not end cleanly")
            return {**self.check(history, replayed), "seconds": round(time.monotonic() - begin)}
        finally:
            for worker in self.workers:
                worker.stopping = True
            if self.daemon.process:
                self.daemon.kill()
            shutil.rmtree(self.root, ignore_errors=True)
            for path in (self.root + ".log", self.root + ".journal"):
                pathlib.Path(path).unlink(missing_ok=True)

    def look_at_workers(self):
        for worker in self.workers:
            if worker.error:
                raise worker.error

    def work_on(self, timeout_s=60):
        """A slow machine may have done next to nothing between the kills: then there would be nothing to check."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and not self.has_worked():
            self.look_at_workers()
            time.sleep(0.2)

    def has_worked(self):
        """Enough to look at: a promotion, or something that retention has removed."""
        if sum(len(worker.acked) for worker in self.workers if isinstance(worker, Pusher)) <= 100:
            return False
        if self.pruning:
            oldest = self.daemon.get("/v1/twins/toy/batches?limit=1")["items"]
            return bool(oldest) and oldest[0]["ordinal"] > 10
        return len(self.daemon.get("/v1/twins/toy/history?alias=champion&limit=3")["items"]) > 1

    def settle(self):
        """Until the loop has caught up and nothing is due."""
        time.sleep(0.5)
        for pusher in self.pushers:
            pusher.finish()
        wait_until_idle(self.daemon)
        self.workers[-1].finish()
        self.look_at_workers()

    def check(self, history, replayed):
        if self.disk and (differences := self.disk.differences()):
            raise AssertionError(f"the journal does not tell all of {differences}")
        log = self.daemon.log()
        check_log(log)
        path = os.path.join(self.daemon.state, "state", "twin.db")
        figures = {"kills": self.kills, "early_kills": self.early, **check_database(path, self.pushers),
                   "acked": sum(len(p.acked) for p in self.pushers),
                   "interrupted_retunes": log.count("event=training_repeated"),
                   "cut_tails": log.count("event=spool_tail_cut")}
        if self.disk:
            figures["disk"] = self.disk.figures
        if replayed and not self.pruning:
            figures["replayed"] = check_replay(path, history, replayed)
        return figures


# --- what must hold ---

def iterations(daemon):
    """All of them in order, without what depends on the hour."""
    items, cursor = [], ""
    while cursor is not None:
        page = daemon.get(f"/v1/twins/toy/iterations?limit=1000{cursor and '&cursor=' + cursor}")
        items, cursor = items + page["items"], page["next_cursor"]
    for item in items:
        del item["time"]
        item["policy"].pop("operation", None)
    return sorted(items, key=lambda item: item["iteration"])


def wait_until_idle(daemon, timeout_s=600):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        twin = daemon.get("/v1/twins/toy")
        if twin["ingest"]["lag_batches"] == 0 and twin["activity"] in ("idle", "held"):
            return
        time.sleep(0.1)
    raise AssertionError(f"not settled: {twin}")


def expect(condition, text):
    if not condition:
        raise AssertionError(text)


def check_log(log):
    wrong = [line for line in log.splitlines() if re.search(r" error event=| event=trouble name=(?!lag|feeds_wait)", line)]
    expect(not wrong, f"the log tells of {wrong[:3]}")


def keys_of_pruned(db):
    """Intervals of sequence numbers of each feed, of batches whose rows may be gone."""
    rows_of = db.execute("SELECT feed, intervals FROM feeds").fetchall()
    return {feed: list(struct.iter_unpack("<QQ", intervals)) for feed, intervals in rows_of}


def check_database(path, pushers):
    """What retention has removed must be the oldest, and its keys known."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    expect(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "integrity_check")
    expect(not db.execute("PRAGMA foreign_key_check").fetchall(), "foreign_key_check")
    batches = db.execute("SELECT feed, seq, ordinal, iteration FROM batches WHERE feed <> 'train' "
                         "ORDER BY ordinal").fetchall()
    there = {(feed, seq): ordinal for feed, seq, ordinal, _ in batches}
    expect(len(there) == len(batches), "a batch was counted twice")
    ranges = db.execute("SELECT iteration, first_ordinal, last_ordinal, decision FROM iterations "
                        "ORDER BY iteration").fetchall()
    moves = [m for (m,) in db.execute("SELECT version FROM moves WHERE alias = 'champion' ORDER BY move")]
    kept = [v for (v,) in db.execute("SELECT version FROM versions ORDER BY version")]
    ordinals = [o for (o,) in db.execute("SELECT ordinal FROM batches ORDER BY ordinal")]
    expect(ordinals == list(range(ordinals[0], ordinals[0] + len(ordinals))), "ordinals have gaps")
    pruned = ordinals[0] > 0 or ranges[0][0] > 1 or kept != list(range(1, len(kept) + 1))
    gone = keys_of_pruned(db)
    for pusher in pushers:
        name = pusher.feed_name
        lost = [seq for seq in pusher.acked if (name, seq) not in there
                and not (pruned and any(low <= seq <= high for low, high in gone.get(name, [])))]
        expect(not lost, f"{name}: acked and lost: {lost[:10]}")
    first = ranges[0][0]
    expect(pruned or first == 1, f"the first iteration is {first}")
    expect([r[0] for r in ranges] == list(range(first, first + len(ranges))), "iterations have gaps")
    expect(all(a[2] < b[1] for a, b in zip(ranges, ranges[1:])), "iterations overlap")
    known, processed = ranges[0][1], ranges[-1][2]
    firsts = [r[1] for r in ranges]
    for feed, seq, ordinal, iteration in batches:
        before = ranges[max(bisect.bisect(firsts, ordinal) - 1, 0)]
        owners = [before[0]] if before[1] <= ordinal <= before[2] else []
        expect(owners == ([iteration] if iteration else []) or ordinal < known,
               f"{feed}/{seq} of iteration {iteration} is in {owners}")
        expect(iteration or ordinal > processed or ordinal < known, f"{feed}/{seq} was skipped")
    for sha256, blob in db.execute("SELECT sha256, bytes FROM blobs"):
        expect(hashlib.sha256(blob).hexdigest() == sha256, f"artifact {sha256} has other bytes")
    expect(set(moves) <= set(kept), "an alias was moved to a version that is not there")
    back = sum(r[3] in ("recalled", "rolled_back") for r in ranges)
    expect(back or pruned or moves == sorted(set(moves)), "the champion went back")
    promoted = [r[3] for r in ranges].count("promoted") + back
    expect(promoted <= len(moves) if pruned else promoted + 1 == len(moves), "promotions and moves differ")
    expect("retuning" not in [r[3] for r in ranges], "an iteration was left undecided")
    return {"batches": len(batches), "iterations": len(ranges), "versions": len(kept), "moves": len(moves),
            "pruned": pruned}


def versions(path, last):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    return db.execute("SELECT version, parent, cause, status = 'rejected', artifact, reference, seed, first_ordinal, "
                      "last_ordinal FROM versions WHERE last_ordinal <= ? ORDER BY version", [last]).fetchall()


def check_replay(path, history, most):
    """The first `most` batches in the order of their ordinals, to a daemon that nobody disturbs."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    batches = db.execute("SELECT feed, seq, ordinal FROM batches WHERE feed <> 'train' AND iteration IS NOT NULL "
                         "ORDER BY ordinal LIMIT ?", [most]).fetchall()
    last = batches[-1][2]
    daemon = Daemon()
    try:
        daemon.start()
        daemon.create(toy.DEFINITION)
        daemon.train("toy", TRAIN, "?seed=5")
        feeds = {name: Feed(daemon.ingest, "toy", feed=name) for name in {feed for feed, _, _ in batches}}
        for name, seq, _ in batches:
            tag, body = feeds[name].push(seq, rows(name, seq))
            expect(tag == "ACK", f"{tag} {body}")
        for feed in feeds.values():
            feed.close()
        wait_until_idle(daemon)
        again = iterations(daemon)
        daemon.end()
        ours = [item for item in history if item["ordinals"]["last"] <= last]
        for one, two in zip(ours, again):
            expect(one == two, f"an undisturbed daemon has {two}, not {one}")
        expect(len(again) >= len(ours), "an undisturbed daemon has fewer iterations")
        made = versions(path, last)
        expect(made == versions(os.path.join(daemon.state, "state", "twin.db"), last), "versions have other bits")
        return {"batches": len(batches), "iterations": len(ours), "versions": len(made)}
    finally:
        daemon.stop()

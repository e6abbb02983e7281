"""SIGKILL at random moments under load, promotions included: no acked batch is lost and none counted twice.

Long form: test_kill.py --kills 1000
"""
import argparse
import hashlib
import os
import random
import sqlite3
import sys
import threading
import time
import unittest

import toy
from daemon import Daemon
from feed import Feed

KILLS = 12
BATCH = 100
IN_FLIGHT = 16


class Pusher(threading.Thread):
    """A feed that never gives up: reconnects, asks where it stands, resends what was not acked. Its physics shifts to
    and fro so that retunes and promotions happen under fire."""

    def __init__(self, name, daemon):
        super().__init__()
        self.feed_name, self.daemon_under_test = name, daemon
        self.acked, self.stopping = set(), False
        self.next = 0

    def rows(self, seq):
        shift = 0.6 if (seq // 60) % 2 else 0.0
        return toy.events(BATCH, seed=[ord(self.feed_name[-1]), seq], shift=shift)

    def run(self):
        while not self.stopping:
            endpoint = self.daemon_under_test.ingest
            feed = Feed(endpoint, "toy", feed=self.feed_name)
            try:
                self.session(feed, endpoint)
            except TimeoutError:
                pass
            finally:
                feed.close()

    def session(self, feed, endpoint):
        tag, body = feed.hello(timeout_s=1)
        if tag != "WELCOME":
            raise RuntimeError(body)
        # an ACK may be lost on its way, never taken back
        assert body["last_durable_seq"] >= max(self.acked, default=-1), (body, max(self.acked))
        waiting = {}
        self.next = min(self.next, body["last_durable_seq"] + 1)
        quiet = time.monotonic()
        while not self.stopping and endpoint == self.daemon_under_test.ingest:
            while len(waiting) < IN_FLIGHT:
                waiting[self.next] = True
                feed.send(self.next, self.rows(self.next))
                self.next += 1
            reply = feed.receive(0.2)
            if reply is None:
                if time.monotonic() - quiet > 2:
                    break
                continue
            quiet = time.monotonic()
            tag, body = reply
            if tag == "ACK":
                self.acked.add(body["seq"])
                waiting.pop(body["seq"], None)
            elif tag == "NACK":
                raise RuntimeError(body)
            time.sleep(0.004)
        self.next = min(waiting, default=self.next)


def check_database(path, pushers):
    """What must hold after any kill; returns figures for the report."""
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = db.execute("SELECT feed, seq, count(*), max(iteration), ordinal FROM batches "
                      "WHERE feed <> 'train' GROUP BY feed, run, seq").fetchall()
    assert all(count == 1 for _, _, count, _, _ in rows), "a batch was counted twice"
    there = {(feed, seq): (iteration, ordinal) for feed, seq, _, iteration, ordinal in rows}
    for pusher in pushers:
        lost = [seq for seq in pusher.acked if (pusher.feed_name, seq) not in there]
        assert not lost, f"acked and lost: {lost}"
    ranges = db.execute("SELECT iteration, first_ordinal, last_ordinal, decision FROM iterations "
                        "ORDER BY iteration").fetchall()
    assert [r[0] for r in ranges] == list(range(1, len(ranges) + 1)), "iterations have gaps"
    assert all(a[2] < b[1] for a, b in zip(ranges, ranges[1:])), "iterations overlap"
    processed = max((r[2] for r in ranges), default=-1)
    for (feed, seq), (iteration, ordinal) in there.items():
        owners = [r[0] for r in ranges if r[1] <= ordinal <= r[2]]
        assert owners == ([iteration] if iteration else []), (feed, seq, iteration, owners)
        assert iteration or ordinal > processed, f"{feed}/{seq} was skipped"
    for sha256, blob in db.execute("SELECT sha256, bytes FROM blobs"):
        assert hashlib.sha256(blob).hexdigest() == sha256
    moves = [m for (m,) in db.execute("SELECT version FROM moves WHERE alias = 'champion' ORDER BY move")]
    versions = {v for (v,) in db.execute("SELECT version FROM versions")}
    assert set(moves) <= versions
    decisions = [r[3] for r in ranges]
    assert len(moves) == 1 + decisions.count("promoted"), "promotions and moves differ"
    return {"batches": len(rows), "iterations": len(ranges), "versions": len(versions), "moves": len(moves)}


def campaign(kills, seed=1):
    randomness = random.Random(seed)
    daemon = Daemon()
    daemon.start()
    try:
        daemon.create(toy.DEFINITION)
        operation = daemon.train("toy", toy.events(4000, seed=1))
        assert operation["state"] == "succeeded", operation
        pushers = [Pusher(name, daemon) for name in ("daq1", "daq2")]
        for pusher in pushers:
            pusher.start()
        for _ in range(kills):
            time.sleep(randomness.choice([0.05, 0.3, 1.0, 2.0]) * (0.5 + randomness.random()))
            daemon.kill()
            daemon.start()
        time.sleep(1)
        for pusher in pushers:
            pusher.stopping = True
        for pusher in pushers:
            pusher.join()
        end = time.monotonic() + 600
        while time.monotonic() < end:
            twin = daemon.get("/v1/twins/toy")
            if twin["ingest"]["lag_batches"] == 0 and twin["activity"] in ("idle", "held"):
                break
            time.sleep(0.2)
        else:
            raise AssertionError(f"not settled: {twin}")
        assert daemon.end() == 0
        figures = check_database(os.path.join(daemon.state, "state", "twin.db"), pushers)
        figures["acked"] = sum(len(p.acked) for p in pushers)
        figures["kills"] = kills
        return figures
    finally:
        daemon.stop()


class KillTest(unittest.TestCase):
    def test_no_acked_batch_is_lost(self):
        figures = campaign(KILLS)
        print(figures, file=sys.stderr)
        self.assertGreater(figures["acked"], 100)
        self.assertGreater(figures["moves"], 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, default=1)
    options, rest = parser.parse_known_args()
    if options.kills:
        print(campaign(options.kills, options.seed))
    else:
        unittest.main(argv=sys.argv[:1] + rest, verbosity=2)

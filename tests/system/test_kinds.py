"""Kinds of drift in short: each sudden one is found in the first window that has it, and named; windows between them are
quiet; a dead region is far from the reference, a feed that ends makes the verdict unknown. scripts/drift is the long form,
with kinds that creep, repetitions, and what the loop does about them."""
import unittest

import numpy as np

import drift_kinds
from daemon import Daemon
from feed import Feed
from test_loop import wait_until

DEFINITION = drift_kinds.definition()
NAME, WINDOW, TRAINING = DEFINITION["name"], 2000, 20000
SUDDEN = ["scale_10", "resolution", "multiparton", "step", "mixture"]


class DriftTest(unittest.TestCase):
    def setUp(self):
        self.daemon, self.sent = Daemon(), 0
        self.addCleanup(self.daemon.stop)
        self.daemon.start()
        loop = {"window": WINDOW, "detectors": ["ks", "chi2"], "auto": False, "silence_s": 0.3, "max_distance": 1}
        self.daemon.create({**DEFINITION, "model": {"blocks": 2, "hidden": [16], "bins": 4}, "loop": loop})
        self.nominal = drift_kinds.undisturbed()
        self.daemon.train(NAME, self.nominal[:TRAINING], "?epochs=1")
        self.next = TRAINING
        self.link = Feed(self.daemon.ingest, NAME)
        self.addCleanup(self.link.close)

    def take(self, source=None):
        """Rows that were not used yet."""
        self.next += WINDOW
        return (self.nominal if source is None else source)[self.next - WINDOW:self.next]

    def window(self, rows):
        """The iteration of a window."""
        self.link.push(self.sent, rows)
        self.sent += 1

        def compared():
            items = self.daemon.get(f"/v1/twins/{NAME}/iterations?limit=1")["items"]
            return items and items[0]["ordinals"]["last"] >= self.sent and items[0]
        return wait_until(compared)

    def test_sudden_kinds(self):
        for kind in drift_kinds.KINDS:
            if kind.name not in SUDDEN:
                continue
            with self.subTest(kind.name):
                self.assertFalse(self.window(self.take())["drift"])
                source = drift_kinds.source(kind, self.nominal, "")
                found = self.window(drift_kinds.stream(kind, self.take(source), 1))
                columns = {alarm.split()[1] for alarm in found["policy"]["alarms"] if " " in alarm}
                self.assertTrue(kind.names & columns, (kind.name, found["policy"]["alarms"]))
        kind = next(k for k in drift_kinds.KINDS if k.name == "dead")
        rows = np.concatenate([self.take(), self.take()])
        dead = self.window(drift_kinds.stream(kind, rows, 1)[:WINDOW])["policy"]["distance"]
        self.assertGreater(dead["bound"], 1)
        self.assertIn(dead["feature"], kind.names)
        self.assertTrue(dead["found"] < dead["expected"] / 4 and 0.7 < dead["low"] < dead["high"] < 1.7, dead)
        wait_until(lambda: self.daemon.get(f"/v1/twins/{NAME}")["verdict_reason"] == "silence")
        twin = self.daemon.get(f"/v1/twins/{NAME}")
        self.assertEqual((twin["verdict"], twin["champion"]["version"]), ("unknown", 1))


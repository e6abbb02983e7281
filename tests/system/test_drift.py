"""The verdict as a shifter reads it: what has drifted, since when, how sure, what was done, whether it helped. And small
drift that accumulates, through restarts and kills."""
import unittest

import numpy as np

import toy
from daemon import Daemon
from feed import Feed
from test_loop import iterations, settled, wait_until

QUIET, SIZE, PUSHED = 3000, 250, 0.2  # rows before the change; of a batch; shift of eta, an eighth of its width


def small_drift(seed):
    """Four batches a window; eta is shifted from batch 12 on."""
    before, after = toy.events(QUIET, seed), toy.events(5000, seed + 1)
    after[:, 1] += PUSHED
    return toy.batches(np.concatenate([before, after]), SIZE)


class DriftTest(unittest.TestCase):
    def start(self, **loop):
        daemon = Daemon()
        self.addCleanup(daemon.stop)
        daemon.start()
        daemon.create({**toy.DEFINITION, "loop": {"window": 1000, **loop}})
        daemon.train("toy", toy.events(20000, seed=1))
        feed = Feed(daemon.ingest, "toy")
        self.addCleanup(feed.close)
        return daemon, feed

    def test_small_drift_accumulates(self):
        batches = small_drift(5)
        told = []
        for interrupted in (False, True):
            daemon, feed = self.start(detectors=["cusum"], auto=False)
            for first in range(0, len(batches), 4):
                feed.push_all(batches[first:first + 4], first=first)
                wait_until(lambda: settled(daemon, first + 4))
                if interrupted:
                    feed.close()
                    self.assertEqual(daemon.kill() if first % 8 else daemon.end(), -9 if first % 8 else 0)
                    daemon.start()
                    feed = Feed(daemon.ingest, "toy")
            told.append((daemon, iterations(daemon)))
        (daemon, rows), (_, again) = told
        self.assertEqual([r["statistics"] for r in rows], [r["statistics"] for r in again])  # to the bit
        self.assertEqual([r["drift"] for r in rows[:3]], [False] * 3)
        self.assertTrue(rows[7]["drift"])
        named = {s["feature"] for s in rows[0]["statistics"] if s["name"] == "cusum"}
        self.assertEqual(named, {"pt", "eta", "phi", "x", None})  # None: the log-likelihood
        p = [s["p_value"] for r in rows for s in r["statistics"] if s["name"] == "cusum" and s["feature"] == "eta"]
        self.assertGreater(p[3], rows[0]["statistics"][0]["threshold"])  # one window does not show it, a few do
        self.assertLess(p[7], p[4])

        drift = daemon.get("/v1/twins/toy/drift")
        alarm = drift["alarm"]
        self.assertTrue(drift["drift"] and alarm["lasts"])
        self.assertEqual(alarm["iteration"], next(r["iteration"] for r in rows if r["drift"]))
        first = alarm["drifted"][0]
        self.assertEqual((first["feature"], first["change"], first["direction"]), ("eta", "location", "up"))
        self.assertAlmostEqual(first["in_units"]["value"], PUSHED, delta=3 * first["in_units"]["error"] + 0.03)
        self.assertLess(first["error"], first["size"] / 5)
        region = max(first["regions"], key=lambda r: r["significance"])
        self.assertNotEqual(region["observed"] > region["expected"], region["ratio"] < 0)
        truth = daemon.get("/v1/twins/toy/batches?limit=1000")["items"][QUIET // SIZE]
        self.assertLessEqual(abs(alarm["since"]["ordinal"] - truth["ordinal"]), 2)
        self.assertEqual(alarm["since"]["feed"], truth["feed"])
        self.assertLess(alarm["p_value"], 1e-3)
        self.assertEqual(alarm["action"]["decision"], "advised")
        self.assertIsNone(alarm["helped"])
        self.assertIn("eta is shifted up by", drift["summary"])
        self.assertEqual(drift["expected_run_time"], {"promised": 1000, "version": 1, "windows": 8, "alarms": 1,
                                                      "all_windows": 8, "all_alarms": 1})


    def test_what_was_done(self):
        daemon, feed = self.start()
        quiet = daemon.get("/v1/twins/toy/drift")
        self.assertIsNone(quiet["alarm"])
        self.assertIn("No window has been compared", quiet["summary"])
        feed.push_all(toy.batches(np.concatenate([toy.events(1250, 2), toy.events(5750, 3, shift=1.5)]), 250))
        wait_until(lambda: settled(daemon, 28))
        drift = daemon.get("/v1/twins/toy/drift")
        alarm = drift["alarm"]
        self.assertEqual((alarm["iteration"], alarm["version"]), (2, 1))
        self.assertEqual((alarm["action"]["decision"], alarm["action"]["from"]), ("promoted", 1))
        version = alarm["action"]["version"]
        self.assertEqual(daemon.get(f"/v1/twins/toy/versions/{version}")["parent"], 1)
        self.assertEqual(daemon.get(f"/v1/operations/{alarm['action']['operation']}")["state"], "succeeded")
        self.assertGreater(alarm["helped"]["gate"]["gain"], 3 * alarm["helped"]["gate"]["error"])
        fidelity = alarm["helped"]["fidelity"]
        self.assertLess(fidelity["after"]["value"], fidelity["before"]["value"])
        self.assertEqual(alarm["since"]["ordinal"], daemon.get("/v1/twins/toy/batches")["items"][5]["ordinal"])  # within a window
        self.assertIn(f"version {version} replaced version 1. It gained", drift["summary"])
        self.assertIn("eta", {d["feature"] for d in alarm["drifted"]})


if __name__ == "__main__":
    unittest.main()

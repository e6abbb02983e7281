"""Observables as their users see them: declared later, compared, named, histogrammed, taken away."""
import unittest

import numpy as np

import toy
from daemon import Daemon
from feed import Feed
from test_loop import settled, wait_until

DEFINITION = {
    "name": "toy",
    "model": {"kind": "flow", "blocks": 2, "hidden": [24], "bins": 6},
    "features": [{"name": "a"}, {"name": "b"}],
    "observables": [{"name": "apart", "unit": "mm", "expression": "a - b", "min": -3, "max": 3}],
    "loop": {"window": 1000, "detectors": ["ks"], "auto": False},
}


def events(n, seed, correlation):
    """Two unit normals: whatever their correlation, each by itself looks the same."""
    return np.random.default_rng(seed).multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], n).astype("f4")


class ObservablesTest(unittest.TestCase):
    def feed(self, rows):
        self.batches += len(rows) // 500
        self.link.push_all(toy.batches(rows, 500), first=self.batches - len(rows) // 500)
        wait_until(lambda: settled(self.daemon, self.batches))
        return self.daemon.get("/v1/twins/toy/iterations?limit=1")["items"][0]

    def patch(self, observables):
        return self.daemon.request("PATCH", "/v1/twins/toy", {"observables": observables})

    def test_life(self):
        self.daemon, self.batches = Daemon(), 0
        self.addCleanup(self.daemon.stop)
        self.daemon.start()
        self.daemon.create(DEFINITION)
        self.daemon.train("toy", events(6000, 1, 0.8))
        self.link = Feed(self.daemon.ingest, "toy")
        self.addCleanup(self.link.close)

        quiet = self.feed(events(1000, 2, 0.8))
        self.assertFalse(quiet["drift"])
        ks = [s for s in quiet["statistics"] if s["name"] == "ks"]
        self.assertEqual([s["feature"] for s in ks], ["a", "b", "apart"])
        self.assertTrue(all(0 < s["p_value"] <= 1 and s["threshold"] == ks[0]["threshold"] for s in ks))

        moved = self.feed(events(1000, 3, 0.5))  # no feature has changed
        self.assertTrue(moved["drift"])
        self.assertEqual(moved["policy"]["alarms"], ["ks apart"])

        item = self.daemon.get("/v1/twins/toy/histograms?feature=apart&bins=6")["items"][0]
        self.assertEqual((item["unit"], item["edges"]), ("mm", [-3, -2, -1, 0, 1, 2, 3]))
        d = np.subtract(*events(1000, 3, 0.5).T)
        self.assertEqual(item["data"]["values"], np.histogram(d, item["edges"])[0].tolist())
        self.assertEqual((item["data"]["under"], item["data"]["absent"]), ((d < -3).sum(), 0))

        kept = self.daemon.get("/v1/twins/toy")["definition"]["observables"]
        self.assertEqual([o["expression"] for o in kept], ["a - b"])
        self.assertEqual(self.patch([{"name": "apart", "expression": "b - a"}]).status, 409)
        bad = self.patch([{"name": "far", "expression": "log(c)"}])
        self.assertEqual(bad.status, 400)
        self.assertIn('character 5: there is no column "c"', bad.json()["detail"])

        # another in its place; half of its values are absent, in the reference too
        self.assertEqual(self.patch([{"name": "far", "expression": "log(a)"}]).status, 200)
        absent = self.daemon.get("/v1/twins/toy/histograms?feature=far")["items"][0]
        self.assertEqual(absent["data"]["absent"], (events(1000, 3, 0.5)[:, 0] <= 0).sum())
        self.assertEqual(self.daemon.request("GET", "/v1/twins/toy/histograms?feature=apart").status, 404)
        quiet = self.feed(events(1000, 4, 0.5))
        self.assertEqual([s["feature"] for s in quiet["statistics"] if s["name"] == "ks"], ["a", "b", "far"])
        self.assertFalse(quiet["drift"])
        flipped = events(1000, 5, 0.5)
        flipped[:150, 0] = -abs(flipped[:150, 0])  # more of them absent
        self.assertIn("ks far", self.feed(flipped)["policy"]["alarms"])

        self.daemon.restart()  # what was declared is there
        names = [o["name"] for o in self.daemon.get("/v1/twins/toy")["definition"]["observables"]]
        self.assertEqual(names, ["far"])
        self.assertEqual(self.patch(None).status, 200)
        self.assertEqual(self.daemon.get("/v1/twins/toy")["definition"]["observables"], [])

    def test_name_that_comes_back(self):
        """What accumulates begins anew with another expression, whatever its name."""
        self.daemon, self.batches = Daemon(), 0
        self.addCleanup(self.daemon.stop)
        self.daemon.start()
        self.daemon.create({**DEFINITION, "loop": {**DEFINITION["loop"], "detectors": ["cusum"]}})
        self.daemon.train("toy", events(6000, 1, 0.8))
        self.link = Feed(self.daemon.ingest, "toy")
        self.addCleanup(self.link.close)
        self.assertFalse(self.feed(events(1000, 2, 0.8))["drift"])
        self.assertEqual(self.patch(None).status, 200)
        self.assertEqual(self.patch([{"name": "apart", "expression": "100 + a"}]).status, 200)
        later = self.feed(events(2000, 3, 0.8))
        self.assertFalse(later["drift"], later["policy"])

    def test_wide_in_little_memory(self):
        self.daemon, n = Daemon(arguments=["--memory-mb", "128"]), 400
        self.addCleanup(self.daemon.stop)
        self.daemon.start()
        self.daemon.create({"name": "wide", "model": {"blocks": 1, "hidden": [8], "bins": 2},
                            "features": [{"name": f"f{i}"} for i in range(n)],
                            "loop": {"window": 100, "detectors": ["ks"], "auto": False}})
        rows = np.random.default_rng(1).normal(size=(600, n)).astype("f4")
        self.assertEqual(self.daemon.train("wide", rows[:500], "?seed=1&epochs=1")["state"], "succeeded")
        self.daemon.request("POST", "/v1/twins/wide/batches?feed=daq1&run=1&seq=0", rows[500:])
        wait_until(lambda: self.daemon.get("/v1/twins/wide")["last_iteration"])
        item = self.daemon.get("/v1/twins/wide/histograms?feature=f7&bins=2")["items"][0]
        self.assertEqual(len(item["samples"]["values"]), 2)

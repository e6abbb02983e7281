"""Optional and discrete features through every door: wire, HTTP in its formats, retune, histograms, restart."""
import io
import unittest

import numpy as np

import toy
from daemon import Daemon
from feed import Feed
from test_loop import settled, wait_until

DEFINITION = {
    "name": "toy",
    "model": {"kind": "flow", "blocks": 2, "hidden": [24], "bins": 6},
    "features": [{"name": "n", "kind": "discrete", "min": 1, "max": 4}, {"name": "a"},
                 {"name": "b", "optional": True}, {"name": "c", "transform": "log", "optional": True}],
    "loop": {"window": 2000, "detectors": ["ks"]},
}


def events(n, seed, pairs=0.3):
    """Singles and pairs; b and c belong to the second of a pair, c not always."""
    rng = np.random.default_rng(seed)
    pair = rng.random(n) < pairs
    x = np.stack([1.0 + pair, rng.normal(size=n), rng.normal(size=n), rng.lognormal(size=n)], 1).astype("f4")
    x[~pair, 2:] = np.nan
    x[rng.random(n) < 0.2, 3] = np.nan
    return x


class ClassesTest(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.stop)
        self.daemon.start()
        self.daemon.create(DEFINITION)

    def same_classes(self, rows):
        self.assertTrue(set(np.unique(rows[:, 0])) <= {1, 2})
        self.assertTrue((np.isnan(rows[:, 2]) == (rows[:, 0] == 1)).all())
        self.assertFalse(np.isnan(rows[:, 1]).any())
        self.assertTrue(np.isnan(rows[rows[:, 0] == 1, 3]).all())

    def test_life(self):
        self.daemon.train("toy", events(6000, 1))

        # formats: null in JSON, nan in CSV, NaN in .npy
        query = "/v1/twins/toy/sample?n=600&seed=7"
        items = np.array(self.daemon.get(query)["items"], dtype="f4")
        self.same_classes(items)
        self.assertAlmostEqual((items[:, 0] == 2).mean(), 0.3, delta=0.08)
        csv = self.daemon.request("GET", query, headers={"Accept": "text/csv"}).body.decode()
        self.assertIn(",nan", csv)
        np.testing.assert_array_equal(np.genfromtxt(io.StringIO(csv), delimiter=",", skip_header=1, dtype="f4"), items)
        np.testing.assert_array_equal(
            self.daemon.request("GET", query, headers={"Accept": "application/x-npy"}).npy(), items)
        rows = [[1, 0, None, None], [2, 0, 0.5, 1], [3, 0, None, 1], [1, None, None, None], [1.5, 0, None, None],
                [5, 0, None, None]]
        found = self.daemon.request("POST", "/v1/twins/toy/log_prob", {"rows": rows}).json()["items"]
        empty = self.daemon.request("POST", "/v1/twins/toy/log_prob", b"n,a,b,c\n1,0,,\n2,0,0.5,1\n",
                                    headers={"Content-Type": "text/csv"}).json()["items"]
        self.assertEqual(found[:2], empty)
        self.assertLess(found[2], found[0] - 5)  # never seen, and still a number
        self.assertEqual(found[3:], [None] * 3)

        # a window over the wire: what may be absent is valid, what may not is not
        link = Feed(self.daemon.ingest, "toy")
        self.addCleanup(link.close)
        window = events(2000, 2)
        window[:3, 1], window[3, 0], window[4, 2] = np.nan, 2.5, np.inf
        link.push_all(toy.batches(window, 500))
        wait_until(lambda: settled(self.daemon, 4))
        twin = self.daemon.get("/v1/twins/toy")
        self.assertEqual(twin["ingest"]["invalid_rows"], 5)
        quiet = self.daemon.get("/v1/twins/toy/iterations?limit=1")["items"][0]
        self.assertFalse(quiet["drift"], quiet["policy"])
        presence = [s for s in quiet["statistics"] if s["name"] == "presence"]
        self.assertEqual([s["feature"] for s in presence], ["b", "c"])
        self.assertAlmostEqual(presence[0]["value"], (window[5:, 0] == 2).mean(), delta=0.002)
        self.assertAlmostEqual(presence[0]["floor"], 0.3, delta=0.05)
        self.assertIsNotNone([s for s in quiet["statistics"] if s["name"] == "c2st"][0]["value"])

        histograms = {item["feature"]: item for item in self.daemon.get("/v1/twins/toy/histograms")["items"]}
        self.assertEqual(histograms["n"]["edges"], [0.5, 1.5, 2.5, 3.5, 4.5])
        valid = window[5:]
        self.assertEqual(histograms["n"]["data"]["values"], [(valid[:, 0] == k).sum() for k in (1, 2, 3, 4)])
        self.assertEqual(histograms["n"]["samples"]["values"][2:], [0, 0])
        self.assertEqual(histograms["c"]["data"]["absent"], np.isnan(valid[:, 3]).sum())
        self.assertAlmostEqual(histograms["c"]["samples"]["absent"] / len(valid), 0.76, delta=0.04)

        # more pairs: named, learnt, and gone
        for k in range(2):
            link.push_all(toy.batches(events(4000, 10 + k, pairs=0.7), 500), first=4 + 8 * k)
            wait_until(lambda: settled(self.daemon, 12 + 8 * k))
        alarms = [i["policy"].get("alarms", []) for i in self.daemon.get("/v1/twins/toy/iterations")["items"]]
        self.assertIn("presence b", alarms[-2])
        champion = self.daemon.get("/v1/twins/toy")["champion"]["version"]
        self.assertGreater(champion, 1)
        self.daemon.restart()
        pairs = np.array(self.daemon.get("/v1/twins/toy/sample?n=4000&seed=7")["items"], dtype="f4")
        self.same_classes(pairs)
        self.assertAlmostEqual((pairs[:, 0] == 2).mean(), 0.7, delta=0.05)

"""Weights on top of the twin: a retune of kind reweight, its gate, what sample and log_prob make of it, and the report."""
import io
import unittest

import numpy as np

import toy
from daemon import Daemon
from feed import Feed
from test_loop import settled, wait_until

NPY = {"Accept": "application/x-npy"}


class ReweightTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon()
        cls.daemon.start()
        cls.daemon.create({**toy.DEFINITION, "loop": {"window": 2000, "auto": False},
                           "observables": [{"name": "sum", "expression": "eta + x"}]})
        assert cls.daemon.train("toy", toy.events(8000, seed=1))["state"] == "succeeded"

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def sample(self, query="", status=200, **headers):
        answer = self.daemon.request("GET", f"/v1/twins/toy/sample{query}", headers={**NPY, **headers})
        self.assertEqual(answer.status, status, answer.body[:200])
        return answer if status != 200 else (np.load(io.BytesIO(answer.body)), answer.headers)

    def retune(self, **body):
        answer = self.daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "reweight", "seed": 3, **body})
        self.assertEqual(answer.status, 202, answer.body)
        return self.daemon.wait(answer.json()["id"])

    def test_1_none_yet(self):
        for query in ("?reweight=weighted", "?reweight=unweighted"):
            answer = self.sample(query, status=409)
            self.assertEqual(answer.json()["error"], "no_weights")
        self.assertEqual(self.sample("?reweight=both", status=400).json()["error"], "bad_request")
        _, headers = self.sample()
        self.assertNotIn("Twin-Reweight", headers)
        answer = self.daemon.request("GET", "/v1/twins/toy/weights")
        self.assertEqual((answer.status, answer.json()["error"]), (404, "no_weights"))
        answer = self.daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "reweight", "promote": 1})
        self.assertEqual((answer.status, answer.json()["error"]), (400, "bad_request"))
        self.assertEqual(self.retune()["state"], "failed")  # no window was compared

    def test_2_proposed_then_promoted(self):
        feed = Feed(self.daemon.ingest, "toy")
        self.addCleanup(feed.close)
        feed.push_all(toy.batches(toy.events(6000, seed=2, shift=0.5), 500))
        wait_until(lambda: settled(self.daemon, 12))

        proposed = self.retune(promote=False)["result"]
        self.assertEqual(proposed["decision"], "advised", proposed)
        self.assertNotIn("map", proposed["metrics"]["weights"])
        version = self.daemon.get("/v1/twins/toy/versions/2")
        refused = self.daemon.request("GET", "/v1/twins/toy/versions/2/onnx")
        self.assertEqual((refused.status, refused.json()["error"]), (400, "not_exportable"))
        self.assertIn("the version under it, which is 1", refused.json()["detail"])
        self.assertEqual([version[k] for k in ("cause", "status", "parent")], ["reweight", "challenger", 1])
        self.assertIn("proposal", version["reason"])
        self.assertEqual(self.daemon.get("/v1/twins/toy")["champion"]["version"], 1)
        listed = self.daemon.get("/v1/twins/toy/versions")["items"][0]["metrics"]["weights"]
        self.assertNotIn("map", listed)

        promoted = self.retune()["result"]
        self.assertEqual(promoted["decision"], "promoted", promoted)
        self.assertEqual(self.daemon.get("/v1/twins/toy")["champion"]["version"], 3)
        first, second = (self.daemon.get(f"/v1/twins/toy/versions/{n}") for n in (2, 3))
        self.assertEqual(first["sha256"], second["sha256"])  # the same rows, the same seed
        self.assertEqual(first["metrics"]["weights"], second["metrics"]["weights"])

    def test_3_samples(self):
        shifted = toy.events(40000, seed=9, shift=0.5)
        plain, headers = self.sample("?n=20000&seed=4&version=1")
        weighted, of_weights = self.sample("?n=20000&seed=4&reweight=weighted")
        events, of_events = self.sample("?n=20000&seed=4")
        again, _ = self.sample("?n=20000&seed=4&reweight=unweighted")
        self.assertEqual((of_weights["Twin-Reweight"], of_events["Twin-Reweight"]), ("weighted", "unweighted"))
        self.assertEqual(of_weights["Twin-Columns"], headers["Twin-Columns"] + ",weight")
        self.assertEqual(of_events["Twin-Columns"], headers["Twin-Columns"])
        self.assertEqual(weighted.shape, (20000, 5))
        np.testing.assert_array_equal(weighted[:, :4], plain)  # of the version underneath
        np.testing.assert_array_equal(events, again)
        w = weighted[:, 4].astype(float)
        self.assertAlmostEqual(w.mean(), 1, delta=0.03)
        largest, ess, overflow = (float(of_weights["Twin-Weight-" + k]) for k in ("Max", "ESS", "Overflow"))
        self.assertTrue(0 < w.max() <= largest * 1.00001)
        self.assertAlmostEqual(w.sum() ** 2 / (w ** 2).sum() / len(w), ess, delta=0.05)
        self.assertTrue(0 <= overflow <= 0.01 and 0.05 < ess < 0.95)
        # both make the drifted data's means of what the plain ones miss
        for column in (1, 3):
            want, error = shifted[:, column].mean(), shifted[:, column].std() / np.sqrt(20000 * ess)
            self.assertGreater(abs(plain[:, column].mean() - want), 10 * error)
            self.assertLess(abs(np.average(weighted[:, column], weights=w) - want), 8 * error)
            self.assertLess(abs(events[:, column].mean() - want), 8 * error)

        # any cut gives the same events, in every format and by either method
        for query in ("", "&reweight=weighted"):
            whole, _ = self.sample("?n=20000&seed=4" + query)
            for n in (1, 255, 256, 257, 5000):
                np.testing.assert_array_equal(self.sample(f"?n={n}&seed=4{query}")[0], whole[:n])
            text, _ = self.csv(f"?n=300&seed=4{query}")
            np.testing.assert_allclose(text, whole[:300], rtol=1e-6)
        body = {"n": 300, "seed": 4, "reweight": "weighted"}
        answer = self.daemon.request("POST", "/v1/twins/toy/sample", body).json()
        self.assertEqual(answer["columns"][-1], "weight")
        np.testing.assert_allclose(answer["items"], weighted[:300], rtol=1e-6)
        self.assertEqual(self.daemon.request("POST", "/v1/twins/toy/sample", {"reweight": 1}).status, 400)

    def csv(self, query):
        answer = self.daemon.request("GET", f"/v1/twins/toy/sample{query}", headers={"Accept": "text/csv"})
        lines = answer.body.decode().splitlines()
        self.assertEqual(lines[0], answer.headers["Twin-Columns"])
        return np.array([[float(v) for v in line.split(",")] for line in lines[1:]]), answer.headers

    def test_4_log_prob(self):
        """log p + log w, where weighted sampling shows w."""
        weighted, _ = self.sample("?n=500&seed=6&reweight=weighted")
        rows = np.ascontiguousarray(weighted[:, :4])
        log_prob = [np.load(io.BytesIO(self.daemon.request("POST", f"/v1/twins/toy/log_prob?version={v}", rows,
                                                           headers=NPY).body)) for v in (1, 3)]
        np.testing.assert_allclose(log_prob[1] - log_prob[0], np.log(weighted[:, 4]), atol=2e-4)

    def test_5_report(self):
        report = self.daemon.get("/v1/twins/toy/weights")
        self.assertEqual((report["version"], report["parent"], report["status"]), (3, 1, "champion"))
        self.assertGreater(report["gate"]["bound"], 0)
        self.assertEqual(report["not_finite"], 0)
        self.assertTrue(0 < report["ess"] < 1 < report["largest"] and report["scale"] > 0.5)
        self.assertAlmostEqual(report["sum"] / report["samples"], 1, delta=0.1)
        bins = report["reliability"]
        self.assertEqual(len(bins), 10)
        pulls = [(b["observed"] - b["predicted"]) / b["error"] for b in bins]
        self.assertLess(np.mean(np.square(pulls)), 4)
        self.assertEqual(sum(b["events"] for b in bins), report["events"] + report["samples"])
        closure = {c["feature"]: c for c in report["closure"]}
        self.assertEqual(list(closure), ["pt", "eta", "phi", "x", "sum"])
        for name in ("eta", "x", "sum"):  # what has drifted
            self.assertLess(closure[name]["before"]["p_value"], 1e-6)
            self.assertLess(closure[name]["after"]["chi2"], 0.3 * closure[name]["before"]["chi2"])
        self.assertTrue(all(c["after"]["p_value"] > 1e-5 and c["after"]["ndf"] > 3 for c in closure.values()), closure)
        leaves = report["map"]
        self.assertGreater(len(leaves), 2)
        self.assertAlmostEqual(sum(leaf["data"] for leaf in leaves), 1, places=6)
        self.assertAlmostEqual(sum(leaf["samples"] for leaf in leaves), 1, places=6)
        self.assertGreater(abs(leaves[0]["ratio"] - 1), 5 * leaves[0]["error"])
        named = {r["feature"] for leaf in leaves for r in leaf["ranges"]}
        self.assertTrue(named & {"eta", "x", "sum"}, named)
        self.assertTrue(any(word in leaves[0]["where"] for word in ("above", "below", " to ")), leaves[0]["where"])
        self.assertEqual(self.daemon.get("/v1/twins/toy/weights?version=2")["version"], 2)
        for query, status in (("?version=1", 404), ("?version=99", 404), ("?version=0", 400), ("?bins=3", 400)):
            self.assertEqual(self.daemon.request("GET", "/v1/twins/toy/weights" + query).status, status, query)

    def test_6_nothing_more_to_gain(self):
        """Weights on what has weights: new ones on the flow, which the gate compares with the old; then a flow again."""
        rejected = self.retune(seed=8)["result"]
        self.assertEqual(rejected["decision"], "rejected", rejected)
        version = self.daemon.get("/v1/twins/toy/versions/4")
        self.assertEqual((version["status"], version["parent"], version["cause"]), ("rejected", 3, "reweight"))
        self.assertIn("map", self.daemon.get("/v1/twins/toy/weights?version=4"))
        answer = self.daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "weights", "seed": 5})
        self.assertEqual(self.daemon.wait(answer.json()["id"])["state"], "succeeded")
        self.assertEqual(self.sample("?version=5&reweight=weighted", status=409).json()["error"], "no_weights")

    def test_7_after_a_restart(self):
        before, _ = self.sample("?n=700&seed=4&version=3")
        self.assertEqual(self.daemon.restart(), 0)
        after, headers = self.sample("?n=700&seed=4&version=3")
        np.testing.assert_array_equal(before, after)
        self.assertEqual(headers["Twin-Reweight"], "unweighted")
        self.assertIn(self.daemon.get("/v1/twins/toy/weights")["version"], (3, 4))

    def test_8_people_have_answered(self):
        """The alarms were about version 1: what people have made champion since begins without a retune that is due."""
        before = self.daemon.get("/v1/twins/toy/iterations?limit=1")["items"][0]
        self.assertEqual(before["decision"], "advised", before["policy"])
        feed = Feed(self.daemon.ingest, "toy", run=2)
        self.addCleanup(feed.close)
        feed.push_all(toy.batches(toy.events(2000, seed=12, shift=0.5), 500))
        wait_until(lambda: settled(self.daemon, 16))
        after = self.daemon.get("/v1/twins/toy/iterations?limit=1")["items"][0]
        self.assertEqual((after["drift"], after["decision"]), (False, "none"), after["policy"])

    def test_9_nothing_in_common(self):
        """No weight turns events that have a feature into events that lack it: the operation says so."""
        self.daemon.create({"name": "gone", "model": {"kind": "flow", "blocks": 2, "hidden": [8], "bins": 4},
                            "features": [{"name": "a"}, {"name": "b", "optional": True}],
                            "loop": {"window": 1000, "auto": False}})
        rows = np.random.default_rng(1).normal(size=(3000, 2)).astype("f4")
        self.assertEqual(self.daemon.train("gone", rows[:2000], "?seed=1&epochs=3")["state"], "succeeded")
        rows[:, 1] = np.nan
        self.daemon.request("POST", "/v1/twins/gone/batches?feed=daq1&run=1&seq=0", rows[2000:])
        wait_until(lambda: self.daemon.get("/v1/twins/gone/iterations")["items"])
        answer = self.daemon.request("POST", "/v1/twins/gone/retunes", {"kind": "reweight", "seed": 1})
        ended = self.daemon.wait(answer.json()["id"])
        self.assertEqual(ended["state"], "failed")
        self.assertIn("too little in common", ended["error"]["detail"])


if __name__ == "__main__":
    unittest.main(verbosity=2)

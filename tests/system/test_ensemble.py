"""An ensemble as its users see it: one twin, whose members can be asked, whose histograms carry a band, and whose retune
moves every member."""
import os
import sys
import tempfile
import unittest

import numpy as np

import toy
from daemon import Daemon
from feed import Feed
from test_loop import settled, wait_until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "model"))
import reader

MEMBERS = 4
NPY = "application/x-npy"
DEFINITION = {**toy.DEFINITION, "model": {**toy.DEFINITION["model"], "members": MEMBERS},
              "loop": {"window": 1000, "detectors": ["ks"]}}


class EnsembleTest(unittest.TestCase):
    def ask(self, method, path, body=None, **more):
        answer = self.daemon.request(method, "/v1/twins/toy/" + path, body, **more)
        self.assertEqual(answer.status, 200, answer.body[:300])
        return answer

    def sample(self, query):
        return self.ask("GET", "sample?n=500&seed=7" + query, headers={"Accept": NPY}).npy()

    def densities(self, rows, query):
        return self.ask("POST", "log_prob?" + query, rows.tolist()).json()

    def test_life(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.stop)
        self.daemon.start()
        self.daemon.create(DEFINITION)
        self.daemon.create({**toy.DEFINITION, "name": "single"})
        self.assertEqual(self.daemon.get("/v1/twins/toy")["definition"]["model"]["members"], MEMBERS)
        self.assertEqual(self.daemon.get("/v1/twins/single")["definition"]["model"]["members"], 1)
        for name in ("toy", "single"):
            self.daemon.train(name, toy.events(2500, 1), "?epochs=6&seed=3")

        # each event of the mixture is the event of equal number of one of the members
        mixture, each = self.sample(""), np.array([self.sample(f"&member={m}") for m in range(MEMBERS)])
        own = np.isclose(each, mixture, rtol=1e-4, atol=1e-4).all(axis=2)
        self.assertTrue((own.sum(axis=0) == 1).all())
        self.assertTrue((own.sum(axis=1) > 80).all(), own.sum(axis=1))
        posted = self.daemon.request("POST", "/v1/twins/toy/sample", {"n": 500, "seed": 7, "member": 2},
                                     headers={"Accept": NPY}).npy()
        np.testing.assert_array_equal(posted, each[2])

        # log p of the mixture and its spread, from the members' and from the artifact
        rows = toy.events(20, 9)
        of_members = np.array([self.densities(rows, f"member={m}")["items"] for m in range(MEMBERS)])
        with_spread = self.densities(rows, "spread=true")
        self.assertEqual(with_spread["columns"], ["log_prob", "std"])
        log_prob, std = np.array(with_spread["items"]).T
        np.testing.assert_allclose(log_prob, np.logaddexp.reduce(of_members) - np.log(MEMBERS), atol=1e-6)
        np.testing.assert_allclose(std, of_members.std(axis=0, ddof=1), atol=1e-6)
        np.testing.assert_allclose(log_prob, self.densities(rows, "")["items"], atol=1e-6)
        csv = self.ask("POST", "log_prob?spread=true", rows.tolist(), headers={"Accept": "text/csv"}).body.decode()
        self.assertEqual(csv.splitlines()[0], "log_prob,std")
        outside = self.densities(np.array([[10, 0, 0, 0.5]]), "spread=true")["items"]
        self.assertEqual(outside, [[None, None]])
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.ask("GET", "versions/1/artifact").body)
            file.flush()
            np.testing.assert_allclose(reader.log_prob(*reader.load(file.name), rows), log_prob, atol=2e-3)

        for query in (f"sample?member={MEMBERS}", "sample?member=-1"):
            answer = self.daemon.request("GET", "/v1/twins/toy/" + query)
            self.assertEqual((answer.status, answer.json()["error"]), (400, "bad_query"))
        answer = self.daemon.request("POST", "/v1/twins/toy/log_prob?spread=maybe", rows.tolist())
        self.assertEqual((answer.status, answer.json()["error"]), (400, "bad_query"))

        # a shift is learnt by all of them, and the histograms say how sure the twin is
        for name in ("toy", "single"):
            link = Feed(self.daemon.ingest, name)
            self.addCleanup(link.close)
            link.push_all(toy.batches(toy.events(2000, 2, shift=0.8), 500))
        wait_until(lambda: settled(self.daemon, 4) and
                   self.daemon.get("/v1/twins/toy/iterations?limit=1")["items"][0]["decision"] != "retuning")
        versions = self.daemon.get("/v1/twins/toy/versions")["items"]
        self.assertGreater(len(versions), 1)
        self.assertEqual(versions[-2]["parent"], 1)
        moved = [np.array(self.sample(f"&version={versions[-2]['version']}&member={m}")) for m in range(MEMBERS)]
        for m in range(MEMBERS):
            self.assertFalse(np.allclose(moved[m], each[m]))

        for item in self.daemon.get("/v1/twins/toy/histograms?bins=12")["items"]:
            samples = {k: np.array(v) for k, v in item["samples"].items()}
            self.assertEqual((samples["model_error"].shape, samples["statistical_error"].shape), ((12,), (12,)))
            self.assertTrue((samples["model_error"] >= 0).all() and samples["model_error"].sum() > 0)
            np.testing.assert_array_equal(samples["errors"], samples["statistical_error"])
            full = samples["values"] > 20
            self.assertTrue((samples["model_error"][full] < 0.5 * samples["values"][full]).all())
            total = samples["values"].sum() + samples["under"] + samples["over"]
            self.assertAlmostEqual(total, sum(item["data"]["values"]) + item["data"]["under"] + item["data"]["over"],
                                   delta=1e-6)
        for item in wait_until(lambda: self.daemon.get("/v1/twins/single/histograms?bins=12")["items"]):
            self.assertIsNone(item["samples"]["model_error"])
            self.assertEqual(item["samples"]["errors"], item["samples"]["statistical_error"])


if __name__ == "__main__":
    unittest.main()

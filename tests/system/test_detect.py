"""What only a classifier can see: one column permuted among the events leaves every marginal as it was."""
import time
import unittest

import numpy as np

import toy
from daemon import Daemon
from feed import Feed


class DetectTest(unittest.TestCase):
    def test_correlation_is_named_by_the_classifier_alone(self):
        daemon = Daemon().start()
        self.addCleanup(daemon.stop)
        daemon.create({**toy.DEFINITION, "loop": {"window": 2000, "auto": False}})
        # The toy's correlation of eta with pt comes with its shift, so that is what the twin is trained on here.
        self.assertEqual(daemon.train("toy", toy.events(10000, 1, shift=0.5), "?epochs=2")["state"], "succeeded")
        rows = toy.events(4000, 2, shift=0.5)
        rows[:, 1] = np.random.default_rng(3).permutation(rows[:, 1])
        feed = Feed(daemon.ingest, "toy")
        self.addCleanup(feed.close)
        feed.push_all(toy.batches(rows, 500))
        end = time.monotonic() + 120
        while (twin := daemon.get("/v1/twins/toy"))["ingest"]["lag_batches"] or twin["activity"] != "idle":
            self.assertLess(time.monotonic(), end, twin)
            time.sleep(0.05)
        seen = daemon.get("/v1/twins/toy/iterations")["items"]
        alarms = [{s["name"] for s in i["statistics"] if s["verdict"] == "drift" and s["p_value"] is not None
                   and s["p_value"] <= s["threshold"]} for i in seen]
        self.assertEqual(alarms, [{"c2st"}, {"c2st"}])
        # auto is off: the loop says so and changes nothing
        self.assertEqual(twin["champion"]["version"], 1)
        self.assertEqual(twin["verdict"], "drifted")
        self.assertLessEqual({i["decision"] for i in seen}, {"advised", "drift"})

    def test_weights_below_zero_leave_out_what_needs_none(self):
        """The loop goes on, and says which tests did not judge the window and what helps."""
        daemon = Daemon().start()
        self.addCleanup(daemon.stop)
        chosen = ["c2st", "ks", "cvm", "chi2", "mmd"]
        daemon.create({**toy.DEFINITION, "loop": {"window": 2000, "auto": False, "detectors": chosen}})
        self.assertEqual(daemon.get("/v1/twins/toy")["definition"]["loop"]["detectors"], chosen)
        self.assertEqual(daemon.train("toy", toy.events(6000, 1), "?epochs=1")["state"], "succeeded")
        feed = Feed(daemon.ingest, "toy")
        self.addCleanup(feed.close)
        weights = np.where(np.arange(2000) % 10, 1, -1).astype(np.float32)
        self.assertEqual(feed.push(0, toy.events(2000, 2), weights=weights)[0], "ACK")
        self.assertEqual(feed.push(1, toy.events(2000, 3))[0], "ACK")
        end = time.monotonic() + 120
        while len(seen := daemon.get("/v1/twins/toy/iterations")["items"]) < 2:
            self.assertLess(time.monotonic(), end, seen)
            time.sleep(0.05)
        plain, signs = sorted(seen, key=lambda i: -i["iteration"])
        self.assertNotIn("left_out", plain["policy"])
        self.assertEqual([e["name"] for e in signs["policy"]["left_out"]], ["c2st", "ks", "cvm"])
        for entry in signs["policy"]["left_out"]:
            self.assertIn("2007.11586", entry["reason"])
        for iteration, left_out in (plain, []), (signs, ["c2st", "ks", "cvm"]):
            self.assertIs(iteration["drift"], False)
            drift = [s for s in iteration["statistics"] if s["verdict"] == "drift"]
            self.assertEqual(sorted({s["name"] for s in drift}), sorted([*chosen, "invalid_rows"]))
            for s in drift:
                self.assertTrue(s["p_value"] <= s["p_adjusted"] <= 1, s)
                if s["name"] != "invalid_rows":
                    self.assertEqual(s["p_value"] == 1, s["name"] in left_out, s)


if __name__ == "__main__":
    unittest.main(verbosity=2)

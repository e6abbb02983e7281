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


if __name__ == "__main__":
    unittest.main(verbosity=2)

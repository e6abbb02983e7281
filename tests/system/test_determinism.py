"""Equal inputs with equal kernels give equal bits: with one worker or two, and after a kill in the middle of a retune."""
import time
import unittest

import toy
from daemon import Daemon
from feed import Feed

BATCHES = [batch for seed, n, shift in ((21, 2000, 0), (22, 5000, 0.7), (23, 2000, 0))
           for batch in toy.batches(toy.events(n, seed=seed, shift=shift), 250)]
DEFINITION = {**toy.DEFINITION, "loop": {**toy.DEFINITION["loop"], "replay": 0.2}}


def history(threads, kill):
    """SHA-256 of every version after the same train rows and batches."""
    daemon = Daemon(arguments=["--threads", str(threads)])
    daemon.start()
    try:
        daemon.create(DEFINITION)
        assert daemon.train("toy", toy.events(6000, seed=20), "?seed=5")["state"] == "succeeded"
        feed = Feed(daemon.ingest, "toy")
        feed.push_all(BATCHES, window=1)
        feed.close()
        kills = 0
        end = time.monotonic() + 240
        while time.monotonic() < end:
            twin = daemon.get("/v1/twins/toy")
            if kill and kills < 3 and twin["activity"] == "retuning":
                daemon.kill()
                daemon.start()
                kills += 1
                time.sleep(0.15)
                continue
            if twin["ingest"]["lag_batches"] == 0 and twin["activity"] == "idle":
                break
            time.sleep(0.01)
        versions = daemon.get("/v1/twins/toy/versions")["items"]
        rows = daemon.get("/v1/twins/toy/iterations")["items"]
        for row in rows:
            row.pop("time")
            row["policy"].pop("operation", None)
        return sorted((v["version"], v["sha256"], v["reason"]) for v in versions), rows, kills
    finally:
        daemon.stop()


class DeterminismTest(unittest.TestCase):
    def test_same_bits(self):
        one, rows_one, _ = history(threads=1, kill=False)
        two, rows_two, kills = history(threads=2, kill=True)
        self.assertGreater(len(one), 1)
        self.assertGreater(kills, 0)
        self.assertEqual(one, two)
        # physics that returned was met by a version of the past
        self.assertTrue({"recalled", "rolled_back"} & {r["decision"] for r in rows_one}, rows_one)
        self.assertEqual(rows_one, rows_two)


if __name__ == "__main__":
    unittest.main(verbosity=2)

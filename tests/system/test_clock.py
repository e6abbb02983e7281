"""The wall clock steps, while the daemon runs and between two runs: an hour back, a year forward, to 1970."""
import os
import struct
import tempfile
import time
import unittest

import toy
from daemon import Daemon
from feed import Feed

YEAR = 365 * 86400
BATCH = 250


@unittest.skipIf("address" in os.environ.get("TWIN_SANITIZED", ""), "nothing may be preloaded before the sanitizer")
class ClockTest(unittest.TestCase):
    def setUp(self):
        handle, self.offset = tempfile.mkstemp(prefix="twin-test-clock-")
        os.close(handle)
        self.addCleanup(os.unlink, self.offset)
        self.step(0)
        self.daemon = Daemon(arguments=["--iteration-days", "0"],  # those of 1970 are old indeed
                             environment={"LD_PRELOAD": os.environ["CLOCK_SHIM"], "CLOCK_OFFSET": self.offset})
        self.addCleanup(self.daemon.stop)
        self.daemon.start()
        self.sent = 0

    def step(self, seconds):
        with open(self.offset, "r+b") as file:
            file.write(struct.pack("=q", int(seconds)))

    def push_window(self):
        feed = Feed(self.daemon.ingest, "toy")
        feed.push_all([toy.events(BATCH, seed=[2, n]) for n in range(self.sent, self.sent + 4)], first=self.sent)
        feed.close()
        self.sent += 4
        for _ in range(600):
            twin = self.daemon.get("/v1/twins/toy")
            if twin["ingest"]["lag_batches"] == 0 and twin["activity"] in ("idle", "held"):
                return twin
            time.sleep(0.05)
        raise AssertionError(f"not settled: {twin}")

    def move_reference(self, version):
        alias = self.daemon.request("GET", "/v1/twins/toy/aliases/reference")
        answer = self.daemon.request("PUT", "/v1/twins/toy/aliases/reference", {"version": version, "reason": "test"},
                                     headers={"If-Match": alias.headers["ETag"]})
        self.assertEqual(answer.status, 200, answer.body)

    def work(self):
        """A window, a retune and a move; then all that there was is still there."""
        twin = self.push_window()
        self.assertIn(twin["verdict"], ("true", "drifted"))
        answer = self.daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "weights"})
        row = self.daemon.wait(answer.json()["id"])
        self.assertEqual(row["state"], "succeeded", row)
        versions = self.daemon.get("/v1/twins/toy/versions")["items"]
        self.move_reference(versions[0]["version"])
        for version in versions:
            artifact = self.daemon.request("GET", f"/v1/twins/toy/versions/{version['version']}/artifact")
            self.assertEqual(artifact.status, 200)

    def test_steps(self):
        self.daemon.create(toy.DEFINITION)
        self.assertEqual(self.daemon.train("toy", toy.events(4000, seed=1))["state"], "succeeded")
        self.work()
        for seconds in (-3600, YEAR, 0, 60 - time.time()):
            self.step(seconds)
            # data were heard of just now, whatever the clock says
            self.assertIn(self.daemon.get("/v1/twins/toy")["verdict"], ("true", "drifted", "unknown"))
            self.assertNotEqual(self.daemon.get("/v1/twins/toy").get("verdict_reason"), "silence")
            self.work()
            shown = self.daemon.get("/v1/twins/toy/batches?limit=1000")["items"][-1]["received"]
            year = time.gmtime(time.time() + seconds).tm_year
            self.assertEqual(int(shown[:4]), year, "the shim does not move the daemon's clock")
            self.assertEqual(self.daemon.restart(), 0)
            self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["batches"], self.sent)
        for seconds in (YEAR, -3600):  # between two runs
            self.assertEqual(self.daemon.end(), 0)
            self.step(seconds)
            self.daemon.start()
            self.work()
        for alias in ("champion", "reference"):
            moves = self.daemon.get(f"/v1/twins/toy/history?alias={alias}&limit=1000")["items"]
            times = [m["from"] for m in sorted(moves, key=lambda m: m["move"])]
            self.assertEqual(times, sorted(times))
        rows = self.daemon.get("/v1/twins/toy/iterations?limit=1000")["items"]
        self.assertEqual(sorted(r["iteration"] for r in rows), list(range(1, self.sent // 4 + 1)))
        self.assertTrue(all(r["decision"] != "skipped" for r in rows))


if __name__ == "__main__":
    unittest.main(verbosity=2)

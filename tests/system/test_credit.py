"""The loop cannot keep up and the spool's limit is reached: feeds are held back, told so, and told when to go on. Nothing
is lost."""
import subprocess
import tempfile
import unittest

import numpy as np

import toy
from daemon import Daemon, program
from feed import Feed
from test_loop import iterations, settled, wait_until

BATCHES, ROWS = 120, 1000  # of 16 kB: two spools full


class CreditTest(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon(arguments=["--spool-mb", "1", "--segment-mb", "1"])
        self.daemon.start()
        self.addCleanup(self.daemon.stop)
        self.daemon.create({**toy.DEFINITION, "loop": {"window": 1000, "detectors": ["ks"]}})

    def troubles(self):
        return [c["name"] for c in self.daemon.get("/readyz?verbose")["checks"] if "level" in c]

    def test_feeds_wait_for_the_loop(self):
        """Until the twin is trained, no window is compared."""
        feed = Feed(self.daemon.ingest, "toy", feed="wire")
        self.addCleanup(feed.close)
        self.assertGreater(feed.hello()[1]["credit_bytes"], 0)
        with tempfile.NamedTemporaryFile(suffix=".npy") as file:
            np.save(file, toy.events(BATCHES * ROWS, seed=3))
            file.flush()
            ctl = subprocess.Popen([program("TWINCTL", "client/twinctl"), "feed", "toy", file.name, "--batch", str(ROWS),
                                    "--ingest", self.daemon.ingest, "--url", self.daemon.url],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(ctl.wait)
            self.addCleanup(ctl.kill)
            wait_until(lambda: "feeds_wait" in self.troubles())
            tag, body = feed.push(0, toy.events(ROWS, seed=4))
            self.assertEqual((tag, body["code"]), ("NACK", "no_credit"))
            self.assertIn("compared", body["detail"])
            self.assertEqual(feed.hello()[1]["credit_bytes"], 0)
            answer = self.daemon.request("POST", "/v1/twins/toy/batches?feed=http&run=1&seq=0", toy.events(10, seed=5))
            self.assertEqual((answer.status, answer.json()["error"]), (429, "no_credit"))
            held = self.daemon.get("/v1/twins/toy")["ingest"]["batches"]
            self.assertTrue(50 < held < BATCHES, held)
            self.assertIsNone(ctl.poll())

            self.assertEqual(self.daemon.train("toy", toy.events(3000, seed=1))["state"], "succeeded")
            while True:
                reply = feed.receive(120)
                self.assertIsNotNone(reply, "no CREDIT")
                if reply[0] == "CREDIT" and reply[1]["credit_bytes"] > 0:
                    break
            out, err = ctl.communicate(timeout=180)
            self.assertEqual(ctl.returncode, 0, err)
        self.assertIn(f"{BATCHES} batches", out + err)
        wait_until(lambda: feed.push(0, toy.events(ROWS, seed=4))[0] == "ACK")
        wait_until(lambda: settled(self.daemon, BATCHES + 1))
        wait_until(lambda: "feeds_wait" not in self.troubles())
        self.assertEqual(len(iterations(self.daemon)), BATCHES + 1)
        twin = self.daemon.get("/v1/twins/toy")["ingest"]
        self.assertEqual((twin["batches"], twin["gaps"], twin["windows_skipped"]), (BATCHES + 1, 0, 0))

    def test_an_incomplete_window_is_no_reason(self):
        """Only more data can complete it, however small the spool."""
        self.daemon.request("PATCH", "/v1/twins/toy", {"loop": {"window": 1000000}})
        feed = Feed(self.daemon.ingest, "toy")
        self.addCleanup(feed.close)
        feed.push_all(toy.batches(toy.events(100 * ROWS, seed=6), ROWS))


if __name__ == "__main__":
    unittest.main()

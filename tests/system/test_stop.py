"""SIGTERM ends the daemon within its time in any state, and nothing that was acked is lost by it. end() waits for at most
ten seconds: a supervisor waits for thirty."""
import http.client
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

import toy
from daemon import Daemon, program
from feed import Feed

WITHIN = 40 if os.environ.get("TWIN_SANITIZED") else 10


class StopTest(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.daemon.stop)
        self.daemon.start()

    def train(self, **loop):
        self.daemon.create({**toy.DEFINITION, "loop": {**toy.DEFINITION["loop"], **loop}})
        self.assertEqual(self.daemon.train("toy", toy.events(4000, seed=1))["state"], "succeeded")

    def push(self, batches, size):
        feed = Feed(self.daemon.ingest, "toy")
        feed.hello()
        feed.push_all([toy.events(size, seed=n) for n in range(batches)])
        feed.close()

    def wait_activity(self, wanted):
        for _ in range(600):
            if self.daemon.get("/v1/twins/toy")["activity"] == wanted:
                return
            time.sleep(0.02)
        raise AssertionError("never " + wanted)

    def test_no_thread_dies_of_a_signal(self):
        """Threads of libraries, older than main, block nothing: a signal that reaches one must not have its default."""
        with open(f"/proc/{self.daemon.process.pid}/status") as status:
            caught = int(re.search(r"SigCgt:\s+(\w+)", status.read()).group(1), 16)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self.assertTrue(caught >> (number - 1) & 1, number)

    def test_training(self):
        self.daemon.create(toy.DEFINITION)
        answer = self.daemon.request("POST", "/v1/twins/toy/train?epochs=1000", toy.events(100000, seed=1))
        self.assertEqual(answer.status, 202)
        while self.daemon.get(f"/v1/operations/{answer.json()['id']}")["state"] == "queued":
            time.sleep(0.02)
        self.assertEqual(self.daemon.end(timeout_s=WITHIN), 0)
        self.daemon.start()
        row = self.daemon.get(f"/v1/operations/{answer.json()['id']}")
        self.assertIn(row["state"], ("queued", "running"))
        self.assertEqual(self.daemon.end(timeout_s=WITHIN), 0)

    def test_comparing_a_large_window(self):
        rows = 100000 if os.environ.get("TWIN_SANITIZED") else 1000000
        self.train(window=rows)
        self.push(10, rows // 10)
        self.wait_activity("comparing")
        time.sleep(0.5)
        self.assertEqual(self.daemon.end(timeout_s=WITHIN), 0)
        self.daemon.start()
        self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["batches"], 10)
        self.assertEqual(self.daemon.end(timeout_s=WITHIN), 0)

    def test_starting(self):
        """While the spool is read again, as no row is left."""
        self.train(window=10**6, auto=False)
        self.push(150, 3000)
        self.assertEqual(self.daemon.end(timeout_s=WITHIN), 0)
        # the twin is there again by its twin.json once the file is found damaged
        with open(os.path.join(self.daemon.state, "state", "twin.db"), "wb") as file:
            file.write(bytes(range(256)) * 16)
        process = subprocess.Popen([program("TWIND", "daemon/twind"), "--state", os.path.join(self.daemon.state, "state"),
                                    "--http", "127.0.0.1:0", "--ingest", "tcp://127.0.0.1:*", "--publish",
                                    "tcp://127.0.0.1:*"], stderr=subprocess.PIPE)
        process.stderr.readline()
        process.terminate()
        self.assertEqual(process.wait(WITHIN), 0)
        process.stderr.close()
        self.daemon.start()
        self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["batches"], 150)

    def test_open_doors(self):
        """Long polls, event streams, a reader that does not read, a request that is never finished, and a feed."""
        self.train()
        port = self.daemon.port
        held = []
        for path in ["/v1/events", "/v1/operations/1?wait=60", "/v1/twins/toy/sample?n=1000000"] * 3:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", path)
            held.append(connection)
        half = socket.create_connection(("127.0.0.1", port))
        half.sendall(b"POST /v1/twins/toy/log_prob HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n[")
        stop = threading.Event()
        acked = []

        def feed_on():
            feed = Feed(self.daemon.ingest, "toy")
            for seq in range(100000):
                if stop.is_set():
                    break
                try:
                    feed.push(seq, toy.events(200, seed=seq), timeout_s=1)
                    acked.append(seq)
                except TimeoutError:
                    break
            feed.close()
        feeder = threading.Thread(target=feed_on)
        feeder.start()
        time.sleep(0.5)
        self.assertEqual(self.daemon.end(timeout_s=WITHIN), 0)
        stop.set()
        feeder.join()
        for connection in held:
            connection.close()
        half.close()
        self.assertGreater(len(acked), 0)
        self.daemon.start()
        self.assertGreaterEqual(self.daemon.get("/v1/twins/toy")["ingest"]["batches"], len(acked))


if __name__ == "__main__":
    unittest.main(verbosity=2)

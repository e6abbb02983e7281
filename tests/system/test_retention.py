"""Small limits: disk use reaches a plateau, and what was removed is still known by what it left."""
import contextlib
import os
import pathlib
import time
import unittest

import numpy as np

import toy
from daemon import Daemon
from feed import Feed

LIMITS = ["--spool-mb", "1", "--iterations", "7", "--versions", "1", "--history", "3"]
BATCHES = 160  # of 1000 rows, 16 KB


class Retention(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(arguments=LIMITS)
        cls.daemon.start()
        # windows beyond the second that waits are skipped: an iteration each, and no work
        cls.daemon.create({**toy.DEFINITION, "loop": {"window": 1000, "max_lag_windows": 1, "auto": False}})
        cls.daemon.train("toy", toy.events(3000, seed=1), "?epochs=2")
        cls.rows = toy.events(1000, seed=2)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def spool_bytes(self):
        found = 0
        for segment in pathlib.Path(self.daemon.state, "state", "spool").rglob("*.seg"):
            with contextlib.suppress(FileNotFoundError):  # removed since it was listed
                found += segment.stat().st_size
        return found

    def eventually(self, what, condition, timeout_s=90):
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                self.fail(f"{what}: {self.daemon.log()[-2000:]}")
            time.sleep(0.2)

    def settled(self):
        twin = self.daemon.get("/v1/twins/toy")
        return twin["ingest"]["lag_batches"] == 0 and twin["last_iteration"] is not None

    def items(self, path):
        return self.daemon.get(f"/v1/twins/toy/{path}")["items"]

    def push(self, first, count):
        feed = Feed(self.daemon.ingest, "toy")
        feed.push_all([self.rows] * count, first=first, timeout_s=60)
        feed.close()

    def test_1_the_spool_and_the_rows_reach_a_plateau(self):
        sizes = []
        for round in range(2):
            self.push(round * BATCHES, BATCHES)
            self.eventually("the loop", self.settled)
            self.eventually("the spool", lambda: self.spool_bytes() < 1.3 * 2**20)
            first = -1 if round == 0 else sizes[0][1]
            self.eventually("rows of batches", lambda: self.items("batches?limit=1")[0]["ordinal"] > first)
            self.eventually("iterations", lambda: len(self.items("iterations?limit=1000")) == 7)
            sizes.append((self.spool_bytes(), self.items("batches?limit=1")[0]["ordinal"]))
        self.assertLess(sizes[1][0], 1.3 * 2**20)
        numbers = [i["iteration"] for i in self.items("iterations")]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] - 7, -1)))
        self.assertGreater(numbers[0], 100)
        self.assertEqual(self.daemon.request("GET", "/v1/twins/toy/histograms").status, 200)

    def check_memory_of_feeds(self):
        ingest = self.daemon.get("/v1/twins/toy")["ingest"]
        self.assertEqual((ingest["batches"], ingest["events"], ingest["gaps"]), (2 * BATCHES, 2000 * BATCHES, 0))
        entry, = self.items("feeds")
        self.assertEqual((entry["last_durable_seq"], entry["batches"]), (2 * BATCHES - 1, 2 * BATCHES))
        feed = Feed(self.daemon.ingest, "toy")
        self.assertEqual(feed.hello()[1]["last_durable_seq"], 2 * BATCHES - 1)
        self.assertEqual(feed.push(0, self.rows)[0], "ACK")  # its row is gone, its key is not
        self.assertEqual(feed.push(1, self.rows[:7])[0], "ACK")  # nor can the content be compared any more
        self.assertEqual(feed.push(2 * BATCHES - 1, self.rows)[0], "ACK")
        self.assertEqual(feed.push(2 * BATCHES - 1, self.rows[:7])[1]["code"], "conflict")
        feed.close()
        answer = self.daemon.request("POST", "/v1/twins/toy/batches?feed=daq1&run=1&seq=2", self.rows)
        self.assertEqual((answer.status, answer.json()["duplicate"], answer.json()["ordinal"]), (200, True, None))
        after = self.daemon.get("/v1/twins/toy")["ingest"]
        self.assertEqual((after["batches"], after["duplicates"]), (2 * BATCHES, ingest["duplicates"] + 4))

    def test_2_keys_survive_their_batches(self):
        self.check_memory_of_feeds()
        self.daemon.kill()
        self.daemon.start()
        self.check_memory_of_feeds()
        self.assertEqual(self.daemon.restart(), 0)
        self.check_memory_of_feeds()
        self.assertNotIn("event=spool_scanned", self.daemon.log().split("event=stopped")[-1])

    def test_3_what_has_left_the_spool_cannot_be_trained_on(self):
        answer = self.daemon.request("POST", "/v1/twins/toy/retunes",
                                     {"kind": "weights", "ordinals": {"first": 5, "last": 6}})
        self.assertEqual(answer.status, 202)
        operation = self.daemon.wait(answer.json()["id"])
        self.assertEqual(operation["state"], "failed")
        self.assertIn("left the spool", operation["error"]["detail"])

    def test_4_versions_that_nobody_names_go(self):
        for seed in range(3):
            answer = self.daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "weights", "events": 3000, "seed": seed})
            self.assertEqual(self.daemon.wait(answer.json()["id"])["state"], "succeeded")
        moves = {m["version"] for m in self.items("history")}
        wanted = sorted({1, 4} | moves)
        self.eventually("versions", lambda: sorted(v["version"] for v in self.items("versions")) == wanted)
        for version in wanted:
            self.assertEqual(self.daemon.request("GET", f"/v1/twins/toy/versions/{version}/artifact").status, 200)
        self.assertEqual(self.daemon.restart(), 0)
        self.assertEqual(self.daemon.get("/v1/twins/toy")["champion"]["version"],
                         self.daemon.get("/v1/twins/toy/aliases/champion")["version"])

    def test_5_history_keeps_the_newest_moves(self):
        versions = sorted(v["version"] for v in self.items("versions"))[-2:]
        for i in range(6):
            tag = self.daemon.request("GET", "/v1/twins/toy/aliases/champion").headers["ETag"]
            answer = self.daemon.request("PUT", "/v1/twins/toy/aliases/champion",
                                         {"version": versions[i % 2], "reason": f"move {i}"}, headers={"If-Match": tag})
            self.assertEqual(answer.status, 200, answer.body)
        self.eventually("moves", lambda: len(self.items("history?alias=champion")) == 3)
        self.assertEqual([m["reason"] for m in self.items("history?alias=champion")], ["move 5", "move 4", "move 3"])
        self.assertEqual(self.daemon.get("/v1/twins/toy/aliases/champion")["version"], versions[1])


if __name__ == "__main__":
    unittest.main(verbosity=2)

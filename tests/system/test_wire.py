"""The wire: acks, duplicates, conflicts, gaps, announcements, and everything that a feed can get wrong."""
import json
import time
import unittest

import numpy as np
import zmq

import toy
from daemon import Daemon
from feed import Feed, npy
from test_ops import twinctl

COLUMNS = [f["name"] for f in toy.DEFINITION["features"]]


class WithDaemon(unittest.TestCase):
    """One daemon a class with an untrained twin, which keeps what it is sent."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.daemon.create(toy.DEFINITION)

    def feed(self, name, run=1, twin="toy"):
        feed = Feed(self.daemon.ingest, twin, name, run)
        self.addCleanup(feed.close)
        return feed

    def counts(self):
        return self.daemon.get("/v1/twins/toy")["ingest"]

    def gained(self, before, **wanted):
        now = self.counts()
        self.assertEqual({k: now[k] - before[k] for k in wanted}, wanted)

    def acked(self, reply, seq):
        self.assertEqual((reply[0], reply[1].get("seq")), ("ACK", seq), reply)

    def nacked(self, reply, code, **key):
        self.assertIsNotNone(reply, "no answer")
        self.assertEqual((reply[0], reply[1].get("code")), ("NACK", code), reply)
        self.assertTrue(reply[1]["detail"])
        self.assertEqual({k: reply[1].get(k) for k in key}, key)


class Batches(WithDaemon):
    def test_hello(self):
        tag, body = self.feed("hello").hello()
        self.assertEqual(tag, "WELCOME")
        self.assertEqual({k: body[k] for k in ("twin", "feed", "run", "last_durable_seq")},
                         {"twin": "toy", "feed": "hello", "run": 1, "last_durable_seq": -1})
        self.assertGreater(body["credit_bytes"], 0)
        self.assertGreater(body["max_bytes"], 0)

    def test_the_same_again_counts_once(self):
        feed, rows, before = self.feed("again"), toy.events(50, 1), self.counts()
        self.assertEqual(feed.push(0, rows), ("ACK", {"twin": "toy", "feed": "again", "run": 1, "seq": 0}))
        self.acked(feed.push(0, rows), 0)
        self.acked(feed.push(0, rows, time="2026-01-02T03:04:05Z"), 0)
        self.gained(before, batches=1, events=50, duplicates=2, gaps=0)
        for other in ({"rows": toy.events(50, 2)}, {"rows": rows, "columns": COLUMNS[::-1]},
                      {"rows": rows, "weights": np.ones(50)}):
            self.nacked(feed.push(0, **other), "conflict", twin="toy", feed="again", run=1, seq=0)
        self.gained(before, batches=1, events=50)

    def test_gaps_heal(self):
        feed, before = self.feed("gaps"), self.counts()
        for seq in (0, 1, 4):
            self.acked(feed.push(seq, toy.events(20, [7, seq])), seq)
        self.gained(before, batches=3, gaps=2)
        self.assertEqual(feed.hello()[1]["last_durable_seq"], 1)
        for seq in (3, 2):
            self.acked(feed.push(seq, toy.events(20, [7, seq])), seq)
        self.gained(before, batches=5, gaps=0)
        self.assertEqual(feed.hello()[1]["last_durable_seq"], 4)

    def test_feeds_and_runs_count_apart(self):
        rows, before = toy.events(20, 3), self.counts()
        for name, run in (("left", 1), ("left", 2), ("right", 1)):
            self.acked(self.feed(name, run).push(0, rows), 0)
        self.gained(before, batches=3, duplicates=0)
        mine = {(f["feed"], f["run"]): f["batches"] for f in self.daemon.get("/v1/twins/toy/feeds")["items"]
                if f["feed"] in ("left", "right")}
        self.assertEqual(mine, {("left", 1): 1, ("left", 2): 1, ("right", 1): 1})
        listed = [b for b in self.daemon.get("/v1/twins/toy/batches?limit=1000")["items"]
                  if b["feed"] in ("left", "right")]
        self.assertEqual(len({(b["feed"], b["run"], b["seq"], b["ordinal"]) for b in listed}), 3)

    def test_bad_rows_are_counted(self):
        rows, before = toy.events(10, 4), self.counts()
        rows[0, 0], rows[1, 1], rows[2, 2], rows[3, 0], rows[4, 3] = np.nan, np.inf, -np.inf, 20, 1.5
        self.acked(self.feed("bad").push(0, rows), 0)
        self.gained(before, batches=1, events=10, invalid_rows=5)

    def test_feeds_that_send_nothing_of_use(self):
        """What is acknowledged and of no use is said, with the column and its rule, until something of use comes."""
        feed, rows = self.feed("odd"), toy.events(10, 4)
        rows[:, 0] = 3.5
        rows[0, 1] = np.nan
        for seq in (0, 1):
            self.acked(feed.push(seq, rows), seq)
        words = "no row of the last 2 batches of feed odd, run 1, is valid: pt is not above min = 20: 3.5"
        found = {"feed": "odd", "run": 1, "batches": 2, "rows": 20, "column": "pt",
                 "rule": "is not above min = 20: 3.5", "words": words}
        self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["all_invalid"], [found])
        self.assertEqual(self.daemon.get("/v1/twins/toy/feeds?feed=odd")["items"][0]["all_invalid"], found)
        self.assertIn(words, self.daemon.get("/v1/twins/toy/drift")["summary"])
        [warning] = [i for i in self.daemon.get("/v1/doctor")["items"] if i["name"] == "invalid_rows"]
        self.assertEqual((warning["level"], warning["detail"]), ("warning", "toy: " + words))
        for words_of in ("status", "toy"), ("status",):
            shown = twinctl(self.daemon, *words_of)
            self.assertIn("toy: " + words, shown.stderr)
            self.assertIn("not trained yet: twinctl train toy FILE", shown.stderr)
            self.assertIn("untrained", shown.stdout)
        self.acked(feed.push(2, toy.events(10, 5)), 2)
        self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["all_invalid"], [])

    def test_float64_and_columns_in_another_order(self):
        rows = np.ascontiguousarray(toy.events(20, 5)[:, ::-1], np.float64)
        before = self.counts()
        self.acked(self.feed("wide").push(0, rows, columns=COLUMNS[::-1], weights=np.ones(20, np.float32)), 0)
        self.gained(before, batches=1, invalid_rows=0)


class Junk(WithDaemon):
    header = {"twin": "toy", "feed": "junk", "run": 1, "seq": 0}

    def say(self, feed, *frames):
        feed.socket.send_multipart([f if isinstance(f, bytes) else json.dumps(f).encode() for f in frames])
        return feed.receive(20)

    def test_frames(self):
        feed, payload, before = self.feed("junk"), npy(toy.events(10, 1)), self.counts()
        self.nacked(self.say(feed, b"NOPE", self.header), "bad_frame")
        self.nacked(self.say(feed, b"TWB1", self.header), "bad_frame")
        self.nacked(self.say(feed, b"TWB1", self.header, payload, payload, payload), "bad_frame")
        self.gained(before, batches=0, duplicates=0)

    def test_headers(self):
        feed, payload, before = self.feed("junk"), npy(toy.events(10, 1)), self.counts()
        changes = [{"seq": None}, {"seq": -1}, {"seq": "0"}, {"seq": 1.5}, {"run": -1}, {"feed": "Bad Name"},
                   {"feed": ""}, {"colour": "red"}, {"time": "now"}, {"stream": "river"}, {"columns": "pt"},
                   {"conditions": [1]}]
        headers = [{k: v for k, v in {**self.header, **c}.items() if v is not None} for c in changes]
        for header in headers + [b"{", b"[1]", b"", b"\xff\xfe", b"[" * 100000, b'{"seq": 0, "seq": 1}']:
            with self.subTest(header=str(header)[:60]):
                self.nacked(self.say(feed, b"TWB1", header, payload), "bad_header")
        self.gained(before, batches=0, duplicates=0)

    def test_payloads(self):
        feed, rows, before = self.feed("junk"), toy.events(10, 1), self.counts()
        whole = npy(rows)
        for code, payload in (("bad_payload", b"not numpy"), ("bad_payload", b""), ("bad_payload", whole[:-3]),
                              ("bad_payload", whole + b"x"), ("bad_payload", npy(rows.astype(np.int32))),
                              ("bad_payload", npy(np.array([["a"]]))), ("bad_shape", npy(rows[:, :2])),
                              ("bad_shape", npy(rows[:, 0])), ("bad_shape", npy(rows[:0]))):
            with self.subTest(payload=payload[:90]):
                self.nacked(self.say(feed, b"TWB1", self.header, payload), code)
        self.nacked(feed.push(0, rows, weights=np.ones(9)), "bad_shape")
        self.nacked(feed.push(0, rows, columns=COLUMNS[:-1] + ["other"]), "unknown_column")
        self.nacked(feed.push(0, rows, conditions={"theta": 1.0}), "unknown_column")
        self.gained(before, batches=0, duplicates=0)

    def test_unknown_twin(self):
        feed = self.feed("junk", twin="nobody")
        self.nacked(feed.push(3, toy.events(10, 1)), "unknown_twin", twin="nobody", seq=3)
        self.nacked(feed.hello(), "unknown_twin")

    def test_broken_and_random_messages(self):
        feed, rng = self.feed("broken"), np.random.default_rng(3)
        whole = [b"TWB1", json.dumps(self.header).encode(), npy(toy.events(10, 1))]
        for i in range(200):
            frames, at = list(whole), int(rng.integers(3))
            data = bytearray(frames[at])
            for _ in range(int(rng.integers(1, 6))):
                data[int(rng.integers(len(data)))] = int(rng.integers(256))
            frames[at] = bytes(data[:int(rng.integers(len(data) + 1))] if i % 2 else data)
            feed.socket.send_multipart(frames)
            self.assertIsNotNone(feed.receive(20), "no answer")
            feed.socket.send_multipart([rng.bytes(int(rng.integers(0, 40))) for _ in range(int(rng.integers(1, 6)))])
            self.assertIsNotNone(feed.receive(20), "no answer")
        self.acked(self.feed("good").push(7, toy.events(10, 2)), 7)


class Announcements(WithDaemon):
    def test_listeners_hear_of_a_training(self):
        socket = zmq.Context.instance().socket(zmq.SUB)
        self.addCleanup(socket.close, 0)
        socket.setsockopt(zmq.SUBSCRIBE, b"twin/toy/")
        socket.connect(self.daemon.publish)
        time.sleep(0.5)  # a subscription travels by itself; what was said before it arrived is lost by design
        self.assertEqual(self.daemon.train("toy", toy.events(1500, 1), "?epochs=1")["state"], "succeeded")
        wanted = {f"twin/toy/{what}" for what in ("operation", "version", "alias")}
        heard = set()
        while not wanted <= heard and socket.poll(20000):
            topic, body = socket.recv_multipart()
            self.assertIsInstance(json.loads(body), dict)
            heard.add(topic.decode())
        self.assertLessEqual(wanted, heard)


del WithDaemon  # its cases are those of its subclasses

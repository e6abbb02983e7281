"""The sending end of the wire, step by step: no sockets, and time is what the test says."""
import json
import unittest

import numpy as np

from twin import BatchConflict, BatchRefused, _sender
from twin._sender import Sender
from twin.arrays import as_table

ROWS = as_table(np.zeros((10, 2), np.float32))


class SenderTest(unittest.TestCase):
    def setUp(self):
        self.sender = Sender("toy", "f", 1, None)
        self.now = 100.0
        self.sender.connected(self.now)

    def reply(self, tag, **body):
        self.sender.receive([tag.encode(), json.dumps({"twin": "toy", "feed": "f", "run": 1, **body}).encode()], self.now)

    def welcome(self, last=-1, credit=1 << 20, **more):
        self.reply("WELCOME", last_durable_seq=last, credit_bytes=credit, max_bytes=1 << 20, **more)

    def step(self, seconds=0.0):
        """What goes out: "hello" or sequence numbers."""
        self.now += seconds
        self.sender.tick(self.now)
        out = []
        for frames in self.sender.outgoing(self.now):
            out.append("hello" if frames[0] == b"TWH1" else json.loads(frames[1])["seq"])
        return out

    def add(self, *seqs):
        for seq in seqs:
            self.sender.add(seq, _sender.batch_frames(self.sender.key, seq, ROWS, None, None), self.now)

    def cost(self):
        return sum(map(len, _sender.batch_frames(self.sender.key, 0, ROWS, None, None)))

    def begin(self, **more):
        self.assertEqual(self.step(), ["hello"])
        self.welcome(**more)

    def test_hello_until_there_is_an_answer(self):
        self.add(0)
        self.assertEqual(self.step(), ["hello"])
        self.assertEqual(self.step(0.5), [])
        self.assertEqual(self.step(0.6), ["hello"])
        self.assertFalse(self.sender.welcomed)
        self.welcome()
        self.assertEqual(self.step(), [0])
        self.assertEqual(self.step(), [])

    def test_acknowledged_batches_are_forgotten(self):
        self.begin()
        self.add(0, 1)
        self.assertEqual(self.step(), [0, 1])
        self.reply("ACK", seq=1)
        self.reply("ACK", seq=1)
        self.assertEqual(self.sender.unacked(), [0])
        self.reply("ACK", seq=0)
        self.assertEqual(self.sender.progress, _sender.Progress(sent=2, acked=2, resent=0, in_flight=0))
        self.assertEqual(self.step(100), [])

    def test_a_connection_that_was_lost(self):
        """What is durable is settled by the WELCOME, the rest goes out again; before it, nothing of it does."""
        self.begin()
        self.add(0, 1, 2)
        self.step()
        self.sender.connected(self.now)
        self.assertEqual(self.step(), ["hello"])
        self.welcome(last=0)
        self.assertEqual(self.step(), [1, 2])
        self.assertEqual(self.sender.progress.resent, 2)

    def test_a_silence(self):
        self.begin()
        self.add(0)
        self.step()
        self.assertEqual(self.step(2.9), [])
        self.assertEqual(self.step(0.2), ["hello"])
        self.welcome()
        self.assertEqual(self.step(), [0])
        self.assertEqual(self.step(4), [], "patience doubles")
        self.assertEqual(self.step(2.1), ["hello"])

    def test_one_that_others_overtook(self):
        self.begin()
        self.add(0)
        self.step()
        for seq in range(1, 11):
            self.add(seq)
            self.step(2.8)
            self.reply("ACK", seq=seq)
        self.assertEqual(self.step(2.1), ["hello"])
        self.welcome()
        self.assertEqual(self.step(), [0])

    def test_credit(self):
        cost = self.cost()
        self.begin(credit=2 * cost)
        self.assertTrue(self.sender.has_room(cost))
        self.add(0, 1)
        self.assertFalse(self.sender.has_room(cost))
        self.assertEqual(self.step(), [0, 1])
        self.add(2)
        self.assertEqual(self.step(), [])
        self.reply("ACK", seq=0)
        self.assertEqual(self.step(), [2])
        self.reply("CREDIT", credit_bytes=0)
        for seq in (1, 2):
            self.reply("ACK", seq=seq)
        self.add(3)
        self.assertEqual(self.step(), [])
        self.assertEqual(self.step(2.5), ["hello"], "it asks again")
        self.welcome(last=2, credit=cost)
        self.assertEqual(self.step(), [3])

    def test_less_in_flight_than_the_credit(self):
        self.sender = Sender("toy", "f", 1, 2 * self.cost())
        self.sender.connected(self.now)
        self.begin()
        self.add(0)
        self.assertTrue(self.sender.has_room(self.cost()))
        self.add(1)
        self.assertFalse(self.sender.has_room(self.cost()))

    def test_not_now(self):
        """no_credit and full: the same batch a little later, and later each time."""
        self.begin()
        self.add(0, 1)
        self.step()
        self.reply("NACK", seq=0, code="no_credit", detail="wait")
        self.assertEqual(self.step(), [])
        self.assertEqual(self.step(0.06), [0])
        with self.assertLogs("twin", "WARNING") as logs:
            for _ in range(2):
                self.reply("NACK", seq=0, code="full", detail="the disk is full")
        self.assertEqual(len(logs.output), 1)
        self.assertEqual(self.step(0.15), [])
        self.assertEqual(self.step(0.1), [0])
        self.assertFalse(self.sender.problems)

    def test_refusals(self):
        self.begin(last=4)
        self.add(5, 6, 0)
        self.step()
        self.reply("NACK", seq=5, code="bad_shape", detail="3 columns")
        self.reply("NACK", seq=0, code="conflict", detail="other")
        for _ in range(2):
            self.reply("NACK", code="unknown_twin", detail="none")
        shape, conflict, twin = self.sender.problems
        self.assertEqual((type(shape), shape.code, shape.seq, shape.detail), (BatchRefused, "bad_shape", 5, "3 columns"))
        self.assertEqual((type(conflict), conflict.seq), (BatchConflict, 0))
        self.assertEqual((twin.code, twin.seq), ("unknown_twin", None))
        self.assertEqual(self.sender.unacked(), [6])

    def test_checks_wait_for_their_own_answer(self):
        """A WELCOME says nothing about the content of what was there before."""
        self.begin(last=9)
        self.add(9, 10)
        self.step()
        self.sender.connected(self.now)
        self.step()
        self.welcome(last=10)
        self.assertEqual(self.sender.unacked(), [9])

    def test_noise(self):
        self.begin()
        self.add(0)
        self.step()
        for frames in ([], [b"ACK"], [b"ACK", b"{"], [b"ACK", b"[]"], [b"ACK", b"{}"], [b"ACK", b'{"seq": "0"}'],
                       [b"ACK", b'{"seq": 7}'], [b"WHAT", b"{}"], [b"CREDIT", b"{}"],
                       [b"WELCOME", b'{"credit_bytes": null, "last_durable_seq": "x"}'], [b"NACK", b"[]"],
                       [b"ACK", b'{"seq": 0}', b""]):
            self.sender.receive(frames, self.now)
        self.assertEqual(self.sender.unacked(), [0])

    def test_too_large(self):
        self.begin()
        with self.assertRaisesRegex(ValueError, "fewer rows"):
            self.sender.add(0, [b"x" * (1 << 20), b"y"], self.now)
        self.assertEqual(self.sender.unacked(), [])

    def test_frames(self):
        table = as_table({"a": [1.0], "b": [2.0]}, weights=[0.5])
        frames = _sender.batch_frames({"twin": "t", "feed": "f", "run": 2}, 3, table, {"alpha": 1}, "2026-01-01T00:00:00Z")
        self.assertEqual(len(frames), 4)
        self.assertEqual(json.loads(frames[1]), {"twin": "t", "feed": "f", "run": 2, "seq": 3, "columns": ["a", "b"],
                                                 "conditions": {"alpha": 1.0}, "time": "2026-01-01T00:00:00Z"})


if __name__ == "__main__":
    unittest.main()

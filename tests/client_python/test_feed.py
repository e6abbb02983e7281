"""Feed and AsyncFeed against a real daemon: one that is killed, one that has no room, one that refuses."""
import asyncio
import subprocess
import sys
import threading
import time
import unittest
from unittest import mock

import numpy as np

import toy
import twin
from daemon import Daemon
from twin import AsyncFeed, Feed

BATCHES = 400


def batch(seq, salt=0):
    """No two are of one size, nor one content."""
    return toy.events(20 + seq, seed=1000 * salt + seq)


class WithDaemon(unittest.TestCase):
    arguments = ()

    def setUp(self):
        self.daemon = Daemon(arguments=self.arguments).start()
        self.addCleanup(self.daemon.stop)
        self.daemon.create({**toy.DEFINITION, "loop": {"window": 1000000}})

    def feed(self, kind=Feed, **more):
        return kind("toy", **{"feed": "f", "endpoint": self.daemon.ingest, **more})

    def stored(self, feed="f"):
        """What the daemon holds: {seq: events}; a batch that is there twice is a failure."""
        rows, cursor = [], ""
        while cursor is not None:
            page = self.daemon.get(f"/v1/twins/toy/batches?limit=1000{cursor and '&cursor='}{cursor}")
            rows += [row for row in page["items"] if row["feed"] == feed]
            cursor = page["next_cursor"]
        self.assertEqual(len({row["seq"] for row in rows}), len(rows))
        return {row["seq"]: row["events"] for row in rows}


class Kills(WithDaemon):
    """A daemon that is killed under a feed, three times, loses nothing and counts nothing twice."""

    def restarts(self, feed, times):
        """Kills the daemon each time that another so many batches were acknowledged."""
        self.daemon.arguments += ["--ingest", self.daemon.ingest, "--http", self.daemon.url.removeprefix("http://")]
        for kill in range(times):
            wanted = (kill + 1) * BATCHES // (times + 2)
            while feed.progress.acked < wanted:
                time.sleep(0.001)
            self.daemon.kill()
            self.daemon.start()

    def check(self):
        self.assertEqual(self.stored(), {seq: len(batch(seq)) for seq in range(BATCHES)})
        with self.feed() as again:  # what is there is what was sent: other content would be refused
            self.assertEqual(again.next_seq, BATCHES)
            for seq in range(0, BATCHES, 7):
                again.send(batch(seq), seq=seq)
            again.flush()

    def test_threads(self):
        feed = self.feed(in_flight=100_000)
        killer = threading.Thread(target=self.restarts, args=(feed, 3))
        killer.start()
        with feed:
            for seq in range(BATCHES):
                self.assertEqual(feed.send(batch(seq)), seq)
        killer.join()
        self.assertEqual((feed.progress.sent, feed.progress.acked, feed.progress.in_flight), (BATCHES, BATCHES, 0))
        self.check()

    def test_tiny_batches(self):
        """So many answers come that a connection is lost while one is being read: libzmq must not mind."""
        self.daemon.arguments += ["--ingest", self.daemon.ingest, "--http", self.daemon.url.removeprefix("http://")]
        over, rows = threading.Event(), toy.events(2, seed=1)
        feeds = [self.feed(feed=name, in_flight=1_000_000) for name in ("f", "g", "h")]

        def send(feed):
            with feed:
                while not over.is_set():
                    feed.send(rows)

        senders = [threading.Thread(target=send, args=(feed,)) for feed in feeds]
        for sender in senders:
            sender.start()
        for _ in range(3):
            time.sleep(0.25)
            self.daemon.kill()
            self.daemon.start()
        over.set()
        for sender in senders:
            sender.join()
        batches = sum(feed.progress.sent for feed in feeds)
        self.assertEqual(sum(feed.progress.acked for feed in feeds), batches)
        self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["batches"], batches)

    def test_asyncio(self):
        async def main():
            async with self.feed(AsyncFeed, in_flight=100_000) as feed:
                killer = asyncio.create_task(asyncio.to_thread(self.restarts, feed, 2))
                for seq in range(BATCHES):
                    self.assertEqual(await feed.send(batch(seq)), seq)
                await feed.flush()
                await killer
            return feed.progress
        progress = asyncio.run(main())
        self.assertEqual((progress.sent, progress.acked), (BATCHES, BATCHES))
        self.check()


class Sending(WithDaemon):
    def test_what_is_sent(self):
        rows = toy.events(50, seed=1)
        named = {name: rows[:, i] for i, name in enumerate(("pt", "eta", "phi", "x"))}
        with self.feed(run=3) as feed:
            self.assertEqual((feed.next_seq, feed.last_durable_seq), (0, -1))
            feed.send(rows)
            feed.send(dict(reversed(named.items())))
            feed.send(rows.astype(np.float64), weights=np.ones(50), time="2026-01-02T03:04:05Z")
            feed.send(rows[:, ::-1], columns=["x", "phi", "eta", "pt"])
            feed.send(rows, seq=9)
            self.assertEqual(feed.next_seq, 10)
            rows[:] = -1  # what was sent is a copy
        self.assertEqual(self.stored(), {seq: 50 for seq in (0, 1, 2, 3, 9)})
        self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["invalid_rows"], 0)
        with self.assertRaisesRegex(twin.TwinError, "closed"):
            feed.send(rows)

    def test_goes_on_where_it_was(self):
        with self.feed() as feed:
            for seq in range(5):
                feed.send(batch(seq))
        with self.feed() as feed:
            self.assertEqual((feed.next_seq, feed.last_durable_seq), (5, 4))

    def test_series(self):
        """The same program again goes on; other data in the same run are refused before anything new goes out."""
        def run(count, salt=0):
            with self.feed() as feed:
                return feed.send_all(batch(seq, salt) for seq in range(count))
        self.assertEqual(run(5).sent, 5)
        self.assertEqual(run(8).sent, 3 + 2)
        for salt in (1, 2):
            with self.assertRaises(twin.BatchConflict) as caught:
                run(20, salt)
        self.assertEqual((caught.exception.code, len(self.stored())), ("conflict", 8))

        async def asynchronously():
            async def slowly():
                for seq in range(10):
                    await asyncio.sleep(0)
                    yield batch(seq)
            async with self.feed(AsyncFeed) as feed:
                first = await feed.send_all(slowly())
                return first, await feed.send_all([batch(seq) for seq in range(3)])
        first, second = asyncio.run(asynchronously())
        self.assertEqual((first.sent, len(self.stored())), (2 + 2, 10))
        self.assertEqual(second.acked, second.sent)

    def test_refused(self):
        feed = self.feed()
        self.addCleanup(feed.close)
        feed.send(batch(0)[:, :3])
        with self.assertRaises(twin.BatchRefused) as caught:
            feed.flush()
        self.assertEqual((caught.exception.code, caught.exception.seq), ("bad_shape", 0))
        feed.send(batch(0), seq=np.int64(0))
        feed.send({"nonsense": [1.0]})
        with self.assertRaisesRegex(twin.BatchRefused, "unknown_column"):
            feed.flush()
        feed.flush()
        self.assertEqual(list(self.stored()), [0])
        with self.assertRaises(ValueError):
            feed.send(np.zeros(3))
        with self.assertRaisesRegex(ValueError, "at most"):
            feed.send(np.zeros((4_250_000, 4), np.float32))
        with self.assertRaisesRegex(ValueError, "at least one event"):
            feed.send(batch(0)[:0])
        self.assertEqual(feed.next_seq, 2)
        with mock.patch("os.getpid", lambda: -1), self.assertRaisesRegex(twin.TwinError, "process that opened it"):
            feed.send(batch(1))

    def test_asyncio_refused(self):
        async def main():
            async with self.feed(AsyncFeed) as feed:
                await feed.send(batch(0)[:, :3])
                with self.assertRaises(twin.BatchRefused):
                    await feed.flush()
                await feed.send(batch(0), seq=0)
            with self.assertRaisesRegex(twin.TwinError, "closed"):
                await feed.send(batch(1))
            with self.assertRaises(twin.BatchRefused):
                await AsyncFeed("none", endpoint=self.daemon.ingest).open()
            with self.assertRaises(twin.Unavailable):
                await AsyncFeed("toy", endpoint="tcp://127.0.0.1:9", timeout=0.2).open()
        asyncio.run(main())
        self.assertEqual(list(self.stored()), [0])

    def test_a_program_that_forgets_to_close(self):
        program = ("import toy, twin\n"
                   f"feed = twin.Feed('toy', feed='f', endpoint={self.daemon.ingest!r})\n"
                   "for seq in range(50):\n"
                   "    feed.send(toy.events(100, seed=seq))\n")
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
        self.assertEqual(len(self.stored()), 50)

    def test_nobody_there(self):
        with self.assertRaisesRegex(twin.BatchRefused, "unknown_twin"):
            Feed("none", endpoint=self.daemon.ingest)
        with self.assertRaises(twin.Unavailable):
            Feed("toy", endpoint="tcp://127.0.0.1:9", timeout=0.2)
        with self.assertRaises(ValueError):
            Feed("toy", endpoint="nowhere")

    def test_a_block_that_raises(self):
        """What ends it is what is seen; what was sent is delivered as far as it goes."""
        with self.assertRaisesRegex(KeyError, "mine"):
            with self.feed() as feed:
                feed.send(batch(0))
                raise KeyError("mine")
        self.assertEqual(list(self.stored()), [0])
        feed = self.feed()
        self.daemon.kill()
        feed.send(batch(1))
        with self.assertRaises(twin.Timeout):
            feed.close(0.2)
        self.assertEqual(feed.unacked, [1])
        self.daemon.start()


class Credit(WithDaemon):
    arguments = ("--spool-mb", "1", "--segment-mb", "1")

    def test_waits_for_room(self):
        """An untrained twin keeps a spool full, and no more until it is trained."""
        self.daemon.request("PATCH", "/v1/twins/toy", {"loop": {"window": 10000, "detectors": ["ks"]}})
        rows = toy.batches(toy.events(100_000, seed=3), 1000)
        with self.feed(in_flight=100_000) as feed:
            with self.assertRaises(twin.Timeout):
                for part in rows:
                    feed.send(part, timeout=0.5)
            sent = feed.progress.sent
            self.assertLess(feed.progress.acked, len(rows))
            client = twin.Client(self.daemon.url, token=self.daemon.token())
            self.addCleanup(client.close)
            client.twin("toy").train(toy.events(3000, seed=1), epochs=2).wait(60)
            for part in rows[sent:]:
                feed.send(part, timeout=60)
            feed.flush(60)
        self.assertEqual(feed.progress.acked, len(rows))
        self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["batches"], len(rows))


if __name__ == "__main__":
    unittest.main()

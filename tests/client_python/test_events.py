"""Iterating over what happens, across connections and lives of the daemon."""
import asyncio
import itertools
import threading
import unittest
from unittest import mock

import toy
import twin
from daemon import Daemon
from twin import events


class Lines(unittest.TestCase):
    def read(self, text, *kinds):
        state = events._State(None, kinds, None, None)
        return [e for e in map(state.line, text.split("\n")) if e], state

    def test_a_stream(self):
        text = ('retry: 2000\n\n: a comment\n\nid: 1-1\nevent: iteration\ndata: {"twin": "toy",\ndata: "n": 1}\n\n'
                'id: 1-2\nevent:alias\ndata:{"twin": "other"}\n\nevent: missed\ndata: {}\n\nevent: cut')
        seen, state = self.read(text)
        self.assertEqual(seen, [("iteration", "toy", {"twin": "toy", "n": 1}, "1-1"),
                                ("alias", "other", {"twin": "other"}, "1-2"), ("missed", None, {}, "1-2")])
        state.start()
        self.assertIsNone(state.line(""), "what was cut off is no event")
        self.assertEqual(state.arguments()["headers"]["Last-Event-ID"], "1-2")
        self.assertEqual([e.kind for e in self.read(text, "alias")[0]], ["alias", "missed"])
        with self.assertRaisesRegex(ValueError, "'aliases'; kinds are"):
            self.read(text, "aliases")


class WithDaemon(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon().start()
        self.addCleanup(self.daemon.stop)
        self.client = twin.Client(self.daemon.url, token=self.daemon.token())
        self.addCleanup(self.client.close)
        self.twin = self.client.create(toy.DEFINITION)

    def submit(self, seq):
        self.twin.submit(toy.events(1000, seed=seq), feed="f", run=1, seq=seq)

    def restart(self):
        self.daemon.arguments = ["--http", self.daemon.url.removeprefix("http://")]
        self.daemon.restart()

    @mock.patch.object(events, "RETRY", 0.05)
    def test_events(self):
        with self.client.events() as everything, self.twin.events("version", timeout=20) as versions:
            self.twin.train(toy.events(1000, seed=1), epochs=1).wait(60)
            version = next(versions)
            self.assertEqual((version.kind, version.twin, version.data["version"]), ("version", "toy", 1))
            seen = list(itertools.takewhile(lambda e: e.data.get("state") != "succeeded", everything))
            self.assertTrue({"operation", "alias"} <= {e.kind for e in seen}, seen)
            self.restart()
            self.assertEqual(next(versions).kind, "missed")
        with self.client.events(after=seen[0].id) as again:
            self.assertEqual(next(again).kind, "missed")
        self.assertEqual(list(self.twin.events(timeout=0.1, after="1-1"))[0].kind, "missed")
        with self.assertRaises(twin.NotFound):
            self.client.twin("none").events()
        with self.assertRaises(twin.Unavailable):
            twin.Twin("toy", url="http://127.0.0.1:9").events()

    @mock.patch.object(events, "RETRY", 0.05)
    def test_follow(self):
        """None is left out, and none comes twice, whatever happens to the daemon."""
        self.twin.train(toy.events(1000, seed=1), epochs=1).wait(60)
        self.submit(0)
        numbers = []

        def read():
            for iteration in self.twin.follow(after=0, timeout=30):
                numbers.append(iteration["iteration"])
                if len(numbers) == 4:
                    return

        reader = threading.Thread(target=read)
        reader.start()
        self.submit(1)
        self.restart()
        self.submit(2)
        self.submit(3)
        reader.join(60)
        self.assertEqual(numbers, [1, 2, 3, 4])
        self.assertEqual(list(self.twin.follow(timeout=0.1)), [])
        self.assertEqual([i["iteration"] for i in self.twin.follow(after=2, timeout=0.1)], [3, 4])

        async def asynchronously():
            async with twin.AsyncTwin("toy", url=self.daemon.url, token=self.daemon.token()) as other:
                async with other.events("iteration") as happened:
                    await other.submit(toy.events(1000, seed=9), feed="f", run=1, seq=4)
                    first = await anext(happened)
                return first, [i["iteration"] async for i in other.follow(after=3, timeout=0.1)]

        first, rest = asyncio.run(asynchronously())
        self.assertEqual((first.data["iteration"], rest), (5, [4, 5]))


if __name__ == "__main__":
    unittest.main()

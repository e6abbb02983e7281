"""The long form of test_feed's kills: a plain and an asyncio feed at once, and SIGKILL to the daemon N times.

Afterwards every batch that a feed took is there once, has the size that it had, and is sent again: the daemon refuses it
if its content is another.
"""
import asyncio
import random
import threading
import time

import toy
from daemon import Daemon
from twin import AsyncFeed, Feed

IN_FLIGHT = 300_000


class Campaign:
    def __init__(self):
        self.daemon = Daemon().start()
        self.daemon.create({**toy.DEFINITION, "loop": {"window": 1_000_000}})
        self.daemon.arguments = ["--ingest", self.daemon.ingest, "--http", self.daemon.url.removeprefix("http://")]
        self.stop = threading.Event()
        self.done = {}

    def batch(self, feed, seq):
        return toy.events(20 + seq % 500, seed=seq + (1_000_000 if feed == "asyncio" else 0))

    def send(self):
        with Feed("toy", feed="plain", endpoint=self.daemon.ingest, in_flight=IN_FLIGHT) as feed:
            while not self.stop.is_set():
                feed.send(self.batch("plain", feed.next_seq))
        self.done["plain"] = feed.progress

    async def send_asynchronously(self):
        async with AsyncFeed("toy", feed="asyncio", endpoint=self.daemon.ingest, in_flight=IN_FLIGHT) as feed:
            while not self.stop.is_set():
                await feed.send(self.batch("asyncio", feed.next_seq))
        self.done["asyncio"] = feed.progress

    def stored(self):
        rows, cursor = [], ""
        while cursor is not None:
            page = self.daemon.get(f"/v1/twins/toy/batches?limit=1000{cursor and '&cursor='}{cursor}")
            rows += [(row["feed"], row["seq"], row["events"]) for row in page["items"]]
            cursor = page["next_cursor"]
        return sorted(rows)

    def check_content(self, name, progress):
        with Feed("toy", feed=name, endpoint=self.daemon.ingest) as feed:
            for seq in range(progress.sent):
                feed.send(self.batch(name, seq), seq=seq)
        return feed.progress.acked == progress.sent == progress.acked

    def run(self, kills, seed=1):
        rng = random.Random(seed)
        senders = [threading.Thread(target=self.send),
                   threading.Thread(target=lambda: asyncio.run(self.send_asynchronously()))]
        try:
            for sender in senders:
                sender.start()
            for _ in range(kills):
                time.sleep(rng.uniform(0.05, 0.6))
                self.daemon.kill()
                self.daemon.start()
            self.stop.set()
            for sender in senders:
                sender.join()
            wanted = sorted((name, seq, len(self.batch(name, seq))) for name, progress in self.done.items()
                            for seq in range(progress.sent))
            result = {"kills": kills, "batches": len(wanted), "resent": sum(p.resent for p in self.done.values())}
            result["ok"] = (len(self.done) == 2 and self.stored() == wanted
                            and all(self.check_content(*item) for item in self.done.items())
                            and self.daemon.get("/v1/twins/toy")["ingest"]["batches"] == len(wanted))
            return result
        finally:
            self.stop.set()
            self.daemon.stop()

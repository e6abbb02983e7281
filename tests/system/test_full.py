"""A full disk: refused with a reason, said by /readyz, over without a restart; and what was acked goes on as if nothing
had been. The state lies on a small file system of its own, which takes the right to mount one."""
import itertools
import os
import shutil
import subprocess
import tempfile
import unittest

import toy
from daemon import Daemon
from feed import Feed
from test_loop import iterations, settled, wait_until


class Disk:
    """40 MiB in memory, to be filled and emptied."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="twin-disk-")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "twin", self.path], capture_output=True)
        if done.returncode:
            os.rmdir(self.path)
            raise unittest.SkipTest("no right to mount: " + done.stderr.decode().strip())
        self.filler = os.path.join(self.path, "filler")

    def fill(self, leave=0):
        with open(self.filler, "ab", buffering=0) as out:
            while True:
                free = os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_bsize - leave
                if free <= 0:
                    return
                try:
                    out.write(bytes(min(free, 1 << 16)))
                except OSError:
                    return

    def empty(self):
        os.unlink(self.filler)

    def unmount(self):
        subprocess.run(["umount", "-l", self.path], check=True)
        shutil.rmtree(self.path)


def troubles(daemon):
    answer = daemon.request("GET", "/readyz?verbose")
    return answer.status, {c["name"]: c for c in answer.json()["checks"] if not c["ok"]}


class FullDisk(unittest.TestCase):
    def start(self, *arguments, disk=True):
        state = None
        if disk:
            self.disk = Disk()
            self.addCleanup(self.disk.unmount)
            state = self.disk.path
        daemon = Daemon(state, ["--segment-mb", "2", *arguments]).start()
        self.addCleanup(daemon.stop)
        daemon.create(toy.DEFINITION)
        self.assertEqual(daemon.train("toy", toy.events(3000, seed=1))["state"], "succeeded")
        return daemon

    def feed(self, daemon):
        feed = Feed(daemon.ingest, "toy")
        self.addCleanup(feed.close)
        return feed

    def test_the_reserve_is_kept(self):
        daemon = self.start("--reserve-mb", "4")
        feed = self.feed(daemon)
        self.assertEqual(feed.push(0, toy.events(500, seed=2))[0], "ACK")
        self.disk.fill(leave=3 << 20)
        sent = itertools.count(1)  # the last look at the disk may be a moment old
        self.assertEqual(wait_until(lambda: [b for t, b in [feed.push(next(sent), toy.events(10, seed=3))]
                                             if t == "NACK"], 10)[0]["code"], "full")
        acked = len(feed.acked)
        status, wrong = troubles(daemon)
        self.assertEqual((status, list(wrong)), (503, ["disk_full"]))
        self.assertIn("reserve", wrong["disk_full"]["detail"])
        answer = daemon.request("POST", "/v1/twins/toy/batches?feed=http&run=1&seq=0", toy.events(100, seed=5))
        self.assertEqual((answer.status, answer.json()["error"]), (507, "full"))
        # what needs no space goes on
        self.assertEqual(feed.push(0, toy.events(500, seed=2))[0], "ACK")
        self.assertEqual(daemon.request("GET", "/v1/twins/toy/sample?n=100").status, 200)
        self.disk.empty()
        wait_until(lambda: daemon.request("GET", "/readyz").status == 200, 10)
        self.assertEqual(feed.push(acked, toy.events(500, seed=3))[0], "ACK")
        twin = wait_until(lambda: settled(daemon, acked + 1))
        self.assertEqual((twin["ingest"]["batches"], twin["last_iteration"]["iteration"]), (acked + 1, 1))

    def test_the_loop_waits_and_loses_nothing(self):
        """The disk fills up between the ACK and the commit of the window, and once more in a retune."""
        rows = toy.batches(toy.events(1000, seed=2), 250) + toy.batches(toy.events(2000, seed=3, shift=0.8), 250)
        plain = self.start(disk=False)
        self.feed(plain).push_all(rows)
        wait_until(lambda: settled(plain, len(rows)), 120)

        daemon = self.start("--reserve-mb", "0")
        feed = self.feed(daemon)
        for seq in range(3):
            self.assertEqual(feed.push(seq, rows[seq])[0], "ACK")
        daemon.get("/v1/twins/toy/batches")  # their rows are in the database
        self.disk.fill()
        self.assertEqual(feed.push(3, rows[3])[0], "ACK")  # the segment has room
        wait_until(lambda: "disk_full" in troubles(daemon)[1])
        wait_until(lambda: "name=loop_waits" in daemon.log())
        tag, body = feed.push(4, rows[4])
        self.assertEqual((tag, body["code"]), ("NACK", "full"))
        answer = daemon.request("POST", "/v1/twins", {**toy.DEFINITION, "name": "other"})
        self.assertEqual((answer.status, answer.json()["error"]), (507, "full"))
        twin = daemon.get("/v1/twins/toy")
        self.assertEqual((twin["ingest"]["batches"], twin["ingest"]["lag_batches"], twin["activity"]),
                         (4, 4, "comparing"))
        self.assertEqual(iterations(daemon), [])
        self.disk.empty()
        wait_until(lambda: daemon.request("GET", "/readyz").status == 200, 10)
        wait_until(lambda: settled(daemon, 4))

        for seq in range(4, 8):
            self.assertEqual(feed.push(seq, rows[seq])[0], "ACK")
            if seq == 6:
                daemon.get("/v1/twins/toy/batches")
                self.disk.fill()
        wait_until(lambda: daemon.log().count("event=trouble name=loop_waits") == 2, 60)
        self.disk.empty()
        for seq in range(8, len(rows)):
            wait_until(lambda: feed.push(seq, rows[seq])[0] == "ACK")
        wait_until(lambda: settled(daemon, len(rows)), 120)

        same = [{k: v for k, v in row.items() if k != "time"} for row in iterations(daemon)]
        self.assertEqual(same, [{k: v for k, v in row.items() if k != "time"} for row in iterations(plain)])
        self.assertEqual(*([v["sha256"] for v in d.get("/v1/twins/toy/versions")["items"]] for d in (daemon, plain)))
        self.assertNotIn("loop_stopped", daemon.log())


if __name__ == "__main__":
    unittest.main()

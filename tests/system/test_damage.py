"""Bytes on disk that are not what was written: found, named, kept aside, and the rest goes on.

Each test lets a daemon work, ends it, breaks something in its state folder, and looks at what the next start makes of it.
"""
import glob
import hashlib
import os
import pathlib
import random
import re
import shutil
import sqlite3
import sys
import threading
import time
import unittest

import toy
from daemon import Daemon
from feed import Feed

BATCH = 250  # four make a window
PAGE = 4096


class DamageTest(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon()
        self.addCleanup(self.end)
        self.daemon.start()

    def end(self):
        self.daemon.stop()

    def path(self, *parts):
        return os.path.join(self.daemon.state, "state", *parts)

    def kept(self):
        return sorted(os.listdir(self.path("quarantine"))) if os.path.exists(self.path("quarantine")) else []

    def damaged(self):
        """Details of what /readyz says is damaged, by subject."""
        checks = self.daemon.get("/readyz?verbose")["checks"]
        return {c["subject"]: c["detail"] for c in checks if c["name"] == "damaged"}

    def train(self):
        self.daemon.create(toy.DEFINITION)
        self.assertEqual(self.daemon.train("toy", toy.events(4000, seed=1))["state"], "succeeded")

    def push(self, first, count, shift=0.0):
        feed = Feed(self.daemon.ingest, "toy")
        feed.push_all([toy.events(BATCH, seed=[2, n], shift=shift) for n in range(first, first + count)], first=first)
        feed.close()

    def settle(self, iterations):
        for _ in range(4000 if os.environ.get("TWIN_SANITIZED") else 600):
            twin = self.daemon.get("/v1/twins/toy")
            rows = self.daemon.get("/v1/twins/toy/iterations?limit=1000")["items"]
            if len(rows) >= iterations and twin["ingest"]["lag_batches"] == 0 and twin["activity"] == "idle":
                return twin, sorted(rows, key=lambda r: r["iteration"])
            time.sleep(0.05)
        raise AssertionError(f"not settled: {twin}")

    def flip(self, path, offset, mask=4):
        with open(path, "r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ mask]))

    def segments(self):
        return sorted(glob.glob(self.path("spool", "*", "*.seg")))

    def records(self, path):
        """[(offset, ordinal)] by the magic, as the format says."""
        data = pathlib.Path(path).read_bytes()
        return [(m.start(), int.from_bytes(data[m.start() + 8:m.start() + 16], "little"))
                for m in re.finditer(b"TWR1", data) if m.start() % 8 == 0]

    # --- the spool ---

    def test_records(self):
        """A broken body and a broken header in the last segment: two batches are lost, the window goes without them."""
        self.train()
        self.push(0, 2)
        self.assertEqual(self.daemon.end(), 0)
        path, = self.segments()
        (first, ordinal), (second, _) = self.records(path)[-2:]
        self.flip(path, first + 48 + 100)
        self.flip(path, second + 9)
        self.daemon.start()
        log = self.daemon.log()
        self.assertIn("event=damage_found", log)
        self.assertIn(f"at byte {first}", log)
        self.assertIn("lost, 2 in all", self.damaged()["toy"])
        name = f"{os.path.basename(os.path.dirname(path))}-{os.path.basename(path)}"
        self.assertEqual(self.kept(), [name, name + ".txt"])
        self.assertIn(f"ordinals {ordinal} to {ordinal}", pathlib.Path(self.path("quarantine", name + ".txt")).read_text())
        self.assertEqual(self.daemon.request("GET", "/readyz").status, 200)
        self.push(2, 2)
        twin, rows = self.settle(1)
        self.assertEqual(twin["ingest"]["batches"], 4)
        self.assertEqual(twin["ingest"]["lost"], 2)
        self.assertEqual(rows[0]["policy"]["lost"], [[ordinal, ordinal + 1]])
        self.assertEqual(rows[0]["events"], 2 * BATCH)
        batches = self.daemon.get("/v1/twins/toy/batches")["items"]
        self.assertEqual([b["iteration"] for b in batches], [1] * 4)
        self.assertEqual(len({b["ordinal"] for b in batches}), 4)
        # what is sent again is still known
        feed = Feed(self.daemon.ingest, "toy")
        self.assertEqual(feed.push(0, toy.events(BATCH, seed=[2, 0]))[0], "ACK")
        feed.close()
        # behind it the spool is healthy, also after the next start
        self.assertEqual(self.daemon.restart(), 0)
        self.push(4, 4)
        self.assertNotIn("lost", self.settle(2)[1][1]["policy"])

    def test_sealed_segments(self):
        """Behind the first segment: one is emptied, of another the header of the file is broken, a third is gone. What that
        cost shows when somebody reads it."""
        self.daemon.stop()
        self.daemon = Daemon(arguments=["--segment-mb", "1"])
        self.daemon.start()
        self.daemon.create({**toy.DEFINITION, "loop": {"window": 10 * 5000}})
        self.assertEqual(self.daemon.train("toy", toy.events(4000, seed=1))["state"], "succeeded")
        feed = Feed(self.daemon.ingest, "toy")
        feed.push_all([toy.events(5000, seed=n) for n in range(9)] +
                      [toy.events(5000, seed=9 + n).astype("float64") for n in range(30)])
        feed.close()
        self.settle(4 - 1)
        self.assertEqual(self.daemon.end(), 0)
        segments = self.segments()
        self.assertGreater(len(segments), 5)
        names = [os.path.basename(s) for s in segments]
        os.truncate(segments[1], 0)
        self.flip(segments[2], 3)
        os.unlink(segments[3])
        before = int(names[-1][:16], 16)
        self.daemon.start()
        twin = self.daemon.get("/v1/twins/toy")
        first, last = int(names[1][:16], 16), int(names[4][:16], 16)
        self.assertEqual(twin["ingest"]["batches"], 39)
        log = self.daemon.log()
        for name in names[1:3]:
            self.assertRegex(log, f"damage_found.*{name}")
        feed = Feed(self.daemon.ingest, "toy")
        self.assertEqual(feed.push(39, toy.events(5000, seed=39))[0], "ACK")
        feed.close()
        self.settle(4)
        batches = self.daemon.get("/v1/twins/toy/batches?limit=1000")["items"]
        self.assertEqual(len({b["ordinal"] for b in batches}), 40)
        self.assertGreater(batches[-1]["ordinal"], before)
        # a retune over what is lost goes without it, and says so
        answer = self.daemon.request("POST", "/v1/twins/toy/retunes",
                                     {"kind": "weights", "ordinals": {"first": 1, "last": last}})
        operation = self.daemon.wait(answer.json()["id"])
        self.assertEqual(operation["state"], "succeeded", operation)
        third = int(names[2][:16], 16), int(names[3][:16], 16)
        self.assertEqual(operation["result"]["metrics"]["lost"], [[first, third[0] - 1], [third[1], last - 1]])
        self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["lost"], last - first - (third[1] - third[0]))

    def test_lost_window(self):
        """Nothing is left of a window, nor of the spool: skipped, and no ordinal is given again."""
        self.train()
        self.daemon.request("PATCH", "/v1/twins/toy", {"loop": {"window": 4 * BATCH}})
        self.push(0, 3)
        self.assertEqual(self.daemon.end(), 0)
        for path in self.segments():
            os.unlink(path)
        self.daemon.start()
        self.assertIn("are lost", self.damaged()["toy"])
        self.daemon.request("PATCH", "/v1/twins/toy", {"loop": {"window": 3 * BATCH}})
        twin, rows = self.settle(1)
        self.assertEqual([r["decision"] for r in rows], ["skipped"])
        self.assertIn("lost", rows[0]["policy"]["reason"])
        self.assertEqual(rows[0]["policy"]["lost"], [[rows[0]["ordinals"]["first"], rows[0]["ordinals"]["last"]]])
        self.push(3, 4)
        twin, rows = self.settle(2)
        self.assertEqual(rows[1]["decision"], "none")
        self.assertGreater(rows[1]["ordinals"]["first"], rows[0]["ordinals"]["last"])
        self.assertEqual(twin["champion"]["version"], 1)

    # --- versions ---

    def champion_moves(self):
        return self.daemon.get("/v1/twins/toy/history?alias=champion")["items"]

    def corrupt_blob(self, column, version):
        db = sqlite3.connect(self.path("twin.db"))
        sha256, = db.execute(f"SELECT {column} FROM versions WHERE version = ?", (version,)).fetchone()
        data, = db.execute("SELECT bytes FROM blobs WHERE sha256 = ?", (sha256,)).fetchone()
        broken = bytearray(data)
        broken[len(broken) // 2] ^= 1
        broken += bytes(5000)  # takes pages, so that the change counter tells who wrote
        db.execute("UPDATE blobs SET bytes = ? WHERE sha256 = ?", (bytes(broken), sha256))
        db.commit()
        db.close()
        return bytes(broken)

    def promote_second(self):
        """Two champions one after the other."""
        self.train()
        self.push(0, 4)
        self.settle(1)
        answer = self.daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "weights"})
        self.daemon.wait(answer.json()["id"])
        versions = self.daemon.get("/v1/twins/toy/versions")["items"]
        self.assertEqual(len(versions), 2)
        alias = self.daemon.request("GET", "/v1/twins/toy/aliases/champion")
        if alias.json()["version"] != 2:
            answer = self.daemon.request("PUT", "/v1/twins/toy/aliases/champion", {"version": 2, "reason": "test"},
                                         headers={"If-Match": alias.headers["ETag"]})
            self.assertEqual(answer.status, 200, answer.body)
            self.daemon.request("PATCH", "/v1/twins/toy", {"hold": False})

    def test_champion(self):
        """A broken artifact at the start: the champion before it is served, with a move that says why."""
        self.promote_second()
        held = self.daemon.get("/v1/twins/toy")["hold"]
        self.assertEqual(self.daemon.end(), 0)
        broken = self.corrupt_blob("artifact", 2)
        self.daemon.start()
        twin = self.daemon.get("/v1/twins/toy")
        self.assertEqual(twin["champion"]["version"], 1)
        self.assertEqual(twin["hold"], held)
        self.assertNotIn("fault", twin)
        move = self.champion_moves()[0]
        self.assertEqual((move["version"], move["actor"]), (1, "twind"))
        self.assertIn("fell back from version 2: the artifact of version 2 is damaged", move["reason"])
        self.assertIn("artifact of version 2", self.damaged()["toy"])
        version = self.daemon.get("/v1/twins/toy/versions/2")
        self.assertEqual(version["status"], "retired")
        self.assertIn("damaged", version["reason"])
        answer = self.daemon.request("GET", "/v1/twins/toy/versions/2/artifact")
        self.assertEqual(answer.status, 500)
        self.assertIn("version 2 is damaged", answer.json()["detail"])
        self.assertEqual(pathlib.Path(self.path("quarantine", "toy-v2-artifact")).read_bytes(), broken)
        self.assertEqual(self.daemon.request("GET", "/v1/twins/toy/sample?n=10&seed=1").status, 200)
        self.push(4, 4)
        self.assertEqual(self.settle(2)[1][1]["version"], 1)
        moves = len(self.champion_moves())
        self.assertEqual(self.daemon.restart(), 0)  # once
        self.assertEqual(len(self.champion_moves()), moves)

    def test_acceptance_reference(self):
        """Broken while the daemon runs: the window is compared with the champion before."""
        self.promote_second()
        self.assertEqual(self.daemon.restart(), 0)  # the reference is read again with the next window
        self.daemon.kill()  # ending would need pages of its own
        self.corrupt_blob("reference", 2)
        self.daemon.start()
        self.push(4, 4)
        twin, rows = self.settle(2)
        self.assertEqual(twin["champion"]["version"], 1)
        self.assertEqual(rows[1]["version"], 1)
        self.assertIn("acceptance reference of version 2 is damaged", self.daemon.log())
        self.assertIn("toy-v2-reference", self.kept())

    def test_no_champion_left(self):
        """The only version is broken: the twin is there without a champion, says so, and takes data."""
        self.train()
        self.assertEqual(self.daemon.end(), 0)
        self.corrupt_blob("artifact", 1)
        self.daemon.start()
        twin = self.daemon.get("/v1/twins/toy")
        self.assertIsNone(twin["champion"])
        self.assertIn("damaged", twin["fault"])
        self.push(0, 4)
        self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["batches"], 4)

    # --- the database ---

    def page_of(self, table):
        """A leaf page of a table, by its root or the first child of that."""
        db = sqlite3.connect(f"file:{self.path('twin.db')}?mode=ro", uri=True)
        root, = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
        db.close()
        return root

    def test_database_page(self):
        """The twins' own page: twins come back from twin.json, batches from the spool, the rest as it was."""
        self.promote_second()
        self.daemon.create({**toy.DEFINITION, "name": "other"})
        feed = Feed(self.daemon.ingest, "other")
        feed.push_all([toy.events(BATCH, seed=[4, n]) for n in range(4)])  # they wait for its first training
        feed.close()
        before = self.daemon.get("/v1/twins/toy")
        batches = self.daemon.get("/v1/twins/toy/batches")["items"]
        self.assertEqual(self.daemon.end(), 0)
        for table in ("twins", "batches"):
            self.flip(self.path("twin.db"), (self.page_of(table) - 1) * PAGE + 2000)
        self.daemon.start()
        self.assertIn("do not have their checksum", self.damaged()["database"])
        self.assertIn("state-twin.db", self.kept())
        twin = self.daemon.get("/v1/twins/toy")
        self.assertEqual(twin["champion"]["version"], before["champion"]["version"])
        self.assertEqual(twin["definition"], before["definition"])
        other = self.daemon.get("/v1/twins/other")
        self.assertEqual(other["activity"], "untrained")
        self.assertEqual((other["ingest"]["batches"], other["ingest"]["lag_batches"]), (4, 4))
        self.assertEqual(self.daemon.get("/v1/twins/toy/batches")["items"], batches)
        self.push(4, 4)
        twin, rows = self.settle(2)
        self.assertEqual([r["iteration"] for r in rows], [1, 2])
        self.assertEqual(rows[1]["decision"], "none")
        self.assertEqual(self.daemon.restart(), 0)
        self.assertNotIn("database", self.damaged())

    def test_page_while_running(self):
        """Read by a query: the daemon ends with a sentence, the next start saves what can be had."""
        self.promote_second()
        path = self.path("twin.db")
        self.assertEqual(self.daemon.restart(), 0)
        for page in range(1, os.path.getsize(path) // PAGE):
            self.flip(path, page * PAGE + 1000)

        def ask():
            try:
                while self.daemon.process.poll() is None:
                    self.daemon.request("GET", "/v1/twins/toy/versions")
            except OSError:
                pass  # it has ended
        askers = [threading.Thread(target=ask) for _ in range(8)]  # more than have the pages in memory
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
        self.assertEqual(self.daemon.process.wait(10), 74)
        self.daemon.process = None
        self.assertIn("does not have its checksum", self.daemon.log())
        self.daemon.start()
        twin = self.daemon.get("/v1/twins/toy")  # all but page 1 is gone; the twin and its batches are not
        self.assertEqual(twin["ingest"]["batches"], 4)


# --- the long form: anything, anywhere ---

def harm(path, randomness):
    """One of: a bit, a sector of zeros, a stretch of noise, a cut. Returns words for it."""
    size = os.path.getsize(path)
    kind = randomness.choice(["bit", "bit", "zeros", "noise", "cut"])
    at = randomness.randrange(max(size, 1))
    with open(path, "r+b") as file:
        file.seek(at)
        old = file.read(512)
        file.seek(at)
        if kind == "bit" and old:
            file.write(bytes([old[0] ^ 1 << randomness.randrange(8)]))
        elif kind == "zeros":
            file.write(bytes(len(old)))
        elif kind == "noise":
            file.write(randomness.randbytes(len(old)))
        else:
            file.truncate(at)
    return f"{kind} at byte {at} of {path}"


def trial(base, randomness):
    """Damage to one to three files of a copy of a state. The daemon starts, says what it found, and goes on."""
    daemon = Daemon()
    state = os.path.join(daemon.state, "state")
    shutil.copytree(base, state)
    files = glob.glob(state + "/twin.db") * 2 + glob.glob(state + "/spool/*/*.seg")
    if randomness.random() < 0.1:  # what a twin is stands in two places: not both
        files = glob.glob(state + "/spool/*/*")
    done = [harm(randomness.choice(files), randomness) for _ in range(randomness.randint(1, 3))]
    try:
        daemon.start(timeout_s=120)
        twin = daemon.get("/v1/twins/toy")
        feed = Feed(daemon.ingest, "toy")
        feed.push_all([toy.events(BATCH, seed=[3, n]) for n in range(8)], first=1000)
        feed.close()
        end = time.monotonic() + 120
        while time.monotonic() < end:
            twin = daemon.get("/v1/twins/toy")
            if not twin["champion"] or (twin["ingest"]["lag_batches"] == 0 and twin["activity"] in ("idle", "held")):
                break
            time.sleep(0.1)
        else:
            raise AssertionError(f"not settled: {twin}")
        assert "loop stopped" not in twin.get("fault", ""), twin["fault"]
        ordinals = [b["ordinal"] for b in daemon.get("/v1/twins/toy/batches?limit=1000")["items"]]
        assert len(set(ordinals)) == len(ordinals) >= 8
        for version in daemon.get("/v1/twins/toy/versions")["items"]:
            answer = daemon.request("GET", f"/v1/twins/toy/versions/{version['version']}/artifact")
            assert answer.status == 500 or hashlib.sha256(answer.body).hexdigest() == version["sha256"]
        assert daemon.end() == 0
        daemon.start(timeout_s=120)
        again = [b["ordinal"] for b in daemon.get("/v1/twins/toy/batches?limit=1000")["items"]]
        assert again == ordinals, "what was salvaged once stays"
        found = len(re.findall("event=damage_found", daemon.log()))
        lost = twin["ingest"]["lost"]
        served = twin["champion"] is not None
        daemon.stop()
    except BaseException:
        print("\n".join(done), file=sys.stderr)
        print(daemon.log()[-4000:], file=sys.stderr)
        raise
    return {"found": found > 0, "lost": lost, "served": served, "cut": sum("cut" in d for d in done)}


def campaign(trials, seed=1):
    randomness = random.Random(seed)
    test = DamageTest()
    test.daemon = Daemon(arguments=["--segment-mb", "1"])
    test.daemon.start()
    try:
        test.promote_second()
        test.push(4, 200)
        test.settle(51)
        assert test.daemon.end() == 0
        results = [trial(test.path(), randomness) for _ in range(trials)]
    finally:
        test.daemon.stop()
    return {"trials": trials, "found": sum(r["found"] for r in results), "without_champion":
            sum(not r["served"] for r in results), "batches_lost": sum(r["lost"] for r in results)}


if __name__ == "__main__":
    unittest.main(verbosity=2)

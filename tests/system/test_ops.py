"""Operations: what the service manager is told, reload, backup and restore, doctor."""
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tarfile
import tempfile
import threading
import time
import unittest

import toy
from daemon import Daemon, program
from feed import Feed


TGKILL = {"x86_64": 234, "aarch64": 131}[os.uname().machine]


class Manager:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)

    def environment(self):
        return {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "30000000"}

    def next(self, timeout_s=20):
        """The next message's assignments, or None."""
        self.socket.settimeout(timeout_s)
        try:
            return dict(line.split("=", 1) for line in self.socket.recv(65536).decode().splitlines())
        except TimeoutError:
            return None

    def until(self, key, value=None, timeout_s=30):
        """All messages up to the one that assigns `value` to `key`."""
        end, seen = time.monotonic() + timeout_s, []
        while time.monotonic() < end:
            message = self.next(1)
            if message is None:
                continue
            seen.append(message)
            if key in message and (value is None or value in message[key]):
                return seen
        raise TimeoutError(f"no {key}={value}: {seen}")

    def drain(self):
        while self.next(0.01) is not None:
            pass

    def close(self):
        self.socket.close()


class NotifyTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.mkdtemp(prefix="twin-test-")
        self.manager = Manager(self.scratch)
        self.config = os.path.join(self.scratch, "twin.conf")
        self.write("")
        self.daemon = Daemon(arguments=["--config", self.config], environment=self.manager.environment())

    def tearDown(self):
        self.daemon.stop()
        self.manager.close()
        for name in os.listdir(self.scratch):
            os.unlink(os.path.join(self.scratch, name))
        os.rmdir(self.scratch)

    def write(self, text):
        with open(self.config, "w") as file:
            file.write(text)

    def reload(self):
        """The message that ends the reload."""
        self.manager.drain()
        self.daemon.process.send_signal(signal.SIGHUP)
        seen = self.manager.until("READY")
        begun = [m for m in seen if "RELOADING" in m]
        self.assertEqual(len(begun), 1)
        self.assertGreater(int(begun[0]["MONOTONIC_USEC"]), 0)

    def troubles(self):
        checks = self.daemon.get("/readyz?verbose")["checks"]
        return {check["name"]: check for check in checks if "level" in check}

    def test_ready_watchdog_stopping(self):
        self.daemon.start()
        self.assertEqual(self.manager.until("READY")[-1], {"READY": "1"})
        fed = 0
        while fed < 3:
            fed += "WATCHDOG" in self.manager.until("WATCHDOG")[-1]
        self.daemon.process.send_signal(signal.SIGSTOP)
        while True:  # until the kernel has stopped it
            with open(f"/proc/{self.daemon.process.pid}/stat") as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] == "T":
                    break
        self.manager.drain()
        self.assertIsNone(self.manager.next(2.5), "a stopped process fed the watchdog")
        self.daemon.process.send_signal(signal.SIGCONT)
        self.manager.until("WATCHDOG")
        self.assertEqual(self.daemon.end(), 0)
        self.manager.until("STOPPING")

    def test_no_watchdog_unless_asked(self):
        self.daemon.environment = {"NOTIFY_SOCKET": self.manager.path}
        self.daemon.start()
        self.manager.until("STATUS", "ready")
        self.assertIsNone(self.manager.next(2.5))

    def test_reload(self):
        self.daemon.start()
        self.manager.until("READY")
        self.write("log-level = debug\ncredit-mb = 32\n")
        self.reload()
        self.assertIn('event=reloaded restart_to_apply=""', self.daemon.log())
        self.daemon.request("GET", "/livez")
        self.assertIn("debug event=http", self.daemon.log())
        self.assertEqual(self.troubles(), {})

        self.write("log-level = info\nthreads = 1\nsegment-mb = 8\n")
        self.reload()
        self.assertIn("threads, segment-mb", self.troubles()["restart_to_apply"]["detail"])
        self.manager.until("STATUS", "threads, segment-mb")
        self.assertEqual(self.daemon.request("GET", "/readyz").status, 200)

        self.write("log-level = loud\n")
        self.reload()
        self.assertIn("loud", self.troubles()["reload_refused"]["detail"])
        self.assertIn("event=reload_refused", self.daemon.log())
        self.manager.until("STATUS", "loud")

        self.write("")
        self.reload()
        self.assertEqual(self.troubles(), {})
        self.manager.until("STATUS", "ready")


    def test_signals_that_another_thread_gets(self):
        """Not every thread is ours: OpenBLAS starts one at load, which blocks nothing."""
        self.daemon.start()
        self.manager.until("READY")
        pid = self.daemon.process.pid
        sent = 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status") as status:
                blocked = int(re.search(r"SigBlk:\s+(\w+)", status.read()).group(1), 16)
            if not blocked >> (signal.SIGHUP - 1) & 1:
                ctypes.CDLL(None).syscall(TGKILL, pid, int(task), signal.SIGHUP)
                self.manager.until("RELOADING")
                self.manager.until("READY")
                sent += 1
        print(f"# {sent} threads do not block signals")


class DowngradeTest(unittest.TestCase):
    def test_a_newer_state_is_refused_and_left_alone(self):
        daemon = Daemon()
        daemon.start()
        daemon.end()
        state = os.path.join(daemon.state, "state")
        db = sqlite3.connect(os.path.join(state, "twin.db"))
        version = db.execute("PRAGMA user_version").fetchone()[0]
        db.execute(f"PRAGMA user_version = {version + 1}")
        db.commit()
        db.close()
        result = subprocess.run([program("TWIND", "daemon/twind"), "--state", state, "--http", "127.0.0.1:0",
                                 "--ingest", "tcp://127.0.0.1:*", "--publish", "tcp://127.0.0.1:*"],
                                capture_output=True, text=True, timeout=30)
        self.assertEqual(result.returncode, 78)
        self.assertIn(f"schema {version + 1}, newer than this twind, which knows schemas up to {version}",
                      result.stderr)
        daemon.stop()


def twinctl(daemon, *arguments):
    environment = {**os.environ}
    if daemon:
        environment.update(TWIN_URL=daemon.url,
                           TWIN_TOKEN_FILE=os.path.join(daemon.state, "state", "admin.token"))
    return subprocess.run([program("TWINCTL", "client/twinctl"), *arguments], capture_output=True, text=True,
                          timeout=120, env=environment)


class Pusher(threading.Thread):
    """A feed that sends numbered batches, a few in flight, until it is told to stop."""

    def __init__(self, endpoint):
        super().__init__()
        self.feed = Feed(endpoint, "toy")
        self.acked, self.stopping, self.error = self.feed.acked, False, None

    @staticmethod
    def batch(seq):
        return toy.events(100, seed=1000 + seq)

    def run(self):
        try:
            sent = 0
            while not self.stopping or len(self.acked) < sent:
                if not self.stopping and sent - len(self.acked) < 4:
                    self.feed.send(sent, self.batch(sent))
                    sent += 1
                    continue
                reply = self.feed.receive(30)
                if reply is None or reply[0] == "NACK":
                    raise RuntimeError(f"{reply}")
        except Exception as error:
            self.error = error

    def wait_for(self, count):
        while len(self.acked) < count and not self.error and self.is_alive():
            time.sleep(0.01)

    def end(self):
        self.stopping = True
        self.join()
        self.feed.close()
        if self.error:
            raise self.error


def rows(daemon, sql):
    """What the database of a daemon that has ended says."""
    with sqlite3.connect(os.path.join(daemon.state, "state", "twin.db")) as db:
        return db.execute(sql).fetchall()


class BackupTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.mkdtemp(prefix="twin-test-")
        self.daemon = Daemon(arguments=["--segment-mb", "1", "--threads", "1"])
        self.restored = Daemon(state=self.scratch, arguments=["--segment-mb", "1", "--threads", "1"])
        self.archive = os.path.join(self.scratch, "twin.tar")

    def tearDown(self):
        self.daemon.stop()
        self.restored.end()
        shutil.rmtree(self.scratch)

    def sample(self, daemon, version):
        answer = daemon.request("GET", f"/v1/twins/toy/sample?n=100&seed=7&version={version}",
                                headers={"Accept": "application/x-npy"})
        self.assertEqual(answer.status, 200)
        return answer.body

    def test_backup_under_load_and_restore(self):
        self.daemon.start()
        self.daemon.create(toy.DEFINITION)
        self.daemon.train("toy", toy.events(3000, seed=1), "?epochs=2")
        pusher = Pusher(self.daemon.ingest)
        pusher.start()
        try:
            pusher.wait_for(60)
            self.daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "weights", "events": 1000})
            before = set(pusher.acked)
            done = twinctl(self.daemon, "backup", self.archive, "-o", "json")
            self.assertEqual(done.returncode, 0, done.stderr)
            pusher.wait_for(len(before) + 20)
        finally:
            pusher.end()
        summary = json.loads(done.stdout)
        watermark = summary["twins"][0]["watermark"]
        with tarfile.open(self.archive) as tar:
            names = tar.getnames()
        self.assertEqual((names[0], names[-1]), ("twin.db", "manifest.json"))
        self.assertGreater(len(names), 2)
        self.assertFalse([name for name in names if "token" in name])
        self.assertFalse([name for name in os.listdir(os.path.join(self.daemon.state, "state")) if "backup" in name])
        self.assertIn("event=backup_sent", self.daemon.log())
        versions = {v["version"]: v["sha256"] for v in self.daemon.get("/v1/twins/toy/versions")["items"]}
        history = self.daemon.get("/v1/twins/toy/history")["items"]
        samples = {version: self.sample(self.daemon, version) for version in versions}

        self.assertEqual(twinctl(None, "backup", "--verify", self.archive).returncode, 0)
        state = os.path.join(self.restored.state, "state")
        self.assertEqual(twinctl(None, "restore", self.archive, "--state", state).returncode, 0)
        self.restored.start()
        self.assertNotIn("database_written_by_others", self.restored.log())  # the copy has checksums of its pages
        self.assertNotIn("damage", self.restored.log())
        self.assertNotEqual(self.restored.token(), self.daemon.token())
        theirs = self.restored.get("/v1/twins/toy/versions")["items"]
        self.assertGreaterEqual(len(theirs), 1)
        for version in theirs[-1:]:
            self.assertEqual(version["sha256"], versions[version["version"]])
            self.assertEqual(self.sample(self.restored, version["version"]), samples[version["version"]])
        first = self.restored.get("/v1/twins/toy/history")["items"][-1]
        self.assertEqual({k: first[k] for k in ("move", "alias", "version", "from", "actor")},
                         {k: history[-1][k] for k in ("move", "alias", "version", "from", "actor")})

        feed = Feed(self.restored.ingest, "toy")
        last = feed.hello()[1]["last_durable_seq"]
        self.assertGreaterEqual(last, max(before), "a batch that was acked before the backup is missing")
        self.assertEqual(self.restored.get("/v1/twins/toy")["ingest"]["batches"], last + 1)
        for seq in [0, last - 1, *range(last + 1, last + 6)]:  # two are there already
            self.assertEqual(feed.push(seq, Pusher.batch(seq))[0], "ACK")
        feed.close()
        self.assertEqual(twinctl(self.restored, "doctor", "--deep").returncode, 0)
        self.assertEqual(self.restored.end(), 0)
        self.assertEqual(rows(self.restored, "PRAGMA integrity_check"), [("ok",)])
        batches = rows(self.restored, "SELECT seq, ordinal FROM batches WHERE feed = 'daq1' ORDER BY seq")
        self.assertEqual([seq for seq, _ in batches], list(range(last + 6)))
        self.assertEqual(len({ordinal for _, ordinal in batches}), last + 6)
        self.assertGreaterEqual(sorted(ordinal for _, ordinal in batches)[last] + 1, watermark)

    def test_one_at_a_time_and_for_those_with_the_token(self):
        self.daemon.start()
        self.assertEqual(self.daemon.request("GET", "/v1/backup", authorised=False).status, 401)
        self.assertEqual(self.daemon.request("GET", "/v1/doctor", authorised=False).status, 401)
        open(os.path.join(self.daemon.state, "state", "backup.tmp"), "w").close()
        self.daemon.restart()
        self.assertFalse(os.path.exists(os.path.join(self.daemon.state, "state", "backup.tmp")))


class StoryTest(unittest.TestCase):
    """The log alone says what happened: start, training, people, kill, recovery, backup, stop."""

    def test_story(self):
        daemon = Daemon(arguments=["--segment-mb", "1"])
        daemon.start()
        try:
            daemon.create(toy.DEFINITION)
            daemon.train("toy", toy.events(3000, seed=1), "?epochs=2")
            tag = daemon.request("GET", "/v1/twins/toy/aliases/reference").headers["ETag"]
            moved = daemon.request("PUT", "/v1/twins/toy/aliases/reference",
                                   {"version": 1, "reason": 'the "first" one'}, headers={"If-Match": tag})
            self.assertEqual(moved.status, 200, moved.body)
            daemon.kill()
            daemon.start()
            archive = os.path.join(daemon.state, "b.tar")
            self.assertEqual(twinctl(daemon, "backup", archive).returncode, 0)
            daemon.end()
            log = daemon.log()
        finally:
            daemon.stop()
        at = 0
        for words in (r"event=starting version=\S+ schema=\d+ pid=\d+ state=\S+ clean=true", r"event=ready .* twins=0",
                      "event=twin_created twin=toy", r"event=training_started twin=toy operation=1 parent=0",
                      r"event=training_decided twin=toy .*version=1 decision=promoted",
                      r'event=alias_moved twin=toy alias=reference version=1 .*actor=operator reason="the \\"first\\"',
                      r"event=starting .* clean=false", r"warning event=unclean_stop wal_bytes=\d+",
                      r"event=ready .* twins=1", "event=backup_started twins=1", r"event=backup_sent bytes=\d+",
                      "event=stopping signal=TERM", "event=stopped clean=true"):
            found = re.search(words, log[at:])
            self.assertTrue(found, f"{words} is not in the rest of {log}")
            at += found.end()


class DoctorTest(unittest.TestCase):
    def test_doctor(self):
        daemon = Daemon(arguments=["--segment-mb", "1"])
        daemon.start()
        try:
            daemon.create(toy.DEFINITION)
            daemon.train("toy", toy.events(3000, seed=1), "?epochs=2")
            feed = Feed(daemon.ingest, "toy")
            for seq in range(3):
                feed.push(seq, toy.events(100, seed=seq))
            done = twinctl(daemon, "doctor", "--deep", "-o", "json")
            self.assertEqual(done.returncode, 0, done.stdout)
            items = {item["name"]: item for item in json.loads(done.stdout)}
            self.assertLessEqual({"daemon", "state", "token", "disk", "clock", "database", "spool", "blobs", "kernels",
                                  "libzmq", "sqlite", "openblas", "open_files", "memory", "twin"}, set(items))
            self.assertIn("4 records have", items["spool"]["detail"])
            self.assertIn("2 artifacts and references", items["blobs"]["detail"])

            feed.push(7, toy.events(100, seed=7))
            os.chmod(os.path.join(daemon.state, "state", "admin.token"), 0o644)
            folder = os.path.join(daemon.state, "state", "spool", "1")
            segment = os.path.join(folder, sorted(os.listdir(folder))[0])
            with open(segment, "r+b") as file:  # in the first record's body
                file.seek(64 + 48 + 200)
                file.write(b"\xff" * 8)
            done = twinctl(daemon, "doctor", "--deep", "-o", "json")
            self.assertEqual(done.returncode, 1, done.stderr)
            items = {item["name"]: item for item in json.loads(done.stdout)}
            for name, words in (("token", "0644"), ("spool", "damaged"), ("feeds", "4 sequence numbers are missing")):
                self.assertFalse(items[name]["ok"])
                self.assertIn(words, items[name]["detail"])
                self.assertTrue(items[name]["advice"])
            feed.close()
        finally:
            daemon.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)

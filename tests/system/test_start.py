"""Starting and failing to start: small, quick, and with a sentence."""
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import unittest

import toy
from daemon import Daemon, program


def run(*arguments, environment=None):
    return subprocess.run([program("TWIND", "daemon/twind"), *arguments], capture_output=True, text=True, timeout=30,
                          env={**os.environ, **(environment or {})})


class StartTest(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.mkdtemp(prefix="twin-test-")
        self.free = ["--http", "127.0.0.1:0", "--ingest", "tcp://127.0.0.1:*", "--publish", "tcp://127.0.0.1:*"]

    def tearDown(self):
        shutil.rmtree(self.scratch)

    def one_sentence(self, result, status, *words):
        self.assertEqual(result.returncode, status, result.stderr)
        lines = [line for line in result.stderr.splitlines() if line.startswith("twind: ")]
        self.assertEqual(len(lines), 1, result.stderr)
        for word in words:
            self.assertIn(word, lines[0])

    def test_idle_is_small_and_quick(self):
        daemon = Daemon()
        daemon.start()
        try:
            daemon.create(toy.DEFINITION)
            self.assertEqual(daemon.train("toy", toy.events(3000, seed=1), "?epochs=2")["state"], "succeeded")
            daemon.end()
            begin = time.monotonic()
            daemon.start()
            seconds = time.monotonic() - begin
            time.sleep(0.5)
            memory = daemon.memory_mb()
            print(f"# ready in {1000 * seconds:.0f} ms, {memory:.1f} MB idle with one twin")
            sanitized = "asan" in daemon.log() or os.environ.get("TWIN_SANITIZED")
            if not sanitized:
                self.assertLess(memory, 40)
        finally:
            daemon.stop()

    def test_folder_in_use(self):
        daemon = Daemon()
        daemon.start()
        try:
            result = run("--state", os.path.join(daemon.state, "state"), *self.free)
            self.one_sentence(result, 75, "in use", str(daemon.process.pid))
        finally:
            daemon.stop()

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            result = run("--state", self.scratch, "--http", f"127.0.0.1:{port}", *self.free[2:])
            self.one_sentence(result, 75, str(port), "in use", "--http")
            result = run("--state", self.scratch, *self.free[:2], "--ingest", f"tcp://127.0.0.1:{port}",
                         *self.free[4:])
            self.one_sentence(result, 75, str(port), "in use", "--ingest")

    def test_newer_schema(self):
        daemon = Daemon()
        daemon.start()
        daemon.end()
        path = os.path.join(daemon.state, "state", "twin.db")
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 9999")
        db.commit()
        db.close()
        before = open(path, "rb").read()
        self.one_sentence(run("--state", os.path.join(daemon.state, "state"), *self.free), 78, "newer")
        self.assertEqual(open(path, "rb").read(), before)
        daemon.process = None
        daemon.stop()

    def test_bad_settings(self):
        for arguments in (["--http", "nonsense"], ["--http", "127.0.0.1:99999"], ["--threads", "-1"],
                          ["--kernels", "magic"], ["--nonsense"], ["--config", "/nonexistent"],
                          ["--http", "0.0.0.0:8470"]):
            self.one_sentence(run("--state", self.scratch, *arguments), 78)
            self.one_sentence(run("--check", "--state", self.scratch, *arguments), 78)
        self.assertEqual(run("--check", "--state", os.path.join(self.scratch, "new")).returncode, 0)
        self.assertFalse(os.path.exists(os.path.join(self.scratch, "new")), "--check wrote something")
        self.one_sentence(run("--state", self.scratch, environment={"TWIN_THREADS": "many"}), 78)

    def test_check_of_the_state(self):
        file = os.path.join(self.scratch, "file")
        locked = os.path.join(self.scratch, "locked")
        open(file, "w").close()
        os.mkdir(locked, 0o500)
        for state in file, os.path.join(file, "state"):
            self.one_sentence(run("--check", "--state", state), 78, f"state: {file} is not a folder")
        for state in (locked, os.path.join(locked, "a/b")) if os.geteuid() else ():  # root may write anywhere
            self.one_sentence(run("--check", "--state", state), 78, f"{locked} cannot be written: Permission denied")
        for state in self.scratch, os.path.join(self.scratch, "a/b/"):
            self.assertEqual(run("--check", "--state", state).returncode, 0)
        os.chmod(locked, 0o700)
        self.assertEqual(sorted(os.listdir(self.scratch)), ["file", "locked"], "--check wrote something")

    def test_words(self):
        help_text = run("--help")
        self.assertEqual(help_text.returncode, 0)
        printed = run("--print-config", "--threads", "3", "--threads", "1")
        self.assertEqual(printed.returncode, 0)
        self.assertTrue(re.search(r"^threads\s*=\s*1$", printed.stdout, re.M), printed.stdout)
        for key in re.findall(r"^([a-z_]+)\s*=", printed.stdout, re.M):
            self.assertIn("--" + key.replace("_", "-"), help_text.stdout)
        config = os.path.join(self.scratch, "twin.conf")
        with open(config, "w") as file:
            file.write(printed.stdout)
        again = run("--config", config, "--print-config")
        self.assertEqual(again.stdout, printed.stdout)

    def test_ends_on_sigterm(self):
        daemon = Daemon()
        daemon.start()
        self.assertEqual(daemon.end(signal.SIGTERM, timeout_s=10), 0)
        daemon.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Operations: what the service manager is told, reload, backup and restore, doctor."""
import ctypes
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from daemon import Daemon, program


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
        import sqlite3

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


if __name__ == "__main__":
    unittest.main(verbosity=2)

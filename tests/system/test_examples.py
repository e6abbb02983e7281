"""Every example of every --help runs, in a shell, with files of the names it has; so do those of the manual."""
import glob
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

import numpy as np

import toy
from daemon import ROOT, Daemon, program

TWINCTL = os.path.abspath(program("TWINCTL", "client/twinctl"))

DEFINITION = {**toy.DEFINITION, "name": "zmumu"}

# What the examples take for granted: a program that makes events, another machine, and a terminal for the view, where
# --foreground leaves the terminal to it: whether timeout would be the session's leader depends on the shell.
SHELL = """
simulate() { cat more.csv; }
ssh() { shift; bash -c "$*"; }
view() { script -qec "timeout --foreground -s INT 20 $*" /dev/null <<< q; }
"""


def examples():
    """(command, line) in the order in which an operator would try them."""
    overview = subprocess.run([TWINCTL, "--help"], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  (\S+) ", overview.partition("commands:")[2].partition("options:")[0], re.M)
    for command in commands:
        if command != "help":
            text = subprocess.run([TWINCTL, command, "--help"], capture_output=True, text=True, check=True).stdout
            lines = re.findall(r"^  (\S.*)", text.partition("examples:\n")[2].partition("\n\n")[0], re.M)
            assert lines, command
            yield from ((command, line) for line in lines)


def manual_examples(page="twinctl.1"):
    section = (ROOT / "docs/man" / page).read_text().partition(".Sh EXAMPLES")[2]
    return re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", section, re.S | re.M)


@unittest.skipIf(os.environ.get("TWIN_SANITIZED"), "examples say nothing of memory or threads")
class Examples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="twin-examples-"))
        cls.environment = {**os.environ, "PATH": f"{os.path.dirname(TWINCTL)}:/usr/bin:/bin", "TWIN_URL": cls.daemon.url,
                           "TWIN_INGEST": cls.daemon.ingest, "HOME": str(cls.folder), "TERM": "xterm",
                           "TWIN_TOKEN_FILE": os.path.join(cls.daemon.state, "state", "admin.token")}
        files = {"nominal": (8000, 1), "today": (3000, 2), "events": (2000, 3), "a": (1500, 4), "b": (500, 5),
                 "more": (1000, 6), "run15/part_1": (1000, 7), "run15/part_2": (1000, 8)}
        (cls.folder / "run15").mkdir()
        for name, (rows, seed) in files.items():
            data = toy.events(rows, seed)
            np.save(cls.folder / f"{name}.npy", data)
            if "/" not in name:
                np.savetxt(cls.folder / f"{name}.csv", data, "%.7g", ",", header="pt,eta,phi,x", comments="")
        cls.create()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()
        shutil.rmtree(cls.folder)

    @classmethod
    def create(cls):
        cls.daemon.request("DELETE", "/v1/twins/zmumu")
        cls.daemon.create(DEFINITION)

    def shell(self, line):
        done = subprocess.run(["bash", "-c", SHELL + line], cwd=self.folder, env=self.environment, capture_output=True,
                              text=True, timeout=120, stdin=subprocess.DEVNULL,
                              preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # ignored in the background
        return done, f"{line}\nexit status {done.returncode}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"

    def prepare(self, command, line):
        """Twins, files and numbers that there are, in place of those that the example speaks of."""
        if command == "create" and "--dry-run" not in line:
            self.daemon.request("DELETE", "/v1/twins/zmumu")
            (self.folder / "zmumu.json").write_text(json.dumps(DEFINITION))
        if command == "train":
            self.create()
            if "--spooled" in line:
                self.shell("twinctl feed zmumu nominal.npy")
        line = line.replace("0:100000", "0:5000").replace("-n 1000000", "-n 200000").replace("sleep 10", "break")
        line = line.replace("/var/lib/twin", "var-lib-twin").replace("/tmp/twin", "tmp-twin")
        weights = [v["version"] for v in self.versions() if v["cause"] == "reweight"]
        line = line.replace("--version 7", f"--version {weights[0] if weights else 0}")
        line = re.sub(r"(zmumu|--version) 3\b|--to 2\b", lambda m: re.sub(r"\d", "1", m.group()), line)
        if re.fullmatch(r"twinctl watch(?! .*csv).*", line):
            line = "view " + line
        line = line.replace("--count 5", "--count 5 --timeout 0.5")
        operations = self.daemon.get("/v1/operations")["items"]
        line = re.sub(r"(--wait-for|--cancel) 17", rf"\1 {operations[0]['id'] if operations else 0}", line)
        if "--verify" in line:
            made = sorted(glob.glob(str(self.folder / "twin-2*.tar")))
            shutil.copy(made[0], self.folder / "twin-20260301T120000Z.tar")
        return line

    def versions(self):
        answer = self.daemon.request("GET", "/v1/twins/zmumu/versions")
        return answer.json()["items"] if answer.status == 200 else []

    def settle(self, command):
        """Champions to go back to, and work that is over."""
        for operation in self.daemon.get("/v1/operations")["items"]:
            self.daemon.wait(operation["id"])
        if command == "rollback":
            other = [v["version"] for v in self.versions() if v["status"] not in ("champion", "rejected")]
            self.shell(f"twinctl promote zmumu {other[0]}" if other else "twinctl retune zmumu --wait")

    def expected(self, command, line):
        if "--count 5" in line:
            return {75}  # there are not so many windows
        if command == "drift":
            return {0, 1}
        if command == "tune" or "--cancel" in line:
            return {0, 1}  # what this daemon has not; what is over already
        return {0}

    def test_help(self):
        for command, example in examples():
            with self.subTest(example):
                self.settle(command)
                line = self.prepare(command, example)
                done, words = self.shell(line)
                self.assertIn(done.returncode, self.expected(command, line), words)
                self.assertNotIn("usage:", done.stderr, words)
        self.assertEqual({"sample.npy", "reference.h5", "v3.csv", "lp.npy", "reference.safetensors", "_twinctl"}
                         - set(os.listdir(self.folder)), set())
        self.assertTrue((self.folder / "var-lib-twin" / "twin.db").exists())
        self.assertTrue((self.folder / "tmp-twin" / "twin.db").exists())

    def test_manual(self):
        begin, script = manual_examples()
        self.daemon.request("DELETE", "/v1/twins/zmumu")
        begin = begin.replace("twinctl watch", "view twinctl watch")
        done, words = self.shell("set -e\n" + begin)
        self.assertEqual(done.returncode, 0, words)
        self.assertIn("champion 1", done.stdout, words)
        done, words = self.shell("set -x\n" + script)
        self.assertEqual((done.returncode, done.stdout), (0, "no answer\n"), words)  # a window is more than there are

    def test_definition(self):
        self.daemon.request("DELETE", "/v1/twins/zmumu")
        definition, = manual_examples("twin-definition.5")
        self.daemon.create(json.loads(definition))


if __name__ == "__main__":
    unittest.main()

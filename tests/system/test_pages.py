"""Every command and block of code on the pages below runs as it stands, from top to bottom, in a folder of its own.

A page is a session in a shell: lines that are indented by four spaces are commands if they begin with a program that is
known here, a block of Python is saved under the name that the sentence before it gives, or run, a block of JSON is saved.
What a page takes for granted (a daemon, twins, files) is made first. docs/python.md and the examples of the manual pages
and of --help have tests of their own.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import unittest

import numpy as np

import toy
from daemon import ROOT, Daemon, program
from feed import Feed
from test_loop import wait_until

PROGRAMS = ("twind", "twinctl", "twin-bench", "curl", "cc", "python3", "build/", "export", "until", "./", "TAG=", "URL=", "TOKEN=")
VENV = ROOT / "build" / "venv" / "bin"


def steps(name):
    """[(line number, kind, text)] of a page: commands with their continuations, and blocks."""
    found, lines, i = [], (ROOT / name).read_text(encoding="utf-8").splitlines(), 0
    while i < len(lines):
        line, at = lines[i], i + 1
        if line.startswith("```"):
            end = next(k for k in range(i + 1, len(lines)) if lines[k].startswith("```"))
            found.append((at, line[3:].strip(), "\n".join(lines[i + 1:end]) + "\n"))
            i = end
        elif line.startswith("    ") and line.strip().startswith(PROGRAMS) and "→" not in line:
            while lines[i].rstrip().endswith("\\"):
                i += 1
            found.append((at, "command", "\n".join(text[4:] for text in lines[at - 1:i + 1])))
        i += 1
    return found


def saved_as(name, line):
    """The file that the paragraph before a block names: "Save this as `cal.json`:"."""
    before = "\n".join((ROOT / name).read_text(encoding="utf-8").splitlines()[max(0, line - 5):line])
    names = re.findall(r"[Ss]ave this as `([\w.]+)`", before)
    return names[-1] if names else None


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Page:
    """Runs a page in a folder; `environment` and the daemon behind its addresses are what it takes for granted."""

    def __init__(self, name, folder, environment, daemon=None):
        bins = [os.path.dirname(program(v, d)) for v, d in (("TWIND", "daemon/twind"), ("TWINCTL", "client/twinctl"))]
        self.name, self.folder, self.replace = name, folder, {}
        if daemon:
            self.replace = {"127.0.0.1:8470": daemon.url[7:], "tcp://127.0.0.1:8471": daemon.ingest,
                            "tcp://127.0.0.1:8472": daemon.publish}
        self.environment = {**os.environ, "HOME": folder, **environment,
                            "PATH": ":".join([*bins, os.path.join(os.path.dirname(bins[0]), "bench"),
                                              *([str(VENV)] if VENV.exists() else []), os.environ["PATH"]])}

    def script(self, leave_out=()):
        """All of the page as one shell script."""
        script = ["set -e", "curl() { command curl --fail-with-body \"$@\"; }", "trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT"]
        count = 0
        for line, kind, text in steps(self.name):
            if any(word in text for word in leave_out):
                continue
            for written, meant in self.replace.items():
                text = text.replace(written, meant)
            script.append(f"echo '--- {self.name}:{line}'")
            if kind in ("python", "json"):
                file = saved_as(self.name, line) or f"block{line}.{'py' if kind == 'python' else 'json'}"
                with open(os.path.join(self.folder, file), "w", encoding="utf-8") as out:
                    out.write(text)
                if kind == "python" and not saved_as(self.name, line):
                    script.append(f"python3 {file}")
            elif kind in ("command", "sh"):
                script.append(text)
            count += 1
        return "\n".join(script) + "\n", count

    def run(self, leave_out=(), timeout_s=200):
        script, count = self.script(leave_out)
        with open(os.path.join(self.folder, "page.sh"), "w", encoding="utf-8") as file:
            file.write(script)
        done = subprocess.run(["bash", "page.sh"], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, timeout=timeout_s)
        return done.returncode, done.stdout.decode(errors="replace"), count


@unittest.skipIf(os.environ.get("TWIN_SANITIZED"), "pages say nothing of memory")
class Pages(unittest.TestCase):
    def check(self, name, environment=None, daemon=None, leave_out=(), replace=None, least=1):
        page = Page(name, self.folder, environment or {}, daemon)
        page.replace.update(replace or {})
        code, output, count = page.run(leave_out)
        self.assertEqual(code, 0, f"{name}\n" + "\n".join(output.splitlines()[-25:]))
        self.assertGreaterEqual(count, least)
        return output

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="twin-test-")
        self.addCleanup(shutil.rmtree, self.folder, True)

    def trained(self, twin="zmumu"):
        """A daemon with a small twin that the pages call zmumu (None: without), and the environment that finds it."""
        daemon = Daemon()
        daemon.start()
        self.addCleanup(daemon.stop)
        if twin:
            daemon.create({**toy.DEFINITION, "name": twin})
            daemon.train(twin, toy.events(3000, seed=1), "?epochs=2")
        token = os.path.join(daemon.state, "state", "admin.token")
        os.makedirs(os.path.join(self.folder, ".local", "state", "twin"))
        shutil.copy(token, os.path.join(self.folder, ".local", "state", "twin"))
        return daemon, {"TWIN_URL": daemon.url, "TWIN_INGEST": daemon.ingest}

    def save(self, name, rows):
        if name.endswith(".npy"):
            np.save(os.path.join(self.folder, name), rows)
        else:
            np.savetxt(os.path.join(self.folder, name), rows, delimiter=",", header="pt,eta,phi,x", comments="")

    def test_tutorial(self):
        http, ingest, publish = free_ports(3)
        output = self.check("docs/tutorial.md", {
            "TWIN_HTTP": f"127.0.0.1:{http}", "TWIN_INGEST": f"tcp://127.0.0.1:{ingest}",
            "TWIN_PUBLISH": f"tcp://127.0.0.1:{publish}", "TWIN_URL": f"http://127.0.0.1:{http}"}, least=20)
        self.assertIn("the hold is lifted", output)

    def test_readme(self):
        """By hand, with fewer events and a smaller model; the build is this one, and watch has tests of its own."""
        os.symlink(os.path.dirname(os.path.dirname(program("TWIND", "daemon/twind"))), os.path.join(self.folder, "build"))
        os.mkdir(os.path.join(self.folder, "data"))
        definition = json.loads((ROOT / "data" / "zjets.json").read_text(encoding="utf-8"))
        definition.update(model={**definition["model"], "blocks": 2, "hidden": [16]}, loop={"window": 1000})
        with open(os.path.join(self.folder, "data", "zjets.json"), "w", encoding="utf-8") as file:
            json.dump(definition, file)
        for name in ("nominal", "mpi_on"):
            self.save(f"data/zjets_{name}.npy", np.load(ROOT / "data" / f"zjets_{name}.npy", mmap_mode="r")[:3000])
        http, ingest, publish = free_ports(3)
        self.check("README.md", {
            "TWIN_HTTP": f"127.0.0.1:{http}", "TWIN_INGEST": f"tcp://127.0.0.1:{ingest}",
            "TWIN_PUBLISH": f"tcp://127.0.0.1:{publish}", "TWIN_URL": f"http://127.0.0.1:{http}"},
            leave_out=("twinctl watch",), replace={"/tmp/twin": os.path.join(self.folder, "state")}, least=5)

    def test_rollback(self):
        """There are two versions, and the loop has moved champion to the second."""
        daemon, environment = self.trained()
        feed = Feed(daemon.ingest, "zmumu")
        feed.push_all(toy.batches(toy.events(4000, seed=3, shift=1), 1000))
        feed.close()
        wait_until(lambda: len(daemon.get("/v1/twins/zmumu/history?alias=champion")["items"]) > 1)
        self.check("docs/rollback.md", environment, least=10, replace={"zmumu challenger": "zmumu reference"})

    def test_onnx(self):
        if not VENV.exists() or subprocess.run([VENV / "python", "-c", "import onnxruntime"], capture_output=True).returncode:
            self.skipTest("onnxruntime is not there")
        daemon, environment = self.trained()
        self.check("docs/onnx.md", environment, daemon, least=3)

    def test_feeds(self):
        daemon, environment = self.trained()
        daemon.create({"name": "example", "features": [{"name": "a"}, {"name": "b"}]})
        self.save("batch.npy", np.zeros((10, 2), np.float32))
        self.check("docs/feeds.md", environment, daemon, least=4)

    def test_http(self):
        """But for the stream that never ends, and jq, which is not one of our packages."""
        daemon, environment = self.trained(None)
        self.save("events.npy", toy.events(3000, seed=5))
        self.save("batch.npy", toy.events(1000, seed=6))
        self.save("few.csv", toy.events(5, seed=7))
        with open(os.path.join(self.folder, "zmumu.json"), "w", encoding="utf-8") as file:
            json.dump({**toy.DEFINITION, "name": "zmumu"}, file)
        self.check("docs/http.md", environment, daemon, leave_out=("curl -N", "| jq"), least=10)


if __name__ == "__main__":
    unittest.main(verbosity=2)

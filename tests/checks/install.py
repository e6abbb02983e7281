"""What `meson install` installs is enough: headers compile alone, pkg-config knows the libraries, the examples of docs/c.md
build against them, run, and say what the programs of the build say.

    install.py BUILD
"""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import numpy as np  # noqa: E402

import toy  # noqa: E402
from daemon import Daemon  # noqa: E402
from feed import npy  # noqa: E402
from tap import ROOT, Tap, expect  # noqa: E402

EXAMPLES = os.path.join(ROOT, "docs", "examples")


def run(*command, **more):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)


class Installed:
    def __init__(self, build, folder):
        done = run("meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", folder)
        self.trouble = [] if done.returncode == 0 else [done.stdout + done.stderr]
        self.folder = folder
        found = [at for at, _, names in os.walk(folder) if "twin.pc" in names]
        self.environment = {**os.environ, "PKG_CONFIG_SYSROOT_DIR": folder, "PKG_CONFIG_PATH": found[0] if found else ""}
        self.libraries = os.path.dirname(found[0]) if found else ""

    def flags(self, *arguments):
        """Those of our libraries are under the folder, those of others where they always are."""
        ours = run("pkg-config", *arguments, *("twin", "twinproto"), env=self.environment)
        return ours.stdout.split() if ours.returncode == 0 else [ours.stderr]

    def headers(self):
        top = next(f[2:] for f in self.flags("--cflags") if f.startswith("-I") and f.endswith("/twin"))
        return sorted(os.path.relpath(os.path.join(at, n), top) for at, _, names in os.walk(top) for n in names)

    def compile(self, source, out, *more):
        return run("cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", *self.flags("--cflags"), source, "-o", out,
                   *self.flags("--libs"), *more)

    def start(self, program, *arguments, **more):
        environment = {**os.environ, "LD_LIBRARY_PATH": self.libraries, **more.pop("environment", {})}
        return subprocess.run([program, *arguments], capture_output=True, env=environment, **more)


def check_headers(tap, installed, folder):
    wrong, names = [], installed.headers()
    source = os.path.join(folder, "header.c")
    for name in names:
        with open(source, "w") as file:
            file.write(f'#include "{name}"\nint unused_{len(name)};\n')
        done = run("cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *installed.flags("--cflags"), source,
                   cwd=folder)
        if done.returncode:
            wrong.append(f"{name}: {done.stderr.splitlines()[0]}")
    tap.case(f"{len(names)} headers compile alone", wrong or ([] if len(names) > 20 else names))


def check_units(tap, folder):
    """Wherever the prefix is."""
    units = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names if name.endswith(".service")]
    started = [(os.path.basename(unit), program) for unit in units for program in
               re.findall(r"^ExecStart(?:Pre)?=(\S+)", open(unit, encoding="utf-8").read(), re.M)]
    tap.case("units start what is installed", [f"{unit} starts {program}" for unit, program in started
                                               if not os.path.exists(folder + program)],
             skip=None if units else "built without libsystemd")


def check_sample(tap, installed, build, folder):
    program, artifact = os.path.join(folder, "sample"), os.path.join(ROOT, "tests", "golden", "flow_mixed.safetensors")
    done = installed.compile(os.path.join(EXAMPLES, "sample.c"), program)
    tap.case("sample.c builds against what is installed", [done.stderr] if done.returncode else [])
    done = installed.start(program, artifact, "300", "7")
    table = [line.split(",") for line in done.stdout.decode().splitlines()]
    x = os.path.join(folder, "x.npy")
    run(os.path.join(build, "bench", "twin-bench"), "--sample", artifact, 300, x, "--seed", 7)
    same = len(table) == 301 and np.allclose(np.array([row[:-1] for row in table[1:]], float), np.load(x), rtol=1e-6)
    tap.case("its events are those of twin-bench", [] if same else [done.stderr.decode()])
    tap.case("it refuses what is no artifact",
             expect("status", installed.start(program, __file__, "3").returncode, 1))


def check_feed(tap, installed, folder):
    program = os.path.join(folder, "feed")
    done = installed.compile(os.path.join(EXAMPLES, "feed.c"), program, "-lzmq")
    tap.case("feed.c builds against what is installed", [done.stderr] if done.returncode else [])
    daemon = Daemon()
    daemon.start()
    try:
        daemon.create(toy.DEFINITION)
        events = npy(toy.events(100, seed=1))
        to = {"TWIN_INGEST": daemon.ingest}
        sent = [installed.start(program, "toy", "c", "0", input=events, environment=to) for _ in range(2)]
        tap.case("it delivers, and again", expect("status", [s.returncode for s in sent], [0, 0]))
        ingest = daemon.get("/v1/twins/toy")["ingest"]
        tap.case("the batch counts once", expect("counts", [ingest["batches"], ingest["events"], ingest["duplicates"]],
                                                 [1, 100, 1]))
        refused = installed.start(program, "nobody", "c", "0", input=events, environment=to)
        tap.case("it says why a batch is refused",
                 expect("answer", [refused.returncode, b"unknown_twin" in refused.stderr], [1, True]))
    finally:
        daemon.stop()


def main():
    tap, build = Tap(), os.path.abspath(sys.argv[1])
    os.environ.setdefault("TWIND", os.path.join(build, "daemon", "twind"))
    with tempfile.TemporaryDirectory() as folder:
        installed = Installed(build, os.path.join(folder, "installed"))
        tap.case("it installs", installed.trouble)
        check_units(tap, installed.folder)
        if installed.libraries:
            check_headers(tap, installed, folder)
            check_sample(tap, installed, build, folder)
            check_feed(tap, installed, folder)
        else:
            tap.case("libraries", skip="built with -Dlibrary=false")
    tap.finish()


main()

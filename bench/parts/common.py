"""What all parts of scripts/bench share: programs under a known environment on known cores, and the report."""
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# They hold OpenBLAS to old kernels; what is measured runs without, but in the row that shows what they cost.
BLAS_VARIABLES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
median = statistics.median


class Setting:
    """Where things are, how long they run and on which cores."""

    def __init__(self, options, scratch):
        self.build = pathlib.Path(options.build).resolve()
        self.quick, self.peers = options.quick, not options.quick and not options.no_peers
        self.python = str(self.build / "venv" / "bin" / "python")
        self.scratch = pathlib.Path(scratch)
        self.cores = sorted(os.sched_getaffinity(0))
        self.core = options.core if options.core is not None else self.cores[-1]
        self.rounds = options.rounds or (1 if self.quick else 5)
        self.seconds = 0.02 if self.quick else 0.6
        self.shapes = options.shapes

    def program(self, name):
        """TWIND, TWINCTL … in the environment, as the tests have it, else in the build folder."""
        where = {"twin-bench": "bench", "twind": "daemon", "twinctl": "client"}.get(name, "bench")
        return os.environ.get(name.upper().replace("-", "_")) or str(self.build / where / name)

    def environment(self, **more):
        kept = {k: v for k, v in os.environ.items() if k not in BLAS_VARIABLES and k != "TWIN_KERNELS"}
        return {**kept, **{k: v for k, v in more.items() if v is not None}}

    def start(self, command, cores=None, environment=None, **more):
        """A process on `cores`, the measured one unless said otherwise."""
        on = cores or [self.core]
        try:
            return subprocess.Popen([str(c) for c in command], env=self.environment(**(environment or {})),
                                    preexec_fn=lambda: os.sched_setaffinity(0, on), **more)
        except FileNotFoundError as missing:
            raise Failed(f"{missing.filename} is not there: scripts/bench builds and installs what is measured") from None

    def run(self, command, cores=None, environment=None):
        """The object that the command prints; with "peak_mib" and "cpu_s" of the process beside it."""
        process = self.start(command, cores, environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        text, words = process.stdout.read(), process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise Failed(f"{' '.join(map(str, command))}: exit status {process.returncode}: {words.strip()[-2000:]}",
                         process.returncode)
        result = json.loads(text.splitlines()[-1])
        return {**result, "peak_mib": used.ru_maxrss / 1024, "cpu_s": used.ru_utime + used.ru_stime}

    def bench(self, *arguments, **more):
        return self.run([self.program("twin-bench"), *arguments], **more)


class Failed(Exception):
    def __init__(self, text, status=1):
        super().__init__(text)
        self.status = status


class Report:
    """Markdown for people, and the same numbers for programs."""

    def __init__(self):
        self.lines, self.numbers, self.goals = [], {}, []
        self.begin = time.monotonic()

    def _add(self, *lines):
        self.lines += lines
        print("\n".join(lines), flush=True)

    def heading(self, text):
        self._add("", "### " + text, "")

    def words(self, text):
        self._add("", text)

    def table(self, head, rows):
        rows = [[str(cell) for cell in row] for row in rows]
        width = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
        line = lambda row: "| " + " | ".join(c.ljust(w) if i == 0 else c.rjust(w)
                                             for i, (c, w) in enumerate(zip(row, width))) + " |"
        self._add("", line(head), "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":"
                                                 for i, w in enumerate(width)) + "|", *map(line, rows))

    def number(self, name, value):
        self.numbers[name] = value

    def goal(self, name, value, least=None, most=None, form="{:.2f}"):
        """A figure with what was asked of it."""
        met = (least is None or value >= least) and (most is None or value <= most)
        asked = f"≥ {form.format(least)}" if least is not None else f"≤ {form.format(most)}"
        self.goals.append((name, form.format(value), asked, "yes" if met else "NO"))
        self.number(name, value)


def progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def si(value):
    """Three digits: 9.87, 98.7, 987, 9.87k, 98.7k …"""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1, "")):
        if abs(value) >= factor * 0.9995 or factor == 1:
            v = value / factor
            return f"{v:.{max(0, 2 - (v >= 9.995) - (v >= 99.95))}f}{letter}"
    return str(value)


def machine(setting):
    """One line for each thing that a reader needs to know of it."""
    cpu = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    flags = re.search(r"flags\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    shown = [f for f in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "sha_ni") if flags and f in flags[1].split()]
    memory = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1]) >> 20
    system = re.search(r'PRETTY_NAME="(.*)"', pathlib.Path("/etc/os-release").read_text())
    revision = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return [f"{cpu[1] if cpu else platform.processor()} ({', '.join(shown)}), {len(setting.cores)} cores, {memory} GiB",
            f"{system[1] if system else platform.system()}, Linux {platform.release()}",
            f"twin {revision.stdout.strip() or '?'}, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())}, "
            f"load {os.getloadavg()[0]:.1f} at the start"]

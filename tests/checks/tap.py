"""TAP for the checks: each case is a name and what is wrong with it, nothing if it is fine."""
import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Tap:
    def __init__(self):
        self.count = self.failures = 0

    def case(self, name, wrong=(), skip=None):
        """`wrong` is a list of sentences; the case passes if it is empty."""
        self.count += 1
        wrong = list(wrong)
        self.failures += bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {self.count} - {name}" + (f" # SKIP {skip}" if skip else ""))
        for line in wrong:
            print(f"# {line}")

    def finish(self):
        print(f"1..{self.count}")
        sys.exit(1 if self.failures else 0)


def expect(name, got, wanted):
    """For a check that is fed a known example: what is wrong if it does not find what it has to."""
    return [] if got == wanted else [f"{name}: found {got!r}, has to find {wanted!r}"]


def repository_files():
    """Paths of the files that belong to the repository, relative to its root; also where there is no git."""
    command = ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True).stdout.decode().split("\0")
        names = [n for n in listed if n]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, below, found in os.walk(ROOT):
            below[:] = [b for b in below if not b.startswith(("build", ".git", ".venv", "__pycache__", ".cache"))]
            names += [os.path.relpath(os.path.join(folder, f), ROOT) for f in found]
    return sorted(n for n in names if os.path.isfile(os.path.join(ROOT, n)))


def c_files(*folders, ends=(".c", ".h")):
    return [n for n in repository_files() if n.split("/")[0] in folders and n.endswith(ends)]


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8") as f:
        return f.read()

"""scripts/lib.sh: what is missing is named, what fails says so, and the demo's own classifier can judge."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import ROOT, Tap, expect, read

sys.path.insert(0, os.path.join(ROOT, "scripts"))


def shell(script, cwd=ROOT):
    return subprocess.run(["bash", "-c", ". scripts/lib.sh\n" + script], capture_output=True, text=True, cwd=cwd,
                          stdin=subprocess.DEVNULL)


def packages(tap):
    names = [line for line in read("scripts/packages").splitlines() if line and not line.startswith("#")]
    tap.case("no package is named twice", [n for n in names if names.count(n) > 1])
    if not shutil.which("dpkg-query"):
        tap.case("missing packages", skip="not a Debian system")
        return
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(os.path.join(folder, "scripts"))
        shutil.copy(os.path.join(ROOT, "scripts", "lib.sh"), os.path.join(folder, "scripts"))
        with open(os.path.join(folder, "scripts", "packages"), "w") as f:
            f.write("# a comment\ndpkg\nno-such-package-at-all\n\nbash\n")
        done = shell("packages_missing", folder)
    tap.case("missing packages are named, no others", expect("missing", done.stdout.split(), ["no-such-package-at-all"]))


def steps(tap):
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "logs", "a.log")
        good = shell(f"step good {log} echo fine")
        bad = shell(f"step bad {log} bash -c 'echo broken; exit 3'")
        tap.case("a step that works is one line", expect("status", good.returncode, 0)
                 + expect("words", good.stderr.split()[-1], "done") + expect("lines", len(good.stderr.splitlines()), 1))
        tap.case("a step that fails shows the end of its log", expect("status", bad.returncode, 3)
                 + expect("words", ["FAILED" in bad.stderr, "broken" in bad.stderr], [True, True]))
    done = subprocess.run(["bash", "-c", ". scripts/lib.sh; command -v python3"], capture_output=True, text=True, cwd=ROOT,
                          env={"PATH": "/nowhere:/usr/bin:/bin", "TWIN_STATE": "/x"})
    tap.case("the path is Debian's own", expect("python3", done.stdout.strip() in ("/usr/bin/python3", "/bin/python3"), True))


def judge(tap):
    import numpy as np

    import judge as scripts_judge
    rng = np.random.default_rng(1)
    events = lambda n: np.column_stack([30 + 5 * rng.standard_normal((n, 9)), rng.exponential(5, n)]).astype(np.float32)
    scores, labels = np.array([1, 2, 2, 3.0]), np.array([False, True, False, True])
    tap.case("ROC area with a tie", expect("area", float(scripts_judge.area(scores, labels)), 0.875))
    a, b = events(4000), events(4000)
    same, error = scripts_judge.auc(a, b)
    tap.case("two samples of the same are 0.5", [] if abs(same - 0.5) < 5 * error else [f"{same} ± {error}"])
    b[:, 9] *= 1.3
    shifted, error = scripts_judge.auc(a, b)
    tap.case("a shift is seen", [] if shifted > 0.5 + 5 * error else [f"{shifted} ± {error}"])


def fuzz(tap):
    """Each target of tests/fuzz is known to scripts/fuzz, has a corpus and a dictionary."""
    folder = os.path.join(ROOT, "tests", "fuzz")
    built = re.findall(r"^  '(\w+)': \[", read("tests/fuzz/meson.build"), re.M)
    known = re.findall(r"^    \[(\w+)\]=", read("scripts/fuzz"), re.M)
    counted = re.findall(r"[\w/]+\.c\b", read("scripts/fuzz"))
    tap.case("fuzz targets: there are some", [] if len(built) > 10 else built)
    tap.case("fuzz targets: scripts/fuzz knows them all", expect("targets", sorted(known), sorted(built)))
    tap.case("fuzz targets: each has a corpus and a dictionary",
             [name for name in built if not os.listdir(os.path.join(folder, "corpus", name))
              or not os.path.exists(os.path.join(folder, "dict", f"{name}.dict"))])
    tap.case("fuzz targets: the files that are counted exist",
             [name for name in counted if not os.path.exists(os.path.join(ROOT, name))])
    told = ", ".join(re.findall(r"^\| ([a-z_, ]+?)(?:, \d+ s)? \| [\d,]+ \|", read("docs/reliability.md"), re.M)).split(", ")
    tap.case("fuzz targets: docs/reliability.md has a row for each", [name for name in built if name not in told])
    size = sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(os.path.join(folder, "corpus"))
               for name in names)
    tap.case("fuzz corpora: less than 300 KiB", [] if size < 300 << 10 else [f"{size} bytes"])


def main():
    tap = Tap()
    packages(tap)
    fuzz(tap)
    steps(tap)
    judge(tap)
    tap.finish()


main()

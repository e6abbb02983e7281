"""clang-format finds nothing to change."""
import os
import shutil
import subprocess
import tempfile

from tap import ROOT, Tap, c_files, expect


def unlike(command, paths):
    """Those files that clang-format would write in another way; one process for all, as starting one is slow."""
    done = subprocess.run([command, "--style=file", "--dry-run", *paths], capture_output=True, text=True, cwd=ROOT)
    found = {line.split(":", 1)[0] for line in done.stderr.splitlines() if "[-Wclang-format-violations]" in line}
    return [p for p in paths if p in found] + ([] if done.returncode == 0 else [f"clang-format: {done.stderr[-300:]}"])


def self_test(command):
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(os.path.join(ROOT, ".clang-format"), folder)
        paths = [os.path.join(folder, name) for name in ("bad.c", "good.c")]
        for path, text in zip(paths, ("int  x ;\n", "int x;\n")):
            with open(path, "w") as f:
                f.write(text)
        return expect("unlike", unlike(command, paths), paths[:1])


def main():
    tap = Tap()
    command = shutil.which("clang-format") or shutil.which("clang-format-14")
    if not command:
        tap.case("clang-format", skip="clang-format is not installed")
        tap.finish()
    tap.case("badly set code is found", self_test(command))
    files = c_files("src", "proto", "sql", "daemon", "client", "bench", "tests")
    tap.case("there are files", [] if files else ["none"])
    tap.case("every C file is set as .clang-format says", [f"clang-format -i {n}" for n in unlike(command, files)])
    tap.finish()


main()

"""Commands that pages show are commands that there are. Pages whose commands take minutes or hours (docs/HACKING.md,
docs/reliability.md, docs/figures.md, …) cannot be run, but each of their commands can be asked whether it would be taken:

- a script in Python is run up to the point where its own argparse has read the words, and ends there;
- twinctl, twind and twin-bench, and scripts in bash, get the words and --help behind them, which they heed last;
- names of tests and suites, and options of the build, are looked up in what meson knows.

Words in capitals (EVENTS.npy, N) stand for what a reader puts there. tests/system/test_pages.py runs the pages that can be.
"""
import argparse
import contextlib
import fnmatch
import functools
import importlib.abc
import importlib.machinery
import io
import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import types

from tap import ROOT, Tap, expect, read, repository_files

PROGRAMS = {"twinctl": "client/twinctl", "twind": "daemon/twind", "twin-bench": "bench/twin-bench"}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
SCRIPT = re.compile(r"(scripts|bench|tests|data)/[\w./-]+")
PLACE = re.compile(r"(scripts|bench|tests|data|src|proto|daemon|sql|client|systemd|monitoring|debian|docs)/[\w./*-]*")


def commands(page):
    """[[word, …]]: of indented lines, blocks of shell and code spans, one for each command of a pipe or a list."""
    blocks = [body for kind, body in FENCE.findall(page) if kind == "sh"]
    prose = FENCE.sub("", page)
    indented = re.findall(r"^ {4}(\S.*(?:\\\n.*)*)$", prose, re.M)
    found = []
    for line in [*"\n".join(blocks).splitlines(), *(re.split(r"\s{3,}|\s# ", line.replace("\\\n", " "))[0] for line in indented),
                 *re.findall(r"`([^`\n]+)`", prose)]:
        if "→" in line:  # a picture
            continue
        for part in re.split(r"&&|\|\||[|;&]", line):
            try:
                words = shlex.split(re.sub(r"\$\([^()]*\)", "{}", part.split(" > ")[0].split(" < ")[0]))
            except ValueError:  # a sentence with an apostrophe
                continue
            while words and (re.match(r"\w+=", words[0]) or words[0] in ("setarch", "taskset", "nice", "until", "-R", "-c", "0")):
                words.pop(0)
            if words:
                found.append(tuple(words))
    return found


# --- scripts in Python ---


class Anything(types.ModuleType):
    """What is imported before the words are read, where it is not installed."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything(name)

    def __call__(self, *arguments, **named):
        return self


class Missing(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return Anything(spec.name)

    def exec_module(self, module):
        pass


class Taken(BaseException):
    """The words have been read."""


def parse_python(script, words):
    """What the script's own parser says against the words, or None."""
    real, kept = argparse.ArgumentParser.parse_args, (sys.argv, sys.path[:], set(sys.modules), dict(os.environ))

    def parse(parser, *arguments):
        real(parser, *arguments)
        raise Taken

    said, finder = io.StringIO(), Missing()
    argparse.ArgumentParser.parse_args = parse
    sys.argv = [script, *("1" if word in ("N", "S") else word for word in words)]
    sys.path.insert(0, os.path.dirname(os.path.join(ROOT, script)))
    sys.meta_path.append(finder)
    sys.modules["pypi"] = Anything("pypi")  # would start the script again elsewhere
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            runpy.run_path(os.path.join(ROOT, script), run_name="__main__")
        return f"{script} reads no words"
    except Taken:
        return None
    except SystemExit as end:
        return said.getvalue().strip().splitlines()[-1] if end.code else None
    finally:
        argparse.ArgumentParser.parse_args = real
        sys.argv, sys.path[:] = kept[0], kept[1]
        sys.meta_path.remove(finder)
        for name in set(sys.modules) - kept[2]:  # the next script may mean another one by it
            if isinstance(sys.modules[name], Anything) or str(getattr(sys.modules[name], "__file__", "")).startswith(ROOT):
                del sys.modules[name]
        os.environ.clear()
        os.environ.update(kept[3])


# --- the rest ---


def parse_by_help(program, words):
    done = subprocess.run([program, *words, "--help"], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=20)
    said = (done.stderr or done.stdout).strip().splitlines() or [""]
    fine = done.returncode == 0 or 'not "--help"' in said[0]  # an option that prose names without its value
    return None if fine else said[0]


class Meson:
    def __init__(self, build):
        def known(name):
            with open(os.path.join(build, "meson-info", f"intro-{name}.json"), encoding="utf-8") as file:
                return json.load(file)
        self.tests = {test["name"] for test in known("tests")}
        self.suites = {suite.rpartition(":")[2] for test in known("tests") for suite in test["suite"]}
        self.options = {option["name"] for option in known("buildoptions")}

    def parse(self, words):
        """Of `meson test` and `meson setup`."""
        what, wrong = words[0] if words else "", []
        i = 1
        while i < len(words):
            word = words[i]
            takes = word if word in ("-C", "--suite", "--no-suite") else None
            if takes:
                i += 1
            if takes in ("--suite", "--no-suite") and words[i] not in self.suites:
                wrong.append(f"there is no suite {words[i]}")
            elif word.startswith("-D") and word[2:].partition("=")[0] not in self.options:
                wrong.append(f"there is no option {word}")
            elif what == "test" and word[0] != "-" and not word[0].isupper() and word not in self.tests:
                wrong.append(f"there is no test {word!r}")
            i += 1
        return "; ".join(wrong) or None


def judge(words, build, meson, files):
    """What is wrong with a command, None: nothing, or it is none of ours."""
    program, words = words[0].removeprefix("./"), words[1:]
    if program in ("python", "python3") and words and SCRIPT.fullmatch(words[0]):
        program, words = words[0], words[1:]
    words = [word for word in words if word != "…"]
    if program == "meson":
        return meson.parse(words)
    if program in PROGRAMS or (program.startswith("build") and os.path.basename(program) in PROGRAMS):
        words = [re.sub(r"[\[\]]", "", word) for word in words]
        if words and (words[0].isupper() or words[0] == "help"):  # twinctl COMMAND --help
            return None
        return parse_by_help(os.path.join(build, PROGRAMS[os.path.basename(program)]), words)
    if program.startswith("build/tests/"):
        return None if os.path.exists(os.path.join(build, program.partition("/")[2])) else f"{program} is not built"
    if PLACE.fullmatch(program) and program not in files:
        there = any(fnmatch.fnmatch(name, program.rstrip("/") + end) for name in files for end in ("", "/*"))
        return None if there or "NAME" in program else f"there is no {program}"
    text = read(program) if SCRIPT.fullmatch(program) and words else ""
    if not text.startswith("#!"):
        return None
    wrapped = re.search(r"^exec \S*python3 (\S+\.py) .*\"\$@\"$", text, re.M)
    if wrapped or "python" in text.partition("\n")[0]:
        return parse_python(wrapped[1] if wrapped else program, words)
    usage = subprocess.run([os.path.join(ROOT, program), "--help"], capture_output=True, text=True, timeout=20)
    told = usage.stdout + usage.stderr
    return next((f"{program} knows no {word}: {told.strip()}" for word in words if word[0] == "-" and word not in told), None)


def main():
    tap, build = Tap(), sys.argv[1]
    files, meson = set(repository_files()), Meson(build)
    said = functools.lru_cache(None)(lambda words: judge(words, build, meson, files))
    wrong = lambda page: [f"{' '.join(words)}: {said(words)}" for words in commands(page) if said(words)]
    good = ("    scripts/test --quick         some of it\n    FOO=1 meson test -C build model/golden --suite checks\n"
            "`scripts/campaign kills 7`, `bench/fidelity.py B D E.npy --columns 1:2`, `twinctl drift zmumu -o csv`, `bench/`\n"
            "```sh\ntwind --state x && twinctl status | head\n```\n")
    bad = ("scripts/none", "scripts/test --slow", "scripts/campaign kill", "scripts/campaign kills --fast", "bench/fidelity.py B",
           "twinctl drfit", "twinctl sample -n many", "src/none.c", "twind --stat x", "twin-bench --jsn", "meson test -C build kernl",
           "meson test -C build --suite chcks", "meson setup b -Dtest=1", "scripts/fuzz-api --instances 3", "build/tests/test_none")
    tap.case("commands: what is right is taken", wrong(good))
    tap.case("commands: what is wrong is found", [line for line in bad if not wrong(f"a `{line}` b")])
    for page in sorted(name for name in files if name.endswith(".md")):
        tap.case(f"commands: {page}", wrong(read(page)))
    count = said.cache_info().currsize
    tap.case("commands: there are many", [] if count > 300 else [str(count)])
    tap.finish()


if __name__ == "__main__":
    main()

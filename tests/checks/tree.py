"""What a checkout looks like to a stranger: no path of somebody's machine, no stray files, scripts that parse."""
import ast
import os
import re
import subprocess

from tap import ROOT, Tap, expect, read, repository_files

# Folders under which people keep their checkouts; the pattern is put together so that it does not find itself. Tests may
# speak of somebody's and else's home.
MACHINE = re.compile(r"(?<![\w.])/(?:" + "|".join(["home", "root", "Users", "work", "mnt", "media"])
                     + r")/(?!somebody\b|else\b)\w")
BINARY = (".npy", ".npz", ".png", ".safetensors", ".db", ".bin", ".ico")
LIMIT = 8 << 20


def machine_paths(text):
    return [line.strip() for line in text.splitlines() if MACHINE.search(line)]


def wrong_whitespace(text):
    if text and not text.endswith("\n"):
        return "does not end with a line end"
    if "\r" in text:
        return "has carriage returns"
    if re.search(r"[ \t]+$", text, re.M):
        return "has spaces at the end of a line"
    return None


def main():
    tap = Tap()
    tap.case("machine paths and stray spaces are found",
             expect("path", len(machine_paths("see /" + "home/jo/twin\nand /usr/lib, a/work/b\n")), 1)
             + [w for text, bad in (("a \n", True), ("a", True), ("a\r\n", True), ("a\n\nb\n", False), ("", False))
                for w in expect(repr(text), wrong_whitespace(text) is not None, bad)])
    files = repository_files()
    texts = {}
    not_text = []
    for name in files:
        if name.endswith(BINARY) or "/corpus/" in name:
            continue
        try:
            texts[name] = read(name)
        except UnicodeDecodeError:
            not_text.append(name)
    tap.case("text is UTF-8", not_text)
    tap.case("no file names a path of somebody's machine",
             [f"{name}: {line}" for name, text in texts.items() for line in machine_paths(text)])
    tap.case("line ends and spaces",
             [f"{name}: {wrong_whitespace(text)}" for name, text in texts.items() if wrong_whitespace(text)])
    tap.case("no file is larger than 8 MiB", [n for n in files if os.path.getsize(os.path.join(ROOT, n)) > LIMIT])

    python, shell = [], []
    for name, text in texts.items():
        first = text.split("\n", 1)[0]
        if name.endswith(".py") or (first.startswith("#!") and "python" in first):
            try:
                ast.parse(text, name)
            except SyntaxError as error:
                python.append(str(error))
        elif name.endswith(".sh") or (first.startswith("#!") and first.endswith("sh")):
            done = subprocess.run(["bash", "-n", os.path.join(ROOT, name)], capture_output=True, text=True)
            shell += [done.stderr.strip()] if done.returncode else []
    tap.case("Python files parse", python)
    tap.case("shell files parse", shell)
    not_executable = [n for n, t in texts.items() if t.startswith("#!") and not os.access(os.path.join(ROOT, n), os.X_OK)]
    tap.case("what has an interpreter line is executable", not_executable)
    tap.finish()


main()

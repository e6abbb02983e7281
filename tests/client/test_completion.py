"""twinctl completion: candidates as the scripts ask for them, and the scripts in the shells themselves, typed at."""
import json
import os
import pty
import select
import shutil
import subprocess
import sys
import tempfile
import time

from cases import TWINCTL, code, environment, has, lacks, run, same, twinctl
from fakes import Http

HOME = tempfile.TemporaryDirectory(prefix="twinctl-completion-")
SOURCES = os.path.join(os.path.dirname(__file__), "../../client/completion")


def page(*items):
    return 200, {"items": list(items), "next_cursor": None}


def daemon():
    http = Http()
    http.answer("GET", "/v1/twins", page({"name": "zmumu", "verdict": "true"}, {"name": "zee", "verdict": "drifted"}))
    http.answer("GET", "/v1/twins/zmumu/versions", page({"version": 12, "status": "champion"},
                                                        {"version": 11, "status": "retired"}))
    http.answer("GET", "/v1/twins/zmumu/feeds", page({"feed": "daq1", "run": 7}))
    http.answer("GET", "/v1/twins/zmumu/definition", (200, {"loop": {"mode": "auto", "growth": 0.1, "gate": {"level": 0.01}}}))
    http.answer("GET", "/v1/operations", page({"id": 17, "state": "running"}))
    return http


def candidates(http, *words):
    out = code(twinctl("completion", "--candidates", "--", *words, TWIN_URL=http.url), 0).out
    return [line.split("\t")[0] or line for line in out.splitlines()]


def test_candidates():
    """commands, options, names, versions, aliases, feeds, operations, formats, files: each where it belongs"""
    with daemon() as http:
        for words, wanted in (
                (["ver"], ["versions"]), (["--ti"], ["--timeout"]), (["-o", ""], ["table", "json", "csv"]),
                (["-o", "json", "stat"], ["status"]), (["help", "hist"], ["history"]), (["sample", "z"], ["zmumu", "zee"]),
                (["promote", "zmumu", "1"], ["12", "11"]), (["promote", "zmumu", "r"], ["reference"]),
                (["promote", "--reason", "two words", "zmumu", "12"], ["12"]), (["promote", "zmumu", "12", ""], []),
                (["promote", "zmumu", "12", "--alias", "ch"], ["champion", "challenger"]),
                (["promote", "zmumu", "--alias=re"], ["--alias=reference"]), (["export", "zmumu", "11"], ["11"]),
                (["sample", "zmumu", "--vers"], ["--version"]), (["sample", "zmumu", "--version", "11"], ["11"]),
                (["sample", "--reason"], []), (["ops", "--cancel", ""], ["17"]), (["train", "zmumu", ""], ["\tfiles"]),
                (["feed", "zmumu", "a.npy", "b.npy", "c"], ["\tfiles"]), (["feed", "zmumu", "-f", "d"], ["daq1"]),
                (["restore", "x.tar", "--state", ""], ["\tfolders"]), (["completion", ""], ["bash", "zsh", "fish"]),
                (["retune", "zmumu", "--kind", "r"], ["reweight"]), (["nonsense", ""], []), (["status", "--nonsense", ""], []),
                (["set", "zmumu", ""], ["mode=", "growth=", "gate.level="]), (["set", "zmumu", "growth=1", "g"], ["growth=", "gate.level="]),
                (["set", "zmumu", "mode=a"], ["mode=auto", "mode=advise"]), (["set", "zmumu", "growth=0"], []),
                (["create", "new", ""], ["\tfiles"]), (["sample", "zmumu", "--out", ""], ["\tfiles"])):
            same(candidates(http, *words), wanted, f"for {words}")
        has(twinctl("completion", "--candidates", "--", "sample", "zee", TWIN_URL=http.url).out, "zee\tdrifted\n")
        elsewhere = "http://127.0.0.1:1"  # the shared options of the line count; nobody there is no error
        result = code(twinctl("completion", "--candidates", "--", "--url", elsewhere, "show", "", TWIN_URL=http.url), 0)
        same((result.out, result.err), ("", ""))


def test_scripts():
    """what is printed is what is installed, where each shell looks for it; another shell is refused"""
    with open(os.path.join(os.path.dirname(TWINCTL), "../meson-info/intro-installed.json")) as f:
        installed = {os.path.basename(source): target for source, target in json.load(f).items()}
    for source, target in (("twinctl.bash", "/share/bash-completion/completions/twinctl"),
                           ("twinctl.zsh", "/_twinctl"), ("twinctl.fish", "/share/fish/vendor_completions.d/twinctl.fish")):
        assert installed[source].endswith(target), installed[source]
    for shell in "bash", "zsh", "fish":
        with open(f"{SOURCES}/twinctl.{shell}") as f:
            same(code(twinctl("completion", shell), 0).out, f.read())
    has(code(twinctl("completion", "tcsh"), 64).err, "bash, zsh or fish")


class Typed:
    """A shell at a terminal of its own, twinctl in its path."""

    def __init__(self, http, *command, **env):
        path = f"{os.path.dirname(TWINCTL)}:/usr/bin:/bin"
        self.pid, self.terminal = pty.fork()
        if not self.pid:
            os.execve(command[0], command, environment(HOME.name, TWIN_URL=http.url, PATH=path, PS1="$ ", **env))
        self.shown = ""

    def until(self, text, seconds=20):
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, f"{text!r} does not come: {self.shown!r}"
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.shown += os.read(self.terminal, 65536).decode(errors="replace")

    def type(self, keys, wanted):
        self.shown = ""
        os.write(self.terminal, keys.encode())
        self.until(wanted)

    def line(self, keys, wanted):
        """A line that is typed and given up again."""
        self.type(keys, wanted)
        os.write(self.terminal, b"\x15")  # Ctrl-U

    def close(self):
        os.write(self.terminal, b"\x15exit\n")
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


def typed_lines(shell, tab_tab):
    shell.line("twinctl promo\t", "twinctl promote ")
    shell.line("twinctl promote zm\t", "zmumu ")
    shell.line("twinctl promote zmumu 12 --alias ref\t", "--alias reference ")
    shell.line("twinctl promote zmumu 12 --alias=ref\t", "--alias=reference")
    shell.line("twinctl promote --reason 'two words' zmumu r\t", "zmumu reference")
    shell.line("twinctl set zmumu gr\t0.5", "growth=0.5")
    shell.line("twinctl set zmumu mode=m\t", "mode=manual")
    shell.line("twinctl train zmumu the\\ ev\t", "ents.npy")
    shell.line("twinctl promote zmumu 1" + tab_tab, "11")


def test_bash():
    """in bash: commands, names, both forms of options, quoted words, files with spaces"""
    if not shutil.which("bash"):
        return
    open(f"{HOME.name}/the events.npy", "w").close()
    with daemon() as http:
        shell = Typed(http, "/bin/bash", "--noprofile", "--norc", "-i", TERM="dumb", INPUTRC="/dev/null")
        shell.type(f"cd {HOME.name}; source <(twinctl completion bash); echo be''gin\n", "begin\r\n")
        typed_lines(shell, "\t\t")
        shell.line(f"twinctl --url {http.url} promote zm\t", "zmumu ")
        shell.close()


def test_zsh():
    """in zsh, from a folder in fpath"""
    if not shutil.which("zsh"):
        return
    open(f"{HOME.name}/the events.npy", "w").close()
    os.makedirs(f"{HOME.name}/site-functions", exist_ok=True)
    shutil.copy(f"{SOURCES}/twinctl.zsh", f"{HOME.name}/site-functions/_twinctl")
    with daemon() as http:
        shell = Typed(http, shutil.which("zsh"), "-f", "-i", TERM="dumb", ZDOTDIR=HOME.name)
        shell.type(f"cd {HOME.name}; fpath+=($PWD/site-functions); autoload -Uz compinit; compinit -u -D; echo be''gin\n",
                   "begin\r\n")
        typed_lines(shell, "\t\t")
        shell.close()


def test_fish():
    """in fish, with descriptions"""
    if not shutil.which("fish"):
        return
    path = f"{os.path.dirname(TWINCTL)}:/usr/bin:/bin"
    open(f"{HOME.name}/the events.npy", "w").close()
    with daemon() as http:
        lines = ["twinctl promo", "twinctl promote z", "twinctl promote zmumu 12 --alias ref",
                 "twinctl promote zmumu --alias=ref", "twinctl set zmumu gr", "twinctl train zmumu the", "twinctl feed zmumu --ra"]
        script = f"source {SOURCES}/twinctl.fish; " + "; ".join(f"complete -C '{line}'" for line in lines)
        done = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, timeout=60,
                              cwd=HOME.name, env=environment(HOME.name, TWIN_URL=http.url, PATH=path))
        same(done.stdout.splitlines(),
             ["promote\tserve a version", "zee\tdrifted", "zmumu\ttrue",
              "reference\tthe version that people have chosen to compare with",
              "--alias=reference\tthe version that people have chosen to compare with", "growth=\t0.1", "the events.npy",
              "--rate\tevents per second at most (as fast as they are taken)"])
        lacks(done.stderr, "twinctl")


if __name__ == "__main__":
    run(sys.modules[__name__])

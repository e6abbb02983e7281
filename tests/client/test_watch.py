"""twinctl watch on a terminal: what it shows, how it follows, and that the terminal is left as it was."""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import time

from cases import TWINCTL, code, environment, has, lacks, run, same, twinctl
from fakes import Http
from screen import Screen

HOME = tempfile.TemporaryDirectory(prefix="twinctl-watch-")
FULL = "█"


def statistic(name, verdict="drift", **more):
    return {"name": name, "verdict": verdict, "feature": None, "value": None, "error": None, "floor": None,
            "p_value": None, "threshold": None, **more}


def iteration(number, p=0.5, decision="none", reason="no drift"):
    return {"iteration": number, "time": "2026-03-01T12:00:00Z", "version": 3, "events": 5000, "drift": p < 1e-4,
            "decision": decision, "policy": {"reason": reason},
            "statistics": [statistic("c2st", value=0.51, error=0.006, p_value=p, threshold=1e-4),
                           statistic("ks", feature="mu_pt", value=0.01, p_value=0.7, threshold=1e-6),
                           statistic("ks", feature="mu_eta", value=0.02, p_value=1e-3, threshold=1e-6),
                           statistic("c2st", "fidelity", value=0.55, error=0.007, floor=0.501),
                           statistic("log_prob", "fidelity", value=-7.25 + 0.01 * number, error=0.03)]}


def page(items):
    return 200, {"items": items, "next_cursor": None}


class Daemon(Http):
    """Two twins. `windows` are the iterations of zmumu; each look finds its feed 1000 events further."""

    def __init__(self):
        super().__init__()
        self.windows = [iteration(n) for n in range(1, 6)]
        self.events = 40000
        twins = [{"name": "zmumu", "verdict": "true"}, {"name": "ttbar", "verdict": "drifted"}]
        self.answer("GET", "/v1/twins", page(twins))
        for name, verdict in ("zmumu", "true"), ("ttbar", "drifted"):
            about = f"/v1/twins/{name}"
            self.answer("GET", about, (200, {
                "name": name, "verdict": verdict, "mode": "auto", "since": "2026-03-01T12:00:00Z", "activity": "idle",
                "champion": {"version": 3, "since": "2026-03-01T11:00:00Z"}, "hold": name == "ttbar",
                "ingest": {"events": 40000, "lag_batches": 5}}))
            self.answer("GET", about + "/drift", (200, {"summary": f"All is well with {name}."}))
            self.answer("GET", about + "/feeds", self.feeds if name == "zmumu" else page([]))
            self.answer("GET", about + "/iterations", self.iterations if name == "zmumu" else page([]))
        self.answer("GET", "/v1/operations", page([]))

    def iterations(self, request):
        return page(self.windows[::-1][:int(request["query"]["limit"][0])])

    def feeds(self, request):
        self.events += 1000
        return page([{"feed": "daq1", "run": run, "batches": 4, "events": events, "invalid_rows": 2, "gaps": run - 7,
                      "last_received": f"2026-03-01T12:00:0{run}Z"} for run, events in ((7, 500), (8, self.events))])


class Terminal:
    """twinctl, or another program, at a terminal of its own."""

    def __init__(self, http, *arguments, rows=30, columns=100, command=None, **env):
        self.screen, self.raw, self.status = Screen(rows, columns), b"", None
        self.pid, self.file = pty.fork()
        if not self.pid:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            for number in signal.SIGHUP, signal.SIGINT, signal.SIGQUIT:  # ignored under nohup and in the background
                signal.signal(number, signal.SIG_DFL)
            everything = environment(HOME.name, **{"TERM": "xterm", "TWIN_URL": http.url, **env})
            command = command or [TWINCTL, "watch", *arguments]
            os.execve(command[0], command, everything)

    def read(self):
        if not select.select([self.file], [], [], 0.05)[0]:
            return True
        try:
            data = os.read(self.file, 65536)
        except OSError:  # the other end has gone
            return False
        self.raw += data
        self.screen.feed(data)
        return True

    def until(self, holds, seconds=20):
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"it does not come:\n{self.screen.text()}\n{self.screen.main}"
            self.read()
        return self

    def shows(self, text):
        return self.until(lambda: text in self.screen.text())

    def says(self, text):
        return self.until(lambda: text in self.screen.main)

    def type(self, keys):
        os.write(self.file, keys.encode())
        return self

    def resize(self, rows, columns):
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def end(self, seconds=20):
        """Exit status, or minus the signal; the terminal must be as it was before."""
        end = time.monotonic() + seconds
        while self.read():
            assert time.monotonic() < end, "it does not end"
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                while select.select([self.file], [], [], 0)[0] and self.read():
                    pass
                break
        else:
            status = os.waitpid(self.pid, 0)[1]
        same(self.screen.restored(), True, f"the screen after {self.raw[-200:]!r}")
        os.close(self.file)
        return os.waitstatus_to_exitcode(status)


def watching(http, *arguments, **more):
    return Terminal(http, *arguments, "--interval", "0.05", **more)


def test_view():
    """state, curves, numbers, feeds, decisions, words: each where it belongs; what is drawn once stays"""
    with Daemon() as http:
        t = watching(http, "zmumu").shows("All is well with zmumu.")
        same(t.screen.lines()[0], "[zmumu]  ttbar")
        has(t.screen.lines()[1], "zmumu  true since 2026-03-01 12:00:00", "idle", "champion 3, since 2026-03-01 11:00:00")
        has(t.screen.lines()[2], "40000 events, 5 batches", "mode auto")
        line, row = t.screen.find(" c2st")
        same(line.split(), ["c2st", "▁▁▁▁▁", "0.51", "0.5", "0.0001", "all"])
        same(t.screen.find(" ks")[0].split(), ["ks", "▄▄▄▄▄", "0.02", "0.001", "1e-06", "mu_eta"])
        has(t.screen.find("FIDELITY")[0], "0.5500 ± 0.0070   floor 0.5010")
        has(t.screen.find("   log-prob")[0], "▁▂▄▆█", "-7.2 ± 0.03")
        t.until(lambda: t.screen.find(" daq1 8")[0].split()[2] > "▁▁")  # two looks later there is a rate
        line = t.screen.find(" daq1 8")[0].split()
        assert 1000 < float(line[3]) < 20000 and int(line[4]) > 41500 and line[5:] == ["1", "4", "12:00:08"], line
        has(t.screen.text(), "none was needed in the last 5 windows")
        same(t.screen.colour[0][1], "32")
        same(t.screen.colour[0][9], "1;31")
        same(t.screen.modes, {"1049": True, "25": False, "7": False})

        cleared = t.screen.cleared
        http.windows.append(iteration(6, 1e-9, "retuning", "drift \x1b[31mfound"))
        t.shows("window 6  retuning  drift  [31mfound")
        same(t.screen.find(" c2st")[0].split()[1], "▁▁▁▁▁" + FULL)
        same(t.screen.colour[row][t.screen.lines()[row].index(FULL)], "1;31")
        http.windows[-1] = iteration(6, 1e-9, "promoted", "version 4")
        http.answer("GET", "/v1/operations", page([{"id": 17, "kind": "weights", "state": "running", "progress": 0.45}]))
        t.shows("window 6  promoted  version 4").shows("weights 17 running, 45 %")
        same(t.screen.cleared, cleared)
        same(t.type("q").end(), 0)
        has(t.screen.main, "zmumu: true, champion 3; 6 windows compared, the last one: drift")


def test_keys():
    """arrows and letters choose a twin; pause, help; keys that mean nothing do nothing"""
    with Daemon() as http:
        t = watching(http).shows("All is well with zmumu.")
        t.type("\033[B").shows("All is well with ttbar.")
        same(t.screen.lines()[0], " zmumu  [ttbar]")
        has(t.screen.lines()[2], "on hold: twinctl promote ttbar --lift-hold")
        t.shows("nobody has sent events yet: twinctl feed ttbar FILE").shows("no window was compared yet")
        t.type("\033OA").shows("All is well with zmumu.").type("n").shows("ttbar.").type("\t").shows("zmumu.")
        t.type("h").shows("how near each detector was").type("h").shows("FIDELITY")
        t.type("p").shows("paused")
        count = len(http.requests)
        t.type("\033[5~x\033[1;5Fz").type("h").shows("In words").type("h").shows("FIDELITY")
        assert len(http.requests) - count < 5  # a look that was under way
        t.type("r").until(lambda: len(http.requests) >= count + 5).type("p").shows("every 0.05 s")
        same(t.type("q").end(), 0)


def test_sizes():
    """every size has its picture, also one that comes while it is shown; nothing is written outside"""
    with Daemon() as http:
        t = watching(http, "zmumu", rows=50, columns=180).shows("All is well")
        for rows, columns in (24, 80), (12, 40), (3, 15), (1, 1), (16, 300), (30, 100):
            t.resize(rows, columns)
            os.kill(t.pid, signal.SIGWINCH)
            t.until(lambda: t.screen.lines()[0].startswith("[zmumu] ttbar"[:min(columns, 7)] if rows > 1 else "q"))
            if rows > 12:  # a whole picture of the size before may come first
                t.until(lambda: "DECISIONS" in t.screen.text() and t.screen.lines()[-1].startswith("q quit"))
        same(t.type("q").end(), 0)


def test_signals():
    """whatever ends it, the terminal is as it was: signals that are caught, and those that kill"""
    with Daemon() as http:
        for number, wanted in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, -signal.SIGHUP),
                               (signal.SIGQUIT, -signal.SIGQUIT), (signal.SIGSEGV, -signal.SIGSEGV)):
            t = watching(http, "zmumu").shows("All is well")
            os.kill(t.pid, number)
            same(t.end(), wanted, f"the exit status after {number.name}")
        t = watching(http, "zmumu").shows("All is well")
        same(t.type("\x03").end(), 130, "the exit status after Ctrl-C")


def shell(http):
    """A shell with job control."""
    inputrc = HOME.name + "/inputrc"
    with open(inputrc, "w") as f:
        f.write("set enable-bracketed-paste off\n")
    return Terminal(http, columns=300, command=["/bin/bash", "--noprofile", "--norc", "-i"], PS1="$ ", INPUTRC=inputrc)


def test_suspend():
    """Ctrl-Z gives the terminal back to the shell, fg takes it again, and the end restores its modes"""
    with Daemon() as http:
        t = shell(http)
        t.type(f"stty -a > {HOME.name}/before; {TWINCTL} watch zmumu -i 0.1\n").shows("All is well with zmumu.")
        t.type("\x1a").says("Stopped")
        same(t.screen.restored(), True, "the screen is the shell's")
        t.type(f"stty -a > {HOME.name}/stopped; echo be''tween\n").says("between")
        t.type("fg\n").shows("All is well with zmumu.")
        same(t.screen.entered, 2)
        t.type("q").says("zmumu: true")
        t.type(f"stty -a > {HOME.name}/after; echo do''ne\n").says("done")
        t.type("exit\n")
        same(t.end(), 0)
        before, stopped, after = (open(f"{HOME.name}/{name}").read() for name in ("before", "stopped", "after"))
        same((stopped, after), (before, before))


def test_jobs():
    """a view that is stopped, or was started in the background, ends by kill, and leaves the terminal to the shell"""
    watch = f"{TWINCTL} watch zmumu -i 0.1"
    ways = [(watch, True)]
    if "thread" not in os.environ.get("TWIN_SANITIZED", ""):  # which runs handlers later than the system calls them
        ways.append((f"{watch} &", False))
    with Daemon() as http:
        for start, stopped in ways:
            for number, end in ("TERM", "Exit 143"), ("HUP", "Hangup"):
                t = shell(http)
                t.type(f"stty -a > {HOME.name}/before; {start}\n")
                if stopped:
                    t.shows("All is well").type("\x1a")
                t.type("until jobs %1 | grep Stop; do sleep 0.05; done\n").says("Stopped")
                t.type(f"kill -{number} %1; while jobs %1 | grep Stop; do sleep 0.05; done\n").says(end)
                t.type(f"stty -a > {HOME.name}/after; exit\n")
                same(t.end(), 0)
                same(open(f"{HOME.name}/after").read(), open(f"{HOME.name}/before").read())


def test_without_colours():
    """NO_COLOR: no colours; another character set: no character of UTF-8"""
    with Daemon() as http:
        http.windows.append(iteration(6, 1e-9, "promoted", "version 4"))
        t = watching(http, "zmumu", NO_COLOR="1").shows("All is well")
        same(t.type("q").end(), 0)
        same(t.screen.painted - {""}, set())
        t = watching(http, "zmumu", LC_ALL="C").shows("All is well")
        has(t.screen.find(" c2st")[0], "_____#")
        same(t.type("q").end(), 0)
        assert t.raw.isascii(), t.raw


def test_away():
    """a daemon that goes away is waited for, and says so in the view; one that was never there is an error"""
    with Daemon() as http:
        t = watching(http, "zmumu").shows("All is well")
        kept = dict(http.answers)
        http.answer("GET", "/v1/twins/zmumu/feeds", (400, {"detail": "unknown query parameter"}))
        count = len(http.requests)
        t.until(lambda: len(http.requests) > count + 12)  # what only another version answers is done without
        has(t.screen.text(), "FIDELITY", "FEEDS")
        lacks(t.screen.text(), "no answer")
        http.answer("GET", "/v1/twins/zmumu", (503, {"detail": "the daemon is stopping"}))
        t.shows("no answer for").shows("the daemon is stopping").shows("FIDELITY")
        http.answers = kept
        t.until(lambda: "no answer" not in t.screen.text())
        http.answer("GET", "/v1/twins/zmumu", (404, {"detail": "there is no twin \"zmumu\"", "error": "unknown_twin"}))
        http.answer("GET", "/v1/twins", page([{"name": "zmumu2", "verdict": "true"}]))
        same(t.end(), 1)
        has(t.screen.main, "there is no twin", "did you mean zmumu2?")
        url = http.url
    t = Terminal(http, "zmumu", TWIN_URL=url)
    same(t.end(), 69)
    same(t.screen.entered, 0)
    has(t.screen.main, "nobody listens")


def test_ends():
    """--count and --timeout end it; a dumb terminal gets lines; without one a name is needed"""
    with Daemon() as http:
        t = watching(http, "zmumu", "--count", "1").shows("All is well")
        http.windows.append(iteration(6, 1e-9, "retuning"))
        t.shows("retuning")
        http.windows[-1] = iteration(6, 1e-9, "promoted")
        same(t.end(), 0)
        same(watching(http, "zmumu", "--timeout", "0.3").end(), 0)
        same(watching(http, "zmumu", "--timeout", "0.3", "--count", "1").end(), 75)
        t = watching(http, "zmumu", "--timeout", "0.3", "--last", "2", TERM="dumb")
        same(t.end(), 0)
        lacks(t.raw.decode(), "\033")
        same([line.split()[0] for line in t.screen.main.splitlines()], ["WINDOW", "5", "6"])
        has(code(twinctl("watch", TWIN_URL=http.url), 64).err, "needs the name")


if __name__ == "__main__":
    run(sys.modules[__name__])

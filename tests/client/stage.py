"""What the tests of commands share: a home with a token, answers as twind gives them, and a terminal."""
import os
import pty
import select
import tempfile
import time

from cases import TWINCTL, environment, twinctl
from fakes import TOKEN

HOME = tempfile.TemporaryDirectory(prefix="twinctl-commands-")
COMMANDS = ("status create train feed sample log-prob drift weights watch retune ops versions show set promote rollback "
            "history backup restore export tune delete doctor completion").split()

TWIN = {"name": "zmumu", "verdict": "drifted", "mode": "advise", "since": "2026-03-01T12:00:00.5Z", "activity": "retuning",
        "champion": {"version": 3, "since": "2026-03-01T11:00:00Z"},
        "ingest": {"batches": 40, "events": 40000, "duplicates": 1, "gaps": 0, "invalid_rows": 2, "lag_batches": 5}}


def statistic(name, verdict="drift", **more):
    return {"name": name, "verdict": verdict, "feature": None, "value": None, "error": None, "floor": None,
            "p_value": None, "threshold": None, **more}


def iteration(number, drift=False, decision="none"):
    return {"iteration": number, "time": "2026-03-01T12:00:00Z", "version": 3, "events": 5000, "drift": drift,
            "ordinals": {"first": 5 * number, "last": 5 * number + 4}, "decision": decision, "policy": {},
            "statistics": [statistic("c2st", value=0.61 if drift else 0.503, error=0.006,
                                     p_value=1e-9 if drift else 0.4, threshold=1e-4),
                           statistic("ks", feature="mu_pt", value=0.01, p_value=0.7, threshold=1e-5),
                           statistic("ks", feature="mu_eta", value=0.02, p_value=0.03, threshold=1e-5),
                           statistic("invalid_rows", value=0.0, p_value=1.0, threshold=1e-4),
                           statistic("c2st", "fidelity", value=0.55, floor=0.501)]}


def page(items):
    return 200, {"items": items, "next_cursor": None}


def operation(state, progress=0.0, **more):
    return {"id": 17, "kind": "train", "twin": "zmumu", "state": state, "progress": progress,
            "created": "2026-03-01T12:00:00Z", "finished": None, **more}


def alias(version=3, move=9, hold=True):
    return 200, {"alias": "champion", "version": version, "move": move, "hold": hold}, {"ETag": f'"{move}"'}


def ctl(http, *arguments, token=TOKEN, **more):
    """With a token where the daemon leaves it by default."""
    folder = os.path.join(HOME.name, ".local/state/twin")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "admin.token"), "w") as f:
        f.write(token + "\n")
    return twinctl(*arguments, home=HOME.name, TWIN_URL=http.url, **more)


def scratch(name, content):
    path = os.path.join(HOME.name, name)
    with open(path, "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())
    return path


def on_terminal(arguments, seconds=20, typed=b"", until=None, **env):
    """Runs twinctl with a terminal of its own; exit status (None if it was ended by us) and what it showed."""
    pid, terminal = pty.fork()
    if not pid:
        os.execve(TWINCTL, [TWINCTL, *arguments], environment(HOME.name, **{"TERM": "xterm", **env}))
    shown, end, status = b"", time.monotonic() + seconds, None
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.1)[0]:
            continue
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            break
        shown += piece
        if typed and b"[y/N]" in shown:
            os.write(terminal, typed)
            typed = b""
        if until and until in shown:
            os.write(terminal, b"\x03")
            until = None
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode()

"""TAP cases that run twinctl as a user would: every case is a function, its docstring is its name."""
import inspect
import os
import subprocess
import sys
import traceback

TWINCTL = os.path.abspath(sys.argv[1])

# What a user's surroundings might hold and a test must not depend on.
CLEAN = {k: v for k, v in os.environ.items()
         if not k.startswith("TWIN_") and k not in ("NO_COLOR", "STATE_DIRECTORY", "XDG_STATE_HOME")}


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __str__(self):
        return f"exit {self.code}\nstdout: {self.out[-2000:]!r}\nstderr: {self.err[-2000:]!r}"


def environment(home, **more):
    return {**CLEAN, "HOME": str(home), "TZ": "UTC", "LC_ALL": "C.UTF-8", **more}


def twinctl(*arguments, home="/nonexistent", stdin=None, timeout=60, binary=False, **env):
    done = subprocess.run([TWINCTL, *map(str, arguments)], env=environment(home, **env), timeout=timeout,
                          input=stdin if stdin is not None else b"", capture_output=True)
    text = (lambda b: b) if binary else (lambda b: b.decode())
    return Result(done.returncode, text(done.stdout), done.stderr.decode())


def start(*arguments, home="/nonexistent", **env):
    return subprocess.Popen([TWINCTL, *map(str, arguments)], env=environment(home, **env), stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process, timeout=60):
    out, err = process.communicate(timeout=timeout)
    return Result(process.returncode, out.decode(), err.decode())


def run(module):
    """Runs every function of the module whose name begins with test_; the exit status tells how it went."""
    cases = [f for name, f in inspect.getmembers(module, inspect.isfunction) if name.startswith("test_")]
    cases.sort(key=lambda f: f.__code__.co_firstlineno)
    print(f"1..{len(cases)}")
    failures = 0
    for number, case in enumerate(cases, 1):
        name = (case.__doc__ or case.__name__).strip().splitlines()[0]
        try:
            case()
            print(f"ok {number} - {name}", flush=True)
        except Exception:  # a case that breaks has failed, whatever broke
            failures += 1
            print(f"not ok {number} - {name}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    sys.exit(1 if failures else 0)


def same(got, wanted, what=""):
    assert got == wanted, f"{what or 'got'} {got!r}, not {wanted!r}"


def has(text, *parts):
    for part in parts:
        assert part in text, f"{part!r} is not in {text!r}"


def lacks(text, *parts):
    for part in parts:
        assert part not in text, f"{part!r} is in {text!r}"


def code(result, wanted):
    assert result.code == wanted, f"exit status {result.code}, not {wanted}\n{result}"
    return result

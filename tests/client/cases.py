"""TAP cases that run twinctl as a user would: every case is a function, its docstring is its name."""
import concurrent.futures
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


def waits(case):
    """Marks a case that spends its seconds on the program's patience and shares nothing: all of these run at once."""
    case.waits = True
    return case


def trouble_of(case):
    """The traceback of a case that fails, None of one that does not."""
    try:
        case()
    except Exception:  # a case that breaks has failed, whatever broke
        return traceback.format_exc()
    return None


def run(module):
    """Runs every function of the module whose name begins with test_; the exit status tells how it went."""
    cases = [f for name, f in inspect.getmembers(module, inspect.isfunction) if name.startswith("test_")]
    cases.sort(key=lambda f: f.__code__.co_firstlineno)
    print(f"1..{len(cases)}")
    together = [case for case in cases if hasattr(case, "waits")]
    with concurrent.futures.ThreadPoolExecutor(max(len(together), 1)) as pool:
        known = dict(zip(together, pool.map(trouble_of, together)))
    failures = 0
    for number, case in enumerate(cases, 1):
        name = (case.__doc__ or case.__name__).strip().splitlines()[0]
        trouble = known[case] if case in known else trouble_of(case)
        failures += trouble is not None
        print(f"{'ok' if trouble is None else 'not ok'} {number} - {name}", flush=True)
        for line in (trouble or "").splitlines():
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

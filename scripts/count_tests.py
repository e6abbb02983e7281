"""Counts the cases of meson's test logs.

    count_tests.py [NAME=testlog.json ...] [--broken N]
    meson introspect --tests BUILD | count_tests.py --threaded

A case is one TAP line; a program that speaks no TAP is one case. A case that ran in several builds counts once, and has
failed if it failed in one of them. A program that died, timed out or printed less than it planned is a failed case by
itself. What a failed case said of itself is printed with it, as the end of a log may be all that is left of a machine. The
exit status is 0 only if something passed, nothing failed, and N (steps that broke off before) is 0.
"""
import argparse
import json
import pathlib
import re
import sys

# Everything else is one thread's work: TSan has nothing to see there. In some layers that is so of most programs too, and
# they say so by making no pool.
THREADED_LAYERS = ("base", "model", "stat", "daemon", "client", "system")
POOLED_LAYERS = ("model", "stat")
TESTS = pathlib.Path(__file__).resolve().parent.parent / "tests"
REASON_LINES = 15
LINE = re.compile(r"^\s*(not )?ok\b\s*(\d+)?\s*(?:- )?([^#]*)(#\s*(skip|todo)\b)?", re.I)


def cases(run):
    """{case: "pass" | "fail" | "skip"} of one test program's entry in the log."""
    found = {}
    for line in run.get("stdout", "").splitlines():
        match = LINE.match(line)
        if match:
            key = (run["name"], match[2] or str(len(found) + 1), match[3].strip())
            found[key] = "skip" if match[4] else "fail" if match[1] else "pass"
    result = run["result"]
    program = (run["name"], "", "the program itself")
    if result in ("SKIP",):
        return found or {program: "skip"}
    if result in ("OK", "EXPECTEDFAIL"):
        return found or {program: "pass"}
    if "fail" not in found.values():
        found[program] = "fail"
    return found


def reasons(run):
    """{case: lines} of what failed cases of a program printed after their line; of one that died, its last lines."""
    found, key = {}, None
    for line in run.get("stdout", "").splitlines():
        match = LINE.match(line)
        if match:
            key = (run["name"], match[2], match[3].strip()) if match[1] else None
        elif key and line.lstrip().startswith("#"):
            found.setdefault(key, []).append(line.strip(" #"))
    said = (run.get("stdout", "") + "\n" + run.get("stderr", "")).strip().splitlines()
    found[(run["name"], "", "the program itself")] = said
    return {key: lines[-REASON_LINES:] for key, lines in found.items()}


def merge(logs):
    total = {}
    for name, lines in logs:
        for line in lines:
            if not line.strip():
                continue
            run = json.loads(line)
            for key, state in cases(run).items():
                states, where, why = total.setdefault(key, (set(), [], []))
                states.add(state)
                if state == "fail":
                    where.append(name)
                    why[:] = reasons(run).get(key, [])
    return total


def summary(logs, broken):
    total = merge(logs)
    failed = {k: more for k, (states, *more) in total.items() if "fail" in states}
    passed = [k for k, (states, *_) in total.items() if "fail" not in states and "pass" in states]
    lines = []
    for key, (where, why) in failed.items():
        lines.append(f"failed in {', '.join(where)}: {key[0]}: {key[2] or key[1]}")
        lines += [f"    {line}" for line in why]
    skipped = len(total) - len(failed) - len(passed)
    if skipped:
        lines.append(f"{skipped} skipped")
    lines.append(f"{len(passed)} passed, {len(failed) + broken} failed")
    return lines, 0 if passed and not failed and not broken else 1


def has_threads(part):
    """Is this word of a command a test of a layer with threads?"""
    layer = next((layer for layer in THREADED_LAYERS if f"tests/{layer}/" in part), None)
    if layer not in POOLED_LAYERS:
        return layer is not None
    source = TESTS / layer / (pathlib.Path(part).name.removesuffix("_f64") + ".c")
    return not source.exists() or "tw_pool_new(" in source.read_text()


def threaded(tests):
    """Names of the test programs that work in threads; what is killed can report nothing."""
    return [t["name"] for t in tests if not any(s.endswith(":kill") for s in t["suite"])
            and any(has_threads(part) for part in t["cmd"])]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("logs", nargs="*")
    parser.add_argument("--broken", type=int, default=0)
    parser.add_argument("--threaded", action="store_true")
    arguments = parser.parse_args()
    if arguments.threaded:
        print("\n".join(threaded(json.load(sys.stdin))))
        return 0
    logs = []
    for log in arguments.logs:
        name, path = log.split("=", 1)
        try:
            with open(path) as f:
                logs.append((name, f.readlines()))
        except FileNotFoundError:
            print(f"{name}: no test ran")
            arguments.broken += 1
    lines, status = summary(logs, arguments.broken)
    print("\n".join(lines))
    return status


if __name__ == "__main__":
    sys.exit(main())

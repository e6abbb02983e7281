"""The last line of scripts/test says what happened: its counter is fed logs whose truth is known."""
import json
import os
import sys

from tap import ROOT, Tap, expect

sys.path.insert(0, os.path.join(ROOT, "scripts"))
import count_tests  # noqa: E402


def log(*runs):
    return [json.dumps({"name": name, "result": result, "stdout": text}) for name, result, text in runs]


def last(*logs, broken=0):
    lines, status = count_tests.summary([(f"b{i}", entry) for i, entry in enumerate(logs)], broken)
    return lines[-1], status


def main():
    tap = Tap()
    good = ("a", "OK", "1..3\nok 1 - one\nok 2 - two # SKIP no network\nok 3 - three\n")
    bad = ("a", "FAIL", "1..3\nok 1 - one\nok 2 - two # SKIP no network\nnot ok 3 - three\n")
    died = ("b", "ERROR", "1..2\nok 1 - one\n")
    tap.case("passed and skipped", expect("good", last(log(good)), ("2 passed, 0 failed", 0)))
    tap.case("failed", expect("bad", last(log(bad)), ("1 passed, 1 failed", 1)))
    tap.case("a case of two builds counts once", expect("twice", last(log(good), log(good)), ("2 passed, 0 failed", 0)))
    tap.case("one bad build is enough", expect("one", last(log(good), log(bad)), ("1 passed, 1 failed", 1)))
    tap.case("a program that died is a failure", expect("died", last(log(good, died)), ("3 passed, 1 failed", 1)))
    tap.case("a timeout is a failure", expect("slow", last(log(("c", "TIMEOUT", ""))), ("0 passed, 1 failed", 1)))
    tap.case("a program without TAP is a case", expect("plain", last(log(("c", "OK", ""))), ("1 passed, 0 failed", 0)))
    tap.case("nothing ran", expect("none", last(log()), ("0 passed, 0 failed", 1)))
    tap.case("a build that broke off is a failure", expect("broken", last(log(good), broken=1), ("2 passed, 1 failed", 1)))
    said = ("a", "FAIL", "1..2\nnot ok 1 - one\n# seen 3\n# not 4\nok 2 - two\n# all is well\n")
    lines, _ = count_tests.summary([("b", log(said))], 0)
    tap.case("a failure says why", expect("why", lines, ["failed in b: a: one", "    seen 3", "    not 4", "1 passed, 1 failed"]))
    lines, _ = count_tests.summary([("b", log(died))], 0)
    tap.case("so does a death", expect("why", lines[:3], ["failed in b: b: the program itself", "    1..2", "    ok 1 - one"]))
    test = lambda name, path, *suites: {"name": name, "cmd": [path], "suite": ["twin", *suites]}
    tests = [test("pool", "/b/tests/base/test_pool"), test("spline", "/b/tests/nn/test_spline"),
             test("loop", "/r/tests/system/run.py", "twin:system"), test("kill", "/r/tests/system/run.py", "twin:kill")]
    tap.case("the layers with threads", expect("threaded", count_tests.threaded(tests), ["pool", "loop"]))
    tap.finish()


main()

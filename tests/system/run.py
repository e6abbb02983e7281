"""Runs the cases of one test module and prints TAP: run.py test_loop"""
import importlib
import os
import sys
import traceback
import unittest

# What people export to reach a daemon of their own, as README says it, is nothing to a test.
THEIRS = ("TWIN_URL", "TWIN_TOKEN_FILE", "TWIN_CONFIG", "TWIN_STATE", "TWIN_HTTP", "TWIN_INGEST", "TWIN_PUBLISH", "STATE_DIRECTORY",
          "XDG_STATE_HOME")


class TapResult(unittest.TestResult):
    count = 0

    def line(self, ok, test, more=""):
        self.count += 1
        print(f"{'ok' if ok else 'not ok'} {self.count} - {test.id()}{more}", flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.line(True, test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line(True, test, f" # SKIP {reason}")

    def explain(self, test, error):
        self.line(False, test)
        for text in traceback.format_exception(*error):
            for part in text.rstrip().splitlines():
                print("# " + part)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.explain(subtest, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.explain(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.explain(test, err)


def main():
    for name in THEIRS:
        os.environ.pop(name, None)
    sys.path.insert(0, __file__.rsplit("/", 1)[0])
    suite = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(sys.argv[1]))
    print(f"1..{suite.countTestCases()}", flush=True)
    result = TapResult()
    suite.run(result)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())

"""Asks everything that the OpenAPI document describes, right and wrong, with schemathesis of PyPI: no answer may be a 5xx,
undocumented, or unlike its schema, and what violates the document must be refused.

    fuzz_api.py [--examples N] [--seed N]    the long form: N generated requests of each kind to each route

The token is sent along, so that what changes something is reached too. Twins are deleted in a run of their own, as the
others need theirs; the stream of events, which does not end, has a test of its own.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import pypi

pypi.need("schemathesis", "numpy")

import toy
from daemon import Daemon

HERE = os.path.dirname(os.path.abspath(__file__))
# Not every text is a cursor, not every schema-valid definition makes sense: what fits may still be refused. An operation
# that was cancelled (DELETE) can still be looked at.
CONFIGURATION = """
[checks]
positive_data_acceptance.enabled = false
use_after_free.enabled = false
negative_data_rejection.expected-statuses = [400, 401, 404, 405, 406, 409, 412, 413, 415, 428]
"""


def daemon_with_twins():
    """One twin that is trained and has been compared, and one that is not; those of the hooks."""
    daemon = Daemon().start()
    daemon.create(toy.DEFINITION)
    daemon.create({**toy.DEFINITION, "name": "raw"})
    daemon.train("toy", toy.events(2000, 1), "?epochs=2&seed=3")
    for seq in range(2):
        daemon.request("POST", f"/v1/twins/toy/batches?feed=daq&run=1&seq={seq}", toy.events(1000, seq + 5))
    return daemon


def fuzz(daemon, examples, seed, *options):
    """Exit status and report."""
    with tempfile.TemporaryDirectory(prefix="twin-fuzz-") as scratch:
        pathlib.Path(scratch, "schemathesis.toml").write_text(CONFIGURATION)
        done = subprocess.run(
            [os.path.join(os.path.dirname(sys.executable), "schemathesis"), "run", daemon.url + "/openapi.json",
             "--header", "Authorization: Bearer " + daemon.token(), "--max-examples", str(examples), "--seed", str(seed),
             "--continue-on-failure", "--request-timeout", "60", "--generation-database", "none", "--warnings", "off",
             "--no-color", *options],
            cwd=scratch, env={**os.environ, "PYTHONPATH": HERE, "SCHEMATHESIS_HOOKS": "fuzz_api_hooks", "PYTHONWARNINGS": "ignore"},
            capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def run(examples, seed):
    """Reports that are not clean, and whether the daemon is as well as before."""
    daemon = daemon_with_twins()
    try:
        bad = []
        for options in (("--exclude-operation-id", "deleteTwin", "--exclude-operation-id", "events"), ("--include-operation-id", "deleteTwin")):
            status, report = fuzz(daemon, examples, seed, *options)
            print(report, file=sys.stderr, flush=True)
            if status != 0 or "No test cases" in report:
                bad.append(report)
        answer = daemon.request("GET", "/readyz?verbose")
        if answer.status != 200:
            bad.append(answer.body.decode())
        return bad
    finally:
        daemon.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--examples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    sys.exit(1 if run(arguments.examples, arguments.seed) else 0)

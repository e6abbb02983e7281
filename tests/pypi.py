"""For tests that need packages of PyPI (scripts/packages-python): `pypi.need("httpx")` before they are imported.

The packages are in build/venv, which sees Debian's packages too; scripts/test makes it. The test starts again under the
Python of that environment; where it or a module is missing, all of the test is skipped, with the reason.
"""
import importlib.util
import os
import sys

VENV = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "build", "venv")


def need(*modules):
    python = os.path.join(VENV, "bin", "python")
    if os.path.abspath(sys.prefix) != VENV and os.path.exists(python):
        os.execv(python, [python, *sys.orig_argv[1:]])
    missing = [name for name in modules if not importlib.util.find_spec(name)]
    if missing:
        print(f"1..0 # SKIP without {', '.join(missing)}: scripts/packages-python is not installed in build/venv")
        sys.exit(0)

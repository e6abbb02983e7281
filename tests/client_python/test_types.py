"""mypy --strict finds nothing in the package, knows what comes out of it, and finds a mistake of its user."""
import os
import subprocess
import sys
import tempfile
import unittest

import pypi

pypi.need("mypy")

from daemon import ROOT

USER = """\
import numpy as np
import twin

rows: np.ndarray = twin.Twin("zmumu").sample(10, seed=1)
verdict: str = twin.Twin("zmumu").drift()["verdict"]
parents: list[int | None] = [version["parent"] for version in twin.Twin("zmumu").versions()]


async def use(feed: twin.AsyncFeed) -> int:
    return await feed.send(rows)


twin.Twin("zmumu").sample("many")
"""


class TypesTest(unittest.TestCase):
    def test_strict(self):
        with tempfile.TemporaryDirectory() as folder:
            user = os.path.join(folder, "user.py")
            with open(user, "w") as file:
                file.write(USER)
            command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.path.join(folder, "cache"),
                       str(ROOT / "client" / "python" / "twin"), user]
            done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        errors = [line for line in done.stdout.splitlines() if ": error: " in line]
        self.assertEqual(len(errors), 1, done.stdout + done.stderr)
        self.assertIn("user.py:13: error: Argument 1 to \"sample\"", errors[0])


if __name__ == "__main__":
    unittest.main()

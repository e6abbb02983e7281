"""The soak in short: everything at once for some seconds, with a restart and a kill; nothing fails, nothing piles up."""
import os
import sys
import unittest

from soak import Soak


class SoakTest(unittest.TestCase):
    def test_everything_at_once(self):
        rate = 3 if os.environ.get("TWIN_SANITIZED") else 20  # what is left over has to be compared at the end
        soak = Soak(seconds=24, interval_s=1, restart_s=8, operator_s=4, period_s=6, rate=rate)
        try:
            done = soak.run()
        finally:
            soak.close()
        print(done, file=sys.stderr)
        self.assertGreaterEqual(done["restarts"] + done["kills"], 2)
        self.assertGreater(done["backups"], 0)
        self.assertGreater(done["answers"], 20 if os.environ.get("TWIN_SANITIZED") else 50)
        self.assertGreater(done["iterations"], 1)
        self.assertLess(max(row["peak_mb"] for row in soak.rows), 512)
        self.assertLess(max(row["descriptors"] for row in soak.rows), 100)


if __name__ == "__main__":
    unittest.main(verbosity=2)

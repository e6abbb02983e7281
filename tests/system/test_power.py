"""The power goes at random moments: what was not synced is lost, torn or there after all, names of files included.
siege.py says what must hold. That the campaign has teeth is shown with a disk that forgets the syncs of some files.
Long form: scripts/campaign power 500, and scripts/campaign teeth, which takes the syncs out of the source."""
import os
import sys
import unittest

from daemon import ROOT
from siege import Siege
from siege_migration import siege_of_migration
from siege_steps import siege_of_first_start, siege_of_recovery

SHIM = os.environ.get("TWIN_POWERLOSS") or str(ROOT / "build" / "tests" / "faults" / "powerloss.so")


@unittest.skipIf(os.environ.get("TWIN_SANITIZED"), "a sanitizer must be loaded first")
class PowerTest(unittest.TestCase):
    def test_power_loss(self):
        figures = Siege(seed=2, shim=SHIM).run(12, replayed=300)
        print("#", figures, file=sys.stderr)
        self.assertGreater(figures["acked"], 100)
        self.assertGreater(figures["disk"]["lost_writes"], 0)

    def test_first_start(self):
        figures = siege_of_first_start(SHIM, range(1, 120, 8), seed=4)
        print("#", figures, file=sys.stderr)
        self.assertGreater(figures["lost_names"], 0)

    def test_recovery(self):
        siege_of_recovery(SHIM, 8, seed=5)

    def test_migration(self):
        self.assertGreater(siege_of_migration(4, seed=6, shim=SHIM)["migrated"], 0)

    def fails(self, lies, within=40):
        """A campaign on a disk that forgets some syncs ends with a complaint about lost data."""
        with self.assertRaises((AssertionError, RuntimeError)) as caught:
            Siege(seed=3, shim=SHIM, lies=lies).run(within, replayed=0)
        print("#", lies, "forgotten:", str(caught.exception).strip()[-200:], file=sys.stderr)

    def test_teeth_spool(self):
        self.fails(r"\.seg$")

    def test_teeth_database(self):
        self.fails(r"twin\.db-wal$")

    def test_teeth_folders(self):
        self.fails(r"/$")


if __name__ == "__main__":
    unittest.main(verbosity=2)

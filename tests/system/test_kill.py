"""SIGKILL at random moments, under load, in a start, in a migration and while retention prunes: siege.py says what must
hold. Long form: scripts/campaign kills 1000"""
import sys
import unittest

from siege import Siege
from siege_migration import migrations, siege_of_migration


class KillTest(unittest.TestCase):
    def campaign(self, kills, **more):
        figures = Siege(seed=1, **more).run(kills, replayed=600)
        print("#", figures, file=sys.stderr)
        self.assertGreater(figures["acked"], 100)
        return figures

    def test_under_load(self):
        figures = self.campaign(12)
        self.assertGreater(figures["moves"], 1)
        self.assertGreater(figures["replayed"]["versions"], 1)

    def test_while_pruning(self):
        figures = self.campaign(8, pruning=True)
        self.assertTrue(figures["pruned"])

    @unittest.skipIf(migrations() < 2, "there is one schema")
    def test_while_migrating(self):
        self.assertGreater(siege_of_migration(6, count=500)["migrated"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""The short form of faults.py: some faults of every class, the same ones as long as the program is the same."""
import sys
import unittest

import faults

SAMPLE = {"alloc": 8, "write": 6, "sync": 5, "open": 4, "thread": 2}


class FaultsTest(unittest.TestCase):
    def test_a_sample(self):
        figures, findings = faults.campaign(sample=SAMPLE, say=lambda text: None)
        print(figures, file=sys.stderr)
        self.assertEqual(findings, [], "\n".join(findings))
        struck = sum(n for outcomes in figures["outcomes"].values() for what, n in outcomes.items()
                     if what != "not reached")
        self.assertGreater(struck, 15)  # else the library was not preloaded, or not there

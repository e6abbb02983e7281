"""The short form of fuzz_api.py: every phase of schemathesis, a few generated requests to each route."""
import os
import unittest

import fuzz_api


class FuzzApi(unittest.TestCase):
    @unittest.skipIf("thread" in os.environ.get("TWIN_SANITIZED", ""), "in the other builds; it takes long here")
    def test_no_answer_is_undocumented(self):
        self.assertEqual(fuzz_api.run(3, 1), [])


if __name__ == "__main__":
    unittest.main()

"""What people hold events in becomes one array; what comes back knows its columns."""
import pickle
import unittest

import numpy as np

from twin import Events, Table, arrays
from twin.arrays import as_table

PLAIN = np.arange(6, dtype=np.float32).reshape(3, 2)


class In(unittest.TestCase):
    def table(self, rows, named, values=PLAIN, dtype=np.float32, **more):
        table = as_table(rows, **more)
        self.assertEqual(table.columns, named)
        self.assertEqual(table.values.dtype, dtype)
        self.assertTrue(table.values.flags.c_contiguous)
        np.testing.assert_array_equal(table.values, values)
        return table

    def test_arrays(self):
        self.table(PLAIN, None)
        self.table(PLAIN.tolist(), None, dtype=np.float64)
        self.table(np.asfortranarray(PLAIN), None)
        self.table(PLAIN.astype(">f4"), None)
        self.table(PLAIN.astype(np.int16), None)
        self.table(PLAIN.astype(np.int64), None, dtype=np.float64)
        self.table(PLAIN.astype(np.longdouble), None, dtype=np.float64)
        self.table(PLAIN, ("a", "b"), columns=["a", "b"])

    def test_what_is_masked_is_absent(self):
        holes = np.where([[False, True], [False, False], [True, False]], np.nan, PLAIN)
        self.table(np.ma.masked_array(PLAIN, np.isnan(holes)), None, holes)
        self.table(np.ma.masked_array(PLAIN.astype(int), np.isnan(holes)), None, holes, dtype=np.float64)
        self.table({"a": np.ma.masked_array(PLAIN[:, 0], np.isnan(holes[:, 0])), "b": PLAIN[:, 1]}, ("a", "b"),
                   np.stack([holes[:, 0], PLAIN[:, 1]], 1))

    def test_columns_by_name(self):
        self.table({"a": PLAIN[:, 0], "b": [1.0, 3, 5]}, ("a", "b"), dtype=np.float64)
        structured = np.zeros(3, [("b", "f4"), ("a", "i2")])
        structured["b"], structured["a"] = PLAIN[:, 1], PLAIN[:, 0]
        self.table(structured, ("b", "a"), PLAIN[:, ::-1])
        self.table(arrays.events(PLAIN, ("a", "b"), 3, 4), ("a", "b"))

    def test_weights(self):
        table = self.table(Table(PLAIN, ("a", "b"), np.ones(3)), ("a", "b"))
        np.testing.assert_array_equal(table.weights, np.ones(3))
        np.testing.assert_array_equal(as_table(PLAIN, weights=[1, 2, 3]).weights, [1, 2, 3])
        with self.assertRaisesRegex(ValueError, "weights"):
            as_table(PLAIN, weights=np.ones(2))

    def test_what_is_wrong_is_said(self):
        for rows, kind, words in ((np.ones(3), ValueError, "events[:1]"), ({"a": 1.0}, ValueError, "'a'"), (np.ones((2, 0)), ValueError, "(2, 0)"),
                                  (np.array([["a"]]), TypeError, "no numbers"), (1j * PLAIN, TypeError, "complex"),
                                  ({"a": [1.0, 2], "b": [1.0]}, ValueError, "'b'"), ({}, ValueError, "no columns")):
            with self.subTest(words), self.assertRaises(kind) as caught:
                as_table(rows)
            self.assertIn(words, str(caught.exception))
        with self.assertRaisesRegex(ValueError, "3 names for 2"):
            as_table(PLAIN, columns=["a", "b", "c"])

    def test_npy(self):
        for values in (PLAIN, PLAIN[:1], PLAIN[:, :1].astype(np.float64), PLAIN[:0]):
            data = arrays.to_npy(np.ascontiguousarray(values))
            np.testing.assert_array_equal(arrays.from_npy(data), values)
            self.assertIn(b"'fortran_order': False", data[:100])
        with self.assertRaises(ValueError):
            arrays.from_npy(arrays.to_npy(PLAIN)[:-1])


class Out(unittest.TestCase):
    def setUp(self):
        self.events = arrays.events(PLAIN, ("a", "b"), 3, 4)

    def knows(self, events, columns=("a", "b")):
        self.assertIsInstance(events, Events)
        self.assertEqual((events.columns, events.version, events.seed), (columns, 3, 4))

    def test_columns(self):
        np.testing.assert_array_equal(self.events["b"], PLAIN[:, 1])
        self.assertIs(type(self.events["b"]), np.ndarray)
        self.knows(self.events[["b", "a"]], ("b", "a"))
        np.testing.assert_array_equal(self.events[["b", "a"]], PLAIN[:, ::-1])
        with self.assertRaisesRegex(KeyError, "'c'"):
            self.events["c"]

    def test_rows_keep_their_names(self):
        for key in (slice(1, None), np.array([True, False, True]), [2, 0], np.array([1])):
            self.knows(self.events[key])
            np.testing.assert_array_equal(self.events[key], PLAIN[key])
        self.knows(pickle.loads(pickle.dumps(self.events)))
        copy = self.events.copy()
        self.knows(copy)
        copy[0, 0] = 7
        np.testing.assert_array_equal(self.events, PLAIN)

    def test_anything_else_has_none(self):
        """A wrong name would be worse than none."""
        for plain in (self.events[:, ::-1], self.events[0], self.events[:, 0], self.events[0, 1], self.events[np.newaxis]):
            self.assertNotIsInstance(plain, Events)
        for made in (self.events * 2, self.events.T, self.events + self.events):
            self.assertEqual(getattr(made, "columns", ()), ())
        self.assertEqual(self.events.sum(), 15)


if __name__ == "__main__":
    unittest.main()

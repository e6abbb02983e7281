"""What the field keeps events in: pandas, awkward, ROOT, HepMC and LHE files in, YODA histograms out; python -m twin."""
import contextlib
import gzip
import io as text_io
import math
import os
import subprocess
import sys
import tempfile
import unittest
import warnings

import pypi

pypi.need("awkward", "babyyoda", "pandas", "pyhepmc", "pylhe", "uproot")

import awkward as ak
import babyyoda
import numpy as np
import pandas as pd
import pyhepmc
import uproot

import toy
import twin
from daemon import Daemon
from particle_files import write_hepmc, write_lhe
from test_loop import settled, wait_until
from twin import answers, arrays, io, yoda
from twin.__main__ import main
from twin.arrays import as_table


class Frames(unittest.TestCase):
    def check(self, rows, columns, values, dtype=np.float64):
        table = as_table(rows)
        self.assertEqual((table.columns, table.values.dtype), (columns, dtype))
        np.testing.assert_array_equal(table.values, values)

    def test_pandas(self):
        frame = pd.DataFrame({"a": np.array([1, 2], "f4"), "b": np.array([3, np.nan], "f4")})
        self.check(frame, ("a", "b"), [[1, 3], [2, np.nan]], np.float32)
        frame["n"] = pd.array([4, None], "Int64")
        self.check(frame, ("a", "b", "n"), [[1, 3, 4], [2, np.nan, np.nan]])
        with self.assertRaisesRegex(TypeError, "column 's'"):
            as_table(frame.assign(s=["x", "y"]))
        events = arrays.events([[1, 2], [3, 4]], ("x", "y"), 1, 2).to_pandas()
        self.assertEqual((list(events.columns), events["y"].tolist()), (["x", "y"], [2.0, 4.0]))

    def test_answers_as_frames(self):
        frame = answers.Items([{"iteration": 2, "ordinals": {"first": 3, "last": 4}}]).to_pandas()
        self.assertEqual((frame["iteration"][0], frame["ordinals.last"][0]), (2, 4))

    def test_awkward(self):
        rows = ak.Array([{"met": 1.5, "mu": {"pt": 30.0, "n": 2}}, {"met": None, "mu": {"pt": 20.0, "n": 1}}])
        self.check(rows, ("met", "mu_pt", "mu_n"), [[1.5, 30, 2], [np.nan, 20, 1]])
        self.check(ak.Array([[1.0, 2], [3, 4]]), None, [[1, 2], [3, 4]])
        with self.assertRaisesRegex(ValueError, "'pt' is ragged"):
            as_table(ak.Array([{"pt": [1.0]}, {"pt": []}]))
        records = arrays.events([[1, 2], [3, 4]], ("x", "y")).to_awkward()
        self.assertEqual(records.to_list(), [{"x": 1, "y": 2}, {"x": 3, "y": 4}])


COLUMNS = {"mum_pt": "pt(13)", "mum_phi": "phi(13)", "second_pt": "pt(13,1)", "mup_eta": "eta(-13)", "lep_pt": "pt(11|13)"}
NAN = math.nan
EXPECTED = [[40, math.pi / 2, 30, 0, 40], [NAN, NAN, NAN, math.asinh(0.2), NAN], [10, math.atan2(8, 6), NAN, NAN, 60]]


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def check_events(self, read, path):
        pieces = list(read(path, COLUMNS, batch=2, weights=True))
        self.assertEqual([len(piece.values) for piece in pieces], [2, 1])
        self.assertEqual(pieces[0].columns, tuple(COLUMNS))
        np.testing.assert_allclose(np.concatenate([p.values for p in pieces]), EXPECTED, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(np.concatenate([p.weights for p in pieces]), [1, 2, 3])
        with self.assertRaisesRegex(ValueError, "written like"):
            next(read(path, {"a": "mass(13)"}))

    def test_hepmc(self):
        path = self.path("e.hepmc")
        write_hepmc(path)
        self.check_events(io.read_hepmc, path)
        write_hepmc(self.path("mev.hepmc"), pyhepmc.Units.MEV, 1000.0)
        self.check_events(io.read, self.path("mev.hepmc"))

        def multiplicity(event):
            final = event.numpy.particles.status == 1
            return {"n": final.sum()} if final.sum() > 2 else None

        self.assertEqual([p.values.tolist() for p in io.read_hepmc(path, multiplicity)], [[[3]]])

    def test_lhe(self):
        path = self.path("e.lhe")
        write_lhe(path)
        self.check_events(io.read_lhe, path)
        with open(path, "rb") as plain, gzip.open(path + ".gz", "wb") as packed:
            packed.write(plain.read())
        self.check_events(io.read, path + ".gz")

    def test_root(self):
        path = self.path("e.root")
        with uproot.recreate(path) as file:
            file.mktree("Events", {"met": np.array([1, 2, 3], "f4"), "jets": np.array([2, 0, 1], "i4"),
                                   "w": np.array([0.5, 1, 2]), "Muon_pt": ak.Array([[30e3, 20e3], [], [10e3]])})
        pieces = list(io.read_root(path, "Events", {"mu1": "Muon_pt[0] / 1000", "mu2": "Muon_pt[1]", "met": "met * 2"},
                                   weight="w", batch=2))
        self.assertEqual([len(piece.values) for piece in pieces], [2, 1])
        self.assertEqual(pieces[0].columns, ("mu1", "mu2", "met"))
        np.testing.assert_allclose(np.concatenate([piece.values for piece in pieces]),
                                   [[30, 20e3, 2], [NAN, NAN, 4], [10, NAN, 6]], rtol=1e-6)
        np.testing.assert_array_equal(np.concatenate([piece.weights for piece in pieces]), [0.5, 1, 2])
        only = next(io.read(path, ["met", "jets"]))
        self.assertEqual((only.columns, only.values[:, 1].tolist()), (("met", "jets"), [2, 0, 1]))
        self.assertEqual({"met", "jets", "w"}, set(next(io.read_root(path)).columns) - {"nMuon_pt"})
        for columns, kind, words in ((["met", "Muon_pt"], ValueError, "several numbers"),
                                     (["none"], KeyError, "no branch"), (["met[0]"], ValueError, "one number")):
            with self.assertRaisesRegex(kind, words):
                next(io.read_root(path, "Events", columns))
        with self.assertRaisesRegex(KeyError, "no tree 'T' among Events"):
            next(io.read_root(path, "T"))

    def test_ntuple_and_several_trees(self):
        path = self.path("n.root")
        rows = toy.events(50, seed=1)
        with uproot.recreate(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file.mkrntuple("Tuple", {"x": rows[:, 0], "y": rows[:, 1]})
            file.mktree("Tree", {"z": "f8"})
            file["Tree"].extend({"z": np.arange(3.0)})
        np.testing.assert_array_equal(next(io.read_root(path, "Tuple", ["y", "x"])).values, rows[:, [1, 0]])
        with self.assertRaisesRegex(KeyError, "2 trees"):
            next(io.read_root(path))

    def test_npy_and_others(self):
        np.save(self.path("e.npy"), toy.events(25, seed=1))
        self.assertEqual([p.values.shape for p in io.read(self.path("e.npy"), batch=10)], [(10, 4), (10, 4), (5, 4)])
        with open(self.path("text.npy"), "w") as file:
            file.write("pt,eta\n")
        with self.assertRaisesRegex(ValueError, "text.npy: not a whole .npy array"):
            next(io.read(self.path("text.npy")))
        with self.assertRaisesRegex(ValueError, "not .npy"):
            io.read("events.dat")


class Yoda(unittest.TestCase):
    """Read by a parser of other people."""

    def setUp(self):
        edges = np.array([0, 1, 3, 7.0])
        data = answers.Bins(np.array([4, 6, 8.0]), np.sqrt([4, 6, 8.0]), None, 1.0, 2.0, 0.0)
        samples = answers.Bins(np.array([5, 5, 8.0]), np.array([1, 2, 3.0]), np.array([0.5, 0.25, 0]), 0.0, 0.0, 0.0)
        self.histogram = answers.Histogram("m: mumu", "GeV", edges, data, samples)

    def read(self, **more):
        with tempfile.NamedTemporaryFile(suffix=".yoda") as file:
            yoda.write(file.name, [self.histogram], "zmumu", **more)
            objects = babyyoda.read(file.name)
        self.assertEqual(set(objects), {"/REF/TWIN/zmumu/m__mumu", "/TWIN/zmumu/m__mumu"})
        return objects["/REF/TWIN/zmumu/m__mumu"], objects["/TWIN/zmumu/m__mumu"]

    def test_estimate(self):
        from babyyoda.grogu import estimate1d_v3
        text = yoda.dumps([self.histogram], "zmumu")
        parts = [part + "END YODA_ESTIMATE1D_V3" for part in text.split("END YODA_ESTIMATE1D_V3")[:2]]
        data, samples = (estimate1d_v3.GROGU_ESTIMATE1D_V3.from_string(part.strip()) for part in parts)
        self.assertEqual((data.error_labels(), samples.error_labels()), (["stats"], ["stats", "model"]))
        np.testing.assert_allclose(data.xEdges(), self.histogram.edges)
        np.testing.assert_allclose(data.values()[1:-1], [4, 3, 2])
        np.testing.assert_allclose(samples.errors_up(0)[1:-1], [1, 1, 0.75])
        np.testing.assert_allclose(samples.errors_dn(1)[1:-1], [-0.5, -0.125, 0])
        self.assertIn("IsRef: 1", parts[0])
        self.assertIn('Title: "m: mumu"', parts[0])

    def test_histo(self):
        for version in (1, 2):
            data, samples = self.read(version=version, kind="histo")
            np.testing.assert_allclose(data.xEdges(), self.histogram.edges)
            np.testing.assert_allclose([b.sumW() for b in data.bins()], [4, 6, 8])
            np.testing.assert_allclose([b.sumW2() for b in data.bins()], [4, 6, 8])
            np.testing.assert_allclose([b.numEntries() for b in data.bins()], [4, 6, 8])
            self.assertEqual((data.underflow().sumW(), data.overflow().sumW()), (1, 2))
            np.testing.assert_allclose([b.sumW2() for b in samples.bins()], [1, 4, 9])

    def test_scatter(self):
        """Of YODA 1, which babyyoda passes over: the six columns, by hand."""
        text = yoda.dumps([self.histogram], "zmumu", version=1)
        block = text.split("BEGIN YODA_SCATTER2D_V2 /TWIN/zmumu/m__mumu\n")[1].split("END YODA_SCATTER2D_V2")[0]
        rows = np.loadtxt(text_io.StringIO(block.split("---\n")[1]))
        np.testing.assert_allclose(rows[:, :3], [[0.5, 0.5, 0.5], [2, 1, 1], [5, 2, 2]])
        np.testing.assert_allclose(rows[:, 3], [5, 2.5, 2])
        np.testing.assert_allclose(rows[:, 5], [math.hypot(1, 0.5), math.hypot(2, 0.25) / 2, 0.75])

    def test_others(self):
        with self.assertRaises(ValueError):
            yoda.dumps([self.histogram], "zmumu", version=3)


class Command(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.daemon.create(toy.DEFINITION)
        cls.daemon.train("toy", toy.events(3000, 1), "?epochs=2&seed=3")

    def run_main(self, *arguments, status=0):
        out, err = text_io.StringIO(), text_io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            self.assertEqual(main(arguments), status, err.getvalue())
        return out.getvalue(), err.getvalue()

    def test_file_to_yoda(self):
        """A ROOT file in, the window's histograms out."""
        rows = toy.events(2500, seed=2)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "run.root")
            with uproot.recreate(path) as file:
                file.mktree("Events", {"pt_mev": "f8", "eta": "f4", "phi": "f4", "x": "f4"})
                file["Events"].extend({"pt_mev": 1000.0 * rows[:, 0], "eta": rows[:, 1], "phi": rows[:, 2],
                                       "x": rows[:, 3]})
            command = ["feed", "toy", path, "--ingest", self.daemon.ingest, "-c", "pt=pt_mev / 1000", "-c", "eta=eta",
                       "-c", "phi=phi", "-c", "x=x"]
            self.assertIn("3 batches sent, 0 were there", self.run_main(*command)[1])
            self.assertIn("0 batches sent, 3 were there", self.run_main(*command)[1])
            self.assertIn("conflict", self.run_main(*command, "--batch", "500", status=1)[1])
            self.assertIn("no branch", self.run_main(*command, "-c", "y=none", status=1)[1])
            wait_until(lambda: settled(self.daemon, 2))
            out = os.path.join(folder, "toy.yoda")
            self.run_main("yoda", "toy", "--url", self.daemon.url, "-o", out, "--bins", "10", "--kind", "histo")
            objects = babyyoda.read(out)
        self.assertEqual(len(objects), 8)
        data = objects["/REF/TWIN/toy/x"]
        self.assertEqual(sum(b.sumW() for b in data.bins()) + data.underflow().sumW() + data.overflow().sumW(), 1000)
        self.assertIn("BEGIN YODA_ESTIMATE1D_V3 /TWIN/toy/pt", self.run_main("yoda", "toy", "--url", self.daemon.url)[0])
        read, write = os.pipe()  # | head
        os.close(read)
        done = subprocess.run([sys.executable, "-m", "twin", "yoda", "toy", "--url", self.daemon.url], stdout=write,
                              stderr=subprocess.PIPE)
        os.close(write)
        self.assertEqual((done.returncode, done.stderr), (141, b""))

    def test_a_frame_is_answered(self):
        with twin.Twin("toy", url=self.daemon.url) as it:
            events = it.sample(100, seed=1)
            frame = events.to_pandas()
            np.testing.assert_array_equal(it.log_prob(frame[["x", "phi", "pt", "eta"]]), it.log_prob(events))
            np.testing.assert_array_equal(it.log_prob(events.to_awkward()), it.log_prob(frame))

    def test_no_daemon(self):
        self.assertIn("no answer", self.run_main("yoda", "toy", "--url", "http://127.0.0.1:9", status=69)[1])


if __name__ == "__main__":
    unittest.main()

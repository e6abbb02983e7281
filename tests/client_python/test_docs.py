"""Every block of docs/python.md and of the package's README runs as it stands, from top to bottom."""
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import pypi

pypi.need("awkward", "pandas", "pyhepmc", "pylhe", "uproot")

import awkward as ak
import numpy as np
import uproot

from daemon import ROOT, Daemon
from particle_files import write_hepmc, write_lhe
from test_loop import wait_until

SMALL = {"kind": "flow", "blocks": 2, "hidden": [16], "bins": 6}


def blocks(name):
    return re.findall(r"```(python|sh)\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.S)


class DocsTest(unittest.TestCase):
    """With the twin of the demo, of a smaller model and window, and files as the page speaks of."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.rows = np.load(ROOT / "data" / "zjets_nominal.npy")[:4000]
        definition = json.loads((ROOT / "data" / "zjets.json").read_text())
        cls.daemon.create({**definition, "name": "zmumu", "model": SMALL, "loop": {"window": 1000}})
        cls.columns = [feature["name"] for feature in definition["features"]]
        assert cls.daemon.train("zmumu", cls.rows, "?epochs=2")["state"] == "succeeded"
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.write_files(folder.name)
        cls.folder = folder.name
        cls.environment = {"TWIN_URL": cls.daemon.url, "TWIN_INGEST": cls.daemon.ingest,
                           "TWIN_TOKEN_FILE": os.path.join(cls.daemon.state, "state", "admin.token")}

    @classmethod
    def write_files(cls, folder):
        column = dict(zip(cls.columns, cls.rows[:1000].T))
        muons = {f"Muon_{what}": ak.from_regular(np.column_stack([column[f"mum_{what}"], column[f"mup_{what}"]]))
                 for what in ("pt", "eta", "phi")}
        muons["Muon_pt"] = 1000 * muons["Muon_pt"]
        with uproot.recreate(os.path.join(folder, "run7.root")) as file:
            file.mktree("Events", {**muons, **{name: column[name] for name in cls.columns if name.startswith("j1")}})
            file.mktree("Small", column)
        write_hepmc(os.path.join(folder, "run7.hepmc"))
        write_lhe(os.path.join(folder, "run7.lhe"))

    def run_blocks(self, name, ready=lambda text: None):
        space = {"__name__": "docs"}
        count = 0
        with contextlib.chdir(self.folder), mock.patch.dict(os.environ, self.environment), \
                contextlib.redirect_stdout(io.StringIO()) as out:
            for kind, text in blocks(name):
                ready(text)
                count += 1
                try:
                    if kind == "python":
                        exec(compile(text, f"{name}, block {count}", "exec"), space)
                    else:
                        shell = f'set -e\npython() {{ "{sys.executable}" "$@"; }}\n{text}'
                        subprocess.run(["bash", "-c", shell], check=True, capture_output=True)
                except Exception as error:
                    more = getattr(error, "stderr", b"") or b""
                    raise AssertionError(f"{name}, block {count}: {error!r} {more.decode()}\n{text}") from error
        return count, out.getvalue(), space

    def test_python(self):
        def ready(text):
            if "follow" in text:
                wait_until(lambda: len(self.daemon.get("/v1/twins/zmumu/iterations")["items"]) >= 3)
        count, out, space = self.run_blocks("docs/python.md", ready)
        self.assertGreater(count, 10)
        self.assertIn("Progress(sent=20, acked=20, resent=0, in_flight=0)", out)
        self.assertEqual(space["events"].shape, (10_000, 10))
        feeds = {(row["feed"], row["run"]): row for row in self.daemon.get("/v1/twins/zmumu/feeds")["items"]}
        self.assertEqual({key: row["events"] for key, row in feeds.items()},
                         {("daq1", 7): 10_000, ("daq1", 8): 5_000, ("daq2", 7): 1_000, ("root", 7): 1_000,
                          ("shell", 1): 1_000})
        self.assertEqual(feeds["root", 7]["invalid_rows"], feeds["shell", 1]["invalid_rows"])
        self.assertEqual(sorted(os.listdir(self.folder)), ["run7.hepmc", "run7.lhe", "run7.root", "zmumu-1.safetensors",
                                                           "zmumu.yoda", "zmumu1.yoda"])

    def test_readme(self):
        self.assertGreater(self.run_blocks("client/python/README.md")[0], 0)


if __name__ == "__main__":
    unittest.main()

"""pip install: a wheel is built of the tree and installed into a fresh environment, without a network."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

import twin
from daemon import ROOT

ALONE = {**{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP"))},
         "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


class PackageTest(unittest.TestCase):
    def run_command(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, env=ALONE, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_wheel(self):
        with tempfile.TemporaryDirectory() as folder:
            self.folder = folder
            shutil.copytree(ROOT / "client" / "python", os.path.join(folder, "source"),
                            ignore=shutil.ignore_patterns("__pycache__"))
            python = os.path.join(folder, "venv", "bin", "python")
            self.run_command("/usr/bin/python3", "-m", "venv", "--system-site-packages", "venv")
            self.run_command(python, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", ".",
                             "./source")
            wheel, = pathlib.Path(folder).glob("twin_client-*-py3-none-any.whl")
            with zipfile.ZipFile(wheel) as archive:
                self.assertIn("twin/py.typed", archive.namelist())
                self.assertFalse([n for n in archive.namelist() if not re.match(r"twin(_client-[\d.]+\.dist-info)?/", n)])
                metadata = archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA"))).decode()
            for line in ("Name: twin-client", f"Version: {twin.__version__}", "Provides-Extra: root",
                         "Requires-Dist: numpy>=1.22"):
                self.assertIn(line, metadata.splitlines())
            self.run_command(python, "-m", "pip", "install", "--no-deps", f"./{wheel.name}")
            where = self.run_command(python, "-c", "import twin, sys; print(twin.__file__, sys.modules.keys() & {'pandas', "
                                     "'awkward', 'uproot', 'pyhepmc', 'pylhe'})")
            self.assertEqual(where.split()[1:], ["set()"])
            self.assertTrue(where.startswith(os.path.realpath(folder)) or where.startswith(folder), where)
            self.assertIn("yoda", self.run_command(python, "-m", "twin", "--help"))

    def test_one_version(self):
        meson = re.search(r"version: '([\d.]+)'", (ROOT / "meson.build").read_text())[1]
        project = re.search(r'^version = "([\d.]+)"', (ROOT / "client/python/pyproject.toml").read_text(), re.M)[1]
        self.assertEqual([twin.__version__, project], [meson, meson])

    def test_everything_that_is_public_has_words(self):
        for name in twin.__all__:
            self.assertTrue(getattr(twin, name).__doc__, name)

    def test_optional_libraries_are_asked_for_by_name(self):
        from twin._optional import need
        with self.assertRaisesRegex(ImportError, r"pip install 'twin-client\[lhe\]'"):
            need("no_such_module_at_all", "lhe")
        self.assertIs(need("sys"), sys)


if __name__ == "__main__":
    unittest.main()

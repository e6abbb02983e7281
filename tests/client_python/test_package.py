"""pip install: the folder is installed into a fresh environment, without a network."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import twin
from daemon import ROOT

ALONE = {**{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP"))},
         "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


class PackageTest(unittest.TestCase):
    def run_command(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, env=ALONE, cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_install(self):
        """As docs/python.md says it, with the pip that Debian keeps for environments: one of its own would take longer to
        make than all of this."""
        pip, = pathlib.Path("/usr/share/python-wheels").glob("pip-*.whl")
        with tempfile.TemporaryDirectory() as folder:
            self.folder = folder
            shutil.copytree(ROOT / "client" / "python", os.path.join(folder, "client", "python"),
                            ignore=shutil.ignore_patterns("__pycache__"))
            python = os.path.join(folder, "venv", "bin", "python")
            self.run_command("/usr/bin/python3", "-m", "venv", "--without-pip", "--system-site-packages", "venv")
            self.run_command(python, f"{pip}/pip", "install", "--no-build-isolation", "--no-deps", "./client/python")
            site, = pathlib.Path(folder).glob("venv/lib/python*/site-packages")
            info, = site.glob("twin_client-*.dist-info")
            self.assertEqual({path.name for path in site.iterdir()}, {"twin", info.name})
            self.assertTrue((site / "twin" / "py.typed").exists())
            metadata = (info / "METADATA").read_text(encoding="utf-8").splitlines()
            for line in ("Name: twin-client", f"Version: {twin.__version__}", "Provides-Extra: root",
                         "Requires-Dist: numpy>=1.22"):
                self.assertIn(line, metadata)
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

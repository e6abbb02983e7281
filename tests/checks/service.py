"""The systemd units parse and are tight.

    service.py FOLDER

systemd-analyze looks for the program that a unit starts, so it gets a copy that starts one that is there.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tap import Tap, expect

EXPOSURE_MAX = 20  # of 100, as systemd-analyze security counts


def analyze(text, *command):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "twind.service")
        with open(path, "w") as f:
            f.write(re.sub(r"^(ExecStart(?:Pre)?)=\S*twind", r"\1=/bin/true", text, flags=re.M))
        return subprocess.run(["systemd-analyze", *command, path], capture_output=True, text=True)


def complaints(text):
    done = analyze(text, "verify", "--man=no", "--recursive-errors=no")
    said = [line for line in done.stderr.splitlines() if "twind.service" in line]
    return said or ([done.stderr.strip() or "systemd-analyze verify failed"] if done.returncode else [])


def read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as f:
        return f.read()


def main():
    tap, folder = Tap(), sys.argv[1]
    if not os.path.exists(os.path.join(folder, "twind.service")):
        tap.case("units", skip="built without libsystemd")
        tap.finish()
    text, template = read(folder, "twind.service"), read(folder, "twind@.service")
    wanted = ("Type=notify", "ExecStart=", "User=twin", "StateDirectory=twin\n", "ProtectSystem=strict", "NoNewPrivileges=yes",
              "RestrictAddressFamilies=", "SystemCallFilter=")
    tap.case("the unit says what it has to", [f"{w} is missing" for w in wanted if f"\n{w}" not in text])
    own = [line for line in template.splitlines() if "%i" in line and not line.startswith("#")]
    tap.case("an instance has a configuration and a state of its own",
             expect("lines", sorted(line.split("=")[0] for line in own),
                    ["Description", "ExecStart", "ExecStartPre", "StateDirectory"]))
    if not shutil.which("systemd-analyze"):
        tap.case("systemd-analyze verify", skip="systemd-analyze is not installed")
        tap.finish()
    tap.case("a broken unit is found", expect("broken", bool(complaints(text + "\nNoSuchThing=1\n")), True))
    tap.case("systemd-analyze verify is content", complaints(text))
    done = analyze(text, "security", "--offline=yes", f"--threshold={EXPOSURE_MAX}", "--no-pager")
    tap.case(f"exposure is at most {EXPOSURE_MAX / 10}", [] if done.returncode == 0 else
             ((done.stdout or done.stderr).strip().splitlines() or ["systemd-analyze security failed"])[-1:])
    tap.finish()


main()

#!/usr/bin/env python3
"""Debian's packages: they build from a checkout, lintian has nothing to say, and installed they work (TAP).

They are installed with dpkg in a root of their own, an overlay over this machine's that is gone afterwards; it takes
root and a kernel that has overlays. What is missing is skipped, with the reason.

Run: test_debian.py [FOLDER that keeps the packages]
"""
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "checks"))
from tap import Tap, repository_files  # noqa: E402

WANTED = ["libtwin-dev", "libtwin0", "python3-twin-client", "twin-doc", "twinctl", "twind"]

# What somebody does with them; runs in the overlay. The last line that it prints says how far it came.
USE = r"""
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
step() { echo "step: $*"; }
cd /tmp/packages
step install
dpkg -i ./*.deb
step user
getent passwd twin | grep -q /var/lib/twin
step configuration
test "$(dpkg-query -W -f '${Conffiles}' twind | awk '{print $1}')" = /etc/twin/twin.conf
install -d -o twin -g twin -m 700 /var/lib/twin /var/lib/twin-cms
runuser -u twin -- env STATE_DIRECTORY=/var/lib/twin twind --config /etc/twin/twin.conf --check
sed 's/8470/8460/; s/8471/8461/; s/8472/8462/' /etc/twin/twin.conf >/etc/twin/cms.conf
runuser -u twin -- env STATE_DIRECTORY=/var/lib/twin-cms twind --config /etc/twin/cms.conf --check
runuser -u twin -- env STATE_DIRECTORY=/var/lib/twin-cms twind --config /etc/twin/cms.conf --print-config | grep -qx 'state = /var/lib/twin-cms'
step units
test -e /lib/systemd/system/twind.service -a -e /lib/systemd/system/twind@.service
test -L /etc/systemd/system/multi-user.target.wants/twind.service
step daemon
runuser -u twin -- twind --config /etc/twin/twin.conf --state /var/lib/twin --http 127.0.0.1:0 --ingest tcp://127.0.0.1:0 \
    --publish tcp://127.0.0.1:0 2>/tmp/log &
daemon=$!
trap 'kill $daemon; wait $daemon || true' EXIT
for i in $(seq 200); do
    grep -q event=ready /tmp/log && break
    sleep 0.05
done
url=$(sed -n 's,.*event=ready http=\([^ ]*\).*,\1,p' /tmp/log | head -1)
export TWIN_URL=$url TWIN_TOKEN_FILE=/var/lib/twin/admin.token
echo '{"name": "toy", "features": [{"name": "x"}]}' >/tmp/toy.json
twinctl create toy /tmp/toy.json
twinctl status
step token
unset TWIN_TOKEN_FILE
runuser -u twin -- env TWIN_URL=$url twinctl set toy window=3000
runuser -u nobody -- env TWIN_URL=$url twinctl set toy window=4000 2>&1 | grep -q 'sudo -u twin twinctl'
runuser -u nobody -- env TWIN_URL=$url python3 -c 'import twin; twin.Twin("toy").hold(False)' 2>&1 | grep -q 'twin.errors.Unauthorized.*Permission denied'
step python
python3 -c 'import twin; print(twin.Twin("toy").info()["verdict"])'
step library
cc /usr/share/doc/libtwin-dev/examples/sample.c $(pkg-config --cflags --libs twin) -o /tmp/sample
/tmp/sample /tmp/flow.safetensors 3
step bench
twin-bench --sample /tmp/flow.safetensors 10 /tmp/x.npy
step manual
test -e /usr/share/man/man8/twind.8.gz -a -e /usr/share/bash-completion/completions/twinctl
kill $daemon; wait $daemon || true
trap - EXIT
step remove
dpkg -r twind twinctl python3-twin-client twin-doc libtwin-dev libtwin0
test -e /etc/twin/twin.conf -a ! -e /usr/bin/twind
dpkg -P twind
test ! -e /etc/twin/twin.conf -a -d /var/lib/twin
step done
"""


def run(*command, **more):
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", **more)


def build(folder):
    """A copy of the tree becomes packages beside it; data are not packaged."""
    tree = os.path.join(folder, "twin")
    for name in repository_files():
        if not name.endswith(".npy"):
            os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), os.path.join(tree, name))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MESON_", "ASAN_", "MALLOC_"))}
    environment.update(DEB_BUILD_OPTIONS="nocheck noautodbgsym parallel=2", LC_ALL="C.UTF-8")
    return run("dpkg-buildpackage", "-b", "-us", "-uc", cwd=tree, env=environment)


def lines(text, count=20):
    return text.strip().splitlines()[-count:]


def overlay(folder):
    """The command that runs a program in a root over this one, or why there is none."""
    over = os.path.join(folder, "over")
    mount = (f"mount -t tmpfs tmpfs {over} && mkdir {over}/up {over}/work {over}/new && "
             f"mount -t overlay overlay -o lowerdir=/,upperdir={over}/up,workdir={over}/work {over}/new && "
             f"mount -t proc proc {over}/new/proc && mount --bind /dev {over}/new/dev && "
             f"mount -t tmpfs tmpfs {over}/new/run && mount -t tmpfs tmpfs {over}/new/tmp && cp -r {folder}/packages {over}/new/tmp/ && "
             f"cp {ROOT}/tests/golden/flow_single.safetensors {over}/new/tmp/flow.safetensors && ")
    os.makedirs(over, exist_ok=True)
    command = lambda script: ["unshare", "--mount", "--pid", "--fork", "sh", "-c", mount + f'/usr/sbin/chroot {over}/new sh -c "$0"', script]
    if os.geteuid() != 0:
        return None, "only root can install packages in a root of its own"
    tried = run(*command("true"))
    return (command, None) if tried.returncode == 0 else (None, "no overlay here: " + " ".join(lines(tried.stdout, 1)))


def main():
    tap = Tap()
    missing = [name for name in ("dpkg-buildpackage", "dh", "lintian") if not shutil.which(name)]
    if missing:
        print(f"1..0 # SKIP without {', '.join(missing)}")
        return
    with tempfile.TemporaryDirectory() as folder:
        done = build(folder)
        packages = sorted(n for n in os.listdir(folder) if n.endswith(".deb"))
        tap.case("the packages build", lines(done.stdout) if done.returncode else
                 [] if [p.split("_")[0] for p in packages] == WANTED else packages)
        changes = [os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".changes")]
        done = run("lintian", "--allow-root", "--fail-on", "error,warning", *changes)
        tap.case("lintian has nothing to say", lines(done.stdout) if done.returncode or "W:" in done.stdout else [])
        os.mkdir(os.path.join(folder, "packages"))
        for name in packages:
            shutil.copy(os.path.join(folder, name), os.path.join(folder, "packages"))
        command, reason = overlay(folder)
        if command is None:
            tap.case("they install and work", skip=reason)
        else:
            done = run(*command(USE))
            tap.case("they install, work, and go", [] if done.returncode == 0 and "step: done" in done.stdout
                     else lines(done.stdout, 30))
        if len(sys.argv) > 1:
            for name in packages:
                shutil.copy(os.path.join(folder, name), sys.argv[1])
    tap.finish()


main()

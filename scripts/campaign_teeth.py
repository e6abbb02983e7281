"""Does the power campaign find a sync that is missing? Every call in daemon/ that makes something durable is taken out
of a copy of the source in turn; a siege on a disk that loses power must then end with a complaint."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHIM = "build/tests/faults/powerloss.so"
SYNC = re.compile(r"\b(fsync|fdatasync|folder_sync|folder_sync_name|segment_sync_directory|segment_sync|spool_sync|"
                  r"sync_names)\(")

# Syncs that no siege misses, and why they are there all the same; they are not tried. A siege has no damage, no writes by
# others and no backups.
SPARE = {
    "segment.c segment_cut fsync": "what was cut was never acked; if it comes back it is cut again, or counted as new",
    "spool.c spool_evict segment_sync_directory": "a segment that comes back goes again; new ones sync the folder too",
    "store_files.c store_files_open folder_sync": "SQLite syncs the folder at the first commit of each start",
    "damage.c": "copies of what is damaged are for people; what was not copied is found again",
    "backup.c": "a backup that did not end is not one",
    "registry_sidecar.c": "twin.json matters where the database is lost too; each start looks whether it is right",
    "store_salvage.c": "a salvage that did not end begins again",
    "store_vfs.c": "checksums that others left wrong are made again",
}


def closing(text, at):
    """The index behind the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    raise ValueError("brackets")


def syncs(source):
    """(function, call, begin, end) of every call that syncs."""
    text = source.read_text()
    for match in SYNC.finditer(text):
        line = text[text.rindex("\n", 0, match.start()) + 1:match.start()]
        if line and (not line[0].isspace() or line.lstrip().startswith(("*", "/*", "//"))):
            continue  # a definition, or words
        function = re.findall(r"^\w[\w *]*?(\w+)\(", text[:match.start()], re.M)[-1]
        yield function, match.group(1), match.start(), closing(text, match.end() - 1)


def run(*command, **more):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **more)


def siege(scratch, kills):
    """None, or what a siege complained about: at chosen changes of the disk, under load, while retention prunes."""
    code = (f"import sys; sys.path[:0] = ['tests/system']; from siege import Siege; from siege_steps import *; shim = '{scratch}/{SHIM}'; "
            f"siege_of_first_start(shim, range(1, 200, 3)); siege_of_recovery(shim, 500); Siege(7, shim).run({kills}, replayed=0); "
            f"Siege(8, shim, pruning=True).run({kills}, replayed=0)")
    done = subprocess.run([sys.executable, "-c", code], cwd=scratch, capture_output=True, text=True,
                          env={**os.environ, "TWIND": f"{scratch}/build/daemon/twind"})
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


def campaign(kills, say):
    scratch = tempfile.mkdtemp(prefix="twin-teeth-")
    found, missed, spare = {}, [], []
    try:
        run("cp", "-a", *[str(p) for p in ROOT.iterdir() if not p.name.startswith((".git", "build"))], scratch)
        run("meson", "setup", "build", cwd=scratch)
        for source in sorted(pathlib.Path(scratch, "daemon").glob("*.c")):
            whole = source.read_text()
            for function, call, begin, end in syncs(source):
                name = f"{source.name} {function} {call}"
                if name in SPARE or source.name in SPARE:
                    spare.append(name)
                    continue
                source.write_text(whole[:begin] + "(0)" + whole[end:])
                run("ninja", "-C", "build", "daemon/twind", SHIM.removeprefix("build/"), cwd=scratch)
                why = siege(scratch, kills)
                say(f"{name}: {why or 'NOT FOUND'}")
                if why:
                    found[name] = why
                else:
                    missed.append(name)
            source.write_text(whole)
        run("ninja", "-C", "build", "daemon/twind", cwd=scratch)
        whole = siege(scratch, kills)
        say(f"nothing taken out: {whole or 'as it should be'}")
        return {"found": found, "missed": missed, "spare": spare, "ok": not missed and not whole}
    finally:
        shutil.rmtree(scratch)

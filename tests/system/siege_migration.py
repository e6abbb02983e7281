"""Kills while a state folder of the first schema is brought up to date."""
import json
import os
import pathlib
import random
import shutil
import sqlite3
import tempfile
import time

import toy
from daemon import ROOT, Daemon
from siege import Disk, check_log, expect, iterations

CHANGES = 1500  # of the disk, as many as a migration of 2000 iterations makes


def old_state(folder, count):
    """A state folder as the first schema left it, with iterations in it."""
    os.makedirs(folder)
    db = sqlite3.connect(os.path.join(folder, "twin.db"))
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript((ROOT / "sql" / "0001_initial.sql").read_text())
    db.execute("INSERT INTO twins (name, definition, created) VALUES ('toy', ?, 1)", [json.dumps(toy.DEFINITION)])
    for i in range(1, count + 1):
        db.execute("INSERT INTO iterations VALUES (1, ?, ?, 1, ?, ?, 1000, 0, 'none', '{}', ?)",
                   [i, 1000 * i, 10 * i, 10 * i + 9, json.dumps(old_statistics(i))])
    db.execute("PRAGMA user_version = 1")
    db.execute("PRAGMA application_id = 0x7477696e")
    db.commit()
    db.close()


def old_statistics(i):
    return [{"name": "ks", "verdict": "drift", "feature": feature["name"], "value": i / 4, "error": 0.5, "floor": None,
             "p_value": 0.25, "threshold": 0.125} for feature in toy.DEFINITION["features"]]


def migrations():
    return len(list((ROOT / "sql").glob("0*.sql")))


def siege_of_migration(kills, seed=1, count=2000, shim=None):
    """Kills in starts that bring an old state up to date; with a shim each takes the power along. All of it must be
    there after the first start that lives."""
    if migrations() < 2:
        return {"kills": 0, "skipped": "there is one schema"}
    randomness = random.Random(seed)
    scratch = tempfile.mkdtemp(prefix="twin-test-")
    figures = {"kills": 0, "migrated": 0}
    try:
        old_state(os.path.join(scratch, "old"), count)
        while figures["kills"] < kills:
            some = min(randomness.randint(1, 4), kills - figures["kills"])
            migrate(os.path.join(scratch, "old"), count, some, randomness, shim)
            figures["kills"] += some
            figures["migrated"] += 1
        return figures
    finally:
        shutil.rmtree(scratch)


def migrate(old, count, kills, randomness, shim):
    root = os.path.realpath(tempfile.mkdtemp(prefix="twin-test-"))
    shutil.copytree(old, os.path.join(root, "state"))
    disk = Disk(root, shim, randomness) if shim else None
    daemon = Daemon(root, environment=disk and disk.environment)
    try:
        if disk:
            disk.load()
        for _ in range(kills):
            if disk:
                daemon.environment["TWIN_POWER_DIE"] = str(randomness.randint(1, CHANGES))
            daemon.spawn()
            time.sleep(randomness.uniform(0, 0.5 if disk else 0.15))
            expect(daemon.kill() == -9, "twind ended before it was killed: " + daemon.log()[-1000:])
            if disk:
                disk.power_loss()
        daemon.environment.pop("TWIN_POWER_DIE", None)
        daemon.start()
        check_migrated(daemon, count)
        daemon.end()
    finally:
        daemon.stop()
        os.unlink(daemon.log_path)
        pathlib.Path(root + ".journal").unlink(missing_ok=True)
        shutil.rmtree(root)


def check_migrated(daemon, count):
    check_log(daemon.log())
    db = sqlite3.connect(os.path.join(daemon.state, "state", "twin.db"))
    expect(db.execute("PRAGMA user_version").fetchone() == (migrations(),), "an old schema is in use")
    expect(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "integrity_check")
    db.close()
    items = iterations(daemon)
    expect([item["iteration"] for item in items] == list(range(1, count + 1)), "iterations were lost")
    for item in items[::97]:
        found = sorted(item["statistics"], key=lambda s: s["feature"])
        wanted = sorted(old_statistics(item["iteration"]), key=lambda s: s["feature"])
        expect([{k: f[k] for k in w} for f, w in zip(found, wanted)] == wanted, f"{found} was {wanted}")

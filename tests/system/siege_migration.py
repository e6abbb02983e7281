"""Kills while a state folder of the first schema is brought up to date."""
import json
import os
import random
import shutil
import sqlite3
import tempfile
import time

import toy
from daemon import ROOT, Daemon
from siege import expect, iterations


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


def siege_of_migration(kills, seed=1, count=2000):
    """Kills in the start that brings an old state up to date; all of it must be there after the first start that lives."""
    if migrations() < 2:
        return {"kills": 0, "skipped": "there is one schema"}
    randomness = random.Random(seed)
    scratch = tempfile.mkdtemp(prefix="twin-test-")
    daemon = Daemon(scratch)
    try:
        old_state(os.path.join(scratch, "old"), count)
        midway = done = 0
        while done < kills:
            shutil.rmtree(os.path.join(scratch, "state"), ignore_errors=True)
            shutil.copytree(os.path.join(scratch, "old"), os.path.join(scratch, "state"))
            for _ in range(min(randomness.randint(1, 4), kills - done)):
                daemon.spawn()
                time.sleep(randomness.uniform(0, 0.15))
                expect(daemon.kill() == -9, "twind ended before it was killed: " + daemon.log()[-1000:])
                done += 1
            daemon.start()
            db = sqlite3.connect(os.path.join(scratch, "state", "twin.db"))
            expect(db.execute("PRAGMA user_version").fetchone() == (migrations(),), "an old schema is in use")
            expect(db.execute("PRAGMA integrity_check").fetchall() == [("ok",)], "integrity_check")
            db.close()
            items = iterations(daemon)
            expect([item["iteration"] for item in items] == list(range(1, count + 1)), "iterations were lost")
            for item in items[::97]:
                found = sorted(item["statistics"], key=lambda s: s["feature"])
                wanted = sorted(old_statistics(item["iteration"]), key=lambda s: s["feature"])
                expect([{k: f[k] for k in w} for f, w in zip(found, wanted)] == wanted, f"{found} was {wanted}")
            midway += 1
            daemon.end()
        return {"kills": done, "migrated": midway}
    finally:
        daemon.stop()
        os.unlink(daemon.log_path)
        shutil.rmtree(scratch)

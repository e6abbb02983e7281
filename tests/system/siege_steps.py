"""Ends at chosen changes of the disk. A timer never hits the moment between a change and its sync; the shim of
tests/faults/powerloss.c ends the daemon after a number of changes instead, so that each step of a first start, of a new
segment and of a recovery is met."""
import http.client
import json
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

import numpy as np

import toy
from daemon import Daemon
from feed import Feed
from siege import SMALL, WAYS, Disk, check_log, expect, rows


class Steps:
    """What a daemon promises to one client that starts it, makes a twin, pushes batches and deletes another twin, as
    far as it comes before it ends after a number of changes on its disk."""

    def __init__(self, shim, randomness):
        self.random = randomness
        self.root = tempfile.mkdtemp(prefix="twin-test-")
        self.disk = Disk(self.root, shim, randomness)
        self.daemon = Daemon(os.path.join(self.disk.root, "site", "beam"), SMALL, self.disk.environment)
        self.token, self.twin, self.durable = None, False, -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.kill()
        os.unlink(self.daemon.log_path)
        pathlib.Path(self.disk.journal).unlink(missing_ok=True)
        shutil.rmtree(self.root)

    def go(self, changes=None, twin=True, pushes=1, delete=False):
        """Checks what was promised before, and goes on from there. changes: as for TWIN_POWER_DIE."""
        self.daemon.environment["TWIN_POWER_DIE"] = str(changes or 1 << 30)
        try:
            self.daemon.start()
            self.look()
            if twin:
                self.make_twin()
                self.push(pushes)
            if delete:
                self.daemon.request("POST", "/v1/twins", {**toy.DEFINITION, "name": "brief"})  # may be there
                self.daemon.request("DELETE", "/v1/twins/brief")
        except (OSError, RuntimeError, http.client.HTTPException):
            if not self.ended(1):
                raise
        check_log(self.daemon.log())

    def ended(self, wait_s=0):
        try:
            return self.daemon.process.wait(wait_s) == -9
        except subprocess.TimeoutExpired:
            return False

    def look(self):
        token = self.daemon.token()
        expect(token == (self.token or token), "the token has changed")
        self.token = token
        self.there = "toy" in [twin["name"] for twin in self.daemon.get("/v1/twins")["items"]]
        expect(self.there or not self.twin, "a twin is gone")

    def make_twin(self):
        if not self.there:
            self.daemon.create(toy.DEFINITION)
        self.twin = True

    def push(self, count):
        """A WELCOME promises as much as an ACK."""
        feed = Feed(self.daemon.ingest, "toy")
        feed.socket.send_multipart([b"TWH1", json.dumps(feed.key).encode()])
        welcome = False
        while not self.ended() and not (welcome and len(feed.acked) == count):
            tag, body = feed.receive(0.02) or (None, None)
            if tag == "WELCOME":
                expect(body["last_durable_seq"] >= self.durable, f"{self.durable} was durable, now {body}")
                self.durable, welcome = body["last_durable_seq"], True
                for seq in range(self.durable + 1, self.durable + 1 + count):
                    feed.send(seq, np.repeat(rows("daq1", seq), 32, axis=0))
            elif tag == "ACK":
                self.durable = body["seq"]
        feed.close()

    def end(self, power=None):
        """power: the way in which it goes; None: the machine goes on."""
        expect(self.daemon.kill() == -9, "twind ended before it was killed: " + self.daemon.log()[-1000:])
        self.disk.power_loss(power) if power else self.disk.kill()

    def a_way(self):
        return self.random.choice(WAYS)

    def await_one_spool(self):
        """That of a deleted twin goes when the last part of the daemon has let go of it."""
        folder, end = os.path.join(self.daemon.state, "state", "spool"), time.monotonic() + 10
        while len(os.listdir(folder)) > 1:
            expect(time.monotonic() < end, f"there is one twin with spools {os.listdir(folder)}")
            time.sleep(0.01)


def siege_of_first_start(shim, points, seed=1):
    """A daemon that starts on nothing ends after each of `points` changes and the power with it, the next one somewhere
    else; a third has its way, and what it promised outlasts the loss of everything that was not synced."""
    figures, randomness = {}, random.Random(seed)
    with Steps(shim, randomness) as steps:  # a token that has its name, which the next start finds and nobody synced
        steps.go("r1", twin=False)
        steps.end()
        steps.go(twin=False)
        steps.end("nothing")
        steps.go(twin=False)
    for point in points:
        with Steps(shim, randomness) as steps:
            steps.go(point, delete=True)
            steps.end(steps.a_way())
            steps.go(randomness.randint(1, 200), delete=True)
            steps.end(steps.a_way())
            steps.go(delete=True)
            steps.end("nothing")
            steps.go()
            steps.await_one_spool()
            count_losses(figures, steps)
    return figures


def siege_of_recovery(shim, cycles, seed=1):
    """A daemon ends while batches come in, often where a new segment gets its name. The next one counts what it finds,
    synced or not, and ends soon, and the power with it. Large batches, so that segments are made all the time."""
    figures, randomness = {}, random.Random(seed)
    for begin in range(0, cycles, 40):
        with Steps(shim, randomness) as steps:
            for _ in range(begin, min(cycles, begin + 40)):
                steps.go(randomness.choice(["r1", randomness.randint(30, 120), randomness.randint(30, 120)]), pushes=4)
                steps.end(randomness.choice([None, None, "sectors", "some", steps.a_way()]))
                steps.go(randomness.choice([None, randomness.randint(1, 80)]), pushes=randomness.choice([0, 0, 1]))
                steps.end(randomness.choice(["nothing", steps.a_way()]))
            count_losses(figures, steps)
    return figures


def count_losses(figures, steps):
    more = {name: steps.disk.figures[name] for name in ("lost_names", "lost_writes")}
    more["kills"] = steps.disk.figures["kills"] + steps.disk.figures["power_losses"]
    more["cut_tails"] = steps.daemon.log().count("event=spool_tail_cut")
    for name, value in more.items():
        figures[name] = figures.get(name, 0) + value

"""What a mad client can do to the ZeroMQ ports, as scenarios: threads that go on until they are stopped."""
import json
import socket
import struct
import threading
import time

import toy
from feed import Feed


def address(endpoint):
    host, port = endpoint.split("//")[1].rsplit(":", 1)
    return host, int(port)


def zmtp(endpoint, kind):
    """A plain socket after the greeting and READY of ZMTP 3.0, NULL mechanism (https://rfc.zeromq.org/spec/23)."""
    raw = socket.create_connection(address(endpoint), timeout=10)
    raw.sendall(b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31))
    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", len(kind)) + kind
    raw.sendall(bytes([4, len(ready)]) + ready)
    heard = b""
    while b"READY" not in heard:  # what comes before it would be an error
        more = raw.recv(1000)
        if not more:
            raise ConnectionResetError("ended in the handshake")
        heard += more
    raw.settimeout(0.5)
    return raw


def frame(body, more=False):
    if len(body) < 256:
        return bytes([more, len(body)]) + body
    return bytes([more | 2]) + struct.pack(">Q", len(body)) + body


class Scenario(threading.Thread):
    """`count` is how often the daemon ended the connection, or what else the scenario counts."""

    def __init__(self, daemon, **options):
        super().__init__(daemon=True)
        self.twind, self.options = daemon, options
        self.stopping, self.count, self.error = False, 0, None

    def run(self):
        try:
            self.work(**self.options)
        except Exception as error:  # what a test wants to see
            self.error = error

    def end(self):
        self.stopping = True
        self.join(30)
        if self.error:
            raise self.error
        return self.count


class Held:
    """A connection of a scenario. That it is held back or ended is what the scenario is about."""

    def __init__(self, scenario, endpoint, kind):
        self.scenario, self.endpoint, self.kind, self.raw = scenario, endpoint, kind, None

    def __enter__(self):
        while not self.scenario.stopping:
            try:
                self.raw = zmtp(self.endpoint, self.kind)
                break
            except OSError:  # one too many
                self.scenario.count += 1
                time.sleep(0.01)
        return self.raw

    def __exit__(self, kind, error, trace):
        if self.raw:
            self.raw.close()
        if isinstance(error, OSError) and not isinstance(error, TimeoutError):
            self.scenario.count += 1
        return isinstance(error, OSError)


class Endless(Scenario):
    """One multipart message without an end, again and again."""

    def work(self, size):
        chunk = frame(bytes(size), more=True) * max(1, (1 << 16) // (size + 2))
        while not self.stopping:
            with Held(self, self.twind.ingest, b"DEALER") as raw:
                while not self.stopping:
                    raw.sendall(chunk)


class Subscriptions(Scenario):
    """A listener that subscribes to one topic after the other."""

    def work(self):
        while not self.stopping:
            with Held(self, self.twind.publish, b"SUB") as raw:
                topic = 0
                while not self.stopping:
                    raw.sendall(b"".join(frame(b"\x01%016x" % (topic + i)) for i in range(1000)))
                    topic += 1000


class Deaf(Scenario):
    """A listener that wants everything and reads nothing."""

    def work(self):
        with Held(self, self.twind.publish, b"SUB") as raw:
            raw.sendall(frame(b"\x01"))
            while not self.stopping:
                time.sleep(0.05)


class Idle(Scenario):
    """Connections that say nothing at all; those that are ended are opened again."""

    def work(self, connections, port="ingest"):
        there = address(getattr(self.twind, port))
        held = []
        try:
            while not self.stopping:
                if len(held) < connections:
                    held.append(socket.create_connection(there, timeout=10))
                    self.count = max(self.count, len(held))
                else:
                    time.sleep(0.05)
        finally:
            for raw in held:
                raw.close()


class Tiny(Scenario):
    """Batches of one event, as many as fit; what is refused is not missed."""

    def work(self, window=256):
        feed = Feed(self.twind.ingest, "toy", feed="tiny")
        rows, sent, done = toy.events(1, seed=1), 0, 0
        try:
            while not self.stopping:
                while sent - done < window:
                    feed.send(sent, rows)
                    sent += 1
                reply = feed.receive(5)
                if reply is None:
                    done = sent
                elif reply[0] in ("ACK", "NACK"):
                    done += 1
                    self.count += reply[0] == "ACK"
        finally:
            feed.close()


class Deafened(Scenario):
    """A feed that asks and never reads its answers."""

    def work(self):
        hello = frame(b"TWH1", more=True) + frame(json.dumps({"twin": "toy", "feed": "deaf", "run": 1}).encode())
        while not self.stopping:
            with Held(self, self.twind.ingest, b"DEALER") as raw:
                while not self.stopping:
                    raw.sendall(hello * 200)


class Good(Scenario):
    """The feed that all others must not disturb: one batch after the other, each with its ACK."""

    def work(self, patience=20):
        feed = Feed(self.twind.ingest, "toy", feed="good")
        self.slowest = 0.0
        try:
            while not self.stopping:
                before = time.monotonic()
                reply = feed.push(self.count, toy.events(100, seed=[9, self.count]), timeout_s=patience)
                if reply[0] != "ACK":
                    raise AssertionError(f"batch {self.count}: {reply}")
                self.count += 1
                self.slowest = max(self.slowest, time.monotonic() - before)
                time.sleep(0.01)
        finally:
            feed.close()

"""A feed in a few lines: what docs/feeds.md shows, with what tests want to know about each reply."""
import io
import json
import time

import numpy as np
import zmq


def npy(array):
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(array))
    return out.getvalue()


class Feed:
    """One DEALER socket for (twin, feed, run). Replies are kept by sequence number."""

    def __init__(self, endpoint, twin, feed="daq1", run=1):
        self.key = {"twin": twin, "feed": feed, "run": run}
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(endpoint)
        self.acked, self.nacked = set(), {}

    def close(self):
        self.socket.close()

    def receive(self, timeout_s):
        """The next reply as (tag, dict), or None."""
        if not self.socket.poll(int(1000 * timeout_s)):
            return None
        frames = self.socket.recv_multipart()
        tag, body = frames[0].decode(), json.loads(frames[1])
        if tag == "ACK":
            self.acked.add(body["seq"])
        elif tag == "NACK":
            self.nacked[body.get("seq")] = body
        return tag, body

    def hello(self, timeout_s=10):
        self.socket.send_multipart([b"TWH1", json.dumps(self.key).encode()])
        while True:
            reply = self.receive(timeout_s)
            if reply is None:
                raise TimeoutError("no WELCOME")
            if reply[0] in ("WELCOME", "NACK"):
                return reply

    def send(self, seq, rows, weights=None, **header):
        frames = [b"TWB1", json.dumps({**self.key, "seq": seq, **header}).encode(), npy(rows)]
        if weights is not None:
            frames.append(npy(weights))
        self.socket.send_multipart(frames)

    def push(self, seq, rows, timeout_s=20, **more):
        """Sends one batch and waits for its answer: (tag, dict)."""
        self.send(seq, rows, **more)
        while True:
            reply = self.receive(timeout_s)
            if reply is None:
                raise TimeoutError(f"no answer to batch {seq}")
            if reply[0] in ("ACK", "NACK") and reply[1].get("seq") == seq:
                return reply

    def push_all(self, batches, first=0, window=8, timeout_s=30):
        """Sends numbered batches with at most `window` unanswered, again only what finds no credit."""
        batches = list(batches)
        done = set()
        sent = 0
        while len(done) < len(batches):
            while sent < len(batches) and sent - len(done) < window:
                self.send(first + sent, batches[sent])
                sent += 1
            reply = self.receive(timeout_s)
            if reply is None:
                raise TimeoutError(f"{len(batches) - len(done)} batches without an answer")
            if reply[0] == "NACK" and reply[1]["code"] == "no_credit":  # the loop is behind: later
                time.sleep(0.05)
                self.send(reply[1]["seq"], batches[reply[1]["seq"] - first])
            elif reply[0] == "NACK":
                raise RuntimeError(f"NACK: {reply[1]}")
            if reply[0] == "ACK":
                done.add(reply[1]["seq"])

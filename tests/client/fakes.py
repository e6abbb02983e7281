"""Stand-ins for the two doors of twind, so that the client's behaviour is tested apart from the daemon's: what it asks,
and what it makes of every answer, wrong ones included. They speak the contracts of HTTP API and wire."""
import http.server
import io
import json
import threading
import time
import urllib.parse

import numpy as np
import zmq

TOKEN = "secret-token-of-the-test"


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


class Http:
    """Answers as told: answer(method, path, status, body, headers); remembers the requests."""

    def __init__(self):
        fake = self
        self.answers, self.requests, self.delay = {}, [], 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                size = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(size)
                path, _, query = self.path.partition("?")
                fake.requests.append({"method": self.command, "path": path, "query": urllib.parse.parse_qs(query),
                                      "headers": dict(self.headers), "body": body})
                time.sleep(fake.delay)
                status, answer, headers = fake.find(self.command, path, fake.requests[-1])
                if not isinstance(answer, bytes):
                    answer = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # clients that leave early are part of the tests
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, method, path, *answers):
        """Each answer: (status, body[, headers]) or a function of the request that gives one; the last one stays."""
        self.answers[method, path] = list(answers)

    def find(self, method, path, request):
        answers = self.answers.get((method, path))
        if not answers:
            return 404, {"title": "Not Found", "status": 404, "detail": f"nothing at {path}", "error": "not_found"}, {}
        if method != "GET" and not path.endswith(("/sample", "/log_prob")):
            if request["headers"].get("Authorization") != f"Bearer {TOKEN}":
                return 401, {"title": "Unauthorized", "status": 401, "detail": "a token is needed", "error": "token"}, {}
        given = answers.pop(0) if len(answers) > 1 else answers[0]
        if callable(given):
            given = given(request)
        return given if len(given) == 3 else (*given, {})

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Ingest:
    """The ROUTER end of the wire in a thread of its own. What it does is set by its attributes."""

    def __init__(self, endpoint="tcp://127.0.0.1:*"):
        self.credit, self.max_bytes = 1 << 20, 1 << 28
        self.durable = {}       # seq -> payload
        self.headers = {}       # seq -> header
        self.received = []      # seq of every batch message, repetitions included
        self.hellos = 0
        self.drop_ack = set()   # durable, but its first ACK gets lost
        self.drop_batch = set() # gets lost itself, the first time
        self.refuse = {}        # seq -> (code, times)
        self.unknown = False    # every message is NACK unknown_twin
        self.silent = False
        self.hold_acks = False  # keeps ACKs back until false again
        self.over_credit = 0    # times that more than the credit was in flight
        self.ack_delay = 0.0
        self.lock = threading.Lock()
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(endpoint)
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self.running = True
        self.thread = threading.Thread(target=self.loop, daemon=True)
        self.thread.start()

    def last_durable(self):
        seq = -1
        while seq + 1 in self.durable:
            seq += 1
        return seq

    def reply(self, who, tag, **body):
        self.socket.send_multipart([who, tag, json.dumps(body).encode()])

    def loop(self):
        held, flying = [], {}
        while self.running:
            if not self.socket.poll(20):
                if not self.hold_acks:
                    for who, key, size in held:
                        flying[who] -= size
                        self.reply(who, b"ACK", **key)
                    held = []
                continue
            who, tag, *frames = self.socket.recv_multipart()
            if self.silent:
                continue
            with self.lock:
                header = json.loads(frames[0])
                key = {k: header[k] for k in ("twin", "feed", "run", "seq") if k in header}
                if self.unknown:
                    self.reply(who, b"NACK", **key, code="unknown_twin", detail=f"no twin {header['twin']}")
                elif tag == b"TWH1":
                    self.hellos += 1
                    self.reply(who, b"WELCOME", **key, last_durable_seq=self.last_durable(), credit_bytes=self.credit,
                               max_bytes=self.max_bytes)
                else:
                    self.batch(who, key, header, frames, held, flying)

    def batch(self, who, key, header, frames, held, flying):
        seq, size = header["seq"], len(b"TWB1") + sum(map(len, frames))
        self.received.append(seq)
        if seq in self.drop_batch:
            self.drop_batch.discard(seq)
            return
        if seq in self.refuse:
            code, times = self.refuse[seq]
            if times:
                self.refuse[seq] = (code, times - 1)
                self.reply(who, b"NACK", **key, code=code, detail=f"{code} it is")
                return
        if self.durable.get(seq, frames[1]) != frames[1]:
            self.reply(who, b"NACK", **key, code="conflict", detail="the same key with other content")
            return
        self.durable[seq], self.headers[seq] = frames[1], header
        if seq in self.drop_ack:
            self.drop_ack.discard(seq)
            return
        time.sleep(self.ack_delay)
        if self.hold_acks:
            flying[who] = flying.get(who, 0) + size
            self.over_credit += flying[who] > self.credit
            held.append((who, key, size))
        else:
            self.reply(who, b"ACK", **key)

    def rows(self):
        return np.concatenate([np.load(io.BytesIO(self.durable[s])) for s in sorted(self.durable)])

    def close(self):
        self.running = False
        self.thread.join()
        self.socket.close()
        self.context.term()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

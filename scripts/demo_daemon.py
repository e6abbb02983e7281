"""A twind of one's own: scratch state, free loopback ports, children that end with us, and its HTTP in a few calls."""
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np


class Trouble(Exception):
    """Something that ends the demo; the text is for the reader."""


def free_ports(count):
    """Loopback ports that nobody listens on; held together while they are chosen, so that none comes twice."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Daemon:
    def __init__(self, build):
        self.programs = {n: os.path.abspath(os.path.join(build, folder, n))
                         for n, folder in (("twind", "daemon"), ("twinctl", "client"), ("twin-bench", "bench"))}
        self.children = []
        self.folder = tempfile.mkdtemp(prefix="twin-demo-")
        self.state = os.path.join(self.folder, "state")
        http, ingest, publish = free_ports(3)
        self.url = f"http://127.0.0.1:{http}"
        self.ingest, self.publish = f"tcp://127.0.0.1:{ingest}", f"tcp://127.0.0.1:{publish}"
        self.environment = dict(os.environ, TWIN_URL=self.url, TWIN_INGEST=self.ingest,
                                TWIN_TOKEN_FILE=os.path.join(self.state, "admin.token"))

    # Children get a session of their own: Ctrl-C reaches the demo alone, which then ends them one by one.
    def spawn(self, program, *arguments, **streams):
        child = subprocess.Popen([self.programs[program], *arguments], env=self.environment, cwd=self.folder,
                                 stdin=subprocess.DEVNULL, start_new_session=True, **streams)
        self.children.append(child)
        return child

    def call(self, program, *arguments, quiet=False):
        """Runs a program to its end and returns its stdout; its words and progress bars go to our stderr."""
        child = self.spawn(program, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE if quiet else None)
        out, words = child.communicate()
        self.children.remove(child)
        if child.returncode:
            raise Trouble(f"{program} {' '.join(arguments)}: exit status {child.returncode}"
                          + (f"\n{words.decode(errors='replace')}" if words else ""))
        return out.decode()

    def start(self):
        self.log = os.path.join(self.folder, "twind.log")
        with open(self.log, "wb") as log:
            self.twind = self.spawn("twind", "--state", self.state, "--http", self.url[len("http://"):], "--ingest",
                                    self.ingest, "--publish", self.publish, stdout=log, stderr=log)
        begin = time.monotonic()
        while time.monotonic() - begin < 20:
            self.check_alive()
            try:
                self.get("/readyz")
                return time.monotonic() - begin
            except (OSError, Trouble):
                time.sleep(0.02)
        raise Trouble(f"twind is not ready after 20 s\n{self.log_end()}")

    def check_alive(self):
        if self.twind.poll() is not None:
            raise Trouble(f"twind ended with status {self.twind.returncode}\n{self.log_end()}")

    def log_end(self):
        with open(self.log, errors="replace") as f:
            return "".join(f.readlines()[-15:])

    def stop(self):
        """Ends the children, newest first, and removes the scratch folder."""
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in reversed(self.children):
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.children = []
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- HTTP ---

    def request(self, path, body=None, accept="application/json", content="application/x-npy"):
        headers = {"Accept": accept}
        if body is not None:
            headers["Content-Type"] = content
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise Trouble(f"{path}: {error.code} {error.read().decode(errors='replace')[:300]}") from None

    def get(self, path):
        answer = self.request(path)
        return json.loads(answer) if answer.startswith((b"{", b"[")) else answer.decode()

    def items(self, path):
        """All pages of a list."""
        cursor, found = None, []
        while True:
            query = {"limit": 1000, **({"cursor": cursor} if cursor is not None else {})}
            page = self.get(f"{path}?{urllib.parse.urlencode(query)}")
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    def sample(self, twin, version, n, seed):
        path = f"/v1/twins/{twin}/sample?n={n}&seed={seed}&version={version}"
        return np.load(io.BytesIO(self.request(path, accept="application/x-npy")), allow_pickle=False)

    def log_prob(self, twin, version, events):
        body = io.BytesIO()
        np.save(body, events)
        answer = self.request(f"/v1/twins/{twin}/log_prob?version={version}", body.getvalue(), "application/x-npy")
        return np.load(io.BytesIO(answer), allow_pickle=False).ravel().astype(np.float64)

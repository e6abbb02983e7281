"""A real twind on a scratch state and free loopback ports, for tests.

The programs are found by TWIND, TWINCTL and TWIN_BENCH in the environment (meson sets them), else in build/.
"""
import http.client
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

import numpy as np

from conformance import Conformance

ROOT = pathlib.Path(__file__).resolve().parents[2]


def program(variable, default):
    return os.environ.get(variable) or str(ROOT / "build" / default)


DOCUMENT = pathlib.Path(program("TWIND", "daemon/twind")).with_name("openapi.json")
CONFORMANCE = Conformance(json.loads(DOCUMENT.read_text())) if DOCUMENT.exists() else None


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def npy(self):
        return np.load(io.BytesIO(self.body))


class Daemon:
    def __init__(self, state=None, arguments=(), environment=None):
        self.own_state = state is None
        self.state = state or tempfile.mkdtemp(prefix="twin-test-")
        self.arguments = list(arguments)
        self.environment = environment or {}
        self.process = None
        self.log_path = os.path.join(self.state, "log.txt") if self.own_state else tempfile.mkstemp()[1]
        self.url = self.ingest = self.publish = None

    # --- life ---

    def spawn(self):
        """Starts, and does not wait."""
        self.log_offset = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        command = [program("TWIND", "daemon/twind"), "--state", os.path.join(self.state, "state"), "--http",
                   "127.0.0.1:0", "--ingest", "tcp://127.0.0.1:*", "--publish", "tcp://127.0.0.1:*", *self.arguments]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **self.environment})

    def start(self, timeout_s=30):
        """Starts and waits for the line that says ready; its ports become url, ingest and publish."""
        self.spawn()
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            with open(self.log_path, "rb") as log:
                log.seek(self.log_offset)
                text = log.read().decode(errors="replace")
            ready = re.search(r"event=ready http=(\S+) ingest=(\S+) publish=(\S+)", text)
            if ready:
                self.url, self.ingest, self.publish = ready.groups()
                return self
            if self.process.poll() is not None:
                raise RuntimeError(f"twind ended with {self.process.returncode}: {text}")
            time.sleep(0.01)
        raise TimeoutError("twind did not become ready: " + text)

    def end(self, signal_number=signal.SIGTERM, timeout_s=30):
        """Ends the process; its exit status."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal_number)
        status = self.process.wait(timeout_s) if self.process else None
        self.process = None
        return status

    def kill(self):
        return self.end(signal.SIGKILL)

    def restart(self):
        status = self.end()
        self.start()
        return status

    def stop(self):
        """Ends the process and removes its state. A daemon that does not end cleanly is an error."""
        status = self.end() if self.process else 0
        if self.own_state:
            shutil.rmtree(self.state, ignore_errors=True)
        if status not in (0, None):
            raise RuntimeError(f"twind ended with {status}")

    def log(self):
        return pathlib.Path(self.log_path).read_text(errors="replace")

    def memory_mb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024

    def peak_mb(self):
        """The most memory that the process has held."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024

    # --- talk ---

    @property
    def port(self):
        return int(self.url.rsplit(":", 1)[1])

    def token(self):
        return pathlib.Path(self.state, "state", "admin.token").read_text().strip()

    def request(self, method, path, body=None, headers=None, authorised=True, timeout_s=60):
        """body: dict or list (JSON), array (.npy), or bytes. The answer must be as the OpenAPI document has it."""
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        elif isinstance(body, np.ndarray):
            out = io.BytesIO()
            np.save(out, np.ascontiguousarray(body))
            body = out.getvalue()
            headers.setdefault("Content-Type", "application/x-npy")
        if authorised:
            headers.setdefault("Authorization", "Bearer " + self.token())
        answer = self.exchange(method, path, body, headers, timeout_s)
        if CONFORMANCE:
            CONFORMANCE.check(method, path, answer)
        return answer

    def exchange(self, method, path, body, headers, timeout_s):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request(method, path, body, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def get(self, path):
        answer = self.request("GET", path, headers={"Accept": "application/json"})
        if answer.status != 200:
            raise RuntimeError(f"GET {path}: {answer.status} {answer.body!r}")
        return answer.json()

    def create(self, definition):
        answer = self.request("POST", "/v1/twins", definition)
        if answer.status != 201:
            raise RuntimeError(f"create: {answer.status} {answer.body!r}")
        return answer.json()

    def wait(self, operation, timeout_s=300):
        """The operation when it is finished."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            row = self.get(f"/v1/operations/{operation}?wait=5")
            if row["state"] in ("succeeded", "failed", "cancelled"):
                return row
        raise TimeoutError(f"operation {operation} does not end: {row}")

    def train(self, twin, rows, query=""):
        answer = self.request("POST", f"/v1/twins/{twin}/train{query}", rows)
        if answer.status != 202:
            raise RuntimeError(f"train: {answer.status} {answer.body!r}")
        return self.wait(answer.json()["id"])

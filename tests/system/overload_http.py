"""Clients that hold on to an HTTP server without being of use to anybody, and one that wants to be served meanwhile.

Used in small by test_http_overload.py and at length by scripts/campaign overload.
"""
import os
import resource
import selectors
import socket
import threading
import time

import toy
from daemon import Daemon

DRIP = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"a" * 4000
BODY = (b"POST /v1/twins/toy/log_prob HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\n"
        b"Content-Length: 900000\r\n\r\npt,eta,phi,x\n")
LARGE = (b"GET /v1/twins/toy/sample?n=1000000&seed=%d HTTP/1.1\r\nHost: localhost\r\nAccept: application/x-npy\r\n\r\n")


def raise_files(wanted):
    """Lets this process open so many files if it may; how many it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = min(max(wanted, soft), hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit


class Crowd:
    """Many sockets to one port, driven by one thread. Each has a role:

    idle        connects and says nothing
    keep-alive  asks once, then says nothing
    drip        sends a head one byte a second
    body        sends a head, then its body one byte a second
    reader      asks for a large sample and takes 100 bytes a second

    Whoever is thrown out comes back, `comeback` times at most."""

    def __init__(self, port, roles, comeback=0):
        self.port = port
        self.roles = dict(roles)
        self.comeback = comeback
        self.sockets = {}  # socket -> [role, bytes of its text sent]
        self.ended = {role: 0 for role in roles}
        self.came = {role: 0 for role in roles}
        self.stop_asked = threading.Event()
        self.all_in = threading.Event()
        self.selector = selectors.DefaultSelector()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.stop_asked.set()
        self.thread.join()
        for one in list(self.sockets):
            self.forget(one)

    def join(self, role):
        one = socket.socket()
        if role == "reader":
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.settimeout(10)
        try:
            one.connect(("127.0.0.1", self.port))
            if role == "keep-alive":
                one.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            elif role == "body":
                one.sendall(BODY)
            elif role == "reader":
                one.sendall(LARGE % self.came[role])
        except OSError:
            one.close()
            return
        one.setblocking(False)
        self.came[role] += 1
        self.sockets[one] = [role, 0]
        if role != "reader":
            self.selector.register(one, selectors.EVENT_READ)

    def forget(self, one):
        role = self.sockets.pop(one)[0]
        if role != "reader":
            self.selector.unregister(one)
        one.close()
        return role

    def lose(self, one):
        role = self.forget(one)
        self.ended[role] += 1
        if self.came[role] < self.roles[role] * (1 + self.comeback):
            self.join(role)

    def take(self, one, size):
        try:
            if not one.recv(size):
                self.lose(one)
        except BlockingIOError:
            pass
        except OSError:
            self.lose(one)

    def second(self):
        for one, state in list(self.sockets.items()):
            role, sent = state
            try:
                if role == "drip":
                    one.send(DRIP[sent:sent + 1])
                elif role == "body":
                    one.send(b"1")
                state[1] += 1
            except BlockingIOError:
                pass
            except OSError:
                self.lose(one)
                continue
            if role == "reader":
                self.take(one, 100)

    def run(self):
        for role, count in self.roles.items():
            for _ in range(count):
                self.join(role)
        self.all_in.set()
        due = time.monotonic()
        while not self.stop_asked.is_set():
            for key, _ in self.selector.select(timeout=0.1):
                if key.fileobj in self.sockets:
                    self.take(key.fileobj, 65536)
            if time.monotonic() >= due:
                self.second()
                due = time.monotonic() + 1


class GoodClient:
    """Asks for one path after the other on new connections, and keeps how long each answer took. Like every HTTP client
    it asks again, twice, where a connection ends before there is an answer: between its connect and its request it
    cannot be told from the crowd."""

    def __init__(self, daemon, paths):
        self.daemon, self.paths = daemon, paths
        self.seconds, self.failures, self.retries = [], [], 0

    def ask(self, times=1):
        for i in range(times):
            path = self.paths[i % len(self.paths)]
            begin = time.monotonic()
            why = self.once(path)
            for _ in range(2):
                if isinstance(why, OSError):
                    self.retries += 1
                    why = self.once(path)
            if why:
                self.failures.append(f"{path}: {why!r}")
            self.seconds.append(time.monotonic() - begin)

    def once(self, path):
        """None, or what went wrong."""
        try:
            answer = self.daemon.request("GET", path, headers={"Accept": "application/json"}, timeout_s=30)
            return None if answer.status == 200 else (answer.status, answer.body[:200])
        except OSError as error:
            return error

    def figures(self):
        ordered = sorted(self.seconds)
        return {"requests": len(ordered), "failures": len(self.failures), "retries": self.retries,
                "median_s": ordered[len(ordered) // 2],
                "p99_s": ordered[len(ordered) * 99 // 100], "most_s": ordered[-1]}


class Storm:
    """Threads that ask as fast as they are answered; what came back, by status."""

    def __init__(self, daemon, requests):
        self.daemon, self.requests = daemon, requests  # each a list of (method, path, body)
        self.statuses = {}
        self.lock = threading.Lock()
        self.stop_asked = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(one,), daemon=True) for one in requests]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self.stop_asked.set()
        for thread in self.threads:
            thread.join()

    def run(self, requests):
        i = 0
        while not self.stop_asked.is_set():
            method, path, body = requests[i % len(requests)]
            i += 1
            try:
                status = self.daemon.request(method, path.replace("SEED", str(i)), body, timeout_s=60).status
            except OSError:
                status = 0
            with self.lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1


def metric(daemon, name):
    """A number of GET /metrics; None where it is not there."""
    text = daemon.request("GET", "/metrics").body.decode()
    for line in text.splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    return None


def attacked(seconds, arguments, roles, ceiling_mb):
    """One daemon under everything at once for so many seconds: a crowd that comes back, a storm of queries, long polls,
    bodies that are too many, and one training after the other. What the good client saw, and the memory."""
    raise_files(sum(roles.values()) + 2000)
    daemon = Daemon(arguments=["--memory-mb", str(ceiling_mb), *arguments])
    daemon.start()
    daemon.create(toy.DEFINITION)
    daemon.train("toy", toy.events(20000, 1), "?epochs=2")
    for i in range(4):
        daemon.create({**toy.DEFINITION, "name": f"other{i}"})
    rows = toy.events(1000000, 2)
    daemon.request("POST", "/v1/twins/other0/train?epochs=10000", rows)
    storm = [[("GET", "/v1/twins/toy/sample?n=1000000&seed=SEED", None)],
             [("GET", "/v1/twins/toy/sample?n=200&seed=SEED", None), ("GET", "/v1/twins/toy/iterations", None)],
             [("POST", "/v1/twins/toy/log_prob", rows[:60000])],
             [("GET", "/v1/twins/toy/histograms?bins=20", None), ("GET", "/metrics", None)],
             [("POST", "/v1/twins/other1/train", rows), ("POST", "/v1/twins/other2/train", rows)],
             [("POST", "/v1/twins/other3/batches?feed=http&run=1&seq=SEED", rows[:200000])],
             *[[("GET", "/v1/operations/2?wait=20", None)] for _ in range(100)]]
    client = GoodClient(daemon, ["/livez", "/v1/twins/toy", "/v1/twins/toy/iterations",
                                 "/v1/twins/toy/sample?n=1000&seed=1"])
    most = 0
    with Crowd(daemon.port, roles, comeback=1000) as crowd, Storm(daemon, storm) as answers:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            client.ask(4)
            most = max(most, int(metric(daemon, "twin_http_connections") or 0))
            time.sleep(0.2)
        came, ended = dict(crowd.came), dict(crowd.ended)
    result = {"arguments": arguments, "seconds": seconds, "good_client": client.figures(), "failed": client.failures[:5],
              "statuses_of_the_storm": {str(k): v for k, v in sorted(answers.statuses.items())},
              "came": came, "ended": ended, "most_connections": most, "ceiling_mb": ceiling_mb,
              "peak_mb": round(daemon.peak_mb(), 1), "rss_mb_after": round(daemon.memory_mb(), 1),
              "descriptors_after": len(os.listdir(f"/proc/{daemon.process.pid}/fd"))}
    daemon.stop()
    result["ok"] = not client.failures and result["peak_mb"] < ceiling_mb
    return result


def campaign(seconds):
    """The long form: at the usual limit, and with room for ten thousand."""
    roles = {"idle": 10000, "drip": 300, "keep-alive": 300, "body": 100, "reader": 100}
    usual = attacked(seconds / 2, [], roles, 512)
    roomy = attacked(seconds / 2, ["--http-connections", "9000"], {**roles, "idle": 8000}, 2048)
    return {"usual": usual, "roomy": roomy, "ok": usual["ok"] and roomy["ok"]}

"""Who is let in: hosts and origins, methods and paths, sizes, many connections, and a corpus of requests that two parsers
could read differently."""
import concurrent.futures
import os
import socket
import time
import unittest

import numpy as np

import toy
from api_case import WithDaemon
from daemon import Daemon

LINE = b"POST /v1/twins HTTP/1.1\r\nHost: localhost\r\n"
NEXT = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
# Requests about whose end two parsers could disagree: refused, closed, and what follows is never served.
SMUGGLED = {
    "two hosts": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "no host": b"GET /livez HTTP/1.1\r\n\r\n",
    "equal lengths": LINE + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a list of lengths": LINE + b"Content-Length: 2, 2\r\n\r\n{}",
    "a signed length": LINE + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": LINE + b"Content-Length: -2\r\n\r\n{}",
    "a hexadecimal length": LINE + b"Content-Length: 0x2\r\n\r\n{}",
    "no length in Content-Length": LINE + b"Content-Length:\r\n\r\n{}",
    "length and chunks": LINE + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": LINE + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two encodings": LINE + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a list of encodings": LINE + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "identity": LINE + b"Transfer-Encoding: identity\r\n\r\n",
    "xchunked": LINE + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": LINE + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab": LINE + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a quoted encoding": LINE + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "chunks in HTTP/1.0": b"POST /v1/twins HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a lone carriage return": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: a\rContent-Length: 5\r\n\r\n",
    "a header without a colon": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nnothing\r\n\r\n",
    "a folded first line": b"GET /livez HTTP/1.1\r\n Host: localhost\r\nHost: localhost\r\n\r\n",
    "chunk size of words": LINE + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a negative chunk": LINE + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n{}\r\n0\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40 + b"\r\n\r\n",
}


class Door(WithDaemon):
    def test_smuggling(self):
        for name, request in SMUGGLED.items():
            with self.subTest(name):
                answer, closed = self.raw(request + NEXT)
                self.assertTrue(closed)
                self.assertIn(answer[:12], (b"HTTP/1.1 400", b""))
                self.assertNotIn(b"\r\n\r\nok\n", answer)

    def test_refused_bodies_are_not_requests(self):
        """Early answers leave no unread body behind that could be taken for a request."""
        inner = NEXT * 50
        for method in (b"POST", b"PUT", b"PATCH", b"DELETE", b"GET"):
            head = method + b" /v1/nothing HTTP/1.1\r\nHost: localhost\r\n"
            answer, _ = self.raw(head + b"Content-Length: %d\r\n\r\n" % len(inner) + inner)
            self.assertEqual((answer[:12], answer.count(b"HTTP/1.1 ")), (b"HTTP/1.1 404", 1))
            large = b"Content-Length: 1000000\r\n\r\n" + inner
            answer, closed = self.raw(head + large)
            self.assertEqual((answer[:12], answer.count(b"HTTP/1.1 "), closed), (b"HTTP/1.1 404", 1, True))

    def test_sizes(self):
        token = b"Authorization: Bearer " + self.daemon.token().encode() + b"\r\n"
        answer, closed = self.raw(LINE + token + b"Content-Length: 1048577\r\n\r\n")
        self.assertEqual((answer[:12], closed), (b"HTTP/1.1 413", True))
        answer, closed = self.raw(LINE + token + b"Content-Length: 1048577\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual((answer[:12], closed), (b"HTTP/1.1 413", True))
        chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
        answer, closed = self.raw(LINE + token + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 17 + b"0\r\n\r\n")
        self.assertEqual((answer[:12], closed), (b"HTTP/1.1 413", True))
        answer, closed = self.raw(LINE + token + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 400)
        self.assertTrue(closed)
        rows = (b"POST /v1/twins/raw/batches?feed=f&run=0&seq=0 HTTP/1.1\r\nHost: localhost\r\n" + token)
        answer, closed = self.raw(rows + b"Content-Length: 268435457\r\n\r\n")
        self.assertEqual((answer[:12], closed), (b"HTTP/1.1 413", True))
        answer, closed = self.raw(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 300000 + b"\r\n\r\n")
        self.assertTrue(closed)
        answer, closed = self.raw(b"GET /" + b"a" * 300000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertTrue(closed)
        self.assertEqual(self.ask("GET", "/livez").status, 200)

    def test_truncated(self):
        token = b"Authorization: Bearer " + self.daemon.token().encode() + b"\r\n"
        whole = LINE + token + b'Content-Length: 20\r\n\r\n{"name": "truncated"'
        with concurrent.futures.ThreadPoolExecutor(32) as threads:  # each waits for what does not come
            list(threads.map(lambda cut: self.raw(whole[:cut], half_close=True), range(1, len(whole), 7)))
        self.assertNotIn("truncated", [t["name"] for t in self.daemon.get("/v1/twins")["items"]])

    def test_random_bytes(self):
        rng = np.random.default_rng(3)
        for _ in range(30):
            self.raw(rng.bytes(int(rng.integers(1, 2000))), half_close=True)
        parts = [b"GET", b"POST", b" ", b"/v1/twins", b"/toy", b"?", b"%", b"\r\n", b"Host: localhost", b"\r\n\r\n", b":",
                 b"HTTP/1.1", b"Content-Length: 3", b"Transfer-Encoding: chunked", b"{}", b"\0", b"\xff", b"0\r\n"]
        for _ in range(60):
            self.raw(b"".join(parts[i] for i in rng.integers(0, len(parts), 25)), half_close=True)
        for _ in range(50):
            for path in ("/v1/twins", "/v1/twins/toy/retunes", "/v1/twins/toy/sample", "/v1/twins/toy/log_prob"):
                answer = self.ask("POST", path, rng.bytes(100), headers={"Content-Type": "application/json"})
                self.problem(answer, 400)
        self.assertEqual(self.ask("GET", "/readyz").status, 200)

    def test_hosts_and_origins(self):
        for host, status in (("localhost", 200), ("LOCALHOST:99", 200), ("127.0.0.1", 200), ("[::1]:8470", 200),
                             ("evil.example", 421), ("localhost.evil.example", 421), ("127.0.0.2", 421), ("", 421)):
            self.assertEqual(self.ask("GET", "/livez", headers={"Host": host}).status, status, host)
        own = f"http://127.0.0.1:{self.daemon.port}"
        for origin, status in ((own, 200), (own.replace("127.0.0.1", "localhost"), 200), ("http://evil.example", 403),
                               ("null", 403), (own + ".evil.example", 403), ("http://localhost:1", 403)):
            self.assertEqual(self.ask("GET", "/livez", headers={"Origin": origin}).status, status, origin)

    def test_configured_names(self):
        other = Daemon(arguments=["--hosts", "twin.lab,other.lab"]).start()
        try:
            for host, status in (("twin.lab", 200), ("other.lab:80", 200), ("lab", 421)):
                self.assertEqual(other.request("GET", "/livez", headers={"Host": host}).status, status, host)
        finally:
            other.stop()

    def test_methods_and_paths(self):
        answer = self.ask("DELETE", "/v1/twins")
        self.problem(answer, 405)
        self.assertEqual(answer.headers["Allow"], "GET, HEAD, POST")
        for path in ("/nothing", "/v1/twins/", "/v1/twins/toy/", "/v1/twins/toy/nothing", "//livez", "/v1/twins/a/b/c/d/e/f/g"):
            self.problem(self.ask("GET", path), 404)
        self.problem(self.ask("GET", "/v1/twins/%00"), 400)
        self.problem(self.ask("GET", "/v1/twins/%zz"), 400)
        self.problem(self.ask("GET", "/v1/twins/..%2f..%2fetc"), 404)
        head = self.ask("HEAD", "/v1/twins")
        self.assertEqual((head.status, head.body), (200, b""))

    def test_health_and_page(self):
        self.assertEqual(self.ask("GET", "/livez", authorised=False).body, b"ok\n")
        self.assertEqual(self.ask("GET", "/readyz", authorised=False).body, b"ready\n")
        verbose = self.daemon.get("/readyz?verbose")
        self.assertTrue(all(check["ok"] for check in verbose["checks"]))
        page = self.ask("GET", "/", authorised=False)
        policy = page.headers["Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertNotIn("unsafe", policy)
        self.assertIn(b"toy: ", page.body)
        self.assertNotIn(b"src=", page.body)

    def test_keep_alive_and_pipelining(self):
        answer, _ = self.raw(NEXT * 20)
        self.assertEqual(answer.count(b"HTTP/1.1 200"), 20)
        mixed = b"GET /v1/twins/toy/versions HTTP/1.1\r\nHost: localhost\r\n\r\n" + NEXT
        answer, _ = self.raw(mixed * 5)
        self.assertEqual(answer.count(b"HTTP/1.1 200"), 10)

    def test_many_connections(self):
        """More than one address may have: the surplus is closed, the rest is served, then all is as before."""
        sockets = []
        for _ in range(450):
            s = socket.create_connection(("127.0.0.1", self.daemon.port), 10)
            sockets.append(s)
        for s in sockets:
            s.close()
        end = time.monotonic() + 30
        while True:
            try:
                self.assertEqual(self.ask("GET", "/livez").status, 200)
                return
            except (ConnectionError, OSError):
                self.assertLess(time.monotonic(), end)
                time.sleep(0.1)

    def test_the_token_is_private(self):
        import os
        path = os.path.join(self.daemon.state, "state", "admin.token")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertNotIn(self.daemon.token(), self.daemon.log())
        for header in ("Bearer", "Bearer ", "Bearer " + "0" * 64, "Basic " + self.daemon.token(), self.daemon.token()):
            answer = self.ask("POST", "/v1/twins", toy.DEFINITION, headers={"Authorization": header})
            self.problem(answer, 401)
            self.assertTrue(answer.headers["WWW-Authenticate"].startswith("Bearer"))


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Requests that two servers could read differently, byte for byte in smuggling/corpus/NAME.http, with what has to come of
each in smuggling/expected.json: [outcome, why it is there].

refused     no answer but errors: what follows the request is neither answered nor done
goes on     an error; its end is beyond doubt, so that the request behind it is answered
answered N  N answers, the last of which is to a request that was meant as one

Behind nearly every one comes a request for the list of twins, which is answered with 200 wherever it is taken for one.
"""
import json
import pathlib
import re
import socket
import unittest

from daemon import Daemon

HERE = pathlib.Path(__file__).resolve().parent / "smuggling"
CORPUS = HERE / "corpus"
EXPECTED = json.loads((HERE / "expected.json").read_text())
HOST = b"Host: localhost\r\n"
SECOND = b"GET /v1/twins HTTP/1.1\r\n" + HOST + b"\r\n"
LONG = 200000
LONG_HEADS = {  # larger than any head that fits
    "many headers": b"GET /livez HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: b\r\n" % i for i in range(20000)) + b"\r\n",
    "a long value": b"GET /livez HTTP/1.1\r\n" + HOST + b"X-A: " + b"b" * LONG + b"\r\n\r\n",
    "a long name": b"GET /livez HTTP/1.1\r\n" + HOST + b"X" * LONG + b": b\r\n\r\n",
    "a long target": b"GET /" + b"a" * LONG + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    "a long method": b"G" * LONG + b" / HTTP/1.1\r\n" + HOST + b"\r\n",
}


class Smuggling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon()
        cls.daemon.start()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def statuses(self, raw, wanted=0):
        """Sends the bytes and returns the status of each answer: until there are as many as wanted, the connection ends,
        or nothing comes for a second (the server then waits for more, as it should)."""
        out, found = b"", []
        with socket.create_connection(("127.0.0.1", self.daemon.port), timeout=60) as one:
            try:
                one.sendall(raw)
                one.settimeout(60 if wanted else 1)
                while (not wanted or len(found) < wanted) and (part := one.recv(65536)):
                    out += part
                    found = [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d{3}) ", out) if code != b"100"]
            except OSError:
                pass  # ended with bytes of ours unread, or silent
        return found

    def good(self):
        """Answers of class 2xx that the daemon has given."""
        text = self.daemon.request("GET", "/metrics").body.decode()
        return int(re.search(r'twin_http_responses_total\{code="2xx"\} (\d+)', text).group(1))

    def test_refused(self):
        before = self.good()
        for name, (outcome, why) in EXPECTED.items():
            if outcome == "refused":
                found = self.statuses((CORPUS / f"{name}.http").read_bytes())
                with self.subTest(name):
                    self.assertTrue(all(status >= 400 for status in found), f"{found}: {why}")
        self.assertEqual(self.good(), before + 1, "something was done that was never answered")

    def test_long_heads(self):
        for name, raw in LONG_HEADS.items():
            found = self.statuses(raw + SECOND)
            with self.subTest(name):
                self.assertTrue(all(status in (400, 413, 414, 431, 501) for status in found), found)

    def test_goes_on(self):
        for name, (outcome, why) in EXPECTED.items():
            if outcome == "goes on":
                found = self.statuses((CORPUS / f"{name}.http").read_bytes(), 2)
                with self.subTest(name):
                    self.assertEqual(len(found), 2, f"{found}: {why}")
                    self.assertGreaterEqual(found[0], 400, why)
                    self.assertEqual(found[1], 200, why)

    def test_answered(self):
        for name, (outcome, why) in EXPECTED.items():
            if outcome.startswith("answered"):
                count = int(outcome.split()[1])
                found = self.statuses((CORPUS / f"{name}.http").read_bytes(), count if count > 1 else 0)
                with self.subTest(name):
                    self.assertEqual(len(found), count, f"{found}: {why}")
                    if len(found) == 2:
                        self.assertEqual(found[1], 200, why)

    def test_corpus(self):
        """Every file has its line, every line its file."""
        files = {path.stem for path in CORPUS.glob("*.http")}
        self.assertEqual(files, set(EXPECTED))
        self.assertTrue(all(o in ("refused", "goes on", "answered 1", "answered 2") for o, _ in EXPECTED.values()))


if __name__ == "__main__":
    unittest.main()

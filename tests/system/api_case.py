"""What the tests of the HTTP API share: a daemon a class, and how problems look."""
import socket
import unittest

import toy
from daemon import Daemon

ROWS = 3000
NPY = "application/x-npy"


class WithDaemon(unittest.TestCase):
    """One daemon a class; a trained toy twin, and one that is not."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.daemon.create(toy.DEFINITION)
        cls.daemon.create({**toy.DEFINITION, "name": "raw"})
        operation = cls.daemon.train("toy", toy.events(ROWS, 1), "?epochs=3&seed=3")
        assert operation["state"] == "succeeded", operation
        assert operation["result"]["metrics"]["rows"] == ROWS, operation

    def ask(self, method, path, body=None, **more):
        return self.daemon.request(method, path, body, **more)

    def problem(self, answer, status, error=None):
        self.assertEqual(answer.status, status, answer.body[:300])
        self.assertEqual(answer.headers["Content-Type"], "application/problem+json")
        body = answer.json()
        self.assertEqual(body["status"], status)
        for member in ("type", "title", "detail", "error"):
            self.assertIn(member, body)
        if error:
            self.assertEqual(body["error"], error)
        return body

    def raw(self, data, half_close=False, timeout_s=10):
        """What the server says to these bytes until it closes or falls silent; None: nothing but a close."""
        with socket.create_connection(("127.0.0.1", self.daemon.port), timeout_s) as s:
            out = b""
            try:
                s.sendall(data)
                if half_close:
                    s.shutdown(socket.SHUT_WR)
                s.settimeout(1.0)
                while part := s.recv(65536):
                    out += part
                return out, True
            except TimeoutError:
                return out, False
            except (ConnectionResetError, BrokenPipeError):
                return out, True

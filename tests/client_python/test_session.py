"""What a session makes of answers and of broken connections, plain and with asyncio: the server is a function."""
import asyncio
import datetime
import json
import pickle
import unittest
from unittest import mock

import httpx
import numpy as np

import twin
from twin import _call, _routes, _session

GET = _call.get("twins")
POST = _call.change("POST", "twins", body={"name": "toy"})
KEYED = _call.change("POST", "twins", body={}, headers={"Idempotency-Key": "k"}, repeatable=True)


def problem(status, error="some", **headers):
    return httpx.Response(status, json={"type": "about:blank", "title": "Title", "status": status, "detail": "A sentence.",
                                        "error": error}, headers={k.replace("_", "-"): v for k, v in headers.items()})


class SessionTest(unittest.TestCase):
    def ask(self, call, *answers, **settings):
        """The result of both sessions, which must be the same; self.requests and self.slept hold what they did."""
        results = []
        for asynchronous in (False, True):
            self.requests, self.slept, left = [], [], list(answers)

            def server(request):
                self.requests.append(request)
                answer = left.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

            results.append(self.run_one(asynchronous, server, call, settings))
            self.assertEqual(left, [], "not all was asked for")
        self.assertEqual(*map(repr, results))
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    def run_one(self, asynchronous, server, call, settings):
        transport = httpx.MockTransport(server)
        settings = {"url": "http://127.0.0.1:8470", "token": "secret", **settings}

        async def asynchronously():
            session = _session.AsyncSession(**settings)
            session.http = httpx.AsyncClient(transport=transport, base_url=session.url, verify=False)
            try:
                return await session.run(call)
            finally:
                await session.close()

        async def sleep(seconds):
            self.slept.append(seconds)

        with mock.patch("time.sleep", self.slept.append), mock.patch("asyncio.sleep", sleep):
            try:
                if asynchronous:
                    return asyncio.run(asynchronously())
                session = _session.Session(**settings)
                session.http = httpx.Client(transport=transport, base_url=session.url, verify=False)
                return session.run(call)
            except twin.TwinError as error:
                return error

    def test_an_answer(self):
        self.assertEqual(self.ask(GET, httpx.Response(200, json={"items": [1]})), {"items": [1]})
        self.assertNotIn("Authorization", self.requests[0].headers)
        self.assertIsNone(self.ask(POST, httpx.Response(204)))
        self.assertEqual(self.requests[0].headers["Authorization"], "Bearer secret")
        self.assertEqual(self.requests[0].read(), b'{"name": "toy"}')

    def test_each_status_has_its_exception(self):
        for status, kind in ((400, twin.BadRequest), (401, twin.Unauthorized), (403, twin.Unauthorized),
                             (404, twin.NotFound), (405, twin.BadRequest), (409, twin.Conflict), (412, twin.Stale),
                             (413, twin.TooLarge), (415, twin.BadRequest), (428, twin.Stale), (429, twin.TryAgain),
                             (500, twin.ServerError), (503, twin.TryAgain), (505, twin.BadRequest), (507, twin.TryAgain)):
            with self.subTest(status), self.assertRaises(kind) as caught:
                self.ask(GET, problem(status))
            error = caught.exception
            self.assertIs(type(error), kind)
            self.assertEqual((error.status, error.code, error.title), (status, "some", "Title"))
            self.assertIn("A sentence.", error.detail)

    def test_answers_that_are_no_problem_json(self):
        for body in (b"<html>Bad request</html>", b"[1]", b""):
            with self.assertRaises(twin.BadRequest) as caught:
                self.ask(GET, httpx.Response(400, content=body))
            self.assertEqual((caught.exception.code, caught.exception.detail), ("unknown", "Bad Request"))

    def test_what_has_no_room_now_is_asked_again(self):
        fine = httpx.Response(200, json=1)
        self.assertEqual(self.ask(POST, problem(503, Retry_After="2"), problem(429, Retry_After="0"), fine), 1)
        self.assertEqual(self.slept, [2, 0.1])
        with self.assertRaises(twin.TryAgain) as caught:
            self.ask(GET, *[problem(503, Retry_After="60")] * 4)
        self.assertEqual((caught.exception.retry_after, self.slept), (60, [5, 5, 5]))
        with self.assertRaises(twin.TryAgain):
            self.ask(GET, problem(507))

    def test_broken_connections(self):
        """What may have been done is not done again, unless it changes nothing or has a key."""
        fine = httpx.Response(200, json=1)
        for call in (GET, KEYED):
            self.assertEqual(self.ask(call, httpx.RemoteProtocolError("closed"), fine), 1)
            with self.assertRaisesRegex(twin.Unavailable, "closed"):
                self.ask(call, httpx.ReadError("reset"), httpx.RemoteProtocolError("closed"))
        with self.assertRaisesRegex(twin.Unavailable, "closed"):
            self.ask(POST, httpx.RemoteProtocolError("closed"))
        with self.assertRaisesRegex(twin.Unavailable, "is twind running"):
            self.ask(POST, httpx.ConnectError("refused"))
        with self.assertRaisesRegex(twin.Timeout, "in time"):
            self.ask(GET, httpx.ReadTimeout("slow"))

    def test_errors_travel_between_processes(self):
        for error in (twin.NotFound(404, "unknown_twin", "A sentence.", "Title", 2.0), twin.BatchConflict("conflict", "x", 3),
                      twin.OperationFailed({"id": 1, "error": {"detail": "y"}}), twin.Unavailable("nobody")):
            again = pickle.loads(pickle.dumps(error))
            self.assertEqual((type(again), str(again), vars(again)), (type(error), str(error), vars(error)))

    def test_numbers_of_numpy_and_times(self):
        noon = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.timezone.utc)
        body, _ = _call.json_body({"n": np.int64(3), "x": np.float32(0.5), "yes": np.bool_(True), "time": noon})
        self.assertEqual(json.loads(body), {"n": 3, "x": 0.5, "yes": True, "time": "2026-03-01T12:00:00+00:00"})
        self.assertEqual(_call.query(at=noon, n=np.int64(3), conditions={"a": np.float32(0.5)}),
                         {"at": "2026-03-01T12:00:00+00:00", "n": "3", "conditions": '{"a": 0.5}'})
        with self.assertRaisesRegex(ValueError, "time zone"):
            _call.query(at=noon.replace(tzinfo=None))
        for value in (1j, np.float64("nan")):
            with self.assertRaises((TypeError, ValueError)):
                _call.json_body(value)
        for n in (1e4, "10", None):
            with self.assertRaisesRegex(TypeError, "whole numbers"):
                _routes.pieces(n)

    def test_other_processes_have_connections_of_their_own(self):
        session = _session.Session("http://127.0.0.1:9")
        self.addCleanup(session.close)
        mine = session.connections()
        self.assertIs(session.connections(), mine)
        with mock.patch("os.getpid", lambda: -1):
            other = session.connections()
            self.assertIsNot(other, mine)
            self.assertIs(session.connections(), other)
        mine.close()
        session = _session.Session("http://127.0.0.1:9", None, "some.token", 7.0)
        self.addCleanup(session.close)
        again = pickle.loads(pickle.dumps(session))
        self.addCleanup(again.close)
        self.assertEqual((again.url, again.timeout, again._given), ("http://127.0.0.1:9", 7.0, (None, "some.token")))
        self.assertIsNot(again.connections(), session.connections())

    def test_no_proxy_for_this_machine(self):
        with mock.patch.dict("os.environ", {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}):
            for url, trusted in (("http://127.0.0.1:9", False), ("http://[::1]:9", False), ("http://localhost:9", False),
                                 ("http://twin.example:8470", True)):
                session = _session.Session(url)
                self.addCleanup(session.close)
                self.assertEqual(session._options()["trust_env"], trusted, url)


if __name__ == "__main__":
    unittest.main()

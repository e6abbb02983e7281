"""What a session makes of answers and of broken connections, plain and with asyncio: the server is a function."""
import asyncio
import unittest
from unittest import mock

import httpx

import twin
from twin import _call, _session

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

    def test_no_proxy_for_this_machine(self):
        with mock.patch.dict("os.environ", {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"}):
            for url, trusted in (("http://127.0.0.1:9", False), ("http://[::1]:9", False), ("http://localhost:9", False),
                                 ("http://twin.example:8470", True)):
                session = _session.Session(url)
                self.addCleanup(session.close)
                self.assertEqual(session._options()["trust_env"], trusted, url)


if __name__ == "__main__":
    unittest.main()

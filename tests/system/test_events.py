"""Server-sent events: what they say, coming back with Last-Event-ID, who leaves, how many may listen, and the end."""
import http.client
import json
import time
import unittest

import toy
from daemon import Daemon


class Stream:
    """One listener, as a browser's EventSource would be."""

    def __init__(self, daemon, query="", last=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
        self.connection.request("GET", "/v1/events" + query, headers={} if last is None else {"Last-Event-ID": last})
        self.answer = self.connection.getresponse()
        self.last = last
        if self.answer.status == 200:
            assert self.answer.headers["Content-Type"] == "text/event-stream", self.answer.headers
            assert self.block() == {"retry": "2000"}

    def block(self):
        """The next lines up to an empty one; None at the end of the stream."""
        fields = {}
        while (line := self.answer.readline().decode()) not in ("\n", ""):
            name, value = line.rstrip("\n").split(": ", 1)
            fields[name] = value
        return fields if line else None

    def event(self):
        """(event, data) of the next one; heartbeats are left out."""
        while (fields := self.block()) is not None:
            if "event" in fields:
                self.last = fields["id"]
                return fields["event"], json.loads(fields["data"])
        return None

    def close(self):
        self.connection.close()
        self.answer.close()


class Events(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon().start()
        self.addCleanup(self.daemon.stop)
        self.daemon.create(toy.DEFINITION)
        self.daemon.create({**toy.DEFINITION, "name": "other"})

    def test_a_day_of_events(self):
        everything, other = Stream(self.daemon), Stream(self.daemon, "?twin=other")
        self.daemon.train("toy", toy.events(1000, 1), "?epochs=2")
        seen = []
        while len(seen) < 30 and (not seen or seen[-1][1].get("state") != "succeeded"):
            seen.append(everything.event())
        self.assertEqual({data["twin"] for _, data in seen}, {"toy"})
        self.assertTrue({"operation", "alias", "version"} <= {what for what, _ in seen}, seen)
        middle = everything.last
        everything.close()
        for seq in range(2):  # a window, compared
            self.daemon.request("POST", f"/v1/twins/toy/batches?feed=daq&run=1&seq={seq}", toy.events(500, seq))
        back = Stream(self.daemon, "", middle)
        while (event := back.event())[0] != "iteration":
            pass
        self.assertEqual((event[1]["twin"], event[1]["iteration"]), ("toy", 1))
        known = self.daemon.get("/v1/twins/toy/iterations")["items"][0]
        self.assertEqual({k: event[1][k] for k in ("events", "drift", "version")},
                         {k: known[k] for k in ("events", "drift", "version")})
        back.close()

        self.daemon.train("other", toy.events(300, 2), "?epochs=1")
        self.assertEqual(other.event()[1]["twin"], "other")
        other.close()

        stranger = Stream(self.daemon, "", "17-4")
        self.assertEqual(stranger.event(), ("missed", {}))
        self.assertEqual(stranger.event(), seen[0])
        stranger.close()
        self.assertEqual(self.daemon.request("GET", "/v1/events?twin=none").status, 404)
        self.assertEqual(self.daemon.request("GET", "/v1/events?colour=red").status, 400)
        self.assertEqual(self.daemon.request("HEAD", "/v1/events").headers["Content-Type"], "text/event-stream")

    def test_another_life_and_a_clean_end(self):
        listeners = [Stream(self.daemon) for _ in range(64)]
        crowded = Stream(self.daemon)
        self.assertEqual((crowded.answer.status, crowded.answer.headers["Retry-After"]), (503, "5"))
        self.assertEqual(json.loads(crowded.answer.read())["error"], "overloaded")
        self.assertEqual(self.daemon.request("GET", "/livez").status, 200)
        self.daemon.train("toy", toy.events(300, 1), "?epochs=1")
        for listener in listeners:
            self.assertEqual(listener.event()[0], "operation")
        last = listeners[0].last
        self.assertEqual(self.daemon.end(), 0)  # sleeping listeners neither hold it up nor abort it
        for listener in listeners:
            while listener.event():
                pass
            listener.close()
        self.daemon.start()
        back = Stream(self.daemon, "", last)
        self.assertEqual(back.event(), ("missed", {}))
        back.close()

    def test_who_left_is_forgotten(self):
        """A listener that is gone is noticed when the next event is sent to it."""
        for _ in range(64):
            Stream(self.daemon).close()
        self.daemon.train("toy", toy.events(300, 1), "?epochs=1")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            again = Stream(self.daemon)
            again.close()
            if again.answer.status == 200:
                return
            time.sleep(0.05)
        self.fail("64 places are still taken")


if __name__ == "__main__":
    unittest.main()

"""Statistics over time: iterations one by one, their means over hours and days, pages, bad questions."""
import unittest

import toy
from daemon import Daemon
from feed import Feed


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(arguments=["--iterations", "3"])
        cls.daemon.start()
        cls.daemon.create(toy.DEFINITION)
        cls.daemon.train("toy", toy.events(3000, seed=1), "?epochs=2")
        feed = Feed(cls.daemon.ingest, "toy")
        feed.push_all(toy.batches(toy.events(3000, seed=2), 1000))
        feed.close()
        while cls.daemon.get("/v1/twins/toy")["ingest"]["lag_batches"]:
            pass
        cls.iterations = cls.daemon.get("/v1/twins/toy/iterations")["items"][::-1]

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def metrics(self, query):
        return self.daemon.get("/v1/twins/toy/metrics?" + query)

    def expected(self, **only):
        return [(i["time"], s) for i in self.iterations for s in i["statistics"]
                if s["value"] is not None and all(s[k] == v for k, v in only.items())]

    def test_iterations_one_by_one(self):
        answer = self.metrics("step=0&limit=1000")
        self.assertEqual((answer["step"], answer["next_cursor"]), (0, None))
        self.assertEqual([(m["time"], m["name"], m["verdict"], m["feature"], m["value"], m["count"]) for m in answer["items"]],
                         [(t, s["name"], s["verdict"], s["feature"], s["value"], 1) for t, s in self.expected()])
        only = self.metrics("step=0&name=ks&verdict=drift&feature=eta")["items"]
        self.assertEqual([m["value"] for m in only], [s["value"] for _, s in self.expected(name="ks", feature="eta")])
        whole = self.metrics("step=0&name=c2st&feature=")["items"]
        self.assertEqual([m["feature"] for m in whole], [None] * len(self.expected(name="c2st")))

    def test_pages_join_without_a_seam(self):
        for step in (0, 3600, 86400):
            whole = self.metrics(f"step={step}&limit=1000")["items"]
            pages, cursor = [], ""
            while cursor is not None:
                page = self.metrics(f"step={step}&limit=4" + (f"&cursor={cursor}" if cursor else ""))
                self.assertLessEqual(len(page["items"]), 4)
                pages += page["items"]
                cursor = page["next_cursor"]
            self.assertEqual(pages, whole)

    def test_means_over_hours_and_days(self):
        values = [s["value"] for _, s in self.expected(name="ks", feature="pt")]
        for step in (3600, 7200, 86400, 10 * 86400):
            answer = self.metrics(f"step={step}&name=ks&feature=pt&from=2020-01-01T00:00:00Z")
            items = answer["items"]
            self.assertEqual(answer["step"], step)
            self.assertEqual(sum(m["count"] for m in items), 3)
            self.assertAlmostEqual(sum(m["count"] * m["value"] for m in items), sum(values), places=12)
            self.assertEqual((min(m["min"] for m in items), max(m["max"] for m in items)), (min(values), max(values)))

    def test_ranges(self):
        times = [i["time"] for i in self.iterations]
        middle = self.metrics(f"step=0&name=ks&feature=pt&from={times[1]}&to={times[2]}")["items"]
        self.assertEqual([m["time"] for m in middle], [times[1]])
        self.assertEqual(self.metrics("from=2020-01-01T00:00:00Z&to=2021-01-01T00:00:00Z")["items"], [])
        self.assertEqual(self.metrics("name=nothing")["items"], [])

    def test_bad_questions(self):
        for query in ("from=yesterday", "to=2026-13-01T00:00:00Z", "step=-1", "step=x", "limit=0", "cursor=7", "cursor=1.2",
                      "cursor=01.2.3", "when=now"):
            self.assertEqual(self.daemon.request("GET", "/v1/twins/toy/metrics?" + query).status, 400, query)
        self.assertEqual(self.daemon.request("GET", "/v1/twins/nobody/metrics").status, 404)


if __name__ == "__main__":
    unittest.main(verbosity=2)

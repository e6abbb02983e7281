"""Tags, compression and repeated requests: an answer that is known already is not sent again, text comes in gzip for who asks,
a change can be made to depend on what was seen, and a request that is sent twice is done once."""
import gzip
import threading
import time
import unittest
import zlib

import toy
from daemon import Daemon

CSV, JSON, NPY = "text/csv", "application/json", "application/x-npy"


class Representation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.daemon.create(toy.DEFINITION)
        cls.daemon.create({**toy.DEFINITION, "name": "raw"})
        cls.daemon.train("toy", toy.events(1000, 1), "?epochs=2&seed=3")

    def ask(self, method, path, body=None, **headers):
        return self.daemon.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})

    def test_what_is_known_is_not_sent_again(self):
        for path in ("/v1/twins", "/v1/twins/toy/versions", "/v1/twins/toy/versions/1", "/v1/twins/toy/definition",
                     "/v1/twins/toy/aliases/champion", "/v1/twins/toy/history", "/v1/operations/1", "/openapi.json",
                     "/v2/models/toy", "/v1/twins/toy/sample?n=5&seed=1"):
            first = self.ask("GET", path)
            tag = first.headers["ETag"]
            self.assertRegex(tag, r'^(W/)?"[0-9a-f]+"$')
            self.assertEqual(first.headers["Cache-Control"], "private, no-cache")
            for known in (tag, tag.removeprefix("W/"), "W/" + tag.removeprefix("W/"), '"x", ' + tag, "*"):
                again = self.ask("GET", path, If_None_Match=known)
                self.assertEqual((again.status, again.body, again.headers["ETag"]), (304, b"", tag), path)
                self.assertEqual(again.headers["Vary"], "Accept-Encoding" if tag.startswith("W/") else None, path)
            self.assertEqual(self.ask("HEAD", path, If_None_Match=tag).status, 304)
            self.assertEqual(self.ask("GET", path, If_None_Match='"other"').body, first.body)
        self.assertIsNone(self.ask("POST", "/v1/twins/toy/sample", {"n": 1}).headers["ETag"])
        self.assertEqual(self.ask("GET", "/v1/twins/none", If_None_Match="*").status, 404)

    def test_a_tag_changes_with_the_answer(self):
        path = "/v1/twins/raw/batches"
        before = self.ask("GET", path).headers["ETag"]
        self.ask("POST", path + "?feed=f&run=1&seq=0", toy.events(10, 1))
        self.assertEqual(self.ask("GET", path, If_None_Match=before).status, 200)

    def test_gzip(self):
        for path, accept in (("/openapi.json", JSON), ("/", "*/*"), ("/metrics", "*/*"), ("/v1/twins/toy", JSON),
                             ("/v1/twins/toy/sample?n=200&seed=1", CSV), ("/v1/twins/toy/sample?n=9000&seed=1", CSV),
                             ("/v1/twins/toy/sample?n=9000&seed=1", JSON)):
            plain = self.ask("GET", path, Accept=accept)
            packed = self.ask("GET", path, Accept=accept, Accept_Encoding="br;q=1.0, gzip;q=0.8, *;q=0.1")
            self.assertEqual((plain.headers["Content-Encoding"], packed.headers["Content-Encoding"]), (None, "gzip"), path)
            self.assertEqual(plain.headers["Vary"], "Accept-Encoding")
            self.assertLess(len(packed.body), 0.7 * len(plain.body))
            if path != "/metrics":
                self.assertEqual(gzip.decompress(packed.body), plain.body)
            if "ETag" in plain.headers:
                self.assertEqual(packed.headers["ETag"], plain.headers["ETag"])
        path = "/v1/twins/toy/sample?n=9000&seed=1"
        for accept, encoding in ((NPY, "gzip"), (CSV, "gzip;q=0"), (CSV, "identity"), (CSV, "br, *;q=0"), (CSV, "gzipped"), (CSV, "")):
            answer = self.ask("GET", path, Accept=accept, Accept_Encoding=encoding)
            self.assertIsNone(answer.headers["Content-Encoding"], encoding)
        self.assertEqual(self.ask("GET", path, Accept=CSV, Accept_Encoding="*").headers["Content-Encoding"], "gzip")
        self.assertIsNone(self.ask("GET", "/v1/twins/toy/definition", Accept_Encoding="gzip").headers["Content-Encoding"])

    def test_lists_are_tables(self):
        """Every list is rows under `items`, whose columns, by name or path, are scalars: what Grafana's Infinity reads."""
        for seq in range(3):
            self.ask("POST", f"/v1/twins/toy/batches?feed=daq&run=1&seq={seq}", toy.events(500, seq))
        while not self.daemon.get("/v1/twins/toy/iterations")["items"]:
            time.sleep(0.05)
        for path, columns in (
            ("/v1/twins", "name verdict since activity champion.version ingest.events ingest.lag_batches last_iteration.drift"),
            ("/v1/twins/toy/batches", "ordinal feed run seq events invalid_rows received iteration"),
            ("/v1/twins/toy/feeds", "feed run batches events gaps last_durable_seq last_received"),
            ("/v1/twins/toy/iterations", "iteration time version ordinals.first ordinals.last events drift decision"),
            ("/v1/twins/toy/metrics", "time name verdict feature value min max count"),
            ("/v1/twins/toy/versions", "version parent created cause status reason sha256 seed metrics.log_prob"),
            ("/v1/twins/toy/history", "move alias version from to actor reason"),
            ("/v1/operations", "id kind twin state progress created finished result.decision")):
            answer = self.daemon.get(path + "?limit=2")
            self.assertGreater(len(answer["items"]), 0, path)
            for row in answer["items"]:
                for column in columns.split():
                    value = row
                    for step in column.split("."):
                        value = value[step] if value is not None else None
                    self.assertNotIsInstance(value, (dict, list), f"{path}: {column}")

    def test_bodies_come_as_they_are(self):
        for encoding, status in (("gzip", 415), ("identity", 200), ("deflate, gzip", 415)):
            body = zlib.compress(b"{}") if status == 415 else b"{}"
            answer = self.ask("POST", "/v1/twins/toy/sample", body, Content_Encoding=encoding)
            self.assertEqual((answer.status, answer.headers["Accept-Encoding"]), (status, "identity" if status == 415 else None))

    def test_a_change_of_what_was_seen(self):
        tag = self.ask("GET", "/v1/twins/raw/definition").headers["ETag"]
        self.assertTrue(tag.startswith('"'))
        path, patch = "/v1/twins/raw", {"description": "first"}
        for stale in ('"x"', "W/" + tag, ""):
            answer = self.ask("PATCH", path, patch, If_Match=stale)
            self.assertEqual((answer.status, answer.json()["error"]), (412, "stale"))
        self.assertEqual(self.ask("PATCH", path, patch, If_Match=tag).status, 200)
        self.assertEqual(self.ask("PATCH", path, {"description": "second"}, If_Match=tag).status, 412)
        self.assertEqual(self.daemon.get(path)["description"], "first")
        self.assertEqual(self.ask("PATCH", path, {"description": "third"}, If_Match="*").status, 200)
        # of many at once with the same tag one wins
        tag, results = self.ask("GET", "/v1/twins/raw/definition").headers["ETag"], []
        threads = [threading.Thread(target=lambda i=i: results.append(
            self.ask("PATCH", path, {"description": f"thread {i}"}, If_Match=tag).status)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(results), [200] + [412] * 7)

    def test_a_training_that_is_asked_for_twice(self):
        self.daemon.create({**toy.DEFINITION, "name": "twice"})
        path, rows = "/v1/twins/twice/train?epochs=1&seed=1", toy.events(500, 1)
        first = self.ask("POST", path, rows, Idempotency_Key="a")
        self.assertEqual(first.status, 202)
        operation = first.json()["id"]
        self.assertEqual(self.daemon.wait(operation)["state"], "succeeded")
        for life in range(2):
            again = self.ask("POST", path, rows, Idempotency_Key="a")
            self.assertEqual((again.status, again.json()["id"], again.headers["Location"]),
                             (202, operation, f"/v1/operations/{operation}"))
            for other in (self.ask("POST", path, toy.events(500, 2), Idempotency_Key="a"),
                          self.ask("POST", path.replace("seed=1", "seed=2"), rows, Idempotency_Key="a"),
                          self.ask("POST", "/v1/twins/twice/retunes", {"kind": "weights"}, Idempotency_Key="a")):
                self.assertEqual((other.status, other.json()["error"]), (409, "conflict"))
            self.assertEqual(self.ask("POST", path, rows).json()["error"], "trained")
            if life == 0:
                self.daemon.restart()
        for key in ("", "x" * 256):
            self.assertEqual(self.ask("POST", path, rows, Idempotency_Key=key).status, 400)
        self.daemon.create({**toy.DEFINITION, "name": "crowd"})
        ids = []
        threads = [threading.Thread(target=lambda: ids.append(self.ask(
            "POST", "/v1/twins/crowd/train?epochs=1", rows, Idempotency_Key="b").json().get("id"))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(set(ids)), 1, ids)
        self.daemon.wait(ids[0])


if __name__ == "__main__":
    unittest.main()

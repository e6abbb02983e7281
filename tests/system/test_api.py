"""Every route of the API, the formats, long polling, cancelling, and streams that are broken off."""
import io
import os
import re
import socket
import threading
import time
import unittest

import numpy as np

import toy
from api_case import NPY, WithDaemon
from daemon import Daemon

# Trains for minutes whatever the machine, for what has to happen meanwhile.
SLOW = {**toy.DEFINITION, "name": "slow", "model": {"kind": "flow", "blocks": 10, "hidden": [256, 256], "bins": 16}}


class Queries(WithDaemon):
    def sample(self, query, accept=NPY):
        answer = self.ask("GET", "/v1/twins/toy/sample?" + query, headers={"Accept": accept}, authorised=False)
        self.assertEqual(answer.status, 200, answer.body[:300])
        return answer

    def held(self, share):
        """Bytes that a share of memory-mb holds."""
        text = self.ask("GET", "/metrics", authorised=False).body.decode()
        return float(re.search(rf'^twin_memory_held_bytes{{share="{share}"}} (\S+)$', text, re.M).group(1))

    def test_chunks_do_not_show(self):
        """Inline, one chunk, many chunks: prefixes of the same sequence."""
        large = self.sample("n=20000&seed=5")
        rows = large.npy()
        self.assertEqual(rows.shape, (20000, 4))
        self.assertEqual(int(large.headers["Content-Length"]), len(large.body))
        for n in (1, 255, 256, 257, 4096, 4097):
            np.testing.assert_array_equal(self.sample(f"n={n}&seed=5").npy(), rows[:n])
        for name in ("Twin-Version", "Twin-Columns", "Twin-Seed"):
            self.assertEqual(large.headers[name], {"Twin-Version": "1", "Twin-Columns": "pt,eta,phi,x",
                                                   "Twin-Seed": "5"}[name])

    def test_text_formats_hold_the_same_floats(self):
        rows = self.sample("n=9000&seed=6").npy()
        csv = self.sample("n=9000&seed=6", "text/csv")
        self.assertEqual(csv.body.split(b"\n", 1)[0].strip(), b"pt,eta,phi,x")
        np.testing.assert_array_equal(np.loadtxt(io.BytesIO(csv.body), delimiter=",", skiprows=1, dtype=np.float32), rows)
        as_json = self.sample("n=9000&seed=6", "application/json").json()
        self.assertEqual(as_json["columns"], ["pt", "eta", "phi", "x"])
        np.testing.assert_array_equal(np.array(as_json["items"], np.float32), rows)

    def test_post_and_defaults(self):
        answer = self.ask("POST", "/v1/twins/toy/sample", {"n": 5, "seed": 6}, headers={"Accept": NPY}, authorised=False)
        np.testing.assert_array_equal(answer.npy(), self.sample("n=5&seed=6").npy())
        empty = self.ask("POST", "/v1/twins/toy/sample", authorised=False)
        self.assertEqual(len(empty.json()["items"]), 1000)
        self.assertIn("empty", self.problem(self.ask("POST", "/v1/twins/toy/retunes"), 400, "bad_json")["detail"])
        seeds = {self.sample("n=1").headers["Twin-Seed"] for _ in range(5)}
        self.assertEqual(len(seeds), 5)

    def test_versions_by_alias(self):
        first = self.sample("n=5&seed=6&version=1").npy()
        for alias in "champion", "reference":
            answer = self.sample(f"n=5&seed=6&version={alias}")
            np.testing.assert_array_equal(answer.npy(), first)
            self.assertEqual(answer.headers["Twin-Version"], "1")
            answer = self.ask("POST", "/v1/twins/toy/sample", {"n": 5, "seed": 6, "version": alias}, headers={"Accept": NPY})
            np.testing.assert_array_equal(answer.npy(), first)
        histograms = self.ask("GET", "/v1/twins/toy/histograms?bins=5&version=reference")
        self.assertEqual((histograms.status, histograms.json()),
                         (200, self.ask("GET", "/v1/twins/toy/histograms?bins=5&version=1").json()))
        rows = {"rows": first.tolist()}
        self.assertEqual(self.ask("POST", "/v1/twins/toy/log_prob?version=reference", rows).json(),
                         self.ask("POST", "/v1/twins/toy/log_prob?version=1", rows).json())
        self.problem(self.ask("GET", "/v1/twins/toy/weights?version=reference"), 404, "no_weights")
        self.problem(self.ask("GET", "/v1/twins/none/sample?version=champion"), 404, "unknown_twin")
        for path in ("toy/sample?version=challenger", "toy/weights?version=challenger", "raw/sample?version=champion"):
            self.problem(self.ask("GET", f"/v1/twins/{path}"), 404, "unknown_alias")

    def test_wrong_samples(self):
        for query in ("n=0", "n=1000001", "n=1.5", "n=1&n=1", "seed=-1", "version=0", "version=best", "version=", "colour=1", "conditions=3",
                      "conditions={", "n=%31%30%00"):
            self.problem(self.ask("GET", f"/v1/twins/toy/sample?{query}"), 400)
        self.problem(self.ask("GET", "/v1/twins/toy/sample?version=2"), 404, "unknown_version")
        self.problem(self.ask("GET", "/v1/twins/raw/sample"), 409, "untrained")
        self.problem(self.ask("GET", "/v1/twins/none/sample"), 404, "unknown_twin")
        self.problem(self.ask("GET", "/v1/twins/toy/sample", headers={"Accept": "image/png"}), 406)
        self.problem(self.ask("GET", '/v1/twins/toy/sample?conditions={"alpha":1}'), 400, "unknown_column")
        for body in ({"n": "1"}, {"n": 0}, {"version": "best"}, {"version": "1"}, {"version": ["champion"]}, {"m": 1}, {"seed": 1.5}, {"conditions": {"a": 1}}, [1]):
            self.problem(self.ask("POST", "/v1/twins/toy/sample", body), 400)

    def test_log_prob(self):
        rows = toy.events(5000, 8)
        rows[7, 0] = 20  # the edge of a log feature lies outside
        rows[8, 3] = np.nan
        many = self.ask("POST", "/v1/twins/toy/log_prob", rows, headers={"Accept": NPY}, authorised=False)
        values = many.npy()
        self.assertEqual((values.shape, values.dtype), ((5000,), np.float64))
        self.assertEqual(np.flatnonzero(np.isneginf(values)).tolist(), [7, 8])
        self.assertTrue(np.isfinite(np.delete(values, [7, 8])).all())
        self.assertEqual((many.headers["Twin-Version"], many.headers["Twin-Columns"]), ("1", "pt,eta,phi,x"))
        few = self.ask("POST", "/v1/twins/toy/log_prob", rows[:100], headers={"Accept": NPY})
        np.testing.assert_array_equal(few.npy(), values[:100])
        as_json = self.ask("POST", "/v1/twins/toy/log_prob", rows).json()["items"]
        self.assertEqual([i for i, v in enumerate(as_json) if v is None], [7, 8])
        np.testing.assert_allclose(np.array(as_json, float)[np.isfinite(values)], values[np.isfinite(values)], rtol=1e-8)
        csv = self.ask("POST", "/v1/twins/toy/log_prob", rows[:5], headers={"Accept": "text/csv"}).body.split()
        self.assertEqual(csv[0], b"log_prob")
        np.testing.assert_allclose(np.array(csv[1:], float), values[:5], rtol=1e-8)

    def test_log_prob_columns_in_any_order(self):
        rows = toy.events(50, 9)
        plain = self.ask("POST", "/v1/twins/toy/log_prob", rows, headers={"Accept": NPY}).npy()
        order = [2, 0, 3, 1]
        names = [["pt", "eta", "phi", "x"][i] for i in order]
        body = {"columns": names, "rows": rows[:, order].astype(float).tolist()}
        np.testing.assert_array_equal(
            self.ask("POST", "/v1/twins/toy/log_prob", body, headers={"Accept": NPY}).npy(), plain)
        named = self.ask("POST", "/v1/twins/toy/log_prob?columns=" + ",".join(names), rows[:, order].copy(),
                         headers={"Accept": NPY})
        np.testing.assert_array_equal(named.npy(), plain)
        for columns in ("pt,eta,phi", "pt,eta,phi,x,x", "pt,eta,phi,y", "pt,eta,phi,pt"):
            self.problem(self.ask("POST", f"/v1/twins/toy/log_prob?columns={columns}", rows), 400)
        self.problem(self.ask("POST", "/v1/twins/toy/log_prob", rows[:, :3].copy()), 400, "bad_shape")

    def test_heads_that_do_not_fit_together(self):
        """Names of columns, of half a head: they may stand in that of the answer, not in both."""
        names = [f"c{i:062}" for i in range(600)]
        rows = np.random.default_rng(1).normal(size=(200, len(names))).astype(np.float32)
        self.daemon.create({"name": "wide", "model": {"kind": "flow", "blocks": 1, "hidden": [2], "bins": 2},
                            "features": [{"name": name} for name in names]})
        self.daemon.train("wide", rows, "?epochs=1")
        self.problem(self.ask("POST", "/v1/twins/wide/log_prob?columns=" + ",".join(names), rows[:2]), 431, "too_large")
        whole, _ = self.raw(b"GET /v1/twins/wide/sample?n=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                            b"X: " + 30000 * b"x" + b"\r\n\r\n")
        self.assertIn(b"HTTP/1.1 200 OK", whole)
        self.assertIn(",".join(names).encode(), whole)

    def test_a_client_that_leaves_is_forgotten(self):
        """Streams broken off by their clients free their jobs; the daemon goes on and stops cleanly (class cleanup)."""
        request = (b"GET /v1/twins/toy/sample?n=1000000 HTTP/1.1\r\nHost: localhost\r\n"
                   b"Accept: application/json\r\n\r\n")
        before = self.daemon.memory_mb()
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", self.daemon.port), 60) as s:
                s.sendall(request)
                s.recv(1000)
        self.sample("n=1000")
        while self.held("answers") > 0:  # as long as the workers are busy with what nobody will read
            time.sleep(0.1)
        if "TWIN_SANITIZED" not in os.environ:  # which keep what is freed
            self.assertLess(self.daemon.memory_mb(), before + 100)

    def test_slow_streams_do_not_block_others(self):
        """More half-read streams than workers, and still answers."""
        request = b"GET /v1/twins/toy/sample?n=1000000 HTTP/1.1\r\nHost: localhost\r\nAccept: text/csv\r\n\r\n"
        slow = []
        for _ in range(8):
            s = socket.create_connection(("127.0.0.1", self.daemon.port), 10)
            s.sendall(request)
            s.recv(100)
            slow.append(s)
        self.assertEqual(self.sample("n=5000").npy().shape, (5000, 4))
        self.assertEqual(self.ask("GET", "/v1/twins/toy/versions").status, 200)
        for s in slow:
            s.close()


class Ingest(WithDaemon):
    def test_formats_meet_in_the_same_batch(self):
        """A batch is its numbers: CSV and JSON of the same floats repeat each other."""
        rows = toy.events(40, 11)
        path = "/v1/twins/raw/batches?feed=daq&run=7&seq={}"
        first = self.ask("POST", path.format(0), rows).json()
        self.assertEqual({k: first[k] for k in ("twin", "feed", "run", "seq", "duplicate")},
                         {"twin": "raw", "feed": "daq", "run": 7, "seq": 0, "duplicate": False})
        again = self.ask("POST", path.format(0), rows).json()
        self.assertEqual((again["ordinal"], again["duplicate"]), (first["ordinal"], True))
        self.problem(self.ask("POST", path.format(0), toy.events(40, 12)), 409, "conflict")
        csv = "pt,eta,phi,x\n" + "\n".join(",".join(repr(float(v)) for v in r) for r in rows)
        second = self.ask("POST", path.format(2), csv.encode(), headers={"Content-Type": "text/csv"})
        self.assertEqual(second.status, 200, second.body)
        body = {"columns": ["pt", "eta", "phi", "x"], "rows": rows.astype(float).tolist()}
        self.assertTrue(self.ask("POST", path.format(2), body).json()["duplicate"])
        feeds = self.daemon.get("/v1/twins/raw/feeds")
        row = feeds["items"][0]
        self.assertEqual((row["feed"], row["run"], row["batches"], row["events"], row["duplicates"]),
                         ("daq", 7, 2, 80, 2))
        self.assertEqual((row["last_durable_seq"], feeds["gaps"]), (0, 1))
        batches = self.daemon.get("/v1/twins/raw/batches?limit=1")
        self.assertEqual(len(batches["items"]), 1)
        rest = self.daemon.get("/v1/twins/raw/batches?limit=1&cursor=" + batches["next_cursor"])
        self.assertEqual([b["items"][0]["seq"] for b in (batches, rest)], [0, 2])
        self.assertIsNone(rest["next_cursor"])
        self.problem(self.ask("GET", "/v1/twins/raw/batches?cursor=nonsense"), 400, "bad_cursor")

    def test_wrong_batches(self):
        good = "/v1/twins/raw/batches?feed=bad&run=1&seq=0"
        rows = toy.events(10, 13)
        for path in ("/v1/twins/raw/batches?feed=bad&run=1", "/v1/twins/raw/batches?run=1&seq=0",
                     "/v1/twins/raw/batches?feed=bad&run=-1&seq=0", "/v1/twins/raw/batches?feed=Bad&run=1&seq=0",
                     "/v1/twins/raw/batches?feed=train&run=1&seq=0", good + "&colour=red", good + "&columns=pt,eta",
                     good + "&conditions=3", good + '&conditions={"alpha":0.1}', good + "&time=yesterday"):
            self.problem(self.ask("POST", path, rows), 400)
        self.problem(self.ask("POST", "/v1/twins/none/batches?feed=bad&run=1&seq=0", rows), 404, "unknown_twin")
        self.problem(self.ask("POST", good, rows, authorised=False), 401)
        whole = io.BytesIO()
        np.save(whole, rows)
        whole = whole.getvalue()
        for name, body, kind in (
                ("empty", b"", NPY), ("cut", whole[:-5], NPY), ("header only", whole[:64], NPY), ("longer", whole + b"x", NPY),
                ("integers", b"\x93NUMPY" + whole[6:].replace(b"<f4", b"<i4"), NPY), ("no npy", b"hello", NPY),
                ("no csv", b"a,b\n1\n", "text/csv"), ("words", b"pt,eta,phi,x\n1,2,3,four\n", "text/csv"),
                ("no rows", b"pt,eta,phi,x\n", "text/csv"), ("no json", b"[[1,2,", "application/json"),
                ("ragged", b"[[1,2,3,4],[1,2]]", "application/json"), ("an object", b'{"x": 1}', "application/json"),
                ("other columns", b"a,b,c,d\n1,2,3,4\n", "text/csv"), ("shape", whole.replace(b"(10, 4)", b"(5, 8) "), NPY)):
            with self.subTest(name):
                self.problem(self.ask("POST", good, body, headers={"Content-Type": kind}), 400)
        self.problem(self.ask("POST", good, b"<a/>", headers={"Content-Type": "application/xml"}), 415)
        rng = np.random.default_rng(5)
        for _ in range(100):
            body = bytearray(whole)
            for at in rng.integers(0, 90, 4):
                body[at] = rng.integers(0, 256)
            answer = self.ask("POST", good, bytes(body), headers={"Content-Type": NPY})
            self.assertIn(answer.status, (200, 400, 409, 415), answer.body)
        self.assertEqual(self.ask("GET", "/readyz").status, 200)

    def test_training(self):
        rows = toy.events(500, 14)
        path = "/v1/twins/toy/train"
        self.problem(self.ask("POST", path, rows), 409, "trained")
        self.problem(self.ask("POST", "/v1/twins/raw/train", rows, authorised=False), 401)
        for body in ({"source": "moon"}, {"source": "spool", "colour": 1}, {"source": "spool", "epochs": 0},
                     {"source": "spool", "seed": -1}):
            self.problem(self.ask("POST", "/v1/twins/raw/train", body), 400)
        self.problem(self.ask("POST", "/v1/twins/raw/train?epochs=0", rows), 400)

    def test_training_on_the_spool(self):
        self.daemon.create({**toy.DEFINITION, "name": "spooled"})
        for i, rows in enumerate(toy.batches(toy.events(2000, 15), 500)):
            self.assertEqual(self.ask("POST", f"/v1/twins/spooled/batches?feed=daq&run=1&seq={i}", rows).status, 200)
        answer = self.ask("POST", "/v1/twins/spooled/train", {"source": "spool", "epochs": 2, "seed": 1})
        self.assertEqual(answer.status, 202, answer.body)
        self.assertEqual(answer.headers["Location"], f"/v1/operations/{answer.json()['id']}")
        done = self.daemon.wait(answer.json()["id"])
        self.assertEqual(done["state"], "succeeded", done)
        version = self.daemon.get("/v1/twins/spooled/versions/1")
        self.assertEqual((version["seed"], version["metrics"]["rows"]), (1, 2000))


class Operations(WithDaemon):
    def test_a_twins_life(self):
        definition = {**toy.DEFINITION, "name": "life", "description": "a"}
        made = self.ask("POST", "/v1/twins", definition)
        self.assertEqual((made.status, made.headers["Location"]), (201, "/v1/twins/life"))
        self.assertEqual(made.json()["definition"]["name"], "life")
        self.problem(self.ask("POST", "/v1/twins", definition), 409, "exists")
        self.assertEqual(self.ask("PATCH", "/v1/twins/life", {"description": "b"}).json()["description"], "b")
        self.problem(self.ask("PATCH", "/v1/twins/life", {"features": []}), 409)
        self.problem(self.ask("PATCH", "/v1/twins/life", {"hold": 3}), 400)
        listed = self.daemon.get("/v1/twins?limit=1")
        names, cursor = [listed["items"][0]["name"]], listed["next_cursor"]
        while cursor:
            listed = self.daemon.get(f"/v1/twins?limit=1&cursor={cursor}")
            names.append(listed["items"][0]["name"])
            cursor = listed["next_cursor"]
        self.assertEqual(names, sorted(names))
        self.assertLessEqual({"life", "raw", "toy"}, set(names))
        self.assertEqual(self.ask("DELETE", "/v1/twins/life").status, 204)
        self.problem(self.ask("DELETE", "/v1/twins/life"), 404, "unknown_twin")
        self.problem(self.ask("GET", "/v1/twins/life/feeds"), 404, "unknown_twin")

    def feed(self, name, count, seed):
        for i, rows in enumerate(toy.batches(toy.events(1000 * count, seed), 500)):
            answer = self.ask("POST", f"/v1/twins/{name}/batches?feed=daq&run={seed}&seq={i}", rows)
            self.assertEqual(answer.status, 200, answer.body)
        end = time.monotonic() + 120
        while self.daemon.get(f"/v1/twins/{name}")["ingest"]["lag_batches"] or \
                not self.daemon.get(f"/v1/twins/{name}")["last_iteration"]:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_comparison_as_seen_over_http(self):
        self.problem(self.ask("POST", "/v1/twins/raw/retunes", {"kind": "weights"}), 409, "untrained")
        self.assertEqual(self.daemon.get("/v1/twins/raw/histograms")["items"], [])
        self.feed("toy", 2, 21)
        page = self.daemon.get("/v1/twins/toy/iterations?limit=1")
        last = page["items"][0]
        self.assertEqual(last["iteration"], 2)
        older = self.daemon.get("/v1/twins/toy/iterations?cursor=" + page["next_cursor"])
        self.assertEqual([i["iteration"] for i in older["items"]], [1])
        drift = self.daemon.get("/v1/twins/toy/drift")
        self.assertEqual((drift["iteration"], drift["drift"], drift["hold"]), (2, last["drift"], False))
        self.assertEqual({s["verdict"] for s in drift["statistics"]}, {"drift"})
        self.assertIn(drift["verdict"], ("true", "drifted"))

        seen = self.ask("GET", "/v1/twins/toy/histograms?bins=10")
        self.assertEqual(seen.headers["Twin-Version"], str(seen.json()["version"]))
        items = seen.json()["items"]
        self.assertEqual([i["feature"] for i in items], ["pt", "eta", "phi", "x"])
        for item in items:
            total = sum(item["data"]["values"]) + item["data"]["under"] + item["data"]["over"]
            self.assertEqual((len(item["edges"]), total), (11, 1000))
            samples = sum(item["samples"]["values"]) + item["samples"]["under"] + item["samples"]["over"]
            self.assertAlmostEqual(samples, 1000, delta=1e-6)
        one = self.daemon.get("/v1/twins/toy/histograms?feature=phi&bins=10")
        self.assertEqual(one["items"], [items[2]])
        self.problem(self.ask("GET", "/v1/twins/toy/histograms?feature=z"), 404, "unknown_feature")
        self.problem(self.ask("GET", "/v1/twins/toy/histograms?bins=1"), 400)

        metrics = self.ask("GET", "/metrics", authorised=False)
        self.assertEqual(metrics.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        text = metrics.body.decode()
        self.assertIn('twin_ingest_events_total{twin="toy",feed="daq"} 2000\n', text)
        self.assertIn('twin_lag_batches{twin="toy"} 0\n', text)
        self.assertIn('twin_drift_p_value{twin="toy",statistic="ks",feature="phi"} ', text)
        families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
        self.assertEqual(len(families), len(set(families)))
        for line in text.splitlines():
            if not line.startswith("#"):
                float(line.rsplit(" ", 1)[1])
                self.assertIn(re.sub("_(bucket|sum|count)$", "", line.split("{")[0].split(" ")[0]), families)

    def test_retunes(self):
        self.feed("toy", 1, 22)
        for body in ({}, {"kind": "theta"}, {"kind": "weights", "events": 0}, {"kind": "weights", "colour": 1},
                     {"kind": "weights", "ordinals": {"first": 2, "last": 1}}, {"kind": "weights", "seed": "x"},
                     {"kind": "weights", "ordinals": {"first": 0, "last": 100000}}):
            self.problem(self.ask("POST", "/v1/twins/toy/retunes", body), 400)
        key = {"Idempotency-Key": "abc"}
        body = {"kind": "weights", "events": 1000, "seed": 2}
        first = self.ask("POST", "/v1/twins/toy/retunes", body, headers=key)
        self.assertEqual(first.status, 202, first.body)
        again = self.ask("POST", "/v1/twins/toy/retunes", body, headers=key)
        self.assertEqual((again.status, again.headers["Location"]), (202, first.headers["Location"]))
        self.problem(self.ask("POST", "/v1/twins/toy/retunes", {"kind": "weights"}, headers=key), 409, "conflict")
        done = self.daemon.wait(first.json()["id"])
        self.assertEqual(done["state"], "succeeded", done)
        listed = [o["id"] for o in self.daemon.get("/v1/operations?twin=toy")["items"]]
        self.assertEqual(listed.count(first.json()["id"]), 1)
        self.assertEqual(listed, sorted(listed, reverse=True))
        self.problem(self.ask("DELETE", f"/v1/operations/{done['id']}"), 409)
        self.problem(self.ask("GET", "/v1/operations?twin=none"), 404)

    def test_waiting_and_cancelling(self):
        self.daemon.create(SLOW)
        asked = self.ask("POST", "/v1/twins/slow/train?epochs=10000", toy.events(100000, 23))
        self.assertEqual(asked.status, 202, asked.body)
        path = asked.headers["Location"]
        self.problem(self.ask("POST", "/v1/twins/slow/train", toy.events(500, 24)), 409, "training")
        began = time.monotonic()
        waited = self.daemon.get(path + "?wait=1")
        self.assertIn(waited["state"], ("queued", "running"))
        self.assertGreaterEqual(time.monotonic() - began, 1)
        self.problem(self.ask("GET", path + "?wait=61"), 400)
        answers = []
        waiters = [threading.Thread(target=lambda: answers.append(self.daemon.get(path + "?wait=60"))) for _ in range(12)]
        for thread in waiters:
            thread.start()
        gone = socket.create_connection(("127.0.0.1", self.daemon.port))
        gone.sendall(f"GET {path}?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        time.sleep(0.3)
        gone.close()
        self.assertEqual(self.ask("GET", "/v1/twins/toy/versions").status, 200)  # waiting occupies nobody
        self.problem(self.ask("DELETE", path, authorised=False), 401)
        cancelled = self.ask("DELETE", path)
        self.assertEqual(cancelled.status, 200, cancelled.body)
        for thread in waiters:
            thread.join(60)
        self.assertEqual([a["state"] for a in answers], ["cancelled"] * 12)
        for wrong in ("0", "x", "99999", "-1", "1%2f"):
            self.problem(self.ask("GET", f"/v1/operations/{wrong}"), 404)

    def test_stopping_with_waiters(self):
        """Suspended connections are answered before the server ends; ending with one would abort the process."""
        other = Daemon().start()
        try:
            other.create(SLOW)
            operation = other.request("POST", "/v1/twins/slow/train?epochs=10000", toy.events(100000, 23)).json()["id"]
            states = []

            def wait():
                answer = other.request("GET", f"/v1/operations/{operation}?wait=60")
                states.append((answer.status, answer.json().get("state")))

            threads = [threading.Thread(target=wait) for _ in range(5)]
            for thread in threads:
                thread.start()
            time.sleep(0.5)
            status = other.end()
            for thread in threads:
                thread.join(30)
            self.assertEqual(status, 0, other.log()[-2000:])
            self.assertEqual(len(states), 5)
            for answer in states:
                self.assertIn(answer, [(200, "queued"), (200, "running"), (503, None)])
        finally:
            other.stop()


class Aliases(WithDaemon):
    path = "/v1/twins/toy/aliases/champion"

    def put(self, body, path=None, **headers):
        return self.ask("PUT", path or self.path, body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def tag(self, path=None):
        return self.ask("GET", path or self.path).headers["ETag"]

    def test_moves(self):
        tag = self.tag()
        self.problem(self.put({"version": 1}), 428)
        for stale in ('"999"', "W/" + tag, tag.strip('"'), '"x"'):
            self.problem(self.put({"version": 1}, If_Match=stale), 412)
        self.problem(self.put({"version": 1}, If_None_Match="*"), 412)
        self.problem(self.put({"version": 9}, If_Match=tag), 404, "unknown_version")
        for body in ({}, {"version": "1"}, {"version": 0}, {"version": 1, "reason": 3}, {"version": 1, "why": ""},
                     {"version": 1, "hold": 1}):
            self.problem(self.put(body, If_Match=tag), 400)
        self.problem(self.ask("PUT", self.path, {"version": 1}, headers={"If-Match": tag}, authorised=False), 401)
        self.assertEqual(self.tag(), tag)
        moved = self.put({"version": 1, "reason": "test ünïcode"}, If_Match=tag)
        self.assertEqual(moved.status, 200, moved.body)
        self.assertTrue(moved.json()["hold"])
        self.assertEqual(moved.headers["ETag"], self.tag())
        self.problem(self.put({"version": 1}, If_Match=tag), 412)
        self.assertEqual(self.daemon.get("/v1/twins/toy")["activity"], "held")

        lifted = self.put({"hold": False}, If_Match=self.tag())
        self.assertEqual((lifted.status, lifted.json()["hold"]), (200, False))
        self.assertTrue(self.ask("PATCH", "/v1/twins/toy", {"hold": True}).json()["hold"])
        self.assertFalse(self.ask("PATCH", "/v1/twins/toy", {"hold": False}).json()["hold"])
        kept = self.put({"version": 1, "hold": False}, If_Match="*")
        self.assertEqual((kept.status, kept.json()["hold"]), (200, False))

        history = self.daemon.get("/v1/twins/toy/history?alias=champion")["items"]
        self.assertEqual([h["reason"] for h in history[:2]], ["", "test ünïcode"])
        self.assertEqual(len({h["move"] for h in history}), len(history))
        at = self.daemon.get("/v1/twins/toy/history?at=" + history[-1]["from"])["items"]
        self.assertEqual([h["move"] for h in at if h["alias"] == "champion"], [history[-1]["move"]])
        self.assertEqual(self.daemon.get("/v1/twins/toy/history?at=2001-01-01T00:00:00%2b02:00")["items"], [])
        for wrong in ("yesterday", "2026-13-01T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00.Z"):
            self.problem(self.ask("GET", f"/v1/twins/toy/history?at={wrong}"), 400)

    def test_other_aliases(self):
        reference = "/v1/twins/toy/aliases/reference"
        answer = self.put({"version": 1, "reason": "again"}, reference, If_Match=self.tag(reference))
        self.assertEqual(answer.status, 200, answer.body)
        self.problem(self.put({"version": 1, "hold": True}, reference, If_Match=self.tag(reference)), 400)
        self.problem(self.put({"version": 1}, "/v1/twins/toy/aliases/challenger", If_None_Match="*"), 409)
        self.problem(self.put({"version": 1}, "/v1/twins/toy/aliases/king", If_None_Match="*"), 404)
        self.problem(self.ask("GET", "/v1/twins/raw/aliases/champion"), 404, "unknown_alias")

    def test_versions(self):
        artifact = self.ask("GET", "/v1/twins/toy/versions/1/artifact", authorised=False)
        version = self.daemon.get("/v1/twins/toy/versions/1")
        self.assertEqual(artifact.headers["ETag"], f'"{version["sha256"]}"')
        for output in ("log_prob", "sample"):
            graph = self.ask("GET", f"/v1/twins/toy/versions/1/onnx?output={output}", authorised=False)
            self.assertIn(b"Gemm", graph.body)
            self.assertIn(version["sha256"].encode(), graph.body)
            again = self.ask("GET", f"/v1/twins/toy/versions/1/onnx?output={output}",
                             headers={"If-None-Match": graph.headers["ETag"]})
            self.assertEqual(again.status, 304)
        self.problem(self.ask("GET", "/v1/twins/toy/versions/1/onnx?output=x"), 400, "bad_request")
        cached = self.ask("GET", "/v1/twins/toy/versions/1/artifact", headers={"If-None-Match": artifact.headers["ETag"]})
        self.assertEqual((cached.status, cached.body), (304, b""))
        for wrong in ("0", "2", "x", "01x", "99999999999"):
            self.problem(self.ask("GET", f"/v1/twins/toy/versions/{wrong}"), 404, "unknown_version")
            self.problem(self.ask("GET", f"/v1/twins/toy/versions/{wrong}/artifact"), 404, "unknown_version")


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""The loop as its users see it: nothing is flagged without drift, drift is found, learnt and promoted; people move
aliases and the loop respects it; bad rows and bad messages cost nothing but themselves."""
import time
import unittest

import numpy as np

import toy
from daemon import Daemon
from feed import Feed


def wait_until(condition, seconds=180):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def settled(daemon, batches):
    """True when all batches have been compared and nothing is due."""
    twin = daemon.get("/v1/twins/toy")
    return (twin["ingest"]["batches"] >= batches and twin["ingest"]["lag_batches"] == 0
            and twin["activity"] in ("idle", "held") and twin)


def iterations(daemon):
    return sorted(daemon.get("/v1/twins/toy/iterations?limit=1000")["items"], key=lambda i: i["iteration"])


class LagTest(unittest.TestCase):
    """Data that came while the twin could not be compared: the loop says that it is late, and skips what it may."""

    def run_late(self, **loop):
        daemon = Daemon()
        daemon.start()
        self.addCleanup(daemon.stop)
        daemon.create({**toy.DEFINITION, "loop": {**toy.DEFINITION["loop"], "max_lag_s": 0.001, **loop}})
        feed = Feed(daemon.ingest, "toy")
        self.addCleanup(feed.close)
        feed.push_all(toy.batches(toy.events(10500, seed=2), 250))
        twin = daemon.get("/v1/twins/toy")
        self.assertEqual([twin["ingest"][k] for k in ("lag_batches", "lag_windows", "windows_skipped")], [40, 10, 0])
        self.assertEqual((twin["verdict"], twin["verdict_reason"]), ("unknown", "untrained"))
        self.assertEqual(daemon.train("toy", toy.events(4000, seed=1))["state"], "succeeded")
        twin = wait_until(lambda: settled(daemon, 42))
        wait_until(lambda: "event=trouble_over name=lag" in daemon.log())
        self.assertIn("event=trouble name=lag subject=\"toy\" level=degraded", daemon.log())
        self.assertEqual((twin["verdict_reason"], twin["ingest"]["lag_windows"], twin["ingest"]["lag_s"]), (None, 0, 0))
        return daemon, twin

    def test_every_window_is_compared(self):
        daemon, twin = self.run_late()
        self.assertEqual([i["decision"] for i in iterations(daemon)], ["none"] * 10)
        self.assertEqual(twin["ingest"]["windows_skipped"], 0)

    def test_the_oldest_are_skipped(self):
        daemon, twin = self.run_late(max_lag_windows=3)
        rows = iterations(daemon)
        self.assertEqual([i["decision"] for i in rows], ["skipped"] * 7 + ["none"] * 3)
        self.assertEqual(twin["ingest"]["windows_skipped"], 7)
        self.assertEqual([i["statistics"] for i in rows[:7]], [[]] * 7)
        self.assertIn("10 windows waited", rows[0]["policy"]["reason"])
        self.assertEqual([(i["ordinals"]["first"], i["events"]) for i in rows],
                         [(rows[0]["ordinals"]["first"] + 4 * k, 1000) for k in range(10)])
        batches = daemon.get("/v1/twins/toy/batches?limit=1000")["items"]
        self.assertEqual([b["iteration"] for b in batches], [1 + i // 4 for i in range(40)] + [None, None])
        self.assertEqual(daemon.log().count("event=window_skipped"), 7)
        self.assertIn('twin_windows_skipped_total{twin="toy"} 7\n', daemon.request("GET", "/metrics").body.decode())
        self.assertEqual(daemon.restart(), 0)
        self.assertEqual(daemon.get("/v1/twins/toy")["verdict"], "true")
        self.assertEqual(len(iterations(daemon)), 10)


class LoopTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon()
        cls.daemon.start()
        cls.daemon.create(toy.DEFINITION)
        operation = cls.daemon.train("toy", toy.events(8000, seed=1))
        assert operation["state"] == "succeeded", operation

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def test_1_nominal_is_true(self):
        feed = Feed(self.daemon.ingest, "toy")
        self.assertEqual(feed.hello()[1]["last_durable_seq"], -1)
        feed.push_all(toy.batches(toy.events(5000, seed=2), 250))
        twin = wait_until(lambda: settled(self.daemon, 20))
        self.assertEqual(twin["verdict"], "true")
        rows = iterations(self.daemon)
        self.assertEqual([r["decision"] for r in rows], ["none"] * 5)
        self.assertFalse(any(r["drift"] for r in rows))
        # every batch in exactly one iteration
        batches = self.daemon.get("/v1/twins/toy/batches?limit=1000")["items"]
        self.assertEqual(len(batches), 20)
        for row in rows:
            inside = [b for b in batches if b["iteration"] == row["iteration"]]
            self.assertEqual(sum(b["events"] for b in inside), row["events"])
        # each drift entry that names a feature has its p-value and threshold
        named = [s for r in rows for s in r["statistics"] if s["verdict"] == "drift" and s["feature"]]
        self.assertTrue(named and all(s["p_value"] is not None and s["threshold"] > 0 for s in named))
        fidelity = [s for r in rows for s in r["statistics"] if s["verdict"] == "fidelity" and s["name"] == "c2st"]
        self.assertTrue(all(0.3 < s["floor"] < 0.7 and s["error"] > 0 for s in fidelity) and len(fidelity) == 5)
        feed.close()

    def test_2_drift_is_found_and_learnt(self):
        feed = Feed(self.daemon.ingest, "toy")
        feed.push_all(toy.batches(toy.events(6000, seed=3, shift=0.5), 250), first=20)
        twin = wait_until(lambda: settled(self.daemon, 44), 120)
        rows = iterations(self.daemon)[5:]
        self.assertTrue(rows[0]["drift"])
        self.assertIn("promoted", [r["decision"] for r in rows])
        self.assertEqual(twin["verdict"], "true")
        self.assertGreater(twin["champion"]["version"], 1)
        promoted = self.daemon.get(f"/v1/twins/toy/versions/{twin['champion']['version']}")
        self.assertEqual(promoted["cause"], "weights")
        self.assertEqual(promoted["status"], "champion")
        metrics = promoted["metrics"]
        self.assertGreater(metrics.get("appeal", metrics["gate"])["bound"], 0)
        operations = [o for o in self.daemon.get("/v1/operations")["items"] if o["kind"] == "retune"]
        self.assertTrue(operations and all(o["state"] == "succeeded" for o in operations))
        feed.close()

    def test_3_roll_back_holds(self):
        before = self.daemon.get("/v1/twins/toy")["champion"]["version"]
        etag = self.daemon.request("GET", "/v1/twins/toy/aliases/champion").headers["ETag"]
        answer = self.daemon.request("PUT", "/v1/twins/toy/aliases/champion", {"version": 1, "reason": "a test"})
        self.assertEqual(answer.status, 428)
        answer = self.daemon.request("PUT", "/v1/twins/toy/aliases/champion", {"version": 1, "reason": "a test"},
                                     headers={"If-Match": '"0"'})
        self.assertEqual(answer.status, 412)
        answer = self.daemon.request("PUT", "/v1/twins/toy/aliases/champion", {"version": 1, "reason": "a test"},
                                     headers={"If-Match": etag})
        self.assertEqual(answer.status, 200, answer.body)
        twin = self.daemon.get("/v1/twins/toy")
        self.assertEqual((twin["champion"]["version"], twin["activity"]), (1, "held"))
        self.assertEqual(twin["verdict"], "unknown")  # what was said is about the version before
        moves = self.daemon.get("/v1/twins/toy/history")["items"]
        self.assertEqual(moves[0]["version"], 1)
        self.assertEqual(moves[0]["reason"], "a test")
        # drifted data: the loop advises and moves nothing
        feed = Feed(self.daemon.ingest, "toy")
        feed.push_all(toy.batches(toy.events(1000, seed=4, shift=0.5), 250), first=44)
        twin = wait_until(lambda: settled(self.daemon, 48))
        self.assertEqual(twin["champion"]["version"], 1)
        self.assertEqual(iterations(self.daemon)[-1]["decision"], "advised")
        self.assertEqual(twin["verdict"], "drifted")
        # the hold is lifted, the champion put back
        answer = self.daemon.request("PATCH", "/v1/twins/toy", {"hold": False})
        self.assertEqual(answer.status, 200, answer.body)
        etag = self.daemon.request("GET", "/v1/twins/toy/aliases/champion").headers["ETag"]
        answer = self.daemon.request("PUT", "/v1/twins/toy/aliases/champion",
                                     {"version": before, "reason": "back", "hold": False}, headers={"If-Match": etag})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.daemon.get("/v1/twins/toy")["champion"]["version"], before)
        feed.close()

    def test_4_operator_retune(self):
        headers = {"Idempotency-Key": "night shift"}
        first = self.daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "weights", "events": 3000},
                                    headers=headers)
        self.assertEqual(first.status, 202, first.body)
        again = self.daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "weights", "events": 3000},
                                    headers=headers)
        self.assertEqual(again.json()["id"], first.json()["id"])
        other = self.daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "weights", "events": 99},
                                    headers=headers)
        self.assertIn(other.status, (409, 422))
        operation = self.daemon.wait(first.json()["id"])
        self.assertEqual(operation["state"], "succeeded", operation)
        self.assertGreater(operation["result"]["cpu_seconds"], 0)
        refused = self.daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "theta"})
        self.assertEqual(refused.status, 400)

    def test_4_held_champion_gets_a_challenger(self):
        before = self.daemon.get("/v1/twins/toy")["champion"]["version"]
        etag = self.daemon.request("GET", "/v1/twins/toy/aliases/champion").headers["ETag"]
        put = self.daemon.request("PUT", "/v1/twins/toy/aliases/champion", {"version": 1, "reason": "on trial"},
                                  headers={"If-Match": etag})
        self.assertEqual(put.status, 200, put.body)
        self.assertEqual(self.daemon.request("GET", "/v1/twins/toy/aliases/challenger").status, 404)
        # the newest data are drifted ones, so that a retune of version 1 gains
        asked = self.daemon.request("POST", "/v1/twins/toy/retunes", {"kind": "weights", "events": 5000})
        operation = self.daemon.wait(asked.json()["id"])
        self.assertEqual(operation["result"]["decision"], "advised", operation)
        twin = self.daemon.get("/v1/twins/toy")
        self.assertEqual((twin["champion"]["version"], twin["hold"]), (1, True))
        challenger = self.daemon.get("/v1/twins/toy/aliases/challenger")["version"]
        self.assertEqual(self.daemon.get(f"/v1/twins/toy/versions/{challenger}")["status"], "challenger")
        etag = self.daemon.request("GET", "/v1/twins/toy/aliases/champion").headers["ETag"]
        self.daemon.request("PUT", "/v1/twins/toy/aliases/champion",
                            {"version": before, "reason": "back", "hold": False}, headers={"If-Match": etag})

    def test_5_bad_rows_are_counted_and_kept_out(self):
        before = self.daemon.get("/v1/twins/toy")["ingest"]
        rows = toy.events(1000, seed=5, shift=0.5)
        rows[:100, 1] = np.nan
        rows[100:150, 0] = 19.0
        rows[150:160, 3] = np.inf
        feed = Feed(self.daemon.ingest, "toy")
        feed.push_all(toy.batches(rows, 250), first=48)
        twin = wait_until(lambda: settled(self.daemon, before["batches"] + 4))
        self.assertEqual(twin["ingest"]["invalid_rows"] - before["invalid_rows"], 160)
        last = iterations(self.daemon)[-1]
        rate = [s for s in last["statistics"] if s["name"] == "invalid_rows"][0]
        self.assertAlmostEqual(rate["value"], 0.16, places=6)
        self.assertLess(rate["p_value"], rate["threshold"])
        self.assertTrue(last["drift"])
        feed.close()

    def test_6_duplicates_conflicts_gaps(self):
        feed = Feed(self.daemon.ingest, "toy", feed="daq2", run=3)
        rows = toy.events(50, seed=6, shift=0.5)
        before = self.daemon.get("/v1/twins/toy")["ingest"]
        self.assertEqual(feed.push(0, rows)[0], "ACK")
        self.assertEqual(feed.push(0, rows, time="2026-01-01T00:00:00Z")[0], "ACK")
        tag, body = feed.push(0, rows[:-1])
        self.assertEqual((tag, body["code"]), ("NACK", "conflict"))
        self.assertEqual(feed.push(3, rows)[0], "ACK")
        now = self.daemon.get("/v1/twins/toy")["ingest"]
        self.assertEqual(now["batches"] - before["batches"], 2)
        self.assertEqual(now["duplicates"] - before["duplicates"], 1)
        self.assertEqual(now["gaps"] - before["gaps"], 2)
        self.assertEqual(feed.hello()[1]["last_durable_seq"], 0)
        self.assertEqual(feed.push(2, rows)[0], "ACK")
        self.assertEqual(feed.push(1, rows)[0], "ACK")
        self.assertEqual(feed.hello()[1]["last_durable_seq"], 3)
        self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["gaps"], before["gaps"])
        # the daemon remembers across a restart, from the spool and SQLite
        self.daemon.restart()
        feed.close()
        feed = Feed(self.daemon.ingest, "toy", feed="daq2", run=3)
        self.assertEqual(feed.hello()[1]["last_durable_seq"], 3)
        self.assertEqual(feed.push(0, rows)[0], "ACK")
        tag, body = feed.push(1, rows[:-1])
        self.assertEqual((tag, body["code"]), ("NACK", "conflict"))
        self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["batches"], now["batches"] + 2)
        feed.close()

    def test_7_bad_messages(self):
        rows = toy.events(10, seed=7)
        feed = Feed(self.daemon.ingest, "toy", feed="mad")
        before = self.daemon.get("/v1/twins/toy")["ingest"]["batches"]
        nobody = Feed(self.daemon.ingest, "nobody")
        self.assertEqual(nobody.push(0, rows)[1]["code"], "unknown_twin")
        self.assertEqual(feed.push(0, rows[:, :3])[1]["code"], "bad_shape")
        self.assertEqual(feed.push(1, rows[:0])[1]["code"], "bad_shape")
        self.assertEqual(feed.push(2, rows, columns=["pt", "eta", "phi", "y"])[1]["code"], "unknown_column")
        self.assertEqual(feed.push(3, rows, weights=np.ones(9, np.float32))[1]["code"], "bad_shape")
        self.assertEqual(feed.push(4, rows.astype(np.int32))[1]["code"], "bad_payload")
        self.assertEqual(feed.push(5, rows, surprise=1)[1]["code"], "bad_header")
        rng = np.random.default_rng(8)
        for n in (0, 1, 7, 100):
            feed.socket.send_multipart([b"TWB1", rng.bytes(n), rng.bytes(n)])
            tag, body = feed.receive(10)
            self.assertEqual((tag, body["code"]), ("NACK", "bad_header"))
        feed.socket.send_multipart([rng.bytes(4)])
        self.assertEqual(feed.receive(10)[1]["code"], "bad_frame")
        feed.socket.send_multipart([b"TWB1", b"{}"] + [b"x"] * 50)
        self.assertEqual(feed.receive(10)[1]["code"], "bad_frame")
        # columns in another order are put in theirs
        order = ["x", "phi", "eta", "pt"]
        self.assertEqual(feed.push(6, rows[:, ::-1], columns=order)[0], "ACK")
        self.assertEqual(self.daemon.get("/v1/twins/toy")["ingest"]["batches"], before + 1)
        feed.close()
        nobody.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""Twin and Client against a real daemon: what comes back, what goes wrong, and that the asyncio half is the same."""
import asyncio
import inspect
import os
import pathlib
import tempfile
import unittest
from unittest import mock

import numpy as np

import toy
import twin
from daemon import Daemon
from test_loop import settled, wait_until
from twin import _routes, _settings, aio, client

ROWS = toy.events(6000, seed=1)


class WithDaemon(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.client = twin.Client(cls.daemon.url, token=cls.daemon.token())
        cls.addClassCleanup(cls.client.close)
        cls.twin = cls.client.create({**toy.DEFINITION, "loop": {"window": 1000, "auto": False},
                                      "observables": [{"name": "sum", "expression": "eta + x"}]})
        cls.training = cls.twin.train(ROWS, epochs=1, seed=3).wait(60)

    def asynchronous(self, use):
        async def main():
            async with aio.AsyncTwin("toy", url=self.daemon.url, token=self.daemon.token()) as other:
                return await use(other)
        return asyncio.run(main())


class Queries(WithDaemon):
    def test_sample(self):
        events = self.twin.sample(2000, seed=5)
        self.assertEqual((events.shape, events.dtype), ((2000, 4), np.float32))
        self.assertEqual((events.columns, events.version, events.seed), (("pt", "eta", "phi", "x"), 1, 5))
        np.testing.assert_array_equal(self.twin.sample(10, seed=5, version=1), events[:10])
        np.testing.assert_array_equal(self.twin.sample(10, seed=5, version="reference"), events[:10])
        np.testing.assert_array_equal(self.twin.log_prob(events, version="reference"), self.twin.log_prob(events))
        self.assertNotEqual(self.twin.sample(1).seed, self.twin.sample(1).seed)
        np.testing.assert_array_equal(self.asynchronous(lambda t: t.sample(2000, seed=5)), events)
        self.assertTrue((events["pt"] > 20).all())

    def test_a_sample_larger_than_an_answer(self):
        with mock.patch.object(_routes, "SAMPLE_MOST", 400):
            events = self.twin.sample(1000, seed=5)
            self.assertEqual((len(events), events.seed), (1000, 5))
            np.testing.assert_array_equal(events[400:800], self.twin.sample(400, seed=6))
            np.testing.assert_array_equal(self.asynchronous(lambda t: t.sample(1000, seed=5)), events)

    def test_log_prob(self):
        log_prob = self.twin.log_prob(ROWS)
        self.assertEqual((log_prob.shape, log_prob.dtype), ((len(ROWS),), np.float64))
        direct = self.daemon.request("POST", "/v1/twins/toy/log_prob", ROWS, headers={"Accept": "application/x-npy"})
        np.testing.assert_array_equal(log_prob, direct.npy())
        mixed = {name: ROWS[:, i] for i, name in reversed(list(enumerate(self.twin.features())))}
        np.testing.assert_array_equal(self.twin.log_prob(mixed), log_prob)
        np.testing.assert_array_equal(self.twin.log_prob(ROWS[:, ::-1], columns=["x", "phi", "eta", "pt"]), log_prob)
        with mock.patch.object(_routes, "LOG_PROB_BYTES", 5000):
            np.testing.assert_array_equal(self.twin.log_prob(ROWS), log_prob)
            np.testing.assert_array_equal(self.asynchronous(lambda t: t.log_prob(ROWS)), log_prob)
        self.assertEqual(self.twin.log_prob(np.full((1, 4), 10.0))[0], -np.inf)
        self.assertEqual(self.twin.log_prob(ROWS[:0]).shape, (0,))
        values, spread = self.twin.log_prob_spread(ROWS[:10])
        np.testing.assert_array_equal(values, log_prob[:10])
        self.assertTrue(np.isnan(spread).all())

    def test_more_than_a_body_holds(self):
        """26,214 events of ten features are a MiB."""
        self.assertEqual(self.twin.log_prob(np.tile(ROWS, (20, 1))).shape, (20 * len(ROWS),))

    def test_what_it_is(self):
        info = self.twin.info()
        self.assertEqual((info["name"], info["champion"]["version"]), ("toy", 1))
        self.assertEqual(self.twin.features(), ("pt", "eta", "phi", "x"))
        self.assertEqual([t["name"] for t in self.client.twins()], ["toy"])
        self.assertEqual(self.client.readiness()["status"], "ready")
        version = self.twin.version(1)
        self.assertEqual((version["cause"], version["seed"]), ("train", 3))
        artifact = self.twin.artifact(1)
        self.assertEqual(__import__("hashlib").sha256(artifact).hexdigest(), version["sha256"])
        self.assertIn(b"log_prob", self.twin.onnx(1))
        self.assertNotEqual(self.twin.onnx(1, "sample"), self.twin.onnx(1))
        self.assertEqual(self.training.result["decision"], "promoted")
        self.assertEqual(self.client.operation(self.training.id).state, "succeeded")

    def test_what_goes_wrong(self):
        untrained = self.client.create({**toy.DEFINITION, "name": "raw"})
        self.addCleanup(untrained.delete)
        for call, kind, status, code in (
                (lambda: self.client.twin("none").info(), twin.NotFound, 404, "unknown_twin"),
                (lambda: untrained.sample(), twin.Conflict, 409, "untrained"),
                (lambda: self.client.create(toy.DEFINITION), twin.Conflict, 409, "exists"),
                (lambda: self.client.create({"name": "X"}), twin.BadRequest, 400, "bad_definition"),
                (lambda: self.twin.log_prob(ROWS[:, :3]), twin.BadRequest, 400, "bad_shape"),
                (lambda: self.twin.log_prob({"pt": [30.0]}), twin.BadRequest, 400, "unknown_column"),
                (lambda: self.twin.train(ROWS), twin.Conflict, 409, "trained"),
                (lambda: self.twin.promote(9), twin.NotFound, 404, None),
                (lambda: self.twin.promote(1, move=77), twin.Stale, 412, "stale"),
                (lambda: self.twin.weights(), twin.NotFound, 404, "no_weights"),
                (lambda: self.twin.update(features=[]), twin.Conflict, 409, None)):
            with self.subTest((kind, code)), self.assertRaises(kind) as caught:
                call()
            error = caught.exception
            self.assertEqual((error.status, error.code if code else None), (status, code), str(error))
            self.assertIn(error.detail, str(error))
            self.assertTrue(error.title)
        with self.assertRaisesRegex(ValueError, "at least one"):
            self.twin.sample(0)
        with self.assertRaises(twin.Unavailable):
            twin.Twin("toy", url="http://127.0.0.1:9").info()

    def test_the_token(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"HOME": folder}, clear=True):
            without = twin.Twin("toy", url=self.daemon.url)
            self.addCleanup(without.close)
            self.assertEqual(without.sample(1).shape, (1, 4))
            with self.assertRaises(twin.Unauthorized) as caught:
                without.hold(False)
            self.assertIn("No such file", caught.exception.detail)
            for place, variables in (("named", {"TWIN_TOKEN_FILE": f"{folder}/named"}),
                                     ("state/admin.token", {"TWIN_STATE": f"{folder}/state"}),
                                     ("service/admin.token", {"STATE_DIRECTORY": f"{folder}/service:/nowhere"}),
                                     ("xdg/twin/admin.token", {"XDG_STATE_HOME": f"{folder}/xdg"}),
                                     (".local/state/twin/admin.token", {"XDG_STATE_HOME": "relative"})):
                path = pathlib.Path(folder, place)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.daemon.token() + "\n")
                with mock.patch.dict(os.environ, {**variables, "TWIN_URL": self.daemon.url}):
                    self.assertEqual(_settings.token_path(), path)
                    with twin.Twin("toy") as found:
                        found.hold(False)
            closed = mock.Mock(stat=mock.Mock(side_effect=PermissionError))  # the folder of a service of another user
            with mock.patch.object(_settings, "SERVICE", closed), mock.patch.dict(os.environ, {"TWIN_STATE": "/nowhere"}):
                self.assertIs(_settings.token_path(), closed)
            path.write_text("two words")
            with self.assertRaisesRegex(twin.Unauthorized, "holds no token"):
                twin.Twin("toy", url=self.daemon.url).hold(False)


class Loop(WithDaemon):
    """In order: data, a retune, and who is champion."""

    def test_1_data(self):
        for seq in range(4):
            row = self.twin.submit(toy.events(1000, seed=10 + seq), feed="f", run=1, seq=seq)
            self.assertEqual((row["seq"], row["duplicate"]), (seq, False))
        self.assertTrue(self.twin.submit(toy.events(1000, seed=10), feed="f", run=1, seq=0)["duplicate"])
        with self.assertRaises(twin.Conflict):
            self.twin.submit(toy.events(1000, seed=11), feed="f", run=1, seq=0)
        wait_until(lambda: settled(self.daemon, 4))
        self.assertEqual([i["iteration"] for i in self.twin.iterations()], [4, 3, 2, 1])
        self.assertEqual(len(self.twin.iterations(limit=2)), 2)
        with mock.patch("twin._session.PAGE", 3):
            self.assertEqual(len(self.twin.iterations(limit=None)), 4)
            self.assertEqual(len(self.asynchronous(lambda t: t.iterations(limit=None))), 4)
        self.assertEqual(self.twin.batches(limit=1)[0]["events"], 1000)
        self.assertEqual(self.twin.feeds()[0]["last_durable_seq"], 3)
        self.assertFalse(self.twin.drift()["drift"])
        self.assertTrue(self.twin.metrics(name="c2st", limit=3))

    def test_2_histograms(self):
        histograms = self.twin.histograms(bins=10)
        self.assertEqual([h.feature for h in histograms], ["pt", "eta", "phi", "x", "sum"])
        one = self.twin.histograms("x", bins=20)[0]
        self.assertEqual((one.edges.shape, one.data.values.shape, one.samples.errors.shape), ((21,), (20,), (20,)))
        self.assertEqual(one.data.values.sum() + one.data.under + one.data.over, 1000)
        self.assertIsNone(one.samples.model_errors)

    def test_3_retune_and_aliases(self):
        for seq in range(4, 8):
            self.twin.submit(toy.events(1000, seed=10 + seq, shift=0.5), feed="f", run=1, seq=seq)
        wait_until(lambda: settled(self.daemon, 8))
        self.assertEqual(self.twin.drift()["verdict"], "drifted")
        seen = []
        key = "once"
        first = self.twin.retune(events=4000, seed=5, key=key)
        again = self.twin.retune(events=4000, seed=5, key=key)
        self.assertEqual(first.id, again.id)
        self.assertEqual(first.wait(60, seen.append).result["decision"], "promoted")
        self.assertTrue(all(o is first for o in seen))
        with self.assertRaises(twin.Conflict):
            self.twin.retune(events=2000, seed=5, key=key)
        with self.assertRaises(twin.Conflict):
            first.cancel()
        moved = self.twin.rollback(reason="tried")
        self.assertEqual((moved["version"], moved["hold"]), (1, True))
        self.assertEqual(self.twin.history(alias="champion", limit=1)[0]["reason"], "tried")
        with self.assertRaises(ValueError):
            self.twin.rollback()
        self.assertFalse(self.twin.hold(False)["hold"])
        self.assertEqual(self.twin.promote(2, hold=False)["hold"], False)
        done = self.asynchronous(lambda t: self.wait_for_retune(t))
        self.assertEqual(done.state, "succeeded")
        with self.assertRaises(twin.NotFound):
            self.twin.alias("challenger")
        with self.assertRaises(twin.Conflict):
            self.twin.promote(1, alias="challenger")
        self.assertEqual(self.twin.promote(2, alias="reference")["version"], 2)

    async def wait_for_retune(self, other):
        operation = await other.retune(events=3000)
        return await operation.wait(60)

    def test_4_operations_that_fail(self):
        other = self.client.create({**toy.DEFINITION, "name": "other"})
        other.submit(toy.events(100, seed=1), feed="f", run=1, seq=0)
        slow = self.client.create({**toy.DEFINITION, "name": "slow",
                                   "model": {"kind": "flow", "blocks": 10, "hidden": [256, 256], "bins": 16}})
        operation = slow.train(toy.events(20000, seed=1))
        with self.assertRaises(twin.Timeout):
            operation.wait(0.1)
        operation.cancel()
        with self.assertRaises(twin.OperationFailed) as caught:
            operation.wait(30)
        self.assertEqual(caught.exception.operation["state"], "cancelled")

    def test_5_restart(self):
        """Idle connections, and whoever waits, outlive it. The port is the same."""
        self.daemon.arguments = ["--http", self.daemon.url.removeprefix("http://")]
        self.daemon.restart()
        self.assertEqual(self.twin.sample(5).shape, (5, 4))


class Parts(unittest.TestCase):
    def test_champion_before(self):
        def before(*served):
            return _routes.champion_before([{"version": v} for v in reversed(served)])
        self.assertEqual(before(1, 2), 1)
        self.assertEqual(before(1, 2, 3, 2), 1)
        self.assertEqual(before(1, 2, 3, 2, 4), 2)
        for none in ((), (1,), (1, 2, 1)):
            with self.assertRaises(ValueError):
                before(*none)

    def test_asyncio_is_the_same(self):
        """Each method is there, takes the same, and has the same words."""
        for plain, other in ((client.Client, aio.AsyncClient), (client.Twin, aio.AsyncTwin),
                             (client.Operation, aio.AsyncOperation)):
            public = [name for name in vars(plain) if not name.startswith("_")]
            self.assertGreater(len(public), 5)
            for name in public:
                mine, theirs = getattr(plain, name), getattr(other, name)
                self.assertTrue(mine.__doc__, name)
                self.assertEqual(mine.__doc__, theirs.__doc__, name)
                if not callable(mine):
                    continue
                parameters = [[(p.name, p.kind, p.default) for p in inspect.signature(f).parameters.values()]
                              for f in (mine, theirs)]
                self.assertEqual(*parameters, name)
            self.assertEqual([n for n in vars(other) if not n.startswith("_") and n not in public], [])

    def test_settings(self):
        with mock.patch.dict(os.environ, {"TWIN_URL": "http://[::1]:1/", "TWIN_INGEST": "ipc:///x"}):
            self.assertEqual((_settings.url(), _settings.ingest()), ("http://[::1]:1", "ipc:///x"))
            self.assertEqual(_settings.url("https://a:2"), "https://a:2")
        with self.assertRaisesRegex(ValueError, "URL of twind"):
            _settings.url("127.0.0.1:8470")


if __name__ == "__main__":
    unittest.main()

"""The Open Inference Protocol v2: NVIDIA's client, as it is on PyPI, against the numbers of /v1; and what it refuses."""
import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import pypi

pypi.need("tritonclient", "geventhttpclient", "numpy")

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

import toy
from daemon import Daemon

NPY = {"Accept": "application/x-npy"}
CONDITIONED = {**toy.DEFINITION, "name": "conditioned", "conditions": [{"name": "tune", "min": 0, "max": 2, "value": 1}]}


class Inference(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon().start()
        cls.addClassCleanup(cls.daemon.stop)
        for definition in (toy.DEFINITION, {**toy.DEFINITION, "name": "raw"}, CONDITIONED):
            cls.daemon.create(definition)
        for name in ("toy", "conditioned"):
            assert cls.daemon.train(name, toy.events(1000, 1), "?epochs=2&seed=3")["state"] == "succeeded"
        cls.client = triton.InferenceServerClient(f"127.0.0.1:{cls.daemon.port}")
        cls.addClassCleanup(cls.client.close)
        cls.rows = toy.events(700, 5)
        cls.rows[3, 0] = 0  # outside the domain

    def tensor(self, name, values, datatype, binary=True):
        tensor = triton.InferInput(name, list(values.shape), datatype)
        tensor.set_data_from_numpy(values, binary_data=binary)
        return tensor

    def numbers(self, **values):
        return [self.tensor(name, np.array([value], np.int64), "INT64") for name, value in values.items()]

    def test_what_is_there(self):
        self.assertTrue(self.client.is_server_live() and self.client.is_server_ready())
        self.assertIn("binary_tensor_data", self.client.get_server_metadata()["extensions"])
        index = {entry["name"]: entry for entry in self.client.get_model_repository_index()}
        self.assertEqual((index["toy"]["version"], index["toy"]["state"]), ("1", "READY"))
        self.assertEqual((index["raw"]["version"], index["raw"]["state"]), ("", "UNAVAILABLE"))
        model = self.client.get_model_metadata("toy")
        self.assertEqual((model["name"], model["versions"]), ("toy", ["1"]))
        self.assertEqual({t["name"]: (t["datatype"], t["shape"]) for t in model["inputs"]},
                         {"x": ("FP32", [-1, 4]), "n": ("INT64", [1]), "seed": ("INT64", [1])})
        self.assertEqual({t["name"]: (t["datatype"], t["shape"]) for t in model["outputs"]},
                         {"log_prob": ("FP64", [-1]), "x": ("FP32", [-1, 4])})
        self.assertIn("conditions", [t["name"] for t in self.client.get_model_metadata("conditioned", "1")["inputs"]])
        self.assertTrue(self.client.is_model_ready("toy") and self.client.is_model_ready("toy", "1"))
        for name, version in (("raw", ""), ("toy", "2"), ("toy", "x"), ("none", "")):
            self.assertFalse(self.client.is_model_ready(name, version))

    def test_log_prob(self):
        known = self.daemon.request("POST", "/v1/twins/toy/log_prob", self.rows, NPY).npy()
        for binary in (True, False):
            for wanted in (None, [triton.InferRequestedOutput("log_prob", binary_data=binary)]):
                result = self.client.infer("toy", [self.tensor("x", self.rows, "FP32", binary)], outputs=wanted,
                                           request_id="é7")
                values = result.as_numpy("log_prob")
                if wanted and not binary:  # 9 digits; -inf is null
                    np.testing.assert_allclose(np.delete(values, 3), np.delete(known, 3), rtol=1e-8)
                else:
                    np.testing.assert_array_equal(values, known)
                answer = result.get_response()
                self.assertEqual((answer["model_name"], answer["model_version"], answer["id"]), ("toy", "1", "é7"))
        double = self.client.infer("toy", [self.tensor("x", self.rows.astype(np.float64), "FP64")], model_version="1")
        np.testing.assert_array_equal(double.as_numpy("log_prob"), known)

    def test_sample(self):
        for n in (1, 256, 5000):  # at once, and in chunks
            known = self.daemon.request("GET", f"/v1/twins/toy/sample?n={n}&seed=8", headers=NPY).npy()
            result = self.client.infer("toy", self.numbers(n=n, seed=8))
            np.testing.assert_array_equal(result.as_numpy("x"), known)
            text = self.client.infer("toy", self.numbers(n=n, seed=8),
                                     outputs=[triton.InferRequestedOutput("x", binary_data=False)])
            np.testing.assert_array_equal(text.as_numpy("x"), known)
        drawn = self.client.infer("toy", self.numbers(n=5)).get_response()
        again = self.client.infer("toy", self.numbers(n=5, seed=drawn["parameters"]["seed"]))
        self.assertEqual(again.as_numpy("x").shape, (5, 4))

    def test_conditions(self):
        row = np.array([[0.5]], np.float32)
        known = self.daemon.request("GET", '/v1/twins/conditioned/sample?n=20&seed=2&conditions={"tune":0.5}',
                                    headers=NPY).npy()
        result = self.client.infer("conditioned", self.numbers(n=20, seed=2) + [self.tensor("conditions", row, "FP32")])
        np.testing.assert_array_equal(result.as_numpy("x"), known)
        known = self.daemon.request("POST", '/v1/twins/conditioned/log_prob?conditions={"tune":0.5}', self.rows, NPY).npy()
        for conditions in (row, np.repeat(row, len(self.rows), 0)):
            result = self.client.infer("conditioned", [self.tensor("x", self.rows, "FP32"),
                                                       self.tensor("conditions", conditions, "FP32")])
            np.testing.assert_array_equal(result.as_numpy("log_prob"), known)
        known = self.daemon.request("POST", "/v1/twins/conditioned/log_prob", self.rows, NPY).npy()
        plain = self.client.infer("conditioned", [self.tensor("x", self.rows, "FP32")]).as_numpy("log_prob")
        np.testing.assert_array_equal(plain, known)  # the defaults
        for wrong in (np.array([[3]], np.float32), np.zeros((2, 1), np.float32), np.zeros((1, 2), np.float32)):
            with self.assertRaises(InferenceServerException):
                self.client.infer("conditioned", [self.tensor("x", self.rows, "FP32"),
                                                  self.tensor("conditions", wrong, "FP32")])

    def test_errors_are_the_protocols(self):
        with self.assertRaisesRegex(InferenceServerException, "there is no twin") as caught:
            self.client.infer("none", self.numbers(n=1))
        self.assertEqual(caught.exception.status(), "404")
        with self.assertRaisesRegex(InferenceServerException, "not trained"):
            self.client.infer("raw", self.numbers(n=1))
        for inputs in (self.numbers(n=0), self.numbers(n=10**6 + 1), self.numbers(seed=1), self.numbers(n=1, seed=-1),
                       self.numbers(n=1, m=1), [self.tensor("x", self.rows[:, :3].copy(), "FP32")],
                       [self.tensor("x", self.rows[:0], "FP32")],
                       [self.tensor("x", self.rows[:, 0].astype(np.int64), "INT64")],
                       [self.tensor("x", self.rows, "FP32"), *self.numbers(n=1)]):
            with self.assertRaises(InferenceServerException) as caught:
                self.client.infer("toy", inputs)
            self.assertEqual(caught.exception.status(), "400")
        for path, status in (("/v2/nothing", 404), ("/v2?x=1", 400), ("/v2/models/toy/infer", 405)):
            answer = self.daemon.request("GET", path)
            self.assertEqual((answer.status, list(answer.json())), (status, ["error"]))

    def test_wrong_bodies(self):
        x = {"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [30, 0, 0, 0.5]}
        binary = {"name": "x", "shape": [1, 4], "datatype": "FP32", "parameters": {"binary_data_size": 16}}

        def post(body, header=None, tail=b""):
            text = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers = {} if header is None else {"Inference-Header-Content-Length": str(len(text) if header is True else header)}
            return self.daemon.request("POST", "/v2/models/toy/infer", text + tail, headers)

        self.assertEqual(post({"inputs": [x]}).status, 200)
        self.assertEqual(post({"inputs": [{**x, "data": [[30, 0, 0, 0.5]]}]}).status, 200)
        self.assertEqual(post({"inputs": [binary]}, True, bytes(16)).status, 200)
        self.assertEqual(post({"inputs": [{**x, "shape": [4]}], "parameters": {"timeout": 3}}).status, 200)
        wrong = [post(body) for body in (
            b"", b"[]", b"{", {}, {"inputs": []}, {"inputs": {}}, {"inputs": [1]}, {"inputs": [x, x]}, {"inputs": [x] * 9},
            {"inputs": [x], "output": []}, {"inputs": [x], "id": 3}, {"inputs": [x], "outputs": [{"name": "y"}]},
            {"inputs": [x], "outputs": {}}, {"inputs": [x], "parameters": []},
            {"inputs": [x], "outputs": [{"name": "log_prob", "parameters": {"classification": 3}}]},
            {"inputs": [x], "parameters": {"binary_data_output": 1}},
            *({"inputs": [{**x, **change}]} for change in (
                {"name": ""}, {"name": 3}, {"shape": [2, 4]}, {"shape": [-1, 4]}, {"shape": [4, 1]}, {"shape": []},
                {"shape": [1, 1, 4]}, {"shape": [2**62, 2**62]}, {"shape": "4"}, {"datatype": "FP16"}, {"datatype": 3},
                {"data": [1, 2, 3]}, {"data": [[1, 2], [3, 4]]}, {"data": ["a", 1, 2, 3]}, {"data": 3}, {"colour": 1},
                {"parameters": {"shared_memory_region": "r"}}, {"parameters": {"binary_data_size": 16}})),
            {"inputs": [binary]})]
        wrong += [post({"inputs": [binary]}, header, tail) for header, tail in (
            (True, bytes(15)), (True, bytes(17)), (True, b""), (0, bytes(16)), (-1, bytes(16)), ("x", bytes(16)),
            ("5, 5", bytes(16)), (10**6, bytes(16)), (2**64, bytes(16)), (3, bytes(16)))]
        for answer in wrong:
            self.assertEqual((answer.status, list(answer.json())), (400, ["error"]), answer.body)
        ready = self.daemon.request("POST", "/v2/repository/index", {"ready": True}).json()
        self.assertEqual({entry["name"] for entry in ready}, {"toy", "conditioned"})
        self.assertEqual(self.daemon.request("POST", "/v2/repository/index", {"ready": 1}).status, 400)


if __name__ == "__main__":
    unittest.main()

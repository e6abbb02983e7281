"""twinctl sample and log-prob: files of each format, and what is never left half written."""
import io
import json
import os
import signal
import sys
import time

import numpy as np

from cases import code, finish, has, lacks, run, same, start
from fakes import Http, npy
from stage import HOME, TWIN, ctl, scratch


def test_sample():
    """sample: CSV on stdout, .npy and .csv by the ending, the seed on stderr; nothing is left when it fails"""
    data = np.arange(6, dtype=np.float32).reshape(3, 2)
    bodies = {"application/x-npy": npy(data), "text/csv": b"a,b\n0,1\n2,3\n4,5\n", "application/json": b'{"items": []}'}
    headers = {"Twin-Version": "3", "Twin-Seed": "42", "Twin-Columns": "a,b"}
    with Http() as http:
        http.answer("POST", "/v1/twins/zmumu/sample", lambda r: (200, bodies[r["headers"]["Accept"]], headers))
        result = code(ctl(http, "sample", "zmumu", "-n", "3"), 0)
        same(result.out.encode(), bodies["text/csv"])
        has(result.err, "3 events of version 3, seed 42")
        same(json.loads(http.requests[-1]["body"]), {"n": 3})
        lacks(http.requests[-1]["headers"], "Authorization")
        same(code(ctl(http, "sample", "zmumu", "-o", "json"), 0).out, '{"items": []}\n')
        out = HOME.name + "/s.npy"
        code(ctl(http, "sample", "zmumu", "-n", "3", "--seed", "7", "--version", "2", "--condition", "alpha=0.5",
                 "--out", out), 0)
        same(json.loads(http.requests[-1]["body"]), {"n": 3, "seed": 7, "version": 2, "conditions": {"alpha": 0.5}})
        same(np.load(out).tolist(), data.tolist())
        code(ctl(http, "sample", "zmumu", "--reweight", "weighted"), 0)
        same(json.loads(http.requests[-1]["body"]), {"n": 1000, "reweight": "weighted"})
        code(ctl(http, "sample", "zmumu", "--reweight", "twice"), 64)
        http.answer("POST", "/v1/twins/zmumu/sample", (409, {"detail": "zmumu is not trained yet"}))
        has(code(ctl(http, "sample", "zmumu", "--out", HOME.name + "/no.csv"), 1).err, "not trained")
        same([n for n in os.listdir(HOME.name) if n.startswith("no.csv")], [])
        code(ctl(http, "sample", "zmumu", "--out", HOME.name + "/no/folder.csv"), 1)


def test_files_that_would_be_written():
    """--dry-run of what makes files: says which, asks for nothing, writes nothing"""
    rows, out = scratch("dry.npy", npy(np.zeros((3, 2), np.float32))), HOME.name + "/would.npy"
    with Http() as http:
        http.answer("GET", "/v1/twins/zmumu", (200, TWIN))
        for words in (["sample", "zmumu"], ["log-prob", "zmumu", rows], ["export", "zmumu", "3"]):
            has(code(ctl(http, *words, "--out", out, "--dry-run"), 0).err, f"would write {out}")
            has(code(ctl(http, *words, "--out", "-", "--dry-run"), 0).err, "would write to standard output")
        same([n for n in os.listdir(HOME.name) if n.startswith("would")], [])
        same({(r["method"], r["path"]) for r in http.requests}, {("GET", "/v1/twins/zmumu")})
        has(code(ctl(http, "sample", "other", "--dry-run"), 1).err, "nothing at")


def test_sample_to_hdf5():
    """sample and log-prob write HDF5 with the names of the columns, which is read again like any file of events"""
    rows, bodies = np.random.default_rng(5).normal(size=(20000, 3)).astype(np.float32), []
    headers = {"Twin-Version": "3", "Twin-Seed": "42", "Twin-Columns": "a,b,c"}
    with Http() as http:
        http.answer("POST", "/v1/twins/zmumu/sample", lambda r: (200, npy(rows), headers))

        def log_prob(request):
            bodies.append((request["query"]["columns"], np.load(io.BytesIO(request["body"]))))
            return 200, npy(bodies[-1][1].sum(axis=1, dtype=np.float64)), headers

        http.answer("POST", "/v1/twins/zmumu/log_prob", log_prob)
        out, lp = HOME.name + "/s.h5", HOME.name + "/lp.hdf5"
        result = ctl(http, "sample", "zmumu", "-n", "20000", "--out", out)
        if "built without HDF5" in result.err:
            return
        code(result, 0)
        same(http.requests[-1]["headers"]["Accept"], "application/x-npy")
        code(ctl(http, "log-prob", "zmumu", out, "--out", lp), 0)
        same([names for names, _ in bodies], [["a,b,c"]] * len(bodies))
        same(np.array_equal(np.concatenate([x for _, x in bodies]), rows), True)
        bodies.clear()
        code(ctl(http, "log-prob", "zmumu", lp + "::log_prob", "--rows", "0:3"), 0)
        same(bodies[0][0], ["log_prob"])
        same(bodies[0][1][:, 0].tolist(), rows[:3].sum(axis=1, dtype=np.float64).astype(np.float32).tolist())
        code(ctl(http, "sample", "zmumu", "--out", HOME.name + "/no/folder.h5"), 1)
        http.answer("POST", "/v1/twins/zmumu/sample", (200, b"no array", headers))
        code(ctl(http, "sample", "zmumu", "--out", HOME.name + "/bad.h5"), 1)
        same([n for n in os.listdir(HOME.name) if n.startswith(("bad.h5", "s.h5.", "lp.hdf5."))], [])


def test_sample_stopped():
    """Ctrl-C while a sample is on its way: 130, and no file"""
    with Http() as http:
        http.delay = 3
        http.answer("POST", "/v1/twins/zmumu/sample", (200, b"a\n1\n"))
        out = HOME.name + "/stopped.csv"
        process = start("sample", "zmumu", "--out", out, TWIN_URL=http.url)
        while not http.requests:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        code(finish(process, 10), 130)
        same([n for n in os.listdir(HOME.name) if n.startswith("stopped")], [])


def test_log_prob():
    """log-prob: in pieces of less than 1 MiB, all answered by one version; -inf stays, null in JSON"""
    data = np.random.default_rng(2).normal(size=(50000, 10)).astype(np.float32)
    versions = iter("345")

    def answer(request):
        rows = np.load(io.BytesIO(request["body"]))
        assert len(request["body"]) <= 1 << 20
        version = request["query"].get("version", [None])[0] or next(versions)
        return 200, npy(np.where(rows[:, 0] > 3, -np.inf, rows.sum(axis=1, dtype=np.float64))), {"Twin-Version": version}

    wanted = np.where(data[:, 0] > 3, -np.inf, data.sum(axis=1, dtype=np.float64))
    assert np.isinf(wanted).any()
    path, out = scratch("lp.npy", npy(data)), HOME.name + "/out.npy"
    with Http() as http:
        http.answer("POST", "/v1/twins/zmumu/log_prob", answer)
        has(code(ctl(http, "log-prob", "zmumu", path, "--out", out), 0).err, "version 3")
        same(np.array_equal(np.load(out), wanted), True)
        assert len(http.requests) == 2
        lines = code(ctl(http, "log-prob", "zmumu", path, "--rows", "0:2", "--columns", ",".join("abcdefghij")), 0).out
        same(lines.splitlines()[0], "log_prob")
        assert abs(float(lines.splitlines()[2]) - wanted[1]) < 1e-6
        same(http.requests[-1]["query"], {"columns": [",".join("abcdefghij")]})
        first = int(np.argmax(np.isinf(wanted)))
        span = f"{first}:{first + 1}"
        has(code(ctl(http, "log-prob", "zmumu", path, "--rows", span, "-o", "json"), 0).out, "null")
        has(code(ctl(http, "log-prob", "zmumu", path, "--rows", span, "--version", "2"), 0).out, "-inf")
        same(http.requests[-1]["query"], {"version": ["2"]})
        http.answer("POST", "/v1/twins/zmumu/log_prob", (200, b"nonsense"))
        code(ctl(http, "log-prob", "zmumu", path), 1)


if __name__ == "__main__":
    run(sys.modules[__name__])

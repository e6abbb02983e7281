#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets into corpus/: small valid inputs, and some that are nearly valid.

What libFuzzer found stands beside them under the first 12 digits of its SHA-1; scripts/fuzz puts it there.
"""
import io
import json
import os
import struct
import tarfile

import numpy as np

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")
GOLDEN = os.path.join(HERE, "..", "..", "golden")


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def put(folder, name, data):
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    with open(os.path.join(HERE, folder, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def message(*frames):
    return b"".join(struct.pack("<H", len(f)) + f for f in (f if isinstance(f, bytes) else f.encode() for f in frames))


def tables():
    rows = np.arange(6, dtype="<f4").reshape(2, 3) / 7
    put("npy", "f4", npy(rows))
    put("npy", "f8", npy(rows.astype("<f8") * 1e300))
    put("npy", "one_dimension", npy(rows[:, 0].copy()))
    put("npy", "no_rows", npy(rows[:0]))
    put("npy", "fortran", npy(np.asfortranarray(rows)))
    put("npy", "int", npy(rows.astype("<i4")))
    put("npy", "structured", npy(np.zeros(2, dtype=[("a", "<f4"), ("b", "<f8")])))
    put("npy", "three_dimensions", npy(rows.reshape(1, 2, 3)))
    v2 = io.BytesIO()
    np.lib.format.write_array(v2, rows, version=(2, 0))
    put("npy", "version2", v2.getvalue())
    for name, shape in (("rows_1e18", "(1000000000000000000, 3)"), ("rows_2e64", "(18446744073709551616, 3)"),
                        ("product_wraps", "(4611686018427387905, 4)"), ("no_columns", "(1000000000000000000, 0)")):
        put("npy", name, npy_with(shape, b"\0" * 48))

    put("table", "csv", "mu1_pt,mu1_eta\n1.5,-2e-3\r\n,nan\ninf,-7\n")
    put("table", "csv_one", "# x\n1\n2\n\n3\n")
    put("table", "csv_short", "a,b\n1\n")
    put("table", "csv_zero_byte", "a,b\n1,2\0\n")
    put("table", "csv_mark", "\ufeff\"a\",b\n1,2\n")
    put("table", "json_rows", "[[1, 2.5], [null, -3e5]]")
    put("table", "json_columns", '{"columns": ["a", "b\\""], "rows": [[1, 2], [3, 4]]}')
    put("table", "json_items_first", '{"items": [[0.1, 1e-40], [1e39, 4]], "columns": ["a", "b"]}')
    put("table", "json_empty", '{"rows": []}')
    put("table", "json_deep", "[" * 4000)
    put("table", "json_surrogate", '{"columns": ["\\ud800"], "rows": [[1]]}')
    put("table", "npy", npy(rows))

    put("rows", "f4", npy(rows))
    put("rows", "f8", npy(rows.astype("<f8")))
    put("rows", "rows_1e18", npy_with("(1000000000000000000, 3)", b"\0" * 48))
    put("rows", "csv", "mu1_pt [GeV],\"mu1 eta\",f(x)\n1.5,-2e-3,1\r\n,nan,2\n" + "1,2,3\n" * 70)
    put("rows", "savetxt", "# a (cm), b\n1,2\n3,4")
    put("rows", "numbers", "1,2\n3,4\n")
    put("rows", "mark", "\ufeffa,b\n1,2\n")
    put("rows", "header_only", "a,b")
    put("rows", "empty_lines_at_the_end", "a\n2\n\n\r\n\n")
    put("rows", "empty_lines_inside", "a\n2\n" + "\n" * 8 + "3\n")
    put("rows", "empty_line_inside", "a,b\n1,2\n3,4\n\n5,6\n")


def npy_with(shape, data):
    """An array whose header promises another shape."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def archives():
    def tar(files, **more):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in files:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                for key, value in more.items():
                    setattr(info, key, value)
                archive.addfile(info, io.BytesIO(data))
        return out.getvalue()[:3584]

    backup = [("twin.db", b"SQLite"), ("spool/1/0000000000000000.seg", b""), ("manifest.json", b"{}")]
    put("tar", "backup", b"\xff" + tar(backup))
    put("tar", "small_pieces", b"\0" + tar(backup[:1]))
    put("tar", "link", b"\x49" + tar([("a", b"")], type=tarfile.SYMTYPE, linkname="/etc/passwd"))
    put("tar", "upwards", b"\x49" + tar([("../a", b"x")]))
    put("tar", "base256", b"\x49" + tar([("a", b"")]).replace(b"00000000000\0", b"\x80" + b"\0" * 10 + b"\x05", 1))


def wire():
    rows = np.arange(6, dtype="<f4").reshape(2, 3) / 7
    key = {"twin": "zmumu", "feed": "daq1", "run": 1, "seq": 42}
    full = dict(key, columns=["a", "b", "c"], conditions={"alpha_s": 0.118, "beam": 13000}, stream="data",
                time="2026-03-01T12:00:00.5+01:00")
    put("wire", "batch", message("TWB1", json.dumps(key), npy(rows)))
    put("wire", "batch_full", message("TWB1", json.dumps(full), npy(rows), npy(np.ones(2, "<f4"))))
    put("wire", "batch_bad_weights", message("TWB1", json.dumps(full), npy(rows), npy(-np.ones(2))))
    put("wire", "batch_unknown", message("TWB1", json.dumps(dict(key, colour=1)), npy(rows)))
    put("wire", "batch_text", message("TWB1", json.dumps(dict(key, time="\u00fc" * 90)), npy(rows)))
    put("wire", "batch_rows_1e18", message("TWB1", json.dumps(key), npy_with("(1000000000000000000, 3)", b"\0" * 48)))
    put("wire", "batch_twice", message("TWB1", '{"twin": "a", "twin": "b", "feed": "c", "run": 1, "seq": 1}', npy(rows)))
    put("wire", "batch_numbers", message("TWB1", '{"twin": "a", "feed": "b", "run": 1e300, "seq": 9223372036854775808}'))
    put("wire", "batch_zero_byte", message("TWB1", '{"twin": "a\\u0000b", "feed": "b", "run": 1, "seq": 1}', npy(rows)))
    put("wire", "hello", message("TWH1", json.dumps({k: key[k] for k in ("twin", "feed", "run")})))
    put("wire", "welcome", message("WELCOME", json.dumps(dict(key, last_durable_seq=-1, credit_bytes=1, max_bytes=2))))
    put("wire", "ack", message("ACK", json.dumps(key)))
    put("wire", "nack", message("NACK", json.dumps({"code": "bad_frame", "detail": "no"})))
    put("wire", "deep", message("TWB1", '{"columns":' + "[" * 300 + "]" * 300 + "}", npy(rows)))


def batches():
    rows = np.array([[0.5, 2, 1], [2, 2, 2], [0, 1e-3, -2.5]], "<f4")
    key = {"twin": "t", "feed": "f", "run": 1, "seq": 0}
    put("batch", "plain", message("TWB1", json.dumps(key), npy(rows)))
    put("batch", "mapped", message("TWB1", json.dumps(dict(key, columns=["c", "a", "b"], conditions={"alpha_s": 0.118}, time=(
        "2026-03-01T12:00:00Z"))), npy(rows[:, [2, 0, 1]].astype("<f8")), npy(np.ones(3))))
    put("batch", "column_twice", message("TWB1", json.dumps(dict(key, columns=["a", "a", "b"])), npy(rows)))
    put("batch", "column_is_condition", message("TWB1", json.dumps(dict(key, columns=["a", "b", "beam"])), npy(rows)))
    put("batch", "condition_large", message("TWB1", json.dumps(dict(key, conditions={"beam": 1e300})), npy(rows)))
    put("batch", "condition_low", message("TWB1", json.dumps(dict(key, conditions={"beam": 0, "x": 1})), npy(rows)))
    put("batch", "not_finite", message("TWB1", json.dumps(key), npy(np.array([[np.nan, np.inf, 1e300]] * 2))))
    put("batch", "two_columns", message("TWB1", json.dumps(key), npy(rows[:, :2].copy())))


FEATURES = [{"name": "pt", "unit": "GeV", "transform": "log", "min": 0},
            {"name": "phi", "unit": "rad", "kind": "periodic", "min": -3.141592653589793, "max": 3.141592653589793},
            {"name": "phi2", "kind": "periodic", "min": -3.141592653589793, "max": 3.141592653589793},
            {"name": "x", "min": 0, "max": 1}, {"name": "y"}]
CONDITIONS = [{"name": "alpha_s", "min": 0.1, "max": 0.15, "value": 0.1365}]
MODEL = {"kind": "flow", "blocks": 2, "hidden": [4], "bins": 3, "bound": 5}


def expressions():
    for name, expression in (
            ("mass", "mass(mu_pt, eta, phi, 0.106, mu_pt, -eta, phi + 1, 0.106)"), ("number", " 1.5e-3 "),
            ("power", "-x^2^-3"), ("chain", "x - 1 - mu_pt / eta * 2"), ("choice", "if(x > 0 && !eta || phi <= 1, x, pi)"),
            ("present", "where(present(gone), gone, -1)"), ("ht", "ht(x, mu_pt, gone)"), ("mt", "mt(x, eta, phi, gone)"),
            ("functions", "max(abs(x), sqrt(x), log10(x), hypot(x, eta), atan2(x, eta), delta_phi(phi, x))"),
            ("system", "pt(x,eta,phi,1) + eta(x,eta,phi,1) + rapidity(x,eta,phi,1) + phi(x,eta,phi,1)"),
            ("guess", "mu_tp + 1"), ("no_function", "sine(x)"), ("compare_twice", "x < 1 < 2"), ("open", "((x"),
            ("deep", "(" * 70 + "x"), ("signs", "-" * 70 + "x"), ("waiting", "ht(" + "x," * 130 + "x)"),
            ("steps", "+".join(["x"] * 300)), ("long", " " * 2001), ("range", "1e999"), ("bytes", "x \u00d7 2")):
        put("expression", name, expression)


def definitions():
    full = {"name": "zmumu", "description": "Z \u2192 \u03bc\u03bc", "model": MODEL, "features": FEATURES,
            "conditions": CONDITIONS,
            "loop": {"auto": True, "window": 20000, "detectors": ["c2st", "ks"], "expected_run_time": 1000,
                     "update": "weights", "silence_s": 60, "gate": {"min_gain": 0.0, "level": 0.01}}}
    least = {"name": "a", "features": [{"name": "x"}]}

    def definition(name, first, patch=None):
        put("definition", name, text(first) + ("" if patch is None else "\0" + text(patch)))

    definition("full", full, {"loop": {"window": 500, "gate": None}, "description": None})
    definition("least", least, {"features": [{"name": "x", "min": 0}]})
    definition("patch_model", full, {"model": {"bins": 4}})
    definition("patch_same", full, {"model": {"bins": 3}, "name": "zmumu"})
    definition("patch_deep", least, '{"loop": ' * 500 + "{}" + "}" * 500)
    definition("deep", "[" * 3000)
    definition("hidden_1e9", dict(least, model={"hidden": [1000000000]}))
    definition("hidden_1e30", text(least)[:-1] + ', "model": {"hidden": [1e30]}}')
    definition("policy", dict(least, loop={"mode": "advise", "cooldown": 3, "max_retunes": {"count": 4, "hours": 24},
                                           "max_distance": 1, "recall": 2, "replay": 0.5}), {"loop": {"auto": True}})
    definition("integer_2e63", text(least)[:-1] + ', "loop": {"window": 9223372036854775808}}')
    definition("real_1e999", text(least)[:-1] + ', "loop": {"silence_s": 1e999}}')
    definition("largest", dict(least, model={"blocks": 64, "bins": 64, "hidden": [4096] * 8}))
    mass = {"name": "m", "unit": "GeV", "expression": "mass(x, 0, 0, 0.1, x, 1, 1, 0.1)", "min": 60, "max": 120}
    definition("observables", dict(least, observables=[mass]), {"observables": [dict(mass, expression="x")]})
    definition("observables_patched", dict(least, observables=[mass]), {"observables": None})
    definition("observables_refused", dict(least, observables=[{"name": "x", "expression": "x"}]))
    classes = [{"name": "x"}, {"name": "y", "optional": True}, {"name": "n", "kind": "discrete", "min": 0, "max": 2}]
    definition("optional", dict(least, features=classes), {"features": [dict(c, optional=False) for c in classes]})
    definition("discrete", dict(least, features=[{"name": "n", "kind": "discrete", "min": -2, "max": 61, "optional": True}]))
    definition("discrete_many", dict(least, features=[dict(classes[2], max=64)]))
    definition("discrete_half", dict(least, features=[dict(classes[2], min=0.5)]))
    definition("masks", dict(least, model={"blocks": 1, "masks": ["1"]}))
    definition("twice", '{"name": "a", "name": "b", "features": [{"name": "x"}]}')
    definition("zero_byte", '{"name": "a", "description": "a\\u0000b", "features": [{"name": "x"}]}')
    definition("long_member", dict(least, **{"\u00fc" * 40: 1}))

    for kind, model in (("flow", MODEL), ("classifier", {"kind": "classifier", "hidden": [4]})):
        about = {"kind": kind, "features": FEATURES, "conditions": CONDITIONS, "model": model}
        for name, value in (("small", 0.01), ("large", 3e38), ("tiny", 1e-45), ("negative", -7.0)):
            put("model", f"{kind}_{name}", text(about).encode() + b"\0" + struct.pack("<ff", 1.0, value))
    for name, members, value in (("small", 2, 0.01), ("large", 3, 3e38), ("many", 33, 0.01)):
        about = {"kind": "flow", "features": FEATURES, "conditions": CONDITIONS, "model": dict(MODEL, members=members)}
        put("model", f"members_{name}", text(about).encode() + b"\0" + struct.pack("<ff", 1.0, value))
    definition("members", dict(least, model={"members": 2}), {"model": {"members": 2}})
    definition("members_large", dict(least, model={"members": 32, "blocks": 64, "hidden": [1024] * 3}))
    # mean, width, the levels of two classes out of six, their shares and that of all others; parameters are what follows
    good = [0] * 3 + [1] * 3 + [0, 0, 1, 2] + [0] * 8 + [0.5, 0.25] + [0] * 4 + [0.25]
    for name, change in (("good", {}), ("twice", {8: 0, 9: 0}), ("half", {9: 1.5}), ("beyond", {9: 3}), ("gap", {18: 0}),
                         ("sum", {24: 0.5}), ("negative", {19: -0.25}), ("none", {18: 0, 19: 0, 24: 1}), ("free", {10: 1})):
        values = [change.get(i, value) for i, value in enumerate(good)] + [0.01, -0.3, 0.7]
        about = {"kind": "flow", "features": classes, "model": dict(MODEL, masks=["10", "01"])}
        put("model", f"classes_{name}", text(about).encode() + b"\0" + struct.pack(f"<{len(values)}f", *values))
    about = {"kind": "classifier", "features": classes, "conditions": CONDITIONS, "model": {"kind": "classifier", "hidden": [4]}}
    put("model", "classes_classifier", text(about).encode() + b"\0" + struct.pack("<ff", 1.0, 0.01))
    about = {"kind": "flow", "features": classes, "conditions": CONDITIONS, "model": MODEL}
    put("model", "classes_conditions", text(about).encode() + b"\0" +
        struct.pack("<30f", *good[:6], 0, 1, *good[6:], 0.3, -7, 0.01))
    mass = {"name": "m", "kind": "mass", "of": [["pt", "y", "phi", 0.1], ["pt2", "y", "phi2", 0]], "replaces": "pt"}
    pair = FEATURES + [{"name": "pt2", "transform": "log"}]
    both = {"name": "z", "kind": "pair", "of": [["pt", "y", "phi", 0.1], ["pt2", "y2", "phi2", 0]]}
    pair.append({"name": "y2"})
    difference = {"name": "d", "kind": "difference", "of": ["y2", "y"]}
    angles = dict(difference, of=["phi2", "phi"])
    for name, entry in (("pair", both), ("difference", difference), ("angles", angles), ("line", dict(mass, peak={"at": 91.19, "width": 2.5})), ("edge", dict(mass, min=60)),
                        ("plain", dict(mass, replaces="pt2")), ("missing", {"name": "m"})):
        about = {"kind": "flow", "features": pair, "model": dict(MODEL, coordinates=[entry])}
        put("model", f"mass_{name}", text(about).encode() + b"\0" + struct.pack("<ff", 1.0, 0.3))
        definition(f"mass_{name}", dict(least, features=pair, model=dict(MODEL, coordinates=[entry])))
    weights = {"members": 2, "model": {"hidden": [3]}, "scale": 0.9, "log_cap": 0.75, "log_mean": 0.0625,
               "log_mean_error": 0.01, "ess": 0.75, "overflow": 0.001}
    for name, change, value in (("small", {}, 0.01), ("large", {}, 3e38), ("nothing", {"log_mean": -30, "log_cap": -26}, -7.0),
                                ("members_9", {"members": 9}, 1.0), ("scale_nan", {"scale": "nan"}, 1.0),
                                ("cap_below", {"log_cap": -1}, 1.0),
                                ("observables", {"observables": [{"name": "r", "expression": "sqrt(pt - 30)"}]}, 0.1),
                                ("bad_observables", {"observables": [{"name": "r", "expression": "sqrt("}]}, 0.1), ("cap_1e300", {"log_cap": 1e300}, 1.0)):
        about = {"kind": "flow", "features": FEATURES, "conditions": CONDITIONS, "model": MODEL,
                 "reweighting": {**weights, **change}}
        put("model", f"reweighted_{name}", text(about).encode() + b"\0" + struct.pack("<ff", 1.0, value))
    put("model", "flow_one", text({"kind": "flow", "features": FEATURES[4:], "model": MODEL}).encode() + b"\0\1\2\x3f")

    artifact()
    put("loop_state", "idle", text({"iteration": 3, "last": {"first": 0, "last": 4}, "episode": episode(False)}))
    put("loop_state", "task", text({"iteration": 3, "last": {"first": 0, "last": 4}, "episode": episode(True), "task": {
        "operation": 1, "iteration": 3, "initial": False, "spooled": False, "first": 0, "last": 4, "parent": 2, "move": 5,
        "seed": 1 << 52, "epochs": 10}}))
    put("loop_state", "types", '{"iteration": "3", "last": [], "episode": 7, "task": null}')
    put("loop_state", "large", '{"iteration": 9223372036854775807, "last": {"first": -1, "last": -9223372036854775808}}')


def episode(active):
    return {"active": active, "change": 9, "rows": 100, "trained_rows": 50, "attempts": 1, "rejections": 2, "quiet": 0,
            "promoted": False}


def text(value):
    return value if isinstance(value, str) else json.dumps(value)


def artifact():
    """The smallest golden artifact, and the same with a header that lies."""
    with open(os.path.join(GOLDEN, "flow_single.safetensors"), "rb") as file:
        golden = file.read()
    length = struct.unpack("<Q", golden[:8])[0]
    header = json.loads(golden[8:8 + length])
    data = golden[8 + length:]

    def changed(name, size=None, **tensor):
        other = json.loads(json.dumps(header))
        first = next(key for key in other if key != "__metadata__")
        other[first].update(tensor)
        raw = json.dumps(other).encode()
        put("artifact", name, struct.pack("<Q", len(raw) if size is None else size) + raw + data)

    put("artifact", "single", golden)
    changed("header_2e64", size=(1 << 64) - 1)
    changed("header_wraps", size=(1 << 64) - 8)
    changed("offsets_overlap", data_offsets=[4, 8])
    changed("offsets_wrap", data_offsets=[0, 9223372036854775807])
    changed("offsets_negative", data_offsets=[-4, 0])
    changed("shape_wraps", shape=[4294967296, 4294967296])
    changed("type", dtype="F64")
    put("artifact", "not_finite", golden[:-4] + struct.pack("<f", float("nan")))
    put("artifact", "deep", struct.pack("<Q", 4000) + b"[" * 4000)


def requests():
    def request(name, *lines, body=""):
        put("request", name, "\n".join(lines) + "\n\n" + body)

    host = "Host: 127.0.0.1:8470"
    request("get", "GET /v1/twins/z%6Dumu/sample?n=10&seed=4&x=%20+%2b", host,
            "Accept: text/csv;q=0.5, application/x-npy, */*;q=0.1")
    request("put_alias", "PUT /v1/twins/zmumu/aliases/champion", "Host: localhost", 'If-Match: "42", W/"43"',
            "Content-Type: application/json", "Content-Length: 44", "Authorization: Bearer secret",
            body='{"version": 7, "reason": "it is the better one"}')
    request("absolute", "GET HTTP://localhost:80/livez", "Host: twin.example", "Origin: http://127.0.0.1:8470")
    request("etag_any", "GET /v1/twins", host, 'If-None-Match: W/"42", *', "If-None-Match: *")
    request("chunked", "POST /v1/twins/a/log_prob", host, "Transfer-Encoding: chunked", body="[[1]]")
    request("smuggled", "POST /v1/twins", host, "Content-Length: 4", "Transfer-Encoding: chunked", "Content-Length: 5")
    request("lengths", "POST /v1/twins", host, "Content-Length: 999999999999999999999", "Content-Range: bytes 0-1/2")
    request("hosts", "GET /", "Host: localhost", "Host: evil", "Host : localhost", "Origin: null")
    request("v6", "GET /v1/operations/9223372036854775808?wait=1e3", "Host: [::1]:8470")
    request("overlong", "GET /%c0%af/%ed%a0%80/%f4%90%80%80/\u00fc", host)
    request("zero_byte", "GET /v1/%00", host)
    request("bad_escape", "GET /v1/%4?%zz=%", host)
    request("many", "GET /1/2/3/4/5/6/7/8/9?" + "&".join(f"a{i}=" for i in range(18)), host)
    request("twice", "POST /v1/twins/a/sample", host, body='{"n": 1, "n": 2}')
    request("deep", "POST /v1/twins/a/sample", host, body='{"conditions":' + "[" * 3000)
    request("numbers", "POST /v1/twins/a/sample", host, body='{"n": 1e30, "seed": 9223372036854775808}')
    request("surrogate", "POST /v1/twins/a/sample", host, body='{"\\ud800": 1}')
    request("unknown", "POST /v1/twins/a/sample", host, body='{"' + "\u00fc" * 300 + '": 1}')


def inferences():
    def body(header, request, tail=b""):
        return f"{header}\n".encode() + (request if isinstance(request, bytes) else json.dumps(request).encode()) + tail

    rows = np.arange(6, dtype="<f4").reshape(2, 3)
    flat = {"name": "x", "shape": [2, 3], "datatype": "FP32", "data": [1, 2.5, None, -3e5, 0, 1]}
    binary = {"name": "x", "shape": [2, 3], "datatype": "FP32", "parameters": {"binary_data_size": 24}}
    double = {"name": "c", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}
    n = {"name": "n", "shape": [1], "datatype": "INT64", "data": [7]}
    seed = {"name": "seed", "shape": [1], "datatype": "INT32", "parameters": {"binary_data_size": 4}}
    put("inference", "flat", body("", {"id": "7", "inputs": [flat], "outputs": [{"name": "log_prob"}]}))
    put("inference", "nested", body("", {"inputs": [{**flat, "data": [[1, 2, 3], [4, 5, 6]]}]}))
    put("inference", "ragged", body("", {"inputs": [{**flat, "data": [[1, 2, 3], [4, 5]]}]}))
    put("inference", "integers", body("", {"inputs": [n], "parameters": {"binary_data_output": True}}))
    for name, request, tail in (
        ("binary", {"inputs": [binary, double]}, rows.tobytes() + np.float64(0.5).tobytes()),
        ("mixed", {"inputs": [n, seed], "outputs": [{"name": "x", "parameters": {"binary_data": True}}]}, b"\3\0\0\0"),
        ("too_long", {"inputs": [binary]}, rows.tobytes() + b"\0"), ("too_short", {"inputs": [binary]}, b"\0" * 23)):
        put("inference", name, body(len(json.dumps(request)), request, tail))
    put("inference", "wraps", body("", {"inputs": [{**flat, "shape": [2**62, 6]}]}))
    put("inference", "claims", body("", {"inputs": [{**flat, "shape": [10**9, 4]}]}))
    put("inference", "memory", body("", {"inputs": [{**binary, "parameters": {"shared_memory_region": "r"}}]}))


def configs():
    put("config", "full", "# a comment\n[twind]\nhttp = 127.0.0.1:0\ningest = tcp://127.0.0.1:*\nstate=/x\n"
        "log-level = debug\nhosts = a.example,b\nkernels = ref\nthreads = 2\nsegment-mb = 1\nmemory-mb=128\n")
    put("config", "indented", "  threads = 1\n\tsegment-mb : 2 ; why\n")
    put("config", "range", "threads = 99999999999999999999\n")
    put("config", "section", "[other]\nthreads = 1\n")
    put("config", "unknown", "colour = \u00fc\n")
    put("config", "long", "hosts = " + "a" * 2000 + "\n")
    put("config", "no_value", "threads\n")
    put("config", "foreign", "http = 0.0.0.0:80\n")
    put("config", "ipc", "ingest = ipc:///run/twin/ingest\npublish = tcp://[::1]:0\n")


def crc32c(data, crc=0):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def spool():
    """Segments as daemon/segment.h describes them; the first byte is the target's."""
    start = b"TWSPOOL1" + struct.pack("<I", 1)
    first = struct.pack("<Q", 7)
    number = struct.pack("<Q", 9)
    head = start + struct.pack("<I", crc32c(start + first)) + first + number + struct.pack("<II", crc32c(number), 0)
    head += b"\0" * 24

    def record(ordinal, *frames, count=None, size=None):
        body = b"".join(struct.pack("<Q", len(f)) for f in frames) + b"".join(frames)
        fixed = struct.pack("<QqQIIQ", ordinal, 1700000000000, len(body) if size is None else size, crc32c(body),
                            len(frames) if count is None else count, 0)
        return b"TWR1" + struct.pack("<I", crc32c(fixed)) + fixed + body + b"\0" * (-len(body) % 8)

    two = head + record(7, b"TWB1", b"{}") + record(8, b"TWB1", b"{}", b"abc", b"defg")
    put("segment", "two", b"\0" + two + b"\0" * 256)
    put("segment", "torn", b"\0" + two + record(9, b"TWB1", b"{}")[:-9] + b"\0" * 64)
    put("segment", "short", b"\0" + two[:-8])
    put("segment", "repaired", b"\1" + two + record(9, b"a", b"b") + b"\0" * 64)
    put("segment", "frames_lie", b"\1" + head + record(7, b"a", b"b", count=4) + record(8, b"a", size=1 << 40))
    put("segment", "no_frames", b"\1" + head + record(7, b"a", count=0))
    put("segment", "size_wraps", b"\1" + head + record(7, b"a", size=(1 << 64) - 40))
    put("segment", "header_only", b"\0" + head[:40])


def references():
    def blob(names, features, conditions, rows, values, **lies):
        header = b"TWDATA1\0" + struct.pack("<QQII", lies.get("promised", rows), 3, features, conditions)
        return header + b"".join(n.encode().ljust(64, b"\0") for n in names) + values

    keys = struct.pack("<QQ", 11, 12)
    put("reference", "plain", blob(["x"], 1, 0, 2, keys + struct.pack("<2f2f", 0.5, -7, 1, 2)))
    names = ["x", "pt", "phi", "alpha_s"]
    rows = struct.pack("<6f2f2f", 0.5, 3, -2, 1, 1e-3, 2.9, 0.1, 0.2, 1, 1)
    put("reference", "full", blob(names, 3, 1, 2, keys + rows))
    put("reference", "no_rows", blob(names, 3, 1, 0, b""))
    put("reference", "outside", blob(names, 3, 1, 2, keys + struct.pack("<6f2f2f", 2, 3, -2, 1, -1, 2, 0, 0, 1, 1)))
    put("reference", "condition_nan", blob(names, 3, 1, 2, keys + rows[:24] + struct.pack("<f", float("nan")) + rows[28:]))
    put("reference", "rows_wrap", blob(["x"], 1, 0, 2, keys + b"\0" * 16, promised=(1 << 60) + 2))


def statistics():
    """As daemon/statistics.h describes them."""
    def head(magic, series, count=None):
        return magic + struct.pack("<I", len(series) if count is None else count) + struct.pack(f"<{len(series)}I", *series)

    columns = b"\2" + struct.pack("<3d", 1, -2, 3) + b"\1" + struct.pack("<d", 0.5) + b"\0"
    columns += b"\3\5" + struct.pack("<2d", 1e-300, 0.1) + b"\0"
    sums = struct.pack("<3Q", 1, 2, 1 << 53) + struct.pack("<9d", *range(9))
    put("statistics", "three", head(b"TWS1", [4, 5, 9]) + columns)
    put("statistics", "none", head(b"TWS1", []) + b"\0" * 5)
    put("statistics", "bits_beyond", head(b"TWS1", [4, 5, 9]) + columns.replace(b"\3\5", b"\3\xf5"))
    put("statistics", "count_lies", head(b"TWS1", [4, 5, 9], count=1 << 20) + columns)
    put("statistics", "sums", head(b"TWM1", [4, 5, 9]) + sums)
    put("statistics", "sums_unordered", head(b"TWM1", [5, 5, 9]) + sums)
    put("statistics", "sums_count_wraps", head(b"TWM1", [4]) + struct.pack("<Q3d", (1 << 64) - 1, 1, 1, 1))
    put("statistics", "both", head(b"TWS1", [4]) + 3 * (b"\3\1" + struct.pack("<d", 1.5)) + b"\0\0"
        + head(b"TWM1", [4]) + struct.pack("<Q3d", (1 << 64) - 1, 1, 1, 1))


def feeds():
    def numbers(name, batches, intervals, *further):
        put("feeds", name, struct.pack(f"<{2 + 2 * len(intervals) + len(further)}Q", batches, len(intervals),
                                       *(end for interval in intervals for end in interval), *further))

    numbers("from_zero", 10, [(0, 9)], 10, 11, 20)
    numbers("gaps", 3, [(1, 1), (3, 3), (9, 9)], 2, 0, 8)
    numbers("touching", 2, [(0, 0), (1, 1)])
    numbers("backwards", 2, [(5, 5), (1, 1)])
    numbers("batches_lie", 3, [(0, 0)])
    numbers("whole_range", 1 << 63, [(0, (1 << 63) - 1)])
    numbers("largest", 0, [], (1 << 63) - 1, (1 << 63) - 2)


def archives():
    def listed(name, **more):
        return dict({"name": name, "size": 0, "sha256": "?"}, **more)

    segment = "spool/1/0000000000000000.seg"
    both = [listed("twin.db"), listed(segment)]
    full = {"format": 1, "version": "0.1.0", "schema": 3, "created": "2026-03-01T12:00:00Z", "files": both,
            "twins": [{"id": 1, "name": "a", "watermark": 3}]}

    def put_manifest(name, manifest):
        put("archive", name, b"\x40" + text(manifest).encode() + b"\0SQLite format 3" + bytes(range(32)))

    put_manifest("full", full)
    put_manifest("listed_twice", dict(full, files=[both[0], both[0]]))
    put_manifest("nothing_to_show", {"format": 1, "files": both})
    put_manifest("newer", {"format": 2})
    put_manifest("other_sum", dict(full, files=[listed("twin.db", sha256="00"), both[1]]))
    put_manifest("other_name", dict(full, files=[both[0], listed("../admin.token")]))
    put_manifest("types", dict(full, files=[1, None], version=[]))


def main():
    tables()
    archives()
    wire()
    batches()
    definitions()
    expressions()
    requests()
    inferences()
    configs()
    spool()
    references()
    statistics()
    feeds()
    archives()


if __name__ == "__main__":
    main()

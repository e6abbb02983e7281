#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets into corpus/: small valid inputs, and some that are nearly valid."""
import io
import json
import os
import struct

import numpy as np

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def put(folder, name, data):
    with open(os.path.join(HERE, folder, name), "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())


def message(*frames):
    return b"".join(struct.pack("<H", len(f)) + f for f in (f if isinstance(f, bytes) else f.encode() for f in frames))


def main():
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

    key = {"twin": "zmumu", "feed": "daq1", "run": 1, "seq": 42}
    full = dict(key, columns=["a", "b", "c"], conditions={"alpha_s": 0.118, "beam": 13000}, stream="data",
                time="2026-03-01T12:00:00.5+01:00")
    put("wire", "batch", message("TWB1", json.dumps(key), npy(rows)))
    put("wire", "batch_full", message("TWB1", json.dumps(full), npy(rows), npy(np.ones(2, "<f4"))))
    put("wire", "batch_bad_weights", message("TWB1", json.dumps(full), npy(rows), npy(-np.ones(2))))
    put("wire", "batch_unknown", message("TWB1", json.dumps(dict(key, colour=1)), npy(rows)))
    put("wire", "batch_text", message("TWB1", json.dumps(dict(key, time="\u00fc" * 90)), npy(rows)))
    put("wire", "hello", message("TWH1", json.dumps({k: key[k] for k in ("twin", "feed", "run")})))
    put("wire", "welcome", message("WELCOME", json.dumps(dict(key, last_durable_seq=-1, credit_bytes=1, max_bytes=2))))
    put("wire", "ack", message("ACK", json.dumps(key)))
    put("wire", "nack", message("NACK", json.dumps({"code": "bad_frame", "detail": "no"})))
    put("wire", "deep", message("TWB1", '{"columns":' + "[" * 300 + "]" * 300 + "}", npy(rows)))

    put("table", "csv", "mu1_pt,mu1_eta\n1.5,-2e-3\r\n,nan\ninf,-7\n")
    put("table", "csv_one", "# x\n1\n2\n\n3\n")
    put("table", "csv_short", "a,b\n1\n")
    put("table", "json_rows", "[[1, 2.5], [null, -3e5]]")
    put("table", "json_columns", '{"columns": ["a", "b\\""], "rows": [[1, 2], [3, 4]]}')
    put("table", "json_items_first", '{"items": [[0.1, 1e-40], [1e39, 4]], "columns": ["a", "b"]}')
    put("table", "json_empty", '{"rows": []}')
    put("table", "npy", npy(rows))


if __name__ == "__main__":
    main()

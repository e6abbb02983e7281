"""The events that are shipped are what their sidecars say, fit the definition beside them, and are small."""
import hashlib
import json
import os

import numpy as np

from tap import ROOT, Tap, expect

FOLDER = os.path.join(ROOT, "data")


def load(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as f:
        return json.load(f)


def invalid(features, events):
    """Which rows lie outside the domain of a feature: not finite, or at or below the start of a logarithm."""
    outside = ~np.isfinite(events).all(axis=1)
    for i, feature in enumerate(features):
        if feature.get("transform") == "log":
            outside |= events[:, i].astype(np.float64) <= feature["min"]
    return outside


def wrong_sidecar(name):
    about = load(f"{name}.json")
    path = os.path.join(FOLDER, f"{name}.npy")
    with open(path, "rb") as f:
        content = f.read()
    events = np.load(path, allow_pickle=False)
    facts = {"file": f"{name}.npy", "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
             "rows": len(events), "shape": list(events.shape), "dtype": events.dtype.str}
    wrong = [w for key, value in facts.items() for w in expect(key, about.get(key), value)]
    wrong += [f"{key} is missing" for key in ("units", "settings", "seed", "generator", "selection", "made_by")
              if not about.get(key)]
    return wrong + expect("units", len(about["units"]), len(about["columns"]))


def main():
    tap = Tap()
    definition = load("zjets.json")
    features = definition["features"]
    bad = np.ones((3, len(features)), np.float32) * 50
    bad[1, 0], bad[2, 6] = np.nan, 20
    tap.case("rows outside the domain are found", expect("rows", invalid(features, bad).tolist(), [False, True, True]))
    for name in ("zjets_nominal", "zjets_mpi_on"):
        tap.case(f"{name}: the sidecar is right", wrong_sidecar(name))
        about = load(f"{name}.json")
        tap.case(f"{name}: columns and units are the definition's",
                 expect("columns", about["columns"], [f["name"] for f in features])
                 + expect("units", about["units"], [f.get("unit", "1") for f in features]))
        events = np.load(os.path.join(FOLDER, f"{name}.npy"), allow_pickle=False)
        share = invalid(features, events).mean()
        tap.case(f"{name}: valid rows, float32, none twice",
                 ([f"{share:.4f} of the rows are invalid"] if share > 0.005 else [])
                 + expect("dtype", events.dtype.str, "<f4")
                 + expect("unique rows", len(np.unique(events, axis=0)), len(events)))
    files = [os.path.join(FOLDER, f) for f in os.listdir(FOLDER)]
    size = sum(os.path.getsize(f) for f in files if os.path.isfile(f))
    tap.case("all of it is at most 8 MiB", [] if size <= 8 << 20 else [f"{size} bytes"])
    tap.finish()


main()

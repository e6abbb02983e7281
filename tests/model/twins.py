"""Twins of every sort, small and trained for a moment, for tests of what is made of an artifact."""
import json
import os
import subprocess

import numpy as np


def trained(bench, scratch, x, definition_json):
    """Trained for a moment: an artifact, and the events."""
    definition, artifact, events = (os.path.join(scratch, n) for n in ("twin.json", "twin.safetensors", "x.npy"))
    np.save(events, x)
    with open(definition, "w") as file:
        json.dump(definition_json, file)
    subprocess.run([bench, "--train", definition, events, artifact, "--epochs", "4", "--rate", "0.01", "--quiet"],
                   stdout=subprocess.DEVNULL, check=True)
    return artifact, events


SMALL = {"blocks": 3, "hidden": [8], "bins": 4}


def ensemble():
    return (np.random.default_rng(1).normal(size=(1000, 2)).astype(np.float32),
            {"name": "e", "features": [{"name": "a"}, {"name": "b", "min": -9, "max": 9}], "model": {**SMALL, "members": 3}})


def classes(**more):
    """Features that come and go, an angle before the one that stays among them, and discrete ones; the last event is of a
    class that the others do not have."""
    draw = np.random.default_rng(2)
    n, k = 1000, draw.integers(1, 4, 1000)
    x = np.stack([draw.uniform(-3, 3, n), draw.normal(size=n) + k, k, draw.uniform(-3, 3, n), draw.exponential(size=n),
                  draw.integers(0, 2, n)], 1).astype(np.float32)
    x[k < 2, 0] = x[k < 3, 4] = x[draw.random(n) < 0.3, 5] = np.nan
    x[-1] = [1, 0, 1, 1, 1, 1]
    circle = {"kind": "periodic", "min": -np.pi, "max": np.pi}
    features = [{"name": "phi2", "optional": True, **circle}, {"name": "a"},
                {"name": "k", "kind": "discrete", "min": 1, "max": 3}, {"name": "phi1", **circle},
                {"name": "pt", "transform": "log", "optional": True},
                {"name": "tag", "kind": "discrete", "min": 0, "max": 1, "optional": True}]
    return x, {"name": "c", "features": features, **more}


def mass():
    """A mass in place of the second momentum, beside classes: rows and features are numbered differently."""
    draw = np.random.default_rng(3)
    n = 1000
    momentum, angle = lambda: draw.lognormal(3, 0.3, n), lambda: draw.uniform(-3, 3, n)
    x = np.stack([draw.integers(0, 3, n), momentum(), draw.normal(size=n), angle(), draw.normal(size=n), momentum(),
                  draw.normal(size=n), angle()], 1).astype(np.float32)
    x[x[:, 0] < 1, 4] = np.nan
    circle = {"kind": "periodic", "min": -np.pi, "max": np.pi}
    particle = lambda k: [{"name": f"pt{k}", "transform": "log"}, {"name": f"eta{k}"}, {"name": f"phi{k}", **circle}]
    pair = {"name": "m", "kind": "mass", "of": [[f"pt{k}", f"eta{k}", f"phi{k}", 0.1] for k in (1, 2)], "replaces": "pt2"}
    features = [{"name": "n", "kind": "discrete", "min": 0, "max": 2}, *particle(1), {"name": "tag", "optional": True},
                *particle(2)]
    return x, {"name": "m", "features": features, "model": {**SMALL, "coordinates": [pair]}}

"""Events whose truth is known, for tests of the whole daemon: a small twin that trains in a second."""
import numpy as np

DEFINITION = {
    "name": "toy",
    "model": {"kind": "flow", "blocks": 2, "hidden": [24], "bins": 6},
    "features": [
        {"name": "pt", "unit": "GeV", "transform": "log", "min": 20},
        {"name": "eta"},
        {"name": "phi", "unit": "rad", "kind": "periodic", "min": -np.pi, "max": np.pi},
        {"name": "x", "min": 0, "max": 1},
    ],
    "loop": {"window": 1000},
}


def events(n, seed, shift=0.0):
    """`shift` moves eta and correlates it with pt: a drift that a classifier sees in a thousand events when it is 0.5."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    pt = 20 + np.exp(3 + 0.5 * z)
    eta = rng.normal(size=n) * 1.5 + shift * (1 + z)
    phi = rng.vonmises(0.5, 0.7, size=n)
    x = rng.beta(1.5 + shift, 1.5, size=n)
    return np.column_stack([pt, eta, phi, x]).astype(np.float32)


def batches(rows, size):
    return [rows[i:i + size] for i in range(0, len(rows), size)]

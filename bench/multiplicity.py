#!/usr/bin/env python3
"""One twin for Z -> mu mu with 1, 2 or 3 jets: the number of jets, and jets that are not there.

Reads events with the columns n_jets, mum_(pt eta phi), mup_(pt eta phi), j1..j3_(pt eta phi m), where a jet that is not
there is 0; makes it NaN, and so the mass of a jet that has none (a single particle, zero up to rounding). Trains on the
first rows, samples as many events as are held out, and prints one JSON object:

  auc, floor   area under the ROC curve of boosted trees (scripts/judge.py, or scikit-learn's) for samples against held-out
               data, and data against data; the trees also see m_mumu, pt_mumu and the distance of each pair of objects
  n_jets       for each number of jets the share in data and samples, and their difference in standard errors
  marginals    for each column chi2 / bin over 20 bins of equal content of the rows that have it, and the share of rows that
               have it, as the shares above

Needs: a built twin-bench; numpy; with --sklearn: pip install scikit-learn
Run:   python3 bench/multiplicity.py build-release/bench/twin-bench EVENTS.npy --train 0:110000
"""
import argparse
import importlib.util
import itertools
import json
import os
import pathlib
import subprocess
import tempfile

import numpy as np

PI, MUON, MASSLESS = 3.141592653589793, 0.10566, 0.05
OBJECTS = ["mum", "mup", "j1", "j2", "j3"]
spec = importlib.util.spec_from_file_location("judge", pathlib.Path(__file__).resolve().parents[1] / "scripts" / "judge.py")
judge = importlib.util.module_from_spec(spec)
spec.loader.exec_module(judge)


def definition(most, model):
    """What is declared: which columns may be absent, and that n_jets is a number of jets."""
    momentum = lambda name, low, **more: {"name": f"{name}_pt", "unit": "GeV", "transform": "log", "min": low, **more}
    angle = lambda name, **more: {"name": f"{name}_phi", "unit": "rad", "kind": "periodic", "min": -PI, "max": PI, **more}
    features = [{"name": "n_jets", "kind": "discrete", "min": 1, "max": most}]
    for name in OBJECTS:
        jet, absent = name[0] == "j", {"optional": True} if name in ("j2", "j3") else {}
        features += [momentum(name, 20 if jet else 0, **absent), {"name": f"{name}_eta", **absent}, angle(name, **absent)]
        if jet:
            features.append({"name": f"{name}_m", "unit": "GeV", "transform": "log", "min": MASSLESS, "optional": True})
    return {"name": "zjets", "features": features, "model": model}


def events(path):
    x = np.load(path).astype(np.float32)
    for k in (1, 2, 3):
        jet = x[:, 3 + 4 * k:7 + 4 * k]
        jet[x[:, 0] < k] = np.nan
        jet[jet[:, 3] <= MASSLESS, 3] = np.nan
    return x


def columns(x):
    """Columns and what they hide; what is absent lies below everything."""
    x = np.asarray(x, np.float64)
    at = {name: 1 + 3 * i if i < 2 else 7 + 4 * (i - 2) for i, name in enumerate(OBJECTS)}
    vector = lambda i: x[:, i:i + 1] * np.column_stack([np.cos(x[:, i + 2]), np.sin(x[:, i + 2]), np.sinh(x[:, i + 1])])
    a, b = vector(at["mum"]), vector(at["mup"])
    energy = np.sqrt((a ** 2).sum(1) + MUON ** 2) + np.sqrt((b ** 2).sum(1) + MUON ** 2)
    seen = [x, np.sqrt(np.maximum(energy ** 2 - ((a + b) ** 2).sum(1), 0)), np.hypot(*(a + b)[:, :2].T)]
    for p, q in itertools.combinations(OBJECTS, 2):
        i, j = at[p], at[q]
        seen.append(np.hypot(x[:, i + 1] - x[:, j + 1], judge.wrap(x[:, i + 2] - x[:, j + 2])))
    return np.nan_to_num(np.column_stack(seen), nan=-1e3)


def area(a, b, sklearn):
    """ROC area of a against b, half of the rows to train and half to test."""
    n = min(len(a), len(b))
    x, labels = columns(np.concatenate([a[:n], b[:n]])), np.r_[np.ones(n, bool), np.zeros(n, bool)]
    order = np.random.default_rng(0).permutation(2 * n)
    train, test = order[:n], order[n:]
    if sklearn:
        from sklearn.ensemble import HistGradientBoostingClassifier
        trees = HistGradientBoostingClassifier(max_iter=300, learning_rate=0.05, early_stopping=True, random_state=0)
        score = trees.fit(x[train], labels[train]).decision_function(x[test])
    else:
        score = judge.Trees().fit(x[train], labels[train]).score(x[test])
    return round(float(judge.area(score, labels[test])), 4)


def shares(of, data, samples, trained):
    """Of held-out data and samples; their difference in errors of both, and of the rows that the model counted."""
    a, b = of(data).mean(), of(samples).mean()
    error = np.sqrt(a * (1 - a) * (1 / len(data) + 1 / trained) + b * (1 - b) / len(samples))
    return {"data": round(float(a), 6), "samples": round(float(b), 6), "sigma": round(float((b - a) / error), 2) if error else 0}


def marginal(a, b):
    """chi2 / bin of the values that are there, each sample normalised to itself."""
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    edges = np.unique(np.quantile(a, np.linspace(0, 1, 21)))
    p, q = (np.histogram(np.clip(v, edges[0], edges[-1]), edges)[0] for v in (a, b))
    scale = len(a) / len(b)
    return round(float(np.mean((p - scale * q) ** 2 / np.maximum(p + scale ** 2 * q, 1))), 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench")
    parser.add_argument("events")
    parser.add_argument("--train", default="0:110000", help="A:B: rows to train on; what follows is held out")
    parser.add_argument("--model", default="{}", help="JSON of the definition's model")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--sklearn", action="store_true")
    parser.add_argument("--keep", help="folder for the artifact and the samples")
    options = parser.parse_args()
    x = events(options.events)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(options.keep or scratch)
        folder.mkdir(exist_ok=True)
        declared = definition(int(x[:, 0].max()) + 1, json.loads(options.model))
        (folder / "definition.json").write_text(json.dumps(declared))
        np.save(folder / "events.npy", x)
        first, last = map(int, options.train.split(":"))
        held = x[last:]
        run = lambda *words: subprocess.run([options.bench, *map(str, words)], check=True, stdout=subprocess.PIPE).stdout
        trained = json.loads(run("--train", folder / "definition.json", folder / "events.npy", folder / "twin.safetensors",
                                 "--rows", options.train, "--threads", options.threads))
        run("--sample", folder / "twin.safetensors", len(held), folder / "samples.npy", "--seed", "1")
        samples = np.load(folder / "samples.npy")
    names = [f["name"] for f in declared["features"]]
    half = len(held) // 2
    print(json.dumps({
        "auc": area(samples, held, options.sklearn), "floor": area(held[:half], held[half:], options.sklearn),
        "held_out_events": len(held), **{k: trained[k] for k in ("cpu_seconds", "epochs", "held_out_log_prob")},
        "n_jets": {n: shares(lambda v: v[:, 0] == n, held, samples, last - first) for n in range(1, 7)},
        "marginals": {name: {"chi2": marginal(held[:, i], samples[:, i]),
                             **shares(lambda v: ~np.isnan(v[:, i]), held, samples, last - first)} for i, name in enumerate(names) if i},
    }, indent=1))


if __name__ == "__main__":
    main()

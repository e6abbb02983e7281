#!/usr/bin/env python3
"""What the band of an ensemble covers.

    bench/coverage.py BUILD/bench/twin-bench                                   a toy of known density
    bench/coverage.py BUILD/bench/twin-bench --truth data/zjets.json TWIN      events of a frozen twin

For each number of rows, many independent data sets of the same truth are drawn, an ensemble is trained on each, and its
histogram of every feature is compared, bin by bin,

    with the truth (of 10^6 events):       |truth - twin| < sqrt(model^2 + statistical^2), statistical: that of the draws
    with other data of the same size:      the same with the data's own error as well, as a page shows it

where the errors are those of /v1/twins/{twin}/histograms (src/stat/band.h). Bins are uniform between the 1 % and 99 %
quantiles of the truth. A table is printed: the share of bins that are covered by one error and by the multiple for 95 %,
with its error over data sets, what each feature has, and what the errors are made of (root mean squares over bins, in per mille of all events): the spread of the members, the scatter of the
ensemble over data sets, which the spread is to predict, and the bias, which it cannot know.
"""
import argparse
import json
import os
import subprocess
import tempfile

import numpy as np

TOY = [{"name": "pt", "transform": "log", "min": 20}, {"name": "eta"},
       {"name": "phi", "kind": "periodic", "min": -np.pi, "max": np.pi}, {"name": "u", "min": 0, "max": 1}, {"name": "two"}]


def toy(n, seed):
    """A long tail, correlated normals, an angle, a hard edge and two peaks."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(3, n))
    two = np.where(rng.random(n) < 0.35, -1.5 + 0.4 * rng.normal(size=n), 0.8 + 0.7 * rng.normal(size=n)) + 0.3 * b
    columns = [20 + np.exp(3 + 0.5 * a), 0.8 * b + 0.5 * a, rng.vonmises(0.5, 0.7, n), 1 / (1 + np.exp(-b - 0.6 * c)), two]
    return np.stack(columns, 1).astype("f4")


def one_error(freedom):
    """Within how many standard errors 68.3 % of Student's t lie (src/stat/band.c)."""
    return 1 + 1 / (2 * freedom) + 1 / (4 * freedom ** 2) + 1 / (16 * freedom ** 3)


def two_errors(freedom):
    """The multiple of that which covers 95 %."""
    x = np.linspace(0, 60, 600001)
    inside = np.cumsum((1 + x * x / freedom) ** (-(freedom + 1) / 2))
    return x[np.searchsorted(inside / inside[-1], 0.95)] / one_error(freedom)


class Campaign:
    def __init__(self, arguments, folder):
        self.a, self.folder = arguments, folder
        if arguments.truth:
            with open(arguments.truth[0]) as file:
                self.features = json.load(file)["features"]
        else:
            self.features = TOY
        model = {**json.loads(arguments.model), "members": arguments.members}
        with open(self.path("twin.json"), "w") as file:
            json.dump({"name": "coverage", "features": self.features, "model": model}, file)
        truth = self.draw(10 ** 6, 1)
        self.edges = [np.linspace(*np.quantile(truth[:, f], [0.01, 0.99]), arguments.bins + 1)
                      for f in range(len(self.features))]
        self.truth = self.counts(truth) / len(truth)

    def path(self, name):
        return os.path.join(self.folder, name)

    def bench(self, *words):
        run = subprocess.run([self.a.bench, *map(str, words)], capture_output=True, text=True, check=True)
        return json.loads(run.stdout)

    def draw(self, n, seed):
        if not self.a.truth:
            return toy(n, seed)
        self.bench("--sample", self.a.truth[1], n, self.path("truth.npy"), "--seed", seed)
        return np.load(self.path("truth.npy"))

    def places(self, values):
        """(n, features): bins; -1 and `bins` outside."""
        return np.stack([np.searchsorted(e, values[:, f], "right") - 1 for f, e in enumerate(self.edges)], 1)

    def counts(self, values):
        places = self.places(values)
        return np.array([[np.sum(p == b) for b in range(self.a.bins)] for p in places.T])

    def twin(self, seed):
        """Mean, statistical and model variance of the ensemble's shares (features, bins), as src/stat/band.c."""
        members, n = self.a.members, self.a.samples
        hits = []
        for m in range(members):
            self.bench("--sample", self.path("twin"), n, self.path("samples.npy"), "--seed", seed, "--member", m)
            hits.append(self.places(np.load(self.path("samples.npy"))))
        hits = np.array(hits)
        shape = (len(self.features), self.a.bins)
        mean, squares, model = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        for f, b in np.ndindex(shape):
            inside = hits[:, :, f] == b
            y = inside.mean(0)
            mean[f, b], squares[f, b] = y.sum(), (y * y).sum()
            scatter = inside.sum(1).var() * members - members * (y * (1 - y)).sum()
            model[f, b] = max(scatter / (members - 1), 0) * (1 + 1 / members) * one_error(members - 1) ** 2
        return mean / n, squares / n ** 2, model / n ** 2

    def run(self, rows):
        found = []
        for t in range(self.a.trainings):
            np.save(self.path("rows.npy"), self.draw(rows, 1000 + self.a.seed + t))
            report = self.bench("--train", self.path("twin.json"), self.path("rows.npy"), self.path("twin"), "--seed",
                                self.a.seed + t + 1, "--quiet")
            other = self.counts(self.draw(rows, 500000 + self.a.seed + t)) / rows
            found.append([*self.twin(self.a.seed + t), other, np.full_like(other, report["epochs"])])
        return np.array(found).swapaxes(0, 1)


def share(covered):
    """Share of bins with its error over data sets, from (data sets, features, bins)."""
    each = covered.mean((1, 2))
    return f"{100 * each.mean():4.1f} +- {100 * each.std(ddof=1) / np.sqrt(len(each)):3.1f}"


def table(campaign, rows):
    mean, statistical, model, other, epochs = campaign.run(rows)
    members = campaign.a.members
    error, apart = np.sqrt(model + statistical), np.abs(campaign.truth - mean)
    data_error = np.sqrt(model + statistical + other / rows)
    print(f"\n{rows} rows, {len(mean)} data sets, {members} members, {epochs[:, 0, 0].mean():.0f} epochs")
    for name, of_truth, of_data in (("68.3", 1, 1), ("95.0", two_errors(members - 1), 1.96)):
        seen = np.abs(other - mean) < of_data * data_error
        print(f"  {name} %: truth {share(apart < of_truth * error)}, other data {share(seen)}")
    each = (apart < error).mean((0, 2))
    print("  by feature: " + ", ".join(f"{f['name']} {100 * c:.0f}" for f, c in zip(campaign.features, each)))
    scatter = np.maximum(mean.var(0, ddof=1) - statistical.mean(0), 0)
    bias = (mean.mean(0) - campaign.truth) ** 2 - mean.var(0, ddof=1) / len(mean)
    rms = [1e3 * np.sqrt(max(v.mean(), 0)) for v in (model, scatter, bias, statistical, other / rows)]
    print("  per mille: model {:.2f}, scatter {:.2f}, bias {:.2f}, draws {:.2f}, counts {:.2f}".format(*rms), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", help="twin-bench")
    parser.add_argument("--truth", nargs=2, metavar=("DEFINITION", "ARTIFACT"), help="events of this twin (the toy)")
    parser.add_argument("--rows", default="1000,3000,10000", help="numbers of rows (%(default)s)")
    parser.add_argument("--trainings", type=int, default=20, help="data sets of each (%(default)s)")
    parser.add_argument("--members", type=int, default=8, help="%(default)s")
    parser.add_argument("--samples", type=int, default=20000, help="of each member (%(default)s)")
    parser.add_argument("--bins", type=int, default=20, help="%(default)s")
    parser.add_argument("--model", default='{"blocks": 4, "hidden": [32, 32]}', help="JSON (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the campaign (%(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(arguments, folder)
        for rows in arguments.rows.split(","):
            table(campaign, int(rows))


if __name__ == "__main__":
    main()

"""A classifier that twin did not write: how well can somebody else tell two samples of Z -> mu mu + jet events apart?

`auc(a, b)` is the ROC area of gradient-boosted trees (histograms, logistic loss) on events that they were not trained
on: 0.5 for two samples of the same physics. The trees see the raw columns and what they hide: the mass and transverse
momentum of the muon pair, and the angles between the three objects. NumPy alone.
"""
import numpy as np

BINS = 64
MUON_MASS = 0.10566


def wrap(angle):
    return (angle + np.pi) % (2 * np.pi) - np.pi


def observables(x):
    """(events, 10) in the order of data/zjets.json -> (events, 16)."""
    x = np.asarray(x, np.float64)
    mum, mup, jet = x[:, 0:3], x[:, 3:6], x[:, 6:9]
    vector = lambda o: np.array([o[:, 0] * np.cos(o[:, 2]), o[:, 0] * np.sin(o[:, 2]), o[:, 0] * np.sinh(o[:, 1])])
    a, b = vector(mum), vector(mup)
    energy = np.sqrt((a ** 2).sum(0) + MUON_MASS ** 2) + np.sqrt((b ** 2).sum(0) + MUON_MASS ** 2)
    z = a + b
    mass = np.sqrt(np.maximum(energy ** 2 - (z ** 2).sum(0), 0))
    distance = lambda o, p: np.hypot(o[:, 1] - p[:, 1], wrap(o[:, 2] - p[:, 2]))
    return np.column_stack([x, mass, np.hypot(z[0], z[1]), np.abs(wrap(np.arctan2(z[1], z[0]) - jet[:, 2])),
                            distance(mum, mup), distance(mum, jet), distance(mup, jet)])


def area(scores, labels):
    """ROC area by ranks; ties count half."""
    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positive = labels.sum()
    return (ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * (len(labels) - positive))


class Trees:
    """Boosted trees over binned features; every tree is complete, `depth` levels deep."""

    def __init__(self, trees=150, depth=4, rate=0.1, ridge=1.0, least=40):
        self.trees, self.depth, self.rate, self.ridge, self.least = trees, depth, rate, ridge, least

    def bin(self, x):
        return np.column_stack([np.searchsorted(e, x[:, i], side="right") for i, e in enumerate(self.edges)])

    def grow(self, binned, gradient, hessian):
        """One tree: for each level the feature and bin to split each node at, and the values of the leaves."""
        rows, features = binned.shape
        node = np.zeros(rows, np.int64)
        splits = []
        for level in range(self.depth):
            nodes = 1 << level
            cell = (node[:, None] * features + np.arange(features)) * BINS + binned
            shape = (nodes, features, BINS)
            size = nodes * features * BINS
            total = [np.bincount(cell.ravel(), np.repeat(w, features), size).reshape(shape) for w in (gradient, hessian)]
            count = np.bincount(cell.ravel(), minlength=size).reshape(shape).cumsum(2)
            g, h = (t.cumsum(2) for t in total)
            gain = (g ** 2 / (h + self.ridge) + (g[..., -1:] - g) ** 2 / (h[..., -1:] - h + self.ridge)
                    - g[..., -1:] ** 2 / (h[..., -1:] + self.ridge))
            gain[(count < self.least) | (count[..., -1:] - count < self.least)] = 0
            best = gain.reshape(nodes, -1).argmax(1)
            feature, cut = best // BINS, best % BINS
            cut[gain.reshape(nodes, -1).max(1) <= 0] = BINS  # nothing to gain: everything stays on the left
            splits.append((feature, cut))
            node = 2 * node + (binned[np.arange(rows), feature[node]] > cut[node])
        leaves = 1 << self.depth
        value = -np.bincount(node, gradient, leaves) / (np.bincount(node, hessian, leaves) + self.ridge)
        return splits, self.rate * value, node

    def fit(self, x, labels):
        self.edges = [np.unique(np.quantile(x[:, i], np.linspace(0, 1, BINS + 1)[1:-1])) for i in range(x.shape[1])]
        binned = self.bin(x)
        score = np.zeros(len(x))
        self.grown = []
        for _ in range(self.trees):
            p = 1 / (1 + np.exp(-score))
            splits, value, node = self.grow(binned, p - labels, p * (1 - p))
            self.grown.append((splits, value))
            score += value[node]
        return self

    def score(self, x):
        binned = self.bin(x)
        rows = np.arange(len(x))
        out = np.zeros(len(x))
        for splits, value in self.grown:
            node = np.zeros(len(x), np.int64)
            for feature, cut in splits:
                node = 2 * node + (binned[rows, feature[node]] > cut[node])
            out += value[node]
        return out


def auc(a, b, seed=0):
    """(ROC area, its statistical error) of samples a against b: equally many of each, half to train and half to test."""
    n = min(len(a), len(b))
    x = observables(np.concatenate([a[:n], b[:n]]))
    labels = np.r_[np.ones(n, bool), np.zeros(n, bool)]
    order = np.random.default_rng(seed).permutation(2 * n)
    train, test = order[:n], order[n:]
    score = Trees().fit(x[train], labels[train]).score(x[test])
    return area(score, labels[test]), 0.41 / np.sqrt(n / 2)

#!/usr/bin/env python3
"""Golden flows from an independent implementation: PyTorch with the splines of nflows, in double.

For each flow: NAME.safetensors (docs/model-format.md), NAME_x.npy (events, raw units, float32), NAME_log_prob.npy
(float64), NAME_z.npy (points of the base, float32) and NAME_y.npy (their images in the flow's coordinates, float64).

flow_tails   every feature real; blocks, coupling and splines are nflows' own classes
flow_mixed   features of all kinds, two conditions at their defaults, no torus
flow_torus   three angles relative to the first of them, cosines up to the second harmonic
flow_single  one bounded feature, whose network has no inputs

Needs: pip install torch nflows
Run:   python make_flow.py, in this folder
"""
import json
import struct

import numpy as np
import torch
from nflows.transforms import CompositeTransform, PiecewiseRationalQuadraticCouplingTransform
from nflows.transforms.splines.rational_quadratic import rational_quadratic_spline, unconstrained_rational_quadratic_spline

torch.set_default_dtype(torch.float64)
EVENTS, MINIMUM = 256, 1e-3
LIMITS = dict(min_bin_width=MINIMUM, min_bin_height=MINIMUM, min_derivative=MINIMUM)


def wrap(a):
    return a - 2 * np.pi * torch.floor((a + np.pi) / (2 * np.pi))


def kind_of(feature):
    if feature.get("kind") == "periodic":
        return "periodic"
    if feature.get("transform") == "log":
        return "log"
    return "bounded" if "min" in feature and "max" in feature else "real"


class Net(torch.nn.Module):
    def __init__(self, inputs, hidden, outputs, activation, generator, spread):
        super().__init__()
        widths = [inputs] + hidden + [outputs] if inputs else [0, outputs]
        self.activation = {"relu": torch.relu, "silu": torch.nn.functional.silu, "tanh": torch.tanh}[activation]
        self.weights, self.biases = [], []
        for a, b in zip(widths, widths[1:]):
            draw = lambda *shape: torch.rand(*shape, generator=generator) * 2 - 1
            self.weights.append((draw(b, a) * spread * (3 / max(a, 1)) ** 0.5).float().double())
            self.biases.append((draw(b) * spread).float().double())

    def forward(self, x, context=None):
        for i, (w, b) in enumerate(zip(self.weights, self.biases)):
            x = x @ w.T + b
            if i + 1 < len(self.weights):
                x = self.activation(x)
        return x


class Flow:
    def __init__(self, features, conditions, model, generator, spread):
        self.features, self.conditions, self.model = features, conditions, model
        self.kinds = [kind_of(f) for f in features]
        single = lambda low, high: (torch.rand(len(features), generator=generator) * (high - low) + low).float().double()
        real = torch.tensor([k in ("real", "log") for k in self.kinds])
        self.mean = torch.where(real, single(-0.5, 0.5), torch.zeros(()))
        self.width = torch.where(real, single(0.5, 2), torch.ones(()))
        self.condition_mean = torch.tensor([0.11, -0.2][:len(conditions)]).float().double()
        self.condition_width = torch.tensor([0.02, 1.5][:len(conditions)]).float().double()
        self.nets = [Net(self.inputs(mask), model["hidden"], sum(self.rows(f) for f, m in enumerate(mask) if m == "1"),
                         model["activation"], generator, spread) for mask in model["masks"]]

    def rows(self, f):
        return 3 * self.model["bins"] + (1 if self.kinds[f] in ("bounded", "periodic") else -1)

    def inputs(self, mask):
        return len(self.conditions) + sum((2 * self.model["harmonics"] if self.kinds[f] == "periodic" else 1)
                                          for f, m in enumerate(mask) if m == "0")

    def embed(self, y, mask):
        rows = []
        for f, m in enumerate(mask):
            if m == "1":
                continue
            if self.kinds[f] == "periodic":
                for k in range(1, self.model["harmonics"] + 1):
                    rows += [torch.cos(k * y[:, f]), torch.sin(k * y[:, f])]
            else:
                rows.append(y[:, f] * (3 ** 0.5 / self.model["bound"] if self.kinds[f] == "bounded" else 1))
        values = torch.tensor([c["value"] for c in self.conditions])
        values = torch.as_tensor(np.float64(np.float32(values.numpy())))
        rows += [((values[i] - self.condition_mean[i]) / self.condition_width[i]).expand(len(y))
                 for i in range(len(self.conditions))]
        return torch.stack(rows, 1) if rows else torch.zeros(len(y), 0)

    def spline(self, f, x, p, inverse):
        bins, bound, kind = self.model["bins"], self.model["bound"], self.kinds[f]
        w, h, s = p[:, :bins], p[:, bins:2 * bins], p[:, 2 * bins:]
        if kind in ("real", "log"):
            return unconstrained_rational_quadratic_spline(x, w, h, s, inverse=inverse, tails="linear",
                                                           tail_bound=bound, **LIMITS)
        reach = np.pi if kind == "periodic" else bound
        box = dict(left=-reach, right=reach, bottom=-reach, top=reach, inverse=inverse, **LIMITS)
        if kind == "bounded":
            return rational_quadratic_spline(x, w, h, s, **box)
        shift, s = s[:, bins], torch.cat([s[:, :bins], s[:, :1]], 1)
        if inverse:
            return rational_quadratic_spline(wrap(x - shift), w, h, s, **box)
        y, log_det = rational_quadratic_spline(x, w, h, s, **box)
        return wrap(y + shift), log_det

    def block(self, b, y, inverse):
        mask, y, total, at = self.model["masks"][b], y.clone(), torch.zeros(len(y)), 0
        p = self.nets[b](self.embed(y, mask))
        for f, m in enumerate(mask):
            if m == "1":
                y[:, f], log_det = self.spline(f, y[:, f], p[:, at:at + self.rows(f)], inverse)
                total, at = total + log_det, at + self.rows(f)
        return y, total

    def forward(self, y):
        total = torch.zeros(len(y))
        for b in range(len(self.nets)):
            y, log_det = self.block(b, y, False)
            total = total + log_det
        return y, total

    def inverse(self, z):
        for b in reversed(range(len(self.nets))):
            z, _ = self.block(b, z, True)
        return z

    # features <-> coordinates

    def circles(self):
        first, result = {}, []
        for f, feature in enumerate(self.features):
            key = (feature.get("min"), feature.get("max")) if self.kinds[f] == "periodic" else f
            result.append(first.setdefault(key, f))
        return result

    def to_y(self, x):
        x, y, jacobian = torch.as_tensor(np.float64(x)), torch.zeros(len(x), len(self.kinds)), torch.zeros(len(x))
        for f, feature in enumerate(self.features):
            kind, v = self.kinds[f], x[:, f]
            if kind in ("bounded", "periodic"):
                reach, low, high = np.pi if kind == "periodic" else self.model["bound"], feature["min"], feature["max"]
                y[:, f] = reach * (2 * (v - low) / (high - low) - 1)
                y[:, f] = wrap(y[:, f]) if kind == "periodic" else y[:, f]
                jacobian = jacobian + np.log(2 * reach / (high - low))
            else:
                u = torch.log(v - feature["min"]) if kind == "log" else v
                y[:, f] = (u - self.mean[f]) / self.width[f]
                jacobian = jacobian - torch.log(self.width[f]) - (u if kind == "log" else 0)
        if self.model["torus"]:
            for f, first in reversed(list(enumerate(self.circles()))):
                if first != f:
                    y[:, f] = wrap(y[:, f] - y[:, first])
        return y, jacobian

    def to_x(self, y):
        x = torch.zeros_like(y)
        for f, feature in enumerate(self.features):
            kind, v = self.kinds[f], y[:, f]
            if self.model["torus"] and kind == "periodic" and self.circles()[f] != f:
                v = wrap(v + y[:, self.circles()[f]])
            if kind in ("bounded", "periodic"):
                reach = np.pi if kind == "periodic" else self.model["bound"]
                x[:, f] = feature["min"] + (feature["max"] - feature["min"]) * (v / reach + 1) / 2
            else:
                u = self.mean[f] + self.width[f] * v
                x[:, f] = feature["min"] + torch.exp(u) if kind == "log" else u
        return x.numpy().astype(np.float32)

    def draw(self, generator):
        z = torch.zeros(EVENTS, len(self.kinds))
        for f, kind in enumerate(self.kinds):
            uniform = torch.rand(EVENTS, generator=generator) * 2 - 1
            reach = np.pi if kind == "periodic" else self.model["bound"]
            z[:, f] = uniform * reach if kind in ("bounded", "periodic") else torch.randn(EVENTS, generator=generator) * 2
        return z.float().double()

    def base(self, z):
        total = torch.zeros(len(z))
        for f, kind in enumerate(self.kinds):
            if kind in ("bounded", "periodic"):
                total = total - np.log(2 * (np.pi if kind == "periodic" else self.model["bound"]))
            else:
                total = total - z[:, f] ** 2 / 2 - np.log(2 * np.pi) / 2
        return total


class NflowsChain(Flow):
    """The same, its blocks from nflows' classes: features of the mask are transformed, parameters by feature."""

    def chain(self):
        def net(b):
            return lambda inputs, outputs: self.nets[b]
        return CompositeTransform([PiecewiseRationalQuadraticCouplingTransform(
            [int(m) for m in mask], net(b), num_bins=self.model["bins"], tails="linear",
            tail_bound=self.model["bound"], **LIMITS) for b, mask in enumerate(self.model["masks"])])

    def forward(self, y):
        return self.chain()(y)

    def inverse(self, z):
        return self.chain().inverse(z)[0]


def write(name, flow):
    tensors = {"statistics/mean": flow.mean, "statistics/width": flow.width}
    if flow.conditions:
        tensors |= {"statistics/condition_mean": flow.condition_mean, "statistics/condition_width": flow.condition_width}
    for b, net in enumerate(flow.nets):
        for i, (w, bias) in enumerate(zip(net.weights, net.biases)):
            tensors |= {f"parameters/block{b}/{i}/weight": w, f"parameters/block{b}/{i}/bias": bias}
    meta = {"format": 1, "library": "golden", "kind": "flow", "model": {"kind": "flow"} | flow.model,
            "features": flow.features, "conditions": flow.conditions, "twin": name, "seed": "0", "parent": "",
            "cause": "import", "kernels": "torch " + torch.__version__}
    header, offset = {"__metadata__": {"twin": json.dumps(meta)}}, 0
    for key, t in tensors.items():
        header[key] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [offset, offset + 4 * t.numel()]}
        offset += 4 * t.numel()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(name + ".safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for t in tensors.values():
            file.write(t.numpy().astype("<f4").tobytes())


def make(name, flow, generator):
    write(name, flow)
    with torch.no_grad():
        z = flow.draw(generator)
        y = flow.inverse(z)
        x = flow.to_x(y)
        coordinates, jacobian = flow.to_y(x)
        image, log_det = flow.forward(coordinates)
        log_prob = flow.base(image) + log_det + jacobian
    np.save(name + "_x.npy", x)
    np.save(name + "_log_prob.npy", log_prob.numpy())
    np.save(name + "_z.npy", z.numpy().astype(np.float32))
    np.save(name + "_y.npy", y.numpy())
    print(f"{name}: log p from {log_prob.min():.3f} to {log_prob.max():.3f}, mean {log_prob.mean():.4f}")


def main():
    angle = dict(kind="periodic", min=-np.pi, max=np.pi)
    arch = dict(hidden=[8, 6], bins=5, bound=4.0, harmonics=1, torus=False)
    pairs = lambda *halves: [m for h in halves for m in (h, "".join("10"[int(c)] for c in h))]
    flows = {
        "flow_tails": (NflowsChain, [dict(name=f"x{i}") for i in range(4)], [],
                       arch | dict(blocks=4, activation="relu", masks=pairs("0011", "0101"))),
        "flow_mixed": (Flow, [dict(name="pt", transform="log", min=20.0), dict(name="eta"),
                              dict(name="phi", **angle), dict(name="u", min=-1.0, max=2.0),
                              dict(name="degrees", kind="periodic", min=0.0, max=360.0)],
                       [dict(name="alpha", min=0.1, max=0.15, value=0.12), dict(name="beta", value=0.5)],
                       arch | dict(blocks=4, activation="silu", masks=pairs("00111", "10100"))),
        "flow_torus": (Flow, [dict(name="a", **angle), dict(name="pt", transform="log", min=0.0),
                              dict(name="b", **angle), dict(name="c", **angle)], [],
                       arch | dict(blocks=4, activation="tanh", harmonics=2, torus=True, masks=pairs("0011", "0110"))),
        "flow_single": (Flow, [dict(name="u", min=0.0, max=1.0)], [],
                        arch | dict(blocks=2, activation="silu", masks=["1", "1"])),
    }
    for seed, (name, (maker, features, conditions, model)) in enumerate(flows.items()):
        generator = torch.Generator().manual_seed(seed + 1)
        make(name, maker(features, conditions, model, generator, 0.5), generator)


if __name__ == "__main__":
    main()

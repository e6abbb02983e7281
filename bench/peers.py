#!/usr/bin/env python3
"""The flow of twin-bench --json in one of the libraries that people use for it, to be timed beside ours.

The flow: D features, L coupling blocks that each move half of the features, a ReLU network with two hidden layers of H,
rational-quadratic splines of K bins on [-5, 5] with identity tails, a normal base, float32, one thread, the random
numbers and Adam of the library. Each library gets the form that its own users would choose for speed; FlowJAX and
torch.compile are compiled for the shape before anything is timed.

A measurement is asked for by a line on stdin, NAME SECONDS, and answered by a line of JSON, so that several libraries,
each in a process of its own, can be timed in turn without being loaded and compiled again:

  log_prob   events a second, of a batch of 2048        sample     the same
  train      the same for a step of Adam on 1024        single     milliseconds for log_prob of one event

`seconds` is how long each is repeated; the shortest time counts. At the end of stdin the peak of the resident memory is
told, in MiB.

Run: peers.py PEER [--features D --blocks L --hidden H --bins K --batch N]
"""
import argparse
import json
import os
import resource
import sys
import time

PEERS = ("torch-compile", "torch-compile-256", "torch-eager", "flowjax", "nflows")
BOUND = 5.0

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("peer", choices=PEERS)
parser.add_argument("--features", type=int, default=16)
parser.add_argument("--blocks", type=int, default=8)
parser.add_argument("--hidden", type=int, default=128)
parser.add_argument("--bins", type=int, default=8)
parser.add_argument("--batch", type=int, default=1024, help="of a training step")
args = parser.parse_args()
D, L, H, K, TRAIN = args.features, args.blocks, args.hidden, args.bins, args.batch
EVAL = 2048
HALF = D // 2
if D % 2:
    parser.error("an even number of features is needed")


def shortest(call, seconds):
    begin, best = time.perf_counter(), float("inf")
    while True:
        start = time.perf_counter()
        call()
        end = time.perf_counter()
        best = min(best, end - start)
        if end - begin >= seconds:
            return best


def torch_spline(x, p, inverse):
    """Durkan et al. 2019 (arXiv:1906.04032), eqs. 4 to 8: p holds K widths, K heights and K - 1 slopes a feature."""
    import torch
    from torch.nn.functional import pad, softmax, softplus

    def edges(logits):
        size = 1e-3 + (1 - 1e-3 * K) * softmax(logits, -1)
        return pad(2 * BOUND * size.cumsum(-1), (1, 0)) - BOUND

    xs, ys = edges(p[..., :K]), edges(p[..., K:2 * K])
    slopes = pad(1e-3 + softplus(p[..., 2 * K:]), (1, 1), value=1.0)
    inside = x.abs() < BOUND
    v = x.clamp(-BOUND + 1e-4, BOUND - 1e-4)
    bin_of = (v.unsqueeze(-1) >= (ys if inverse else xs)[..., 1:-1]).sum(-1, keepdim=True)
    at = lambda table, shift: table.gather(-1, bin_of + shift).squeeze(-1)
    left, low, before, after = at(xs, 0), at(ys, 0), at(slopes, 0), at(slopes, 1)
    width, height = at(xs, 1) - left, at(ys, 1) - low
    chord = height / width
    bend = before + after - 2 * chord
    if inverse:
        rise = v - low
        a, b, c = height * (chord - before) + rise * bend, height * before - rise * bend, -chord * rise
        t = 2 * c / (-b - (b * b - 4 * a * c).clamp_min(0).sqrt())
        to = left + t * width
    else:
        t = (v - left) / width
    mixed = t * (1 - t)
    below = chord + bend * mixed
    if not inverse:
        to = low + height * (chord * t * t + before * mixed) / below
    log_slope = torch.log(chord ** 2 * (after * t * t + 2 * chord * mixed + before * (1 - t) ** 2) / below ** 2)
    log_slope = -log_slope if inverse else log_slope
    return torch.where(inside, to, x), torch.where(inside, log_slope, torch.zeros_like(x)).sum(-1)


def torch_steps(compiled, vector_bits=None):
    """vector_bits: what the compiler writes for, where it is not to take the widest vectors that there are. With rows of 7
    slopes and 8 bins those of 512 bits stay half empty, and are slower than those of 256."""
    import torch
    from torch import nn
    torch.set_num_threads(1)
    if vector_bits:
        import torch._inductor.config
        torch._inductor.config.cpp.simdlen = vector_bits

    class Flow(nn.Module):
        def __init__(self):
            super().__init__()
            self.nets = nn.ModuleList(
                nn.Sequential(nn.Linear(HALF, H), nn.ReLU(), nn.Linear(H, H), nn.ReLU(),
                              nn.Linear(H, HALF * (3 * K - 1))) for _ in range(L))

        def parameters_of(self, net, kept):
            return net(kept).unflatten(-1, (HALF, 3 * K - 1))

        def log_prob(self, x):
            a, b, total = x[:, :HALF], x[:, HALF:], 0
            for net in self.nets:
                b, log_slope = torch_spline(b, self.parameters_of(net, a), False)
                total = total + log_slope
                a, b = b, a
            return total - 0.5 * (a.square().sum(-1) + b.square().sum(-1)) - D * 0.91893853320467274

        def sample(self, z):
            a, b = z[:, :HALF], z[:, HALF:]
            for net in reversed(self.nets):
                a, b = b, a
                b = torch_spline(b, self.parameters_of(net, a), True)[0]
            return torch.cat((a, b), -1)

    flow = Flow()
    log_prob, sample = (torch.compile(f, dynamic=False) if compiled else f for f in (flow.log_prob, flow.sample))
    optimiser = torch.optim.Adam(flow.parameters(), 1e-4, fused=True)
    batch, train, one = torch.randn(EVAL, D), torch.randn(TRAIN, D), torch.randn(1, D)

    def step():
        optimiser.zero_grad()
        (-log_prob(train).mean()).backward()
        optimiser.step()

    return {"log_prob": torch.no_grad()(lambda: log_prob(batch)), "train": step,
            "sample": torch.no_grad()(lambda: sample(torch.randn(EVAL, D))),
            "single": torch.no_grad()(lambda: log_prob(one))}, f"PyTorch {torch.__version__}"


def nflows_steps():
    import torch
    from nflows.distributions import StandardNormal
    from nflows.flows import Flow
    from nflows.transforms import CompositeTransform, PiecewiseRationalQuadraticCouplingTransform
    from torch import nn
    torch.set_num_threads(1)

    class Net(nn.Sequential):
        def __init__(self, inputs, outputs):
            super().__init__(nn.Linear(inputs, H), nn.ReLU(), nn.Linear(H, H), nn.ReLU(), nn.Linear(H, outputs))

        def forward(self, x, context=None):
            return super().forward(x)

    masks = [[(f + block) % 2 for f in range(D)] for block in range(L)]
    flow = Flow(CompositeTransform([PiecewiseRationalQuadraticCouplingTransform(
        mask, Net, num_bins=K, tails="linear", tail_bound=BOUND) for mask in masks]), StandardNormal([D]))
    optimiser = torch.optim.Adam(flow.parameters(), 1e-4)
    batch, train, one = torch.randn(EVAL, D), torch.randn(TRAIN, D), torch.randn(1, D)

    def step():
        optimiser.zero_grad()
        (-flow.log_prob(train).mean()).backward()
        optimiser.step()

    return {"log_prob": torch.no_grad()(lambda: flow.log_prob(batch)), "train": step,
            "sample": torch.no_grad()(lambda: flow.sample(EVAL)),
            "single": torch.no_grad()(lambda: flow.log_prob(one))}, f"nflows on PyTorch {torch.__version__}"


def flowjax_steps():
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from importlib.metadata import version

    import equinox
    import jax
    import optax
    import paramax
    from flowjax.bijections import RationalQuadraticSpline
    from flowjax.distributions import Normal
    from flowjax.flows import coupling_flow
    keys = iter(jax.random.split(jax.random.key(0), 5))
    flow = coupling_flow(next(keys), base_dist=Normal(jax.numpy.zeros(D)), flow_layers=L, nn_width=H, nn_depth=2,
                         transformer=RationalQuadraticSpline(knots=K, interval=BOUND), invert=False)
    batch, train, one = (jax.random.normal(next(keys), (n, D)) for n in (EVAL, TRAIN, 1))
    sample_key = next(keys)
    log_prob = equinox.filter_jit(lambda flow, x: flow.log_prob(x))
    sample = equinox.filter_jit(lambda flow, key: flow.sample(key, (EVAL,)))
    adam = optax.adam(1e-4)
    parameters, static = equinox.partition(flow, equinox.is_inexact_array)

    @equinox.filter_jit
    def update(parameters, state, x):
        loss = lambda p: -paramax.unwrap(equinox.combine(p, static)).log_prob(x).mean()
        value, gradient = equinox.filter_value_and_grad(loss)(parameters)
        change, state = adam.update(gradient, state)
        return equinox.apply_updates(parameters, change), state, value

    held = [parameters, adam.init(parameters)]

    def step():
        *held[:], value = update(*held, train)
        value.block_until_ready()

    return {"log_prob": lambda: log_prob(flow, batch).block_until_ready(), "train": step,
            "sample": lambda: sample(flow, sample_key).block_until_ready(),
            "single": lambda: log_prob(flow, one).block_until_ready()}, f"FlowJAX {version('flowjax')} on JAX {jax.__version__}"


def main():
    begin = time.perf_counter()
    steps, versions = (flowjax_steps() if args.peer == "flowjax" else nflows_steps() if args.peer == "nflows"
                       else torch_steps(args.peer != "torch-eager", 256 if args.peer == "torch-compile-256" else None))
    print(json.dumps({"peer": args.peer, "versions": versions, "seconds": round(time.perf_counter() - begin, 1)}), flush=True)
    events = {"log_prob": EVAL, "sample": EVAL, "train": TRAIN}
    for line in sys.stdin:
        name, seconds = line.split()
        begin = time.perf_counter()
        for _ in range(3):  # what is compiled for the shape, or grows to it, does so here
            steps[name]()
        prepared = time.perf_counter() - begin
        best = shortest(steps[name], float(seconds))
        value = events[name] / best if name in events else 1e3 * best
        print(json.dumps({"measured": name, "value": value, "prepared_s": round(prepared, 2)}), flush=True)
    print(json.dumps({"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


main()

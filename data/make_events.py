#!/usr/bin/python3
"""Makes the events in this folder: Z/gamma* -> mu mu + at least one jet, pp at 13 TeV, with Pythia 8.

    data/make_events.py                        both samples, into data/
    data/make_events.py nominal --rows 2000 --check
                                               the first rows again, compared bit by bit with the file that is there

Pythia comes from PyPI (pythia8mc, a wheel) into a virtual environment of its own, .venv-events at the top of the
checkout, made on the first call; that needs the network and Debian's python3-venv. One core; about four minutes for
`nominal` and fifteen for `mpi_on`.

An event is what a perfect detector would see of the hard process: two dressed muons and the leading jet. Every number
depends on the settings, on the seed and on the order of the calls to Pythia alone, so a row is the same on every run.
"""
import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(os.path.dirname(HERE), ".venv-events")
PACKAGES = ["pythia8mc==8.317.2", "numpy==1.26.4"]

COLUMNS = [(f"{body}_{what}", unit)
           for body, parts in (("mum", "pt eta phi"), ("mup", "pt eta phi"), ("j1", "pt eta phi m"))
           for what, unit in ((p, {"pt": "GeV", "eta": "1", "phi": "rad", "m": "GeV"}[p]) for p in parts.split())]

# The order matters: Pythia applies settings one by one.
BEAMS = ["Print:quiet = on", "Beams:idA = 2212", "Beams:idB = 2212", "Beams:eCM = 13000.",
         "ParticleDecays:limitTau0 = on", "ParticleDecays:tau0Max = 10."]  # mm/c: K0S and Lambda stay whole
PROCESS = ["WeakSingleBoson:ffbar2gmZ = on", "PhaseSpace:mHatMin = 66.", "PhaseSpace:mHatMax = 116.",
           "23:onMode = off", "23:onIfAny = 13"]
SAMPLES = {
    "nominal": {"rows": 130000, "seed": 11, "settings": PROCESS + ["PartonLevel:MPI = off"],
                "about": "multiparton interactions off"},
    "mpi_on": {"rows": 45000, "seed": 14, "settings": PROCESS + ["PartonLevel:MPI = on"],
               "about": "multiparton interactions on: the shifted physics"},
}
JET_POWER, JET_R, JET_PT_MIN, PARTICLE_ETA_MAX = -1, 0.4, 20.0, 4.5  # anti-kT
DRESSING_R = 0.1
MUON, PHOTON = 13, 22


def enter_venv():
    """Goes on inside the virtual environment, which is made if it is not there."""
    if os.path.realpath(sys.prefix) == os.path.realpath(VENV):
        return
    python = os.path.join(VENV, "bin", "python")
    if not os.path.exists(os.path.join(VENV, "ready")):
        print(f"making {VENV} with {', '.join(PACKAGES)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        open(os.path.join(VENV, "ready"), "w").close()
    os.execv(python, [python, os.path.abspath(__file__), *sys.argv[1:]])


def generator(sample):
    import pythia8mc
    pythia = pythia8mc.Pythia("", False)
    for line in BEAMS + ["Random:setSeed = on", f"Random:seed = {sample['seed']}"] + sample["settings"]:
        if not pythia.readString(line):
            raise ValueError(f"Pythia refuses the setting: {line}")
    if not pythia.init():
        raise RuntimeError("Pythia does not start")
    return pythia


def delta_phi(a, b):
    d = a - b
    while d > math.pi:
        d -= 2 * math.pi
    while d <= -math.pi:
        d += 2 * math.pi
    return d


def final_copy(event, muon):
    """Follows a muon through its emissions: the index of its last copy and of the photons, or None if it decays."""
    photons = []
    while not event[muon].isFinal():
        copy = None
        for daughter in event[muon].daughterList():
            kind = event[daughter].idAbs()
            if kind == MUON:
                copy = daughter
            elif kind == PHOTON:
                photons.append(daughter)
        if copy is None:
            return None
        muon = copy
    return muon, photons


def dressed(event, muon, taken):
    """(pt, eta, phi) of a muon with its own photons inside DRESSING_R; `taken` gets everything that is not for jets.

    A photon that turned into a pair stays with the jets: its products are seen as particles of their own.
    """
    found = final_copy(event, muon)
    if found is None:
        return None
    muon, photons = found
    taken.append(muon)
    bare = event[muon]
    px, py, pz = bare.px(), bare.py(), bare.pz()
    for photon in photons:
        last = event[photon].iBotCopyId()
        p = event[last]
        if not p.isFinal():
            continue
        taken.append(last)
        if math.hypot(p.eta() - bare.eta(), delta_phi(p.phi(), bare.phi())) < DRESSING_R:
            px, py, pz = px + p.px(), py + p.py(), pz + p.pz()
    pt = math.hypot(px, py)
    return pt, math.asinh(pz / pt), math.atan2(py, px)


def muons(event):
    """Indices of the mu- and the mu+ of the boson's last copy, or None."""
    boson = 0
    for i in range(3, event.size()):
        if event[i].idAbs() == MUON:
            boson = event[i].mother1()
            break
    pair = [i for i in event[boson].daughterList() if event[i].idAbs() == MUON]
    if len(pair) != 2:
        return None
    return pair if event[pair[0]].id() == MUON else pair[::-1]


def row_of(event, jets):
    """The columns of an event, or None if it is not selected."""
    pair = muons(event)
    if pair is None:
        return None
    taken = []
    both = [dressed(event, i, taken) for i in pair]
    if None in both:
        return None
    for i in taken:
        event[i].statusNeg()  # no longer final: out of sight for the jets
    jets.analyze(event)
    if jets.sizeJet() == 0:
        return None
    return (*both[0], *both[1], jets.pT(0), jets.p(0).eta(), jets.phi(0), jets.m(0))


def make(sample, rows):
    """The first `rows` selected events, the number generated for them, and the cross section in mb."""
    import numpy
    import pythia8mc
    pythia = generator(sample)
    jets = pythia8mc.SlowJet(JET_POWER, JET_R, JET_PT_MIN, PARTICLE_ETA_MAX)
    out = numpy.zeros((rows, len(COLUMNS)), "<f4")
    selected = generated = 0
    shown = time.time()
    while selected < rows:
        generated += 1
        if not pythia.next():
            continue
        row = row_of(pythia.event, jets)
        if row is None:
            continue
        out[selected] = row
        selected += 1
        if time.time() - shown > 5:
            shown = time.time()
            print(f"  {selected} of {rows} events", file=sys.stderr)
    return out, generated, pythia.infoPython().sigmaGen()


def sidecar(name, sample, array, generated, sigma_mb, path):
    with open(path, "rb") as f:
        content = f.read()
    return {
        "file": os.path.basename(path), "rows": array.shape[0], "shape": list(array.shape), "dtype": "<f4",
        "columns": [c for c, _ in COLUMNS], "units": [u for _, u in COLUMNS],
        "about": f"simulation: pp 13 TeV, Z/gamma* -> mu mu + at least 1 jet, {sample['about']}",
        "selection": "leading anti-kT R=0.4 jet with pT > 20 GeV of the visible particles with |eta| < 4.5, without "
                     "the muons and their photons; muons dressed within dR < 0.1, no cut on them; no detector",
        "generator": "PYTHIA 8.317 (" + PACKAGES[0] + " from PyPI)",
        "settings": BEAMS + sample["settings"], "seed": sample["seed"], "generated": generated,
        "sigma_mb": sigma_mb, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(),
        "made_by": f"data/make_events.py {name}",
    }


def write(name, sample, rows, folder):
    import numpy
    array, generated, sigma_mb = make(sample, rows)
    path = os.path.join(folder, f"zjets_{name}.npy")
    numpy.save(path, array)
    with open(path[:-4] + ".json", "w") as f:
        json.dump(sidecar(name, sample, array, generated, sigma_mb, path), f, indent=1)
        f.write("\n")
    print(f"{path}: {array.shape[0]} events of {generated}")


def check(name, sample, rows, folder):
    import numpy
    path = os.path.join(folder, f"zjets_{name}.npy")
    there = numpy.load(path)
    rows = min(rows, len(there))
    array = make(sample, rows)[0]
    differ = numpy.flatnonzero((array.view("<u4") != there[:rows].view("<u4")).any(1))
    print(f"{path}: {rows - len(differ)} of {rows} rows are equal bit for bit"
          + (f"; the first that differs is {differ[0]}" if len(differ) else ""))
    return not len(differ)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sample", nargs="*", choices=[*SAMPLES, []], help="nominal, mpi_on; both without")
    parser.add_argument("--rows", type=int, help="how many events, from the start (default: as many as shipped)")
    parser.add_argument("--out", default=HERE, help="folder of the files (default: the script's)")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the files that are there")
    arguments = parser.parse_args()
    enter_venv()
    good = True
    for name in arguments.sample or SAMPLES:
        sample = SAMPLES[name]
        rows = arguments.rows or sample["rows"]
        if arguments.check:
            good &= check(name, sample, rows, arguments.out)
        else:
            write(name, sample, rows, arguments.out)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""The short form of scripts/bench: every figure is there and is a positive number, and results agree (TAP)."""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
WANTED = {
    "flows": ["flows, twin", "flows, peak", "flows, 6 features, hidden 32×32", "error, avx2", "log_prob of 256 events, s",
              "memory of a training, MiB"],
    "ingest": ["ingest, feed", "ingest, small", "ingest, disk", "ingest, raw"],
    "http": ["http, livez", "http, bare", "http, log_prob, one", "http, sample", "http, log_prob while training"],
    "start": ["start, 1 twins", "start, 2 twins"],
    "loop": ["loop, comparison", "loop, initial training", "loop, retunes"],
}


def numbers(value):
    """All numbers below a value."""
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    return [n for v in value for n in numbers(v)] if isinstance(value, list) else [value]


def wrong(part, folder):
    found, page = folder / "numbers.json", folder / "page.md"
    page.write_text("before\n<!-- what scripts/bench wrote -->\nold\n<!-- the end of it -->\nafter\n")
    done = subprocess.run([sys.executable, ROOT / "bench" / "parts" / "main.py", "--quick", "--build",
                           os.environ["BENCH_BUILD"], "--json", found, "--write", page, part], capture_output=True, text=True)
    if done.returncode:
        return [f"exit status {done.returncode}"] + done.stderr.splitlines()[-20:]
    made = json.loads(found.read_text())
    missing = [f"no figure \"{name}\"" for name in WANTED[part] if name not in made]
    bad = [f"{name}: {n}" for name in made for n in numbers(made[name])
           if not isinstance(n, (int, float)) or not math.isfinite(n) or n < 0]
    text = page.read_text()
    unwritten = [] if text.startswith("before") and text.endswith("after\n") and "old" not in text and "|" in text else ["the page is not written"]
    return missing + bad + unwritten


for count, part in enumerate(WANTED, 1):
    with tempfile.TemporaryDirectory() as folder:
        lines = wrong(part, pathlib.Path(folder))
    print(f"{'not ok' if lines else 'ok'} {count} - scripts/bench --quick {part}")
    for line in lines:
        print("# " + line)
print(f"1..{len(WANTED)}")

"""twinctl against an HTTP server that answers as twind does, and wrongly where that is the question."""
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np

from cases import TWINCTL, code, environment, finish, has, lacks, run, same, start, twinctl
from fakes import Http, npy
from stage import COMMANDS, HOME, TWIN, alias, ctl, iteration, on_terminal, operation, page, scratch


# ---- help and usage ----

def test_help_of_all():
    """--help of every command shows usage, options and examples, some of which twinctl --help has too"""
    overview = code(twinctl("--help"), 0).out
    first = re.findall(r"^  (twinctl (\w+) .*)", overview.partition("\nexamples")[2], re.MULTILINE)
    same([command for _, command in first], ["create", "create", "train", "feed", "drift"])
    for line, command in first:
        has(code(twinctl(command, "--help"), 0).out, f"  {line}\n")
    for command in COMMANDS:
        has(overview, f"  {command} ")
        text = code(twinctl(command, "--help"), 0).out
        has(text, f"usage: twinctl {command} ", "examples:\n", f"twinctl {command} ", "--url", "--timeout")
        same(code(twinctl("help", command), 0).out, text)


def test_manual():
    """the manual describes every command with every option, and mandoc finds nothing wrong in the manuals"""
    folder = os.path.join(os.path.dirname(__file__), "../../docs/man")
    with open(os.path.join(folder, "twinctl.1")) as f:
        manual = f.read()
    for command in COMMANDS:
        section = re.search(rf"^\.Ss {command}\b.*?(?=^\.S[sh] )", manual, re.DOTALL | re.MULTILINE).group()
        own = code(twinctl(command, "--help"), 0).out.partition("\noptions:")[2].partition("\nshared options:")[0]
        for option in re.findall(r"--([a-z-]+)", "\n".join(line[:28] for line in own.splitlines())):
            assert re.search(rf"(Fl|,) -{option}\b", section), f"{command} --{option} is not in the manual"
    for option in re.findall(r"^ .{6}--([a-z-]+)", code(twinctl("--help"), 0).out, re.MULTILINE):
        assert re.search(rf"Fl -{option}\b", manual), f"--{option} is not in the manual"
    pages = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    same(len(pages), 4)
    done = subprocess.run(["mandoc", "-Tlint", *pages], capture_output=True, text=True)
    same((done.returncode, done.stdout), (0, ""))


def test_definition_manual():
    """the manual of definitions has every member and detector that docs/definition.md has, and its example is one"""
    docs = os.path.join(os.path.dirname(__file__), "../../docs")
    with open(docs + "/man/twin-definition.5") as f:
        manual = f.read()
    with open(docs + "/definition.md") as f:
        rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", f.read(), re.MULTILINE)
    members = {member for row in rows for member in re.findall(r"`(\w+)`", row)}
    same(len(members) > 40, True, f"{len(members)} members")
    for member in members:
        assert re.search(rf"^\.(It )?(Va|Cm)\b.*\b{member}\b", manual, re.MULTILINE), f"{member} is not in the manual"
    example = manual.partition(".Bd -literal")[2].partition("\n")[2].partition(".Ed")[0]
    same(set(json.loads(example)) <= {"name", "description", "features", "observables", "loop", "model"}, True)


def test_version():
    """--version"""
    assert re.fullmatch(r"twinctl \d+\.\d+\.\d+\n", code(twinctl("--version"), 0).out)


def test_usage():
    """wrong usage is 64, with a sentence on stderr and nothing on stdout"""
    for arguments in ([], ["status", "a", "b"], ["train", "zmumu"], ["train", "zmumu", "x", "--spooled"], ["drift"],
                      ["sample", "zmumu", "-n", "many"], ["sample", "zmumu", "--out", "x.root"], ["promote", "zmumu"],
                      ["promote", "zmumu", "three"], ["create"], ["create", "zmumu"], ["create", "--from", "x.csv"],
                      ["show", "zmumu", "x"], ["status", "-o", "xml"], ["status", "../etc"], ["status", "--timeout"],
                      ["status", "--timeout", "-1"], ["status", "--yes=1"], ["rollback", "zmumu", "--to", "x"],
                      ["status", "--url", "ftp://127.0.0.1"], ["log-prob", "zmumu", "x", "--rows", "3"],
                      ["watch", "zmumu", "-n", "0"], ["ops", "--limit", "0"], ["sample", "zmumu", "-n", "0"],
                      ["retune", "zmumu", "--events", "0"], ["help", "status", "drift"]):
        result = code(twinctl(*arguments), 64)
        same(result.out, "")
        has(result.err, "usage: twinctl")


def test_typos():
    """a mistyped command or option gets a suggestion"""
    has(code(twinctl("staus"), 64).err, "did you mean status?")
    has(code(twinctl("rolback", "zmumu"), 64).err, "did you mean rollback?")
    has(code(twinctl("drfit", "zmumu"), 64).err, "did you mean drift?")
    has(code(twinctl("train", "zmumu", "x.npy", "--epoch-s", "5"), 64).err, "did you mean --epochs?")
    lacks(code(twinctl("wibble"), 64).err, "did you mean")
    has(code(twinctl("feed", "zmumu", "x.npy", "--r", "5"), 64).err, '"--r" is short for several: --run, --rate, --rows')
    has(code(twinctl("help", "--help"), 0).out, "commands:")


# ---- looking ----

def test_status():
    """status as table, CSV and JSON, of all twins and of one; pages are followed"""
    with Http() as http:
        http.answer("GET", "/v1/twins", lambda r: (200, {"items": [TWIN], "next_cursor": "a b&c"}) if "cursor" not in
                    r["query"] else page([{**TWIN, "name": "ttbar", "verdict": "true", "champion": None}]))
        lines = code(ctl(http, "status"), 0).out.splitlines()
        same(lines[0].split(), ["TWIN", "VERDICT", "ACTIVITY", "CHAMPION", "EVENTS", "LAG", "SINCE", "MODE", "REASON"])
        same(lines[1].split(), ["zmumu", "drifted", "retuning", "3", "40000", "5", "2026-03-01", "12:00:00", "advise", "-"])
        same(lines[2].split()[:4], ["ttbar", "true", "retuning", "-"])
        same(http.requests[-1]["query"]["cursor"], ["a b&c"])
        same(len(set(line.index("4000") for line in lines[1:])), 1)
        rows = code(ctl(http, "status", "-o", "csv"), 0).out.splitlines()
        same(rows[0], "name,verdict,activity,champion.version,ingest.events,ingest.lag_batches,since,mode,verdict_reason")
        same(rows[2], "ttbar,true,retuning,,40000,5,2026-03-01T12:00:00.5Z,advise,")
        same(len(json.loads(code(ctl(http, "status", "-o", "json"), 0).out)), 2)
        http.answer("GET", "/v1/twins/zmumu", (200, TWIN))
        same(json.loads(code(ctl(http, "status", "zmumu", "-o", "json"), 0).out), TWIN)
        for reason, words in (("untrained", "zmumu: not trained yet: twinctl train zmumu FILE"), ("lag", "max_lag_s"),
                              ("silence", "silence_s"), ("invalid_rows", "no row"), ("newer", "unknown: newer")):
            http.answer("GET", "/v1/twins/zmumu", (200, {**TWIN, "verdict": "unknown", "verdict_reason": reason}))
            shown = code(ctl(http, "status", "zmumu"), 0)
            has(shown.err, words)
            same(shown.out.split()[-1], reason)
        http.answer("GET", "/v1/twins", page([]))
        has(code(ctl(http, "status"), 0).err, "no twins yet")


def test_show():
    """show flattens what it gets"""
    with Http() as http:
        http.answer("GET", "/v1/twins/zmumu", (200, TWIN))
        has(code(ctl(http, "show", "zmumu"), 0).out, "champion.version     3\n", "ingest.lag_batches   5\n")
        http.answer("GET", "/v1/twins/zmumu/versions/3", (200, {"version": 3, "metrics": {"loss": 1.25}, "a": [1, 2]}))
        same(code(ctl(http, "show", "zmumu", "3", "-o", "csv"), 0).out, 'member,value\nversion,3\nmetrics.loss,1.25\n'
             'a,"[1,2]"\n')
        code(ctl(http, "show", "zmumu", "9"), 1)


def test_drift():
    """drift: every statistic; 0 none, 1 drift, 75 nothing compared, 2 no such twin"""
    path = "/v1/twins/zmumu/iterations"
    with Http() as http:
        skipped = {**iteration(5, decision="skipped"), "statistics": []}
        http.answer("GET", path, page([iteration(4)]))
        result = code(ctl(http, "drift", "zmumu"), 0)
        same(len(result.out.splitlines()), 6)
        has(result.err, "window 4", "no drift")
        http.answer("GET", path, page([skipped, iteration(4, True, "advised"), iteration(3)]))
        result = code(ctl(http, "drift", "zmumu"), 1)
        same(sum("yes" in line for line in result.out.splitlines()), 1)
        same(json.loads(code(ctl(http, "drift", "zmumu", "-o", "json"), 1).out)["iteration"], 4)
        story = {"summary": "Since batch 20 mu_pt is shifted up.", "alarm": {"since": {"ordinal": 20}},
                 "expected_run_time": {"promised": 1000}}
        http.answer("GET", "/v1/twins/zmumu/drift", (200, {"verdict": "drifted", **story}))
        has(code(ctl(http, "drift", "zmumu"), 1).err, "Since batch 20 mu_pt is shifted up.")
        told = json.loads(code(ctl(http, "drift", "zmumu", "-o", "json"), 1).out)
        same({k: told[k] for k in story}, story)
        http.answer("GET", path, page([skipped]))
        lacks(code(ctl(http, "drift", "zmumu"), 75).err, "events")
        http.answer("GET", "/v1/twins/zmumu", (200, {"ingest": {"events": 10000}, "definition": {"loop": {"window": 20000}}}))
        has(code(ctl(http, "drift", "zmumu"), 75).err, "zmumu was compared yet: a window is 20000 events, 10000 have")
        http.answer("GET", path, (404, {"detail": "no twin zmumu"}))
        code(ctl(http, "drift", "zmumu"), 2)


def test_watch():
    """watch prints a line for each new iteration, and again when a retune is decided"""
    with Http() as http:
        looks = [page([iteration(1)]), page([iteration(1)]), page([iteration(2, True, "retuning"), iteration(1)]),
                 page([iteration(2, True, "promoted"), iteration(1)]),
                 page([iteration(4), iteration(3), iteration(2, True, "promoted"), iteration(1)])]
        http.answer("GET", "/v1/twins/zmumu/iterations", *looks)
        watch = ("watch", "zmumu", "--interval", "0.05", "--count", "3")
        lines = code(ctl(http, *watch), 0).out.splitlines()
        same(lines[0].split()[:2], ["WINDOW", "TIME"])
        same([(line.split()[0], line.split()[5]) for line in lines[1:]],
             [("2", "retuning"), ("2", "promoted"), ("3", "none"), ("4", "none")])
        same(lines[1].split(), "2 12:00:00 3 5000 yes retuning 0.61 1e-09 0.0001 0.03 1e-05 mu_eta - - - 1 0.55 0.501".split())
        http.answer("GET", "/v1/twins/zmumu/iterations", *looks)
        objects = [json.loads(line) for line in code(ctl(http, *watch, "-o", "json"), 0).out.splitlines()]
        same([o["iteration"] for o in objects], [2, 2, 3, 4])
        http.answer("GET", "/v1/twins/zmumu/iterations", *looks[3:])
        out = code(ctl(http, *watch[:-1], "2", "--last", "2", "-o", "csv"), 0).out.splitlines()
        same([line.split(",")[0] for line in out], ["iteration", "1", "2", "3", "4"])


def test_watch_ends():
    """watch ends with 130 on Ctrl-C, after --timeout with 75 if --count is not reached"""
    with Http() as http:
        http.answer("GET", "/v1/twins/zmumu/iterations", page([iteration(1)]))
        process = start("watch", "zmumu", "--interval", "0.05", TWIN_URL=http.url)
        while len(http.requests) < 3:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        code(finish(process), 130)
        code(ctl(http, "watch", "zmumu", "--interval", "0.1", "--count", "1", "--timeout", "0.5"), 75)
        code(ctl(http, "watch", "zmumu", "--interval", "0.1", "--timeout", "0.5"), 0)


def test_versions_history_ops():
    """versions, history and ops list what there is"""
    with Http() as http:
        version = {"version": 3, "parent": 2, "created": "2026-03-01T12:00:00Z", "cause": "weights",
                   "status": "champion", "reason": "gate passed, by far", "sha256": "ab" * 32}
        http.answer("GET", "/v1/twins/zmumu/versions", page([version]))
        has(code(ctl(http, "versions", "zmumu"), 0).out, "abababababab ", "champion", "gate passed, by far")
        has(code(ctl(http, "versions", "zmumu", "-o", "csv"), 0).out, "ab" * 32, '"gate passed, by far"')
        move = {"move": 9, "alias": "champion", "version": 3, "from": "2026-03-01T12:00:00Z", "to": None,
                "actor": "operator", "reason": "why not"}
        http.answer("GET", "/v1/twins/zmumu/history", page([move]))
        has(code(ctl(http, "history", "zmumu", "--alias", "champion", "--at", "2026-03-01T13:00:00+01:00"), 0).out,
            "operator", "why not")
        same(http.requests[-1]["query"], {"alias": ["champion"], "at": ["2026-03-01T13:00:00+01:00"], "limit": ["100"]})
        http.answer("GET", "/v1/operations", page([operation("failed", 0.5, error={"detail": "too few rows"})]))
        has(code(ctl(http, "ops", "zmumu"), 0).out, "17", "failed", "too few rows")
        same(http.requests[-1]["query"]["twin"], ["zmumu"])
        http.answer("DELETE", "/v1/operations/17", (200, operation("cancelled")))
        result = code(ctl(http, "ops", "--cancel", "17", "-o", "json"), 0)
        has(result.err, "cancelled")
        same(json.loads(result.out)["state"], "cancelled")


# ---- changing ----

def test_create():
    """create sends the definition; a name on the command line wins"""
    path = scratch("d.json", '{"name": "a", "features": [{"name": "x", "min": -3.141592653589793}]}')
    with Http() as http:
        http.answer("POST", "/v1/twins", (201, TWIN))
        code(ctl(http, "create", "--file", path), 0)
        same(json.loads(http.requests[-1]["body"]), {"name": "a", "features": [{"name": "x", "min": -np.pi}]})
        code(ctl(http, "create", "zmumu", path), 0)
        same(json.loads(http.requests[-1]["body"])["name"], "zmumu")
        with open(path, "rb") as f:
            code(ctl(http, "create", "--file", "-", stdin=f.read()), 0)
        count = len(http.requests)
        has(code(ctl(http, "create", "zmumu", path, "--dry-run"), 1).err, "nothing at")
        http.answer("GET", "/v1/twins/zmumu", (404, {"detail": "no twin zmumu", "error": "unknown_twin"}))
        has(code(ctl(http, "create", "zmumu", path, "--dry-run"), 0).err, "would ask: POST /v1/twins {")
        http.answer("GET", "/v1/twins/zmumu", (200, TWIN))
        has(code(ctl(http, "create", "zmumu", path, "--dry-run"), 1).err, "there is a twin zmumu already")
        same({r["method"] for r in http.requests[count:]}, {"GET"})
        has(code(ctl(http, "create", "a", scratch("bad.json", '{"name": }')), 1).err, "line 1")
        code(ctl(http, "create", "a", scratch("list.json", "[]")), 1)
        code(ctl(http, "create", "a", HOME.name + "/nothing"), 1)
        http.answer("POST", "/v1/twins", (409, {"detail": "there is a twin zmumu already"}))
        has(code(ctl(http, "create", "zmumu", path), 1).err, "already")


def test_create_from_events():
    """--from guesses kinds, transforms and what is optional; --dry-run makes nothing"""
    rng, n = np.random.default_rng(3), 5000
    rows = np.column_stack([rng.lognormal(3, 1, n), rng.normal(size=n), rng.uniform(-np.pi, np.pi, n),
                            rng.uniform(0, 2 * np.pi, n), rng.uniform(-0.5, 0.5, n), rng.poisson(3, n),
                            rng.poisson(300, n), np.where(rng.random(n) < 0.3, np.nan, rng.lognormal(3, 1, n))])
    names = "pt,eta,phi,phi_star,dphi,n,tracks,pt2"
    path = scratch("guess.csv", names + "\n" + "\n".join(",".join(f"{x:.6f}" for x in row) for row in rows))
    numbers = scratch("guess.npy", npy(rows))
    wanted = [{"name": "pt", "transform": "log", "min": 0}, {"name": "eta", "transform": "standardise"},
              {"name": "phi", "kind": "periodic", "min": -np.pi, "max": np.pi},
              {"name": "phi_star", "kind": "periodic", "min": 0, "max": 2 * np.pi},
              {"name": "dphi", "transform": "standardise"}, {"name": "n", "kind": "discrete", "min": 0, "max": int(rows[:, 5].max())},
              {"name": "tracks", "transform": "standardise"},
              {"name": "pt2", "transform": "log", "min": 0, "optional": True}]
    with Http() as http:
        http.answer("POST", "/v1/twins", (201, TWIN))
        for arguments in [path], [numbers, "--columns", names]:
            result = code(ctl(http, "create", "new", "--from", *arguments, "--dry-run"), 0)
            same(json.loads(result.out), {"name": "new", "features": wanted})
            has(result.err, "n has whole numbers only")
            has(result.err, "tracks looks like a count")
            has(result.err, "pt2 is NaN in")
            same(http.requests, [])
        result = code(ctl(http, "create", "new", "--from", path), 0)
        same(json.loads(http.requests[-1]["body"]), json.loads(result.out))
        has(code(ctl(http, "create", "new", "--from", numbers), 1).err, "--columns")
        has(code(ctl(http, "create", "new", "--from", scratch("few.csv", "a\n1\n2\n")), 1).err, "too few")


def test_create_proposes_masses():
    """--from proposes the mass of each pair of objects with pt, eta and phi, unless the file has it"""
    names = ["mu_pt [GeV]", "mu_eta", "mu_phi", "j1_pt", "j1_eta", "j1_phi", "j1_m", "met_pt", "met_phi", "e_pt", "e_eta",
             "e_phi", "m_mu_e"]
    path = scratch("pairs.csv", ",".join(names) + "\n" + (",".join(["1.5"] * len(names)) + "\n") * 100)
    with Http() as http:
        proposed = json.loads(code(ctl(http, "create", "new", "--from", path, "--dry-run"), 0).out)["observables"]
        same(proposed, [{"name": "m_mu_j1", "expression": "mass(mu_pt, mu_eta, mu_phi, 0, j1_pt, j1_eta, j1_phi, j1_m)",
                         "unit": "GeV"},
                        {"name": "m_j1_e", "expression": "mass(j1_pt, j1_eta, j1_phi, j1_m, e_pt, e_eta, e_phi, 0)"}])


def test_units():
    """a unit in the name of a column becomes the feature's unit; the rows go by the bare name; "# " is no name"""
    data = np.random.default_rng(1).normal(size=(200, 4))
    lines = "".join(",".join(map(repr, row)) + "\n" for row in data.tolist())
    path = scratch("units.csv", "# e_cal [GeV],p_t (GeV/c), f(x) ,m[GeV]\n" + lines)
    with Http() as http:
        http.answer("POST", "/v1/twins/zmumu/train", (202, operation("queued")))
        features = json.loads(code(ctl(http, "create", "new", "--from", path, "--dry-run"), 0).out)["features"]
        same([(f["name"], f.get("unit")) for f in features],
             [("e_cal", "GeV"), ("p_t", "GeV/c"), ("f(x)", None), ("m", "GeV")])
        code(ctl(http, "train", "zmumu", path), 0)
        same(http.requests[-1]["query"]["columns"], ["e_cal,p_t,f(x),m"])
        same(http.requests[-1]["body"], npy(data.astype(np.float32)))


def test_train():
    """train posts the rows with seed, epochs and columns in the query; prints the operation"""
    data = np.random.default_rng(1).normal(size=(500, 2)).astype(np.float32)
    with Http() as http:
        http.answer("POST", "/v1/twins/zmumu/train", (202, operation("queued"), {"Location": "/v1/operations/17"}))
        out = code(ctl(http, "train", "zmumu", scratch("t.npy", npy(data)), "--rows", "100:", "--seed", "7", "--epochs",
                       "5", "-o", "json"), 0).out
        same(json.loads(out)["id"], 17)
        request = http.requests[-1]
        same((request["query"], request["headers"]["Content-Type"]),
             ({"seed": ["7"], "epochs": ["5"]}, "application/x-npy"))
        same(request["body"], npy(data[100:]))
        text = "a b,c\n" + "".join(f"{float(x)!r},{float(y)!r}\n" for x, y in data)
        code(ctl(http, "train", "zmumu", "-", stdin=text.encode()), 0)
        same((http.requests[-1]["query"], http.requests[-1]["body"]), ({"columns": ["a b,c"]}, npy(data)))
        code(ctl(http, "train", "zmumu", "--spooled", "--seed", "3"), 0)
        same(json.loads(http.requests[-1]["body"]), {"source": "spool", "seed": 3})
        count = len(http.requests)
        dry = ("train", "zmumu", HOME.name + "/t.npy", "--dry-run")
        http.answer("GET", "/v1/twins/zmumu", (200, {"champion": None}))
        has(code(ctl(http, *dry), 0).err, "would train on 500 events", "would ask: POST")
        http.answer("GET", "/v1/twins/zmumu", (200, TWIN))
        has(code(ctl(http, *dry), 1).err, "trained already")
        same([r["method"] for r in http.requests[count:]], ["GET", "GET"])
        code(ctl(http, "train", "zmumu", HOME.name + "/no.npy"), 1)
        has(code(ctl(http, "train", "zmumu", HOME.name + "/t.npy"), 0).err, "training on 500 events")
        http.answer("POST", "/v1/twins/zmumu/train", (409, {"detail": "zmumu is trained"}))
        lacks(code(ctl(http, "train", "zmumu", HOME.name + "/t.npy"), 1).err, "training on")


def test_wait():
    """--wait ends as the operation does: 0, 1 with its reason, 75 after --timeout"""
    with Http() as http:
        http.answer("POST", "/v1/twins/zmumu/train", (202, operation("queued")))
        for states, wanted, words in (
                ([operation("running", 0.5), operation("succeeded", 1.0, result={"version": 1})], 0, ""),
                ([operation("failed", 0.5, error={"detail": "the loss diverged"})], 1, "the loss diverged"),
                ([operation("cancelled")], 1, "cancelled"), ([(503, {"detail": "busy"})], 75, "busy")):
            http.answer("GET", "/v1/operations/17", *[s if isinstance(s, tuple) else (200, s) for s in states])
            result = code(ctl(http, "train", "zmumu", "--spooled", "--wait", "-o", "json"), wanted)
            has(result.err, words)
            has(json.dumps(http.requests[-1]["query"]), "wait")
        http.delay = 0.3
        http.answer("GET", "/v1/operations/17", (200, operation("running")))
        has(code(ctl(http, "ops", "--wait-for", "17", "--timeout", "1"), 75).err, "goes on")


def test_weights():
    """weights: the map, the diagram or all of it; the summary on stderr"""
    report = {"version": 4, "parent": 3, "status": "rejected", "ess": 0.8125, "largest": 3.5, "overflow": 0.001, "events": 900,
              "map": [{"where": "pt above 31 GeV", "ranges": [], "events": 100, "data": 0.2, "samples": 0.1, "ratio": 2.0,
                       "error": 0.1}],
              "closure": [{"feature": "pt", "unit": "GeV", "before": {"chi2": 99.5, "ndf": 19, "p_value": 1e-12},
                           "after": {"chi2": 17.25, "ndf": 19, "p_value": 0.57}}],
              "reliability": [{"predicted": 0.4, "observed": 0.4375, "error": 0.01, "events": 500}]}
    with Http() as http:
        http.answer("GET", "/v1/twins/zmumu/weights", (200, report))
        result = code(ctl(http, "weights", "zmumu"), 0)
        has(result.out, "WHERE", "pt above 31 GeV", "DATA/SAMPLES")
        has(result.err, "version 4 (rejected)", "on version 3", "0.8125", "900 held-out")
        has(code(ctl(http, "weights", "zmumu", "--version", "4", "--reliability", "-o", "csv"), 0).out, "0.4375")
        same(http.requests[-1]["query"], {"version": ["4"]})
        has(code(ctl(http, "weights", "zmumu", "--closure"), 0).out, "99.5", "17.25")
        code(ctl(http, "weights", "zmumu", "--closure", "--reliability"), 64)
        same(json.loads(code(ctl(http, "weights", "zmumu", "-o", "json"), 0).out), report)
        http.answer("GET", "/v1/twins/zmumu/weights", (404, {"detail": "there are no weights to report on"}))
        has(code(ctl(http, "weights", "zmumu"), 1).err, "no weights")


def test_retune():
    """retune asks with an Idempotency-Key of its own"""
    with Http() as http:
        http.answer("POST", "/v1/twins/zmumu/retunes", (202, operation("queued")))
        code(ctl(http, "retune", "zmumu", "--events", "30000", "--seed", "3"), 0)
        code(ctl(http, "retune", "zmumu"), 0)
        first, second = http.requests
        same(json.loads(first["body"]), {"kind": "weights", "events": 30000, "seed": 3})
        same(json.loads(second["body"]), {"kind": "weights"})
        code(ctl(http, "retune", "zmumu", "--kind", "reweight", "--propose"), 0)
        http.answer("GET", "/v1/twins/zmuum", (404, {"detail": "no twin zmuum", "error": "unknown_twin"}))
        has(code(ctl(http, "retune", "zmuum", "--dry-run"), 1).err, "no twin zmuum")
        same(http.requests.pop()["path"], "/v1/twins")
        same(http.requests.pop()["path"], "/v1/twins/zmuum")
        same(json.loads(http.requests[-1]["body"]), {"kind": "reweight", "promote": False})
        assert first["headers"]["Idempotency-Key"] != second["headers"]["Idempotency-Key"]


def test_tune():
    """tune is a retune of kind theta; a daemon that has none says what there is"""
    with Http() as http:
        http.answer("POST", "/v1/twins/zmumu/retunes", (202, operation("queued")))
        code(ctl(http, "tune", "zmumu", "--events", "30000", "--propose"), 0)
        same(json.loads(http.requests[-1]["body"]), {"kind": "theta", "events": 30000, "promote": False})
        http.answer("POST", "/v1/twins/zmumu/retunes", (400, {"detail": "theta is not built yet", "error": "bad_kind"}))
        has(code(ctl(http, "tune", "zmumu"), 1).err, "not built yet", "twinctl retune zmumu")


def test_export():
    """export: the artifact of a version under its name, checked by its SHA-256; nothing is left of a wrong one"""
    body, path = b"artifact" * 100, "/v1/twins/zmumu/versions/3/artifact"
    sha, out = hashlib.sha256(body).hexdigest(), HOME.name + "/v3.safetensors"
    with Http() as http:
        http.answer("GET", "/v1/twins/zmumu/aliases/champion", alias())
        http.answer("GET", path, (200, body, {"ETag": f'"{sha}"'}))
        result = code(ctl(http, "export", "zmumu", "--out", out, "-o", "json"), 0)
        same(json.loads(result.out), {"twin": "zmumu", "version": 3, "file": out, "bytes": 800, "sha256": sha})
        with open(out, "rb") as f:
            same(f.read(), body)
        result = code(twinctl("export", "zmumu", "v3", "--out", "-", binary=True, TWIN_URL=http.url), 0)
        same((result.out, result.err), (body, ""))
        done = subprocess.run([TWINCTL, "export", "zmumu", "3"], cwd=HOME.name, capture_output=True,
                              env=environment(HOME.name, TWIN_URL=http.url))
        same((done.returncode, os.path.exists(HOME.name + "/zmumu-v3.safetensors")), (0, True))
        http.answer("GET", path, (200, body[1:], {"ETag": f'"{sha}"'}))
        has(code(ctl(http, "export", "zmumu", "3", "--out", HOME.name + "/other.safetensors"), 75).err, "SHA-256")
        same([n for n in os.listdir(HOME.name) if n.startswith("other")], [])
        code(ctl(http, "export", "zmumu", "latest"), 64)
        http.answer("GET", "/v1/twins/zmumu/versions/3/onnx", (200, b"graph", {"ETag": '"x.sample.1"'}))
        result = code(ctl(http, "export", "zmumu", "--onnx", "--compute", "sample", "--out", out, "-o", "json"), 0)
        same((json.loads(result.out)["bytes"], http.requests[-1]["query"]), (5, {"output": ["sample"]}))
        for wrong in (["--compute", "sample"], ["--onnx", "--compute", "x"]):
            code(ctl(http, "export", "zmumu", *wrong), 64)


def test_versions_by_alias():
    """wherever a version is asked for, an alias may stand"""
    with Http() as http:
        http.answer("GET", "/v1/twins/zmumu/aliases/reference", alias(2))
        http.answer("GET", "/v1/twins/zmumu/versions/2", (200, {"version": 2}))
        same(json.loads(code(ctl(http, "show", "zmumu", "reference", "-o", "json"), 0).out), {"version": 2})
        http.answer("POST", "/v1/twins/zmumu/sample", (200, b"a\n1\n"))
        code(ctl(http, "sample", "zmumu", "--version", "reference"), 0)
        same(json.loads(http.requests[-1]["body"])["version"], 2)
        http.answer("GET", "/v1/twins/zmumu/aliases/challenger", (404, {"detail": "no alias", "error": "unknown_alias"}))
        code(ctl(http, "show", "zmumu", "challenger"), 1)


def test_promote():
    """promote moves with If-Match; 75 if somebody was faster; --no-hold, --lift-hold, --alias"""
    path = "/v1/twins/zmumu/aliases/champion"
    with Http() as http:
        http.answer("GET", path, alias())
        http.answer("PUT", path, alias(4, 10))
        result = code(ctl(http, "promote", "zmumu", "4", "--reason", "it is \"good\""), 0)
        request = http.requests[-1]
        same(request["headers"]["If-Match"], '"9"')
        same(json.loads(request["body"]), {"version": 4, "reason": 'it is "good"'})
        has(result.err, "on hold", "--lift-hold")
        http.answer("PUT", path, alias(4, 10, False))
        lacks(code(ctl(http, "promote", "zmumu", "4", "--no-hold", "--reason", "x"), 0).err, "on hold")
        same(json.loads(http.requests[-1]["body"])["hold"], False)
        http.answer("PUT", path, (412, {"detail": "the alias has moved"}))
        code(ctl(http, "promote", "zmumu", "4", "--reason", "x"), 75)
        http.answer("PUT", path, (409, {"detail": "version 4 was rejected"}))
        code(ctl(http, "promote", "zmumu", "4", "--reason", "x"), 1)
        http.answer("PATCH", "/v1/twins/zmumu", (200, TWIN))
        has(code(ctl(http, "promote", "zmumu", "--lift-hold"), 0).out, "VERDICT", "zmumu")
        same((http.requests[-1]["method"], json.loads(http.requests[-1]["body"])), ("PATCH", {"hold": False}))
        reference = "/v1/twins/zmumu/aliases/reference"
        http.answer("GET", reference, (404, {"detail": "no alias", "error": "unknown_alias"}))
        http.answer("PUT", reference, alias(2, 11))
        code(ctl(http, "promote", "zmumu", "2", "--alias", "reference", "--reason", "x"), 0)
        same(http.requests[-1]["headers"]["If-None-Match"], "*")
        count = len(http.requests)
        dry = ("promote", "zmumu", "4", "--dry-run")
        has(code(ctl(http, *dry), 1).err, "nothing at")
        http.answer("GET", "/v1/twins/zmumu/versions/4", (200, {"version": 4, "status": "rejected", "reason": "no gain"}))
        http.answer("GET", "/v1/twins/zmumu", (200, TWIN))
        has(code(ctl(http, *dry), 0).err, "note: version 4 was rejected: no gain", "would move champion")
        http.answer("GET", "/v1/twins/zmumu/versions/4", (200, {"version": 4, "status": "retired"}))
        lacks(code(ctl(http, *dry), 0).err, "note:")
        has(code(ctl(http, *dry), 0).err, "would move champion of zmumu from version 3 to 4", "would ask: PUT")
        same({r["method"] for r in http.requests[count:]}, {"GET"})
        code(ctl(http, "promote", "other", "4"), 1)


def test_rollback():
    """rollback goes to the champion before, again to the one before that, and with --to where it is told"""
    path = "/v1/twins/zmumu/aliases/champion"
    with Http() as http:
        http.answer("GET", path, alias())
        http.answer("PUT", path, alias())
        for moves, wanted in ([1, 2, 3], 2), ([1, 2, 3, 2], 1), ([1, 2, 3, 2, 4], 2), ([1, 2, 1, 3], 1), ([5, 5, 6, 6], 5):
            http.answer("GET", "/v1/twins/zmumu/history", page([{"version": v} for v in reversed(moves)]))
            code(ctl(http, "rollback", "zmumu", "--reason", "x"), 0)
            same(json.loads(http.requests[-1]["body"])["version"], wanted, f"after {moves}")
            same(http.requests[-3]["query"]["alias"], ["champion"])
        for moves in [], [1], [1, 2, 1]:
            http.answer("GET", "/v1/twins/zmumu/history", page([{"version": v} for v in reversed(moves)]))
            has(code(ctl(http, "rollback", "zmumu", "--reason", "x"), 1).err, "no champion before")
        code(ctl(http, "rollback", "zmumu", "--to", "1", "--reason", "x"), 0)
        same(json.loads(http.requests[-1]["body"]), {"version": 1, "reason": "x"})


# ---- terminals ----

def test_asks_back():
    """promote asks on a terminal, not with --yes; no is no"""
    path = "/v1/twins/zmumu/aliases/champion"
    with Http() as http:
        ctl(http, "--version")
        http.answer("GET", path, alias())
        http.answer("PUT", path, alias(4, 10))
        arguments = ["promote", "zmumu", "4", "--reason", "x", "--url", http.url]
        status, shown = on_terminal(arguments, typed=b"n\n")
        same(status, 1)
        has(shown, "from version 3 to 4? [y/N]", "nothing was moved")
        same({r["method"] for r in http.requests}, {"GET"})
        same(on_terminal(arguments, typed=b"y\n")[0], 0)
        status, shown = on_terminal([*arguments, "--yes"])
        same(status, 0)
        lacks(shown, "[y/N]")


def test_set():
    """set changes settings of the loop by their names, from what they were; it shows both, and what a wrong name may mean"""
    loop = {"mode": "auto", "growth": 0.1, "gate": {"min_gain": 0, "level": 0.01}, "detectors": ["c2st", "ks"], "max_retunes": None}
    later = {**loop, "mode": "manual", "growth": 0.5, "gate": {"min_gain": 0, "level": 0.001}, "detectors": ["ks"]}
    command = ("set", "zmumu", "mode=manual", "growth=0.5", "loop.gate.level=0.001", 'detectors=["ks"]')
    table = [["SETTING", "OLD", "NEW"], ["mode", "auto", "manual"], ["growth", "0.1", "0.5"], ["gate.level", "0.01", "0.001"],
             ["detectors", '["c2st","ks"]', '["ks"]']]
    with Http() as http:
        http.answer("GET", "/v1/twins/zmumu", (200, TWIN))
        http.answer("GET", "/v1/twins/zmumu/definition", (200, {"name": "zmumu", "loop": loop}, {"ETag": '"d1"'}))
        http.answer("PATCH", "/v1/twins/zmumu", (200, {**TWIN, "definition": {"loop": later}}))
        dry = code(ctl(http, *command, "--dry-run"), 0)
        same([line.split() for line in dry.out.splitlines()], table)
        has(dry.err, "would ask: PATCH /v1/twins/zmumu")
        lacks({r["method"] for r in http.requests}, "PATCH")
        same([line.split() for line in code(ctl(http, *command), 0).out.splitlines()], table)
        request = http.requests[-1]
        same(json.loads(request["body"]), {"loop": {"mode": "manual", "growth": 0.5, "gate": {"level": 0.001}, "detectors": ["ks"]}})
        same(request["headers"]["If-Match"], '"d1"')
        same(json.loads(code(ctl(http, "set", "zmumu", "growth=0.5", "-o", "json"), 0).out),
             [{"setting": "growth", "old": 0.1, "new": 0.5}])

        code(ctl(http, "set", "zmumu", 'max_retunes.count=4', "max_retunes.hours=24", "--dry-run"), 0)
        for key, guess in (("grwoth=1", "growth"), ("gate.levle=1", "gate.level"), ("y.growth=1", "growth"), ("colour=1", None)):
            wrong = code(ctl(http, "set", "zmumu", key, "--dry-run"), 1)
            has(wrong.err, f"unknown member loop.{key[:-2]}")
            same("did you mean" in wrong.err, guess is not None)
            has(wrong.err, f"did you mean {guess}?" if guess else "unknown")
        http.answer("PATCH", "/v1/twins/zmumu", (400, {"detail": "unknown member loop.grwoth", "error": "bad_definition"}))
        wrong = code(ctl(http, "set", "zmumu", "mode=manual", "grwoth=1"), 1)
        same(wrong.out, "")
        has(wrong.err, "unknown member loop.grwoth", "did you mean growth?", "man twin-definition")
        http.answer("PATCH", "/v1/twins/zmumu", (412, {"detail": "the definition is no longer d1", "error": "stale"}))
        has(code(ctl(http, "set", "zmumu", "mode=manual"), 75).err, "was changed in between")
        count = len(http.requests)
        for words in ["growth"], ["=1"], [".x=1"], ["x.=1"], ["growth=1", "growth=2"], []:
            code(ctl(http, "set", "zmumu", *words), 64)
        same(len(http.requests), count)


def test_delete():
    """delete asks on a terminal, and elsewhere wants --yes; a twin that is not there is not deleted"""
    with Http() as http:
        ctl(http, "--version")
        http.answer("GET", "/v1/twins/zmumu", (200, TWIN))
        http.answer("DELETE", "/v1/twins/zmumu", (204, b""))
        has(code(ctl(http, "delete", "zmumu"), 64).err, "--yes")
        has(code(ctl(http, "delete", "zmumu", "--dry-run"), 0).err, "would ask: DELETE /v1/twins/zmumu")
        status, shown = on_terminal(["delete", "zmumu", "--url", http.url], typed=b"n\n")
        same(status, 1)
        has(shown, "40000 events", "[y/N]", "nothing was deleted")
        code(ctl(http, "delete", "zumu", "--yes"), 1)
        same({r["method"] for r in http.requests}, {"GET"})
        has(code(ctl(http, "delete", "zmumu", "--yes"), 0).err, "zmumu is gone")
        same((http.requests[-1]["method"], "Authorization" in http.requests[-1]["headers"]), ("DELETE", True))
        same(on_terminal(["delete", "zmumu", "--url", http.url], typed=b"y\n")[0], 0)


if __name__ == "__main__":
    run(sys.modules[__name__])

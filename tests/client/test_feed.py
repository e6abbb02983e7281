"""twinctl feed against a ROUTER that loses, refuses, keeps back and dies."""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from cases import code, finish, has, lacks, run, same, start, twinctl, waits
from fakes import Http, Ingest

SCRATCH = tempfile.TemporaryDirectory(prefix="twinctl-feed-")


def events(rows, cols=3, seed=1):
    return np.random.default_rng(seed).normal(size=(rows, cols)).astype(np.float32)


def npy_file(array, name=None):
    """In a folder of its own, unless it has a name."""
    path = os.path.join(SCRATCH.name, name) if name else os.path.join(tempfile.mkdtemp(dir=SCRATCH.name), "events.npy")
    np.save(path, array)
    return path


def csv_file(array, columns, name="events.csv"):
    path = os.path.join(SCRATCH.name, name)
    with open(path, "w") as f:
        f.write(",".join(columns) + "\n")
        for row in array:
            f.write(",".join(repr(float(x)) for x in row) + "\n")
    return path


def feed(ingest, *arguments, **more):
    """Nobody answers over HTTP unless `more` says so."""
    more.setdefault("TWIN_URL", "http://127.0.0.1:1")
    return twinctl("feed", "zmumu", "--ingest", ingest.endpoint, *arguments, **more)


def report(result):
    return json.loads(result.out)


def wait_until(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_sends_all():
    """every row arrives once and in order, the last batch short"""
    data = events(2345)
    with Ingest() as ingest:
        result = report(code(feed(ingest, npy_file(data), "-o", "json"), 0))
        same(np.array_equal(ingest.rows(), data), True)
        same(ingest.received, list(range(3)))
        same((result["batches"], result["events"], result["acked"], result["resumed_from"]), (3, 2345, 3, 0))
        same(result["next_seq"], 3)
        same(ingest.headers[0], {"twin": "zmumu", "feed": "twinctl", "run": 1, "seq": 0})


def test_summary():
    """the last line on stdout says what happened, -o csv has a heading"""
    with Ingest() as ingest:
        has(code(feed(ingest, npy_file(events(100))), 0).out, "1 batch, 100 events", "1 acknowledged")
    with Ingest() as ingest:
        lines = code(feed(ingest, npy_file(events(100)), "-o", "csv"), 0).out.splitlines()
        same(lines[0].split(",")[:3], ["batches", "events", "acked"])
        same(lines[1].split(",")[:3], ["1", "100", "1"])


def test_key_and_conditions():
    """feed, run, columns, conditions and first sequence number go into the header"""
    with Ingest() as ingest:
        code(feed(ingest, npy_file(events(10)), "--feed", "daq1", "--run", 12, "--columns", "a,b,c", "--condition",
                  "alpha_s=0.118", "--seq-start", 5), 0)
        same(ingest.headers[5], {"twin": "zmumu", "feed": "daq1", "run": 12, "seq": 5, "columns": ["a", "b", "c"],
                                 "conditions": {"alpha_s": 0.118}})


def test_double_precision():
    """a float64 array and one with one dimension are sent as float32 rows"""
    data = events(50, 1).astype(np.float64)
    with Ingest() as ingest:
        code(feed(ingest, npy_file(data[:, 0])), 0)
        same(np.array_equal(ingest.rows(), data.astype(np.float32)), True)


def test_any_numbers():
    """integers and floats of either byte order, in C and Fortran order, are the rows that NumPy makes of them"""
    values = np.array([[0, 1, 2], [100, 7, 127], [5, 3, 64], [9, 8, 77]])
    arrays = []
    for name in [order + kind for order in "<>" for kind in "i2 i4 i8 u2 u4 u8 f2 f4 f8".split()] + ["i1", "u1"]:
        data = (values if "u" in name else -values).astype(name)
        data[0, 0] = np.finfo(name).smallest_subnormal if "f" in name else np.iinfo(name).max
        arrays += [data, np.asfortranarray(data)]
    with Ingest() as ingest:
        code(feed(ingest, *map(npy_file, arrays), "--batch", 3), 0)
        rows = ingest.rows().reshape(len(arrays), 4, 3)
        for array, sent in zip(arrays, rows):
            same(sent.tolist(), array.astype(np.float32).tolist(), array.dtype.str)
        code(feed(ingest, npy_file(arrays[1]), "--rows", "1:4", "--seq-start", len(ingest.durable)), 0)
        same(ingest.rows()[-3:].tolist(), arrays[0][1:].tolist())
        for wrong in values > 3, values * 1j:
            has(code(feed(ingest, npy_file(wrong)), 1).err, "integers or floats")


def test_csv():
    """CSV arrives with the names of its header, digit for digit"""
    data = events(2500)
    with Ingest() as ingest:
        code(feed(ingest, csv_file(data, "xyz")), 0)
        same(np.array_equal(ingest.rows(), data), True)
        same(ingest.headers[2]["columns"], ["x", "y", "z"])


def test_csv_without_header():
    """CSV without names is refused, and taken with --columns"""
    path = os.path.join(SCRATCH.name, "bare.csv")
    with open(path, "w") as f:
        f.write("1,2\n3,4")
    with Ingest() as ingest:
        has(code(feed(ingest, path), 1).err, "no line of column names")
        same(ingest.received, [])
        code(feed(ingest, path, "--columns", "a,b"), 0)
        same(ingest.rows().tolist(), [[1, 2], [3, 4]])


def test_not_csv():
    """what is no CSV, and has no column of numbers to be found wrong in, is refused with what to do"""
    wrong = {"a.npz": (b"PK\3\4\x14", ".npy"), "a.csv.gz": (b"\x1f\x8b\x08", "unpack"), "a.root": (b"root\0\0\xf2", "python -m twin"),
             "a.json": (b'{\n"items": []}', "JSON"), "semi.csv": (b"a;b\n1;2\n", "commas"), "tab.csv": (b"a\tb\n1\t2\n", "commas")}
    with Ingest() as ingest:
        for name, (data, words) in wrong.items():
            path = os.path.join(SCRATCH.name, name)
            with open(path, "wb") as f:
                f.write(data)
            has(code(feed(ingest, path), 1).err, name, words)
        same(ingest.received, [])


def test_bad_csv():
    """a bad field ends the feed with a sentence that says where; what came before it is there"""
    path = os.path.join(SCRATCH.name, "bad.csv")
    with open(path, "w") as f:
        f.write("a,b\n" + "1,2\n" * 20 + "1,x\n")
    with Ingest() as ingest:
        has(code(feed(ingest, path, "--batch", 10), 1).err, "bad.csv", "counted from row 20")


def test_empty_lines():
    """an empty line is found wherever a batch ends, and is none at the end of the file; the mark of UTF-8 is no name"""
    path = os.path.join(SCRATCH.name, "empty.csv")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\ufeffa,b\n" + "1,2\n" * 10 + "\n3,4\n")
    with Ingest() as ingest:
        has(code(feed(ingest, path, "--batch", 11), 1).err, "row 10 is an empty line")
    with open(path, "w", encoding="utf-8") as f:
        f.write("\ufeffa,b\n" + "1,2\n" * 10 + "\n" * 10)
    with Ingest() as ingest:
        code(feed(ingest, path, "--batch", 5), 0)
        same(len(ingest.rows()), 10)
        same(ingest.headers[0]["columns"], ["a", "b"])


def test_standard_input():
    """standard input may be CSV or .npy"""
    data = events(300)
    with Ingest() as ingest:
        with open(csv_file(data, "xyz"), "rb") as f:
            code(feed(ingest, "-", stdin=f.read()), 0)
        same(np.array_equal(ingest.rows(), data), True)
    with Ingest() as ingest:
        with open(npy_file(data), "rb") as f:
            code(feed(ingest, "-", stdin=f.read()), 0)
        same(np.array_equal(ingest.rows(), data), True)


def test_rows_and_files():
    """--rows takes a slice; several files continue the sequence"""
    data = events(100)
    with Ingest() as ingest:
        code(feed(ingest, npy_file(data), "--rows", "10:35", "--batch", 10), 0)
        same(np.array_equal(ingest.rows(), data[10:35]), True)
    with Ingest() as ingest:
        code(feed(ingest, npy_file(data), npy_file(data + 1, "b.npy"), "--batch", 60), 0)
        same(np.array_equal(ingest.rows(), np.concatenate([data, data + 1])), True)
        same(sorted(ingest.durable), [0, 1, 2, 3])
    with Ingest() as ingest:
        has(code(feed(ingest, npy_file(data), "--rows", "90:200"), 1).err, "fewer rows")
        has(code(feed(ingest, csv_file(data, "xyz"), "--rows", "90:101"), 1).err, "fewer rows")
    with Ingest() as ingest:
        code(feed(ingest, csv_file(data, "xyz"), "--rows", "90:100", "--batch", 3), 0)
        same(np.array_equal(ingest.rows(), data[90:]), True)


def test_bad_file():
    """a file that is cut short, no file, an empty one, one that is not what its name says: a sentence and exit status 1"""
    path = npy_file(events(100))
    with open(path, "r+b") as f:
        f.truncate(500)
    with Ingest() as ingest:
        has(code(feed(ingest, path), 1).err, "events.npy")
        has(code(feed(ingest, os.path.join(SCRATCH.name, "nothing")), 1).err, "No such file")
        open(os.path.join(SCRATCH.name, "empty"), "w").close()
        has(code(feed(ingest, os.path.join(SCRATCH.name, "empty")), 1).err, "is empty")
        for name, text, words in (("text.npy", "not an array", "does not begin as a .npy file"),
                                  ("text.h5", "x,y,z\n1,2,3\n", "does not begin as a .h5 file"),
                                  ("head.csv", "x,y,z\n", "head.csv has no rows")):
            with open(os.path.join(SCRATCH.name, name), "w") as f:
                f.write(text)
            has(code(feed(ingest, os.path.join(SCRATCH.name, name)), 1).err, words)
            has(code(feed(ingest, os.path.join(SCRATCH.name, name), "--dry-run"), 1).err, words)
        for begin, words in ((b"PK\x03\x04", "zip archive"), (b"\x1f\x8b", "compressed"), (b"root\0", "python -m twin feed"),
                             (b"\x89HDF\r\n\x1a\n", "is HDF5"), (b'{"rows": 1}\n', "is JSON"), (b"a;b\n1;2\n", "semicolons")):
            has(code(feed(ingest, "-", stdin=begin), 1).err, words)
        same(ingest.received, [])


def test_resumes():
    """goes on where the last acknowledgement was, with the same rows in the same batches"""
    data = events(1000)
    for path in npy_file(data), csv_file(data, "xyz"):
        with Ingest() as ingest:
            code(feed(ingest, path, "--batch", 100), 0)
            for seq in range(4, 10):
                del ingest.durable[seq]
            ingest.received.clear()
            result = report(code(feed(ingest, path, "--batch", 100, "-o", "json"), 0))
            same(ingest.received, [0, 3, *range(4, 10)])
            same((result["resumed_from"], result["batches"], result["skipped"]), (4, 6, 4))
            same((result["events"], result["acked"], result["next_seq"]), (600, 6, 10))
            same(np.array_equal(ingest.rows(), data), True)


def test_other_data():
    """other data under a run that is there: refused with the name of --run, and nothing new is sent"""
    data = events(1000)
    longer = np.concatenate([data[:950], events(1050, seed=2)])
    for other, batch in (events(2000, seed=2), 0), (events(100, seed=2), 0), (longer, 9):
        with Ingest() as ingest:
            code(feed(ingest, npy_file(data), "--batch", 100, "--feed", "daq1"), 0)
            ingest.received.clear()
            result = code(feed(ingest, npy_file(other, "other.npy"), "--batch", 100, "--feed", "daq1"), 1)
            has(result.err, f"run 1 of feed daq1 holds other data at batch {batch}: choose another --run")
            same((max(ingest.received) <= 9, np.array_equal(ingest.rows(), data)), (True, True))


@waits
def test_check_is_lost():
    """the check of what is durable is repeated until it is answered"""
    data = events(1000)
    with Ingest() as ingest:
        code(feed(ingest, npy_file(data), "--rows", "0:500", "--batch", 100), 0)
        ingest.drop_batch, ingest.drop_ack = {4}, {0}
        result = code(feed(ingest, npy_file(data), "--batch", 100), 0)
        has(result.out, "5 batches, 500 events", "5 acknowledged, 5 there before")
        has(result.err, "first 5 batches were there before as run 1")
        same(np.array_equal(ingest.rows(), data), True)


def test_nothing_left():
    """a run that is there already is said to be"""
    path = npy_file(events(1000))
    with Ingest() as ingest:
        code(feed(ingest, path), 0)
        result = code(feed(ingest, path), 0)
        same(ingest.received, [0, 0])
        has(result.err, "there already", "--run")


@waits
def test_lost_ack():
    """a lost acknowledgement: asks what is durable, and sends what is not"""
    with Ingest() as ingest:
        ingest.drop_ack, ingest.drop_batch = {4}, {7}
        result = report(code(feed(ingest, npy_file(events(1000)), "--batch", 100, "-o", "json"), 0))
        same(sorted(ingest.durable), list(range(10)))
        same(result["acked"], 10)
        assert ingest.hellos >= 2 and ingest.received.count(7) == 2, ingest.received
        assert ingest.received.count(4) == 1, "what WELCOME called durable was sent again"


def test_no_credit():
    """NACK no_credit: waits and sends again"""
    with Ingest() as ingest:
        ingest.refuse = {2: ("no_credit", 2), 5: ("no_credit", 1)}
        result = report(code(feed(ingest, npy_file(events(1000)), "--batch", 100, "-o", "json"), 0))
        same(sorted(ingest.durable), list(range(10)))
        same((ingest.received.count(2), ingest.received.count(5), result["resent"]), (3, 2, 3))


@waits
def test_full():
    """NACK full: says so, waits and sends again, as long as --timeout allows"""
    with Ingest() as ingest:
        ingest.refuse = {2: ("full", 3)}
        result = code(feed(ingest, npy_file(events(1000)), "--batch", 100), 0)
        has(result.err, "no room")
        same((sorted(ingest.durable), ingest.received.count(2)), (list(range(10)), 4))
    with Ingest() as ingest:
        ingest.refuse = {1: ("full", 10000)}
        has(code(feed(ingest, npy_file(events(300)), "--batch", 100, "--timeout", 1), 75).err, "--timeout")


def test_credit_is_kept():
    """no more bytes are in flight than the credit, or than --in-flight"""
    data = events(10000)
    for credit, more in (20000, ()), (1 << 20, ("--in-flight", 20000)):
        with Ingest() as ingest:
            ingest.credit, ingest.hold_acks = credit, True
            process = start("feed", "zmumu", npy_file(data), "--ingest", ingest.endpoint, "--batch", 500, *more)
            wait_until(lambda: len(ingest.received) == 3)  # 3 batches of 6.2 kB fit
            time.sleep(0.3)
            same(len(ingest.received), 3)
            ingest.hold_acks = False
            code(finish(process), 0)
            same((ingest.over_credit, len(ingest.durable)), (0, 20))


def test_too_large():
    """a batch beyond the daemon's limit is an error that names --batch"""
    with Ingest() as ingest:
        ingest.max_bytes = 1000
        has(code(feed(ingest, npy_file(events(1000))), 1).err, "--batch")


def test_refusals():
    """other NACKs end the feed with their code"""
    for name in "conflict", "unknown_column":
        with Ingest() as ingest:
            ingest.refuse = {1: (name, 100)}
            result = code(feed(ingest, npy_file(events(300)), "--batch", 100), 1)
            has(result.err, name, "batch 1 was refused", "batch 0 is on disk, batch 1 is not",
                "when batch 1 is put right, the same command goes on at batch 1")
            has(result.out, "1 of 3 batches acknowledged, 0 there before; batch 1 refused")
            result = code(feed(ingest, npy_file(events(300)), "--batch", 100, "-o", "json"), 1)
            same(report(result)["refused"], 1)
    with Ingest() as ingest:
        ingest.unknown = True
        has(code(feed(ingest, npy_file(events(10))), 1).err, "unknown_twin")


@waits
def test_nobody():
    """nobody at the endpoint, or one who never answers: 69 after --timeout"""
    path = npy_file(events(10))
    result = code(twinctl("feed", "zmumu", path, "--ingest", "tcp://127.0.0.1:9", "--timeout", 1), 69)
    has(result.err, "no answer from tcp://127.0.0.1:9")
    with Ingest() as ingest:
        ingest.silent = True
        code(feed(ingest, path, "--timeout", 1), 69)


def test_daemon_comes_back():
    """a daemon that dies and comes back: nothing lost, nothing twice"""
    data = events(4000)
    ingest = Ingest()
    process = start("feed", "zmumu", npy_file(data), "--ingest", ingest.endpoint, "--batch", 100, "--rate", 4000,
                    "-o", "json")
    wait_until(lambda: len(ingest.durable) >= 8)
    ingest.hold_acks = True
    held = len(ingest.durable) + 2
    wait_until(lambda: len(ingest.durable) >= held + 4)
    endpoint, durable = ingest.endpoint, dict(ingest.durable)
    ingest.close()
    for seq in [s for s in durable if s >= held + 1]:  # neither synced nor acknowledged when it died
        del durable[seq]
    time.sleep(0.3)
    with Ingest(endpoint) as ingest:
        ingest.durable = durable
        result = report(code(finish(process), 0))
        same(np.array_equal(ingest.rows(), data), True)
        same(result["events"], 4000)


def test_rate():
    """--rate is kept"""
    with Ingest() as ingest:
        result = report(code(feed(ingest, npy_file(events(2000)), "--batch", 100, "--rate", 2000, "-o", "json"), 0))
        assert result["seconds"] >= 0.6, result  # 1900 events after the first batch, a burst of a quarter of a second
        same(len(ingest.durable), 20)


def test_interrupt():
    """Ctrl-C: waits for what is in flight, says where to go on; the same command goes on there"""
    data = events(1000)
    arguments = ("feed", "zmumu", npy_file(data), "--batch", 10, "--rate", 500)
    with Ingest() as ingest:
        process = start(*arguments, "-o", "json", TWIN_INGEST=ingest.endpoint)
        wait_until(lambda: len(ingest.durable) >= 5)
        process.send_signal(signal.SIGINT)
        result = code(finish(process), 130)
        done = report(result)
        same((done["stopped"], done["next_seq"], done["acked"]), (True, len(ingest.durable), len(ingest.durable)))
        assert done["next_seq"] < 100
        has(result.err, f"goes on at batch {done['next_seq']}")
        code(twinctl(*arguments[:-2], TWIN_INGEST=ingest.endpoint), 0)
        same(ingest.received, [*range(done["next_seq"]), 0, done["next_seq"] - 1, *range(done["next_seq"], 100)])
        same(np.array_equal(ingest.rows(), data), True)


@waits
def test_interrupt_of_a_stuck_feed():
    """Ctrl-C ends within seconds though acknowledgements are missing, and names the first that is"""
    with Ingest() as ingest:
        ingest.drop_batch = {3}
        process = start("feed", "zmumu", npy_file(events(50)), "--batch", 10, "-o", "json", "--ingest", ingest.endpoint)
        wait_until(lambda: len(ingest.received) >= 5)
        process.send_signal(signal.SIGINT)
        same(report(code(finish(process, 15), 130))["next_seq"], 3)


def test_loop():
    """--loop starts over, the sequence goes on"""
    data = events(30)
    with Ingest() as ingest:
        process = start("feed", "zmumu", npy_file(data), "--batch", 20, "--loop", "--rate", 2000, "--ingest",
                        ingest.endpoint)
        wait_until(lambda: len(ingest.durable) >= 8)
        process.send_signal(signal.SIGTERM)
        code(finish(process), 143)
        rows = ingest.rows()
        same(np.array_equal(rows[:60], np.concatenate([data, data])), True)


def test_dry_run():
    """--dry-run reads the files and sends nothing"""
    with Ingest() as ingest:
        dry = (npy_file(events(1001)), "--dry-run")
        has(code(feed(ingest, *dry), 0).err, "2 batches, 1001 events", "could not be asked")
        with Http() as http:
            http.answer("GET", "/v1/twins/zmumu/feeds", (200, {"items": [{"feed": "twinctl", "run": 1, "last_durable_seq": 0}]}))
            has(code(feed(ingest, *dry, TWIN_URL=http.url), 0).err, "up to batch 0: it would go on behind it")
            lacks(code(feed(ingest, *dry, "--run", "2", TWIN_URL=http.url), 0).err, "up to batch")
            http.answer("GET", "/v1/twins/zmumu/feeds", (404, {"detail": "no twin zmumu", "error": "unknown_twin"}))
            http.answer("GET", "/v1/twins", (200, {"items": [{"name": "zmumu1"}], "next_cursor": None}))
            has(code(feed(ingest, *dry, TWIN_URL=http.url), 1).err, "no twin zmumu", "did you mean zmumu1?")
        same((ingest.received, ingest.hellos), ([], 0))


def test_folder():
    """a folder stands for the files of events in it, by the numbers in their names; again, it goes on where it was"""
    folder = os.path.join(SCRATCH.name, "run")
    os.makedirs(folder, exist_ok=True)
    data = events(1200)
    npy_file(data[:500], "run/part_2.npy")
    csv_file(data[500:700], "abc", "run/part_10.csv")
    npy_file(data[700:], "run/part_11.npy")
    for name in "notes.txt", ".part_1.npy", "part_1.npy.tmp":
        open(os.path.join(folder, name), "w").close()
    with Ingest() as ingest:
        same(report(code(feed(ingest, folder, "--batch", "300", "-o", "json"), 0))["batches"], 5)
        same(np.array_equal(ingest.rows(), data), True)
        npy_file(data[:100], "run/part_12.npy")
        again = report(code(feed(ingest, folder, "--batch", "300", "-o", "json"), 0))
        same((again["skipped"], again["batches"]), (5, 1))
        os.makedirs(os.path.join(SCRATCH.name, "empty folder"), exist_ok=True)
        has(code(feed(ingest, os.path.join(SCRATCH.name, "empty folder")), 1).err, "has no .npy, .csv or .h5 file")


def examples():
    """The Python in docs/feeds.md, block by block."""
    with open(os.path.join(os.path.dirname(__file__), "../../docs/feeds.md"), encoding="utf-8") as f:
        return re.findall(r"```python\n(.*?)```", f.read(), re.DOTALL)


def run_example(text, endpoint):
    same(text.count("tcp://127.0.0.1:8471"), 1)
    text = text.replace("tcp://127.0.0.1:8471", endpoint)
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=True).stdout


def test_documented_feeds():
    """the feeds of docs/feeds.md work as they stand: acknowledged, resumed, sent again, within the credit"""
    simple, whole, *_ = examples()
    with Ingest() as ingest:
        has(run_example(simple, ingest.endpoint), "('ACK', {'twin': 'example'")
        same(ingest.rows().shape, (1000, 2))
    with Ingest() as ingest:
        ingest.credit = 50000
        ingest.drop_ack, ingest.drop_batch, ingest.refuse = {3, 4}, {9}, {12: ("no_credit", 2)}
        run_example(whole, ingest.endpoint)
        same((sorted(ingest.durable), ingest.over_credit), (list(range(20)), 0))
        rows = ingest.rows()
        same(np.array_equal(rows, np.random.default_rng(2).normal(size=(20000, 2)).astype(np.float32)), True)
        for seq in range(15, 20):
            del ingest.durable[seq]
        ingest.received.clear()
        run_example(whole, ingest.endpoint)
        same(ingest.received, list(range(15, 20)))


def test_usage():
    """wrong usage is 64"""
    path = npy_file(events(10))
    for arguments in ([], [path, "--batch", "0"], [path, "--rows", "5:5"], [path, path, "--rows", "0:5"],
                      ["-", "-"], [path, "--condition", "x"], [path, "--feed", "Daq"], [path, "--rate", "fast"]):
        code(twinctl("feed", "zmumu", *arguments), 64)
    code(twinctl("feed", "zmumu", path, "--ingest", "nonsense"), 64)


def test_progress_without_terminal():
    """without a terminal no bar is drawn and no colour used"""
    with Ingest() as ingest:
        result = code(feed(ingest, npy_file(events(1000))), 0)
        assert "\033" not in result.out + result.err and "\r" not in result.err


if __name__ == "__main__":
    run(sys.modules[__name__])

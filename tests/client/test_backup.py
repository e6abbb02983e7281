"""twinctl backup and restore against archives that are whole, damaged, cut or hostile; the daemon is a stand-in."""
import fcntl
import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import code, has, lacks, run, same, twinctl
from fakes import TOKEN, Http

HOME = tempfile.TemporaryDirectory()
FILES = {"twin.db": b"not really SQLite" * 100, "spool/1/0000000000000000.seg": b"\0" * 700,
         "spool/12/00000000000000ff.seg": b"", "spool/1/0000000000000010.seg": b"abc"}


def path(name):
    return os.path.join(HOME.name, name)


def manifest(files, **more):
    listed = [{"name": n, "size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for n, d in files.items()]
    return json.dumps({"format": 1, "version": "0.1.0", "schema": 1, "created": "2026-03-01T12:00:00.000Z",
                       "twins": [{"id": 1, "name": "zmumu", "watermark": 17}], "files": listed, **more}).encode()


def archive(members, last=None, **info):
    """members: {name: data}; `last`: the manifest's bytes, or None for the right one, or b"" for none."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        text = manifest(members) if last is None else last
        for name, data in [*members.items(), *([("manifest.json", text)] if text else [])]:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            for key, value in info.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


WRONG = {
    "damaged": (archive({**FILES, "twin.db": b"else"}, last=manifest(FILES)), "twin.db is damaged"),
    "missing": (archive({"twin.db": FILES["twin.db"]}, last=manifest(FILES)), "is missing"),
    "extra": (archive(FILES, last=manifest({"twin.db": FILES["twin.db"]})), "does not list"),
    "no database": (archive({"spool/1/0000000000000000.seg": b""}), "twin.db is missing"),
    "no manifest": (archive(FILES, last=b""), "no manifest"),
    "format": (archive(FILES, last=manifest(FILES, format=2)), "format 2"),
    "not JSON": (archive(FILES, last=b"{"), "manifest is not valid"),
    "upwards": (archive({**FILES, "../evil": b"x"}), "not allowed"),
    "absolute": (archive({**FILES, "/tmp/evil": b"x"}), "not allowed"),
    "hidden": (archive({**FILES, "spool/.x/0000000000000000.seg": b"x"}), "not allowed"),
    "else": (archive({**FILES, "admin.token": b"x"}), "admin.token does not belong"),
    "nearly a segment": (archive({**FILES, "spool/1/0000000000000000.seg.tmp": b"x"}), "does not belong"),
    "link": (archive(FILES, type=tarfile.SYMTYPE, linkname="/etc/passwd"), "something else than plain files"),
    "no archive": (b"x" * 5000, "no tar archive"),
    "empty": (b"", "ends too early"),
    "cut": (archive(FILES)[:3000], "ends too early"),
    "twice": (archive(FILES, last=b"")[:2560] + archive(FILES), "is there twice"),
}


def test_restore():
    """restore writes what the archive holds, modes for its owner alone, and says what to do next"""
    with open(path("good.tar"), "wb") as f:
        f.write(archive(FILES))
    said = code(twinctl("restore", path("good.tar"), "--state", path("new"), home=HOME.name), 0)
    has(said.err, f"twind --state {path('new')}", "admin.token")
    has(said.out, "watermark")
    for name, data in FILES.items():
        with open(os.path.join(path("new"), name), "rb") as f:
            same(f.read(), data)
        same(os.stat(os.path.join(path("new"), name)).st_mode & 0o777, 0o600)
    same(os.stat(path("new")).st_mode & 0o777, 0o700)
    same(sorted(os.listdir(path("new"))), ["lock", "spool", "twin.db"])
    os.mkdir(path("empty"))
    code(twinctl("restore", "-", "--state", path("empty"), stdin=archive(FILES), home=HOME.name), 0)
    code(twinctl("restore", path("good.tar"), "--state", path("dry"), "--dry-run", home=HOME.name), 0)
    assert not os.path.exists(path("dry"))


def test_verify():
    """backup --verify tells a whole archive from every wrong one, and writes nothing"""
    done = code(twinctl("backup", "--verify", path("good.tar"), "-o", "json"), 0)
    same(json.loads(done.out)["twins"], [{"id": 1, "name": "zmumu", "watermark": 17}])
    for name, (data, words) in WRONG.items():
        has(code(twinctl("backup", "--verify", "-", stdin=data), 1).err, words)


def test_restore_refuses():
    """a restore of anything else fails with a sentence and leaves nothing"""
    before = sorted(os.listdir(HOME.name))
    for name, (data, words) in WRONG.items():
        has(code(twinctl("restore", "-", "--state", path("wrong"), stdin=data, home=HOME.name), 1).err, words)
        same(sorted(os.listdir(HOME.name)), before, name)
        os.mkdir(path("wrong"))
        code(twinctl("restore", "-", "--state", path("wrong"), stdin=data, home=HOME.name), 1)
        same(os.listdir(path("wrong")), [], name)
        os.rmdir(path("wrong"))


def test_folders():
    """restore takes no folder that holds something or is in use"""
    has(code(twinctl("restore", path("good.tar"), "--state", path("new")), 1).err, "not empty")
    with open(os.path.join(path("new"), "lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        has(code(twinctl("restore", path("good.tar"), "--state", path("new")), 1).err, "in use by a twind")
    has(code(twinctl("restore", path("good.tar"), "--state", path("no/such")), 1).err, "No such file")
    has(code(twinctl("restore", path("absent.tar"), "--state", path("other")), 1).err, "absent.tar")
    assert not os.path.exists(path("other"))
    code(twinctl("restore", path("good.tar")), 64)


def test_backup():
    """backup writes what comes under its name, for its owner alone, with the token in the request"""
    token = path("token")
    with open(token, "w") as f:
        f.write(TOKEN)
    with Http() as http:
        http.answer("GET", "/v1/backup", (200, archive(FILES)))
        code(twinctl("backup", path("b.tar"), TWIN_URL=http.url, TWIN_TOKEN_FILE=token), 0)
        same(http.requests[-1]["headers"]["Authorization"], f"Bearer {TOKEN}")
        with open(path("b.tar"), "rb") as f:
            same(f.read(), archive(FILES))
        same(os.stat(path("b.tar")).st_mode & 0o777, 0o600)
        out = code(twinctl("backup", "-", TWIN_URL=http.url, TWIN_TOKEN_FILE=token, binary=True), 0).out
        same(out, archive(FILES))


def test_backup_refuses():
    """what is no whole archive leaves no file, and an older backup as it was"""
    before = sorted(os.listdir(HOME.name))
    with Http() as http:
        for name, (data, words) in WRONG.items():
            http.answer("GET", "/v1/backup", (200, data))
            has(code(twinctl("backup", path("wrong.tar"), TWIN_URL=http.url), 1).err, words)
            same(sorted(os.listdir(HOME.name)), before, name)
            code(twinctl("backup", path("b.tar"), TWIN_URL=http.url), 1)
        http.answer("GET", "/v1/backup", (200, archive(FILES)[:4000], {"Transfer-Encoding": "chunked"}))
        assert twinctl("backup", path("wrong.tar"), TWIN_URL=http.url).code in (1, 69)  # the transfer broke
        http.answer("GET", "/v1/backup", (507, {"status": 507, "detail": "the disk has no room"}))
        has(code(twinctl("backup", path("wrong.tar"), TWIN_URL=http.url), 75).err, "no room")
    code(twinctl("backup", path("wrong.tar"), TWIN_URL="http://127.0.0.1:1"), 69)
    same(sorted(os.listdir(HOME.name)), before)
    with open(path("b.tar"), "rb") as f:
        same(f.read(), archive(FILES))


def test_doctor():
    """doctor shows what the daemon found and what it sees itself: 0 all well, 1 something is wrong, 69 nobody answers"""
    fine = {"name": "disk", "ok": True, "level": "ok", "detail": "plenty", "advice": None}
    wrong = {"name": "clock", "ok": False, "level": "error", "detail": "went back", "advice": "set it"}
    import datetime
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    version = twinctl("--version").out.split()[1]
    with Http() as http:
        answer = {"items": [fine], "time": now, "version": version, "deep": False}
        http.answer("GET", "/v1/doctor", (200, answer))
        shown = json.loads(code(twinctl("doctor", "-o", "json", TWIN_URL=http.url), 0).out)
        assert all(item["ok"] for item in shown) and fine in shown
        http.answer("GET", "/v1/doctor", (200, {**answer, "items": [fine, wrong]}))
        has(code(twinctl("doctor", "--deep", TWIN_URL=http.url), 1).out, "went back", "set it")
        same(http.requests[-1]["query"], {"deep": ["true"]})
        http.answer("GET", "/v1/doctor", (200, {**answer, "time": "2020-01-01T00:00:00.000Z"}))
        has(code(twinctl("doctor", TWIN_URL=http.url), 1).out, "clock_of_client")
        http.answer("GET", "/v1/doctor", (200, {**answer, "version": "9.9.9"}))
        has(code(twinctl("doctor", TWIN_URL=http.url), 1).out, "twind is 9.9.9")
        http.answer("GET", "/v1/doctor", (200, b'{"items": ['))
        has(code(twinctl("doctor", TWIN_URL=http.url), 1).err, "broke")
    state = path("new")
    with open(os.path.join(state, "admin.token"), "w") as f:
        f.write(TOKEN)
    os.chmod(os.path.join(state, "admin.token"), 0o644)
    down = code(twinctl("doctor", "--state", state, TWIN_URL="http://127.0.0.1:1"), 69).out
    has(down, "systemctl start twind", "mode 0644: others reach it", "chmod 600", "no twind holds")
    with open(os.path.join(state, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        has(code(twinctl("doctor", "--state", state, TWIN_URL="http://127.0.0.1:1"), 69).out, "does not answer")


if __name__ == "__main__":
    run(sys.modules[__name__])

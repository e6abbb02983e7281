"""twinctl where something is missing or odd: no daemon, another server, a wrong token, no colours, a full disk."""
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np

from cases import TWINCTL, code, environment, has, lacks, run, same, twinctl
from fakes import TOKEN, Http, npy
from stage import HOME, TWIN, alias, ctl, on_terminal, page, scratch


def test_nobody():
    """nobody listens: 69, and words that say where"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        has(code(twinctl("status", "--url", url), 69).err, url)
        same(code(twinctl("drift", "zmumu", "--url", url), 69).out, "")


def test_other_port():
    """what answers is no HTTP server, as at the port of the feeds: words that say so"""
    with socket.create_server(("127.0.0.1", 0)) as other:
        def greet():
            peer, _ = other.accept()
            with peer:
                peer.recv(1024)
                peer.sendall(b"\xff" + bytes(8) + b"\x7f")
        thread = threading.Thread(target=greet)
        thread.start()
        url = f"http://127.0.0.1:{other.getsockname()[1]}"
        has(code(twinctl("status", "--url", url), 64).err, url, "does not speak HTTP", "--url")
        thread.join()


def test_no_answer():
    """a server that accepts and says nothing: 69 after --timeout"""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        begin = time.monotonic()
        code(twinctl("status", "--url", url, "--timeout", "1"), 69)
        assert time.monotonic() - begin < 20


def test_proxies_and_redirects():
    """no proxy is used and no redirect followed"""
    with Http() as http:
        http.answer("GET", "/v1/twins", page([]))
        code(ctl(http, "status", http_proxy="http://127.0.0.1:9", ALL_PROXY="http://127.0.0.1:9"), 0)
        http.answer("GET", "/v1/twins", (302, b"", {"Location": http.url + "/elsewhere"}))
        code(ctl(http, "status"), 1)
        same([r["path"] for r in http.requests], ["/v1/twins", "/v1/twins"])


def test_problems():
    """problem+json becomes a sentence, its status an exit status"""
    for status, wanted in (400, 1), (401, 77), (403, 77), (404, 1), (409, 1), (412, 75), (500, 1), (503, 75), (507, 75):
        with Http() as http:
            http.answer("GET", "/v1/twins", (status, {"title": "T", "detail": "the sentence", "error": "e"}))
            result = code(ctl(http, "status"), wanted)
            same(result.err, "twinctl: the sentence\n")
            same(result.out, "")


def test_nonsense():
    """an answer that is no JSON, or not twind's, is an error"""
    with Http() as http:
        http.answer("GET", "/v1/twins", (200, b"<html>"))
        has(code(ctl(http, "status"), 1).err, "is that twind?")
        http.answer("GET", "/v1/twins", (500, b"<html>"))
        has(code(ctl(http, "status"), 1).err, "500")


def test_token():
    """the token comes from --token-file, TWIN_TOKEN_FILE or the state folder, and goes only with changes"""
    definition = scratch("d.json", '{"name": "zmumu", "features": []}')
    right, wrong = scratch("right", TOKEN), scratch("wrong", "nonsense")
    with Http() as http:
        http.answer("POST", "/v1/twins", (201, TWIN))
        http.answer("GET", "/v1/twins", page([TWIN]))
        create = ("create", "--file", definition)
        code(ctl(http, *create), 0)
        code(ctl(http, *create, token="wrong", TWIN_TOKEN_FILE=right), 0)
        code(ctl(http, *create, "--token-file", right, TWIN_TOKEN_FILE=wrong), 0)
        code(twinctl(*create, home="/nonexistent", TWIN_URL=http.url, XDG_STATE_HOME=HOME.name + "/.local/state"), 0)
        has(code(ctl(http, *create, token="wrong"), 77).err, "admin.token", "--token-file")
        has(code(ctl(http, *create, "--token-file", "/nonexistent/token"), 77).err, "/nonexistent/token", "No such file")
        code(ctl(http, *create, "--token-file", scratch("evil", "a\r\nHost: b")), 77)
        code(ctl(http, "status"), 0)
        lacks(http.requests[-1]["headers"], "Authorization")


def test_next_step():
    """what is refused is followed by what to do: a name that is meant, a command that helps; not with --quiet"""
    with Http() as http:
        http.answer("GET", "/v1/twins", page([TWIN, {**TWIN, "name": "ttbar"}]))
        for path in "/v1/twins/zmuum", "/v1/twins/elsewhere":
            http.answer("GET", path, (404, {"detail": "there is no such twin", "error": "unknown_twin"}))
        same(code(ctl(http, "status", "zmuum"), 1).err, "twinctl: there is no such twin\ndid you mean zmumu?\n")
        has(code(ctl(http, "status", "elsewhere"), 1).err, "twinctl status lists")
        lacks(code(ctl(http, "status", "zmuum", "--quiet"), 1).err, "mean")
        for alias, step in (("champion", "twinctl train zmumu FILE"), ("challenger", "twinctl history zmumu")):
            http.answer("GET", f"/v1/twins/zmumu/aliases/{alias}", (404, {"detail": "no alias", "error": "unknown_alias"}))
            has(code(ctl(http, "show", "zmumu", alias), 1).err, step)
        http.answer("POST", "/v1/twins", (400, {"detail": "features[0]: unknown member", "error": "bad_definition"}))
        definition = scratch("typo.json", '{"name": "zmumu", "features": [{"unti": "cm"}]}')
        has(code(ctl(http, "create", "--file", definition), 1).err, "features[0]", "man twin-definition")
        http.answer("GET", "/v1/twins", page([]))
        has(code(ctl(http, "status", "zmuum"), 1).err, "twinctl create makes one")
        http.answer("POST", "/v1/twins/zmumu/log_prob", (400, {"detail": "3 columns", "error": "bad_shape"}))
        http.answer("GET", "/v1/twins/zmumu", (200, {"definition": {"features": [{"name": "pt"}, {"name": "eta"}]}}))
        rows = scratch("few.npy", npy(np.zeros((2, 3), np.float32)))
        has(code(ctl(http, "log-prob", "zmumu", rows), 1).err, "the columns of zmumu are pt, eta")
        http.answer("POST", "/v1/twins/zmumu/sample", (409, {"detail": "not trained", "error": "untrained"}))
        has(code(ctl(http, "sample", "zmumu"), 1).err, "twinctl train zmumu FILE")


def test_control_characters():
    """control characters of the server never reach the terminal"""
    with Http() as http:
        http.answer("GET", "/v1/twins", (400, {"detail": "red \033[31m\x07 alert \u009b1m"}))
        result = code(ctl(http, "status"), 1)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", result.err), result
        http.answer("GET", "/v1/twins", page([{**TWIN, "activity": "\033[31mx\ny"}]))
        result = code(ctl(http, "status"), 0)
        assert "\033" not in result.out and result.out.count("\n") == 2, result


def test_colours():
    """colours on a terminal; none with NO_COLOR, on a dumb one, or into a pipe"""
    with Http() as http:
        http.answer("GET", "/v1/twins", page([TWIN]))
        for env, wanted in ({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False), ({"NO_COLOR": ""}, True):
            status, shown = on_terminal(["status", "--url", http.url], **env)
            same(status, 0)
            has(shown, "zmumu")
            same("\033[" in shown, wanted, f"colours with {env}")
        lacks(code(ctl(http, "status"), 0).out, "\033")


def test_full_disk():
    """data that could not be written make a failure"""
    if not os.path.exists("/dev/full"):
        return
    with Http() as http:
        http.answer("GET", "/v1/twins", page([TWIN]))
        with open("/dev/full", "w") as full:
            done = subprocess.run([TWINCTL, "status", "--url", http.url], stdout=full, stderr=subprocess.PIPE,
                                  env=environment(HOME.name))
        same(done.returncode, 1)
        has(done.stderr.decode(), "could not be written")


def test_reader_that_left():
    """| head: no word about it, and the status of what a broken pipe ends"""
    with Http() as http:
        http.answer("GET", "/v1/twins", page([TWIN]))
        http.answer("POST", "/v1/twins/zmumu/sample", (200, b"a\n1\n"))
        http.answer("GET", "/v1/twins/zmumu/versions/3/artifact", (200, b"artifact"))
        for words in (["status"], ["sample", "zmumu"], ["export", "zmumu", "3", "--out", "-"], ["completion", "bash"]):
            read, write = os.pipe()
            os.close(read)
            done = subprocess.run([TWINCTL, *words, "--url", http.url], stdout=write, stderr=subprocess.PIPE,
                                  env=environment(HOME.name))
            os.close(write)
            same((done.returncode, done.stderr), (128 + signal.SIGPIPE, b""), words)


if __name__ == "__main__":
    run(sys.modules[__name__])

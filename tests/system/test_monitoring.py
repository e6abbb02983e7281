"""What Prometheus and Grafana make of /metrics: names by the rules, all series from the start, queries that answer.

promtool and prometheus are Debian's, from build/unpacked (scripts/packages-unpacked) or the path; without them what needs
them is skipped.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.parse
import urllib.request

import toy
from daemon import Daemon
from feed import Feed

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SAMPLE = re.compile(r'^(\w+)(\{.*\})? (\S+)$')


def program(name):
    unpacked = os.path.join(ROOT, "build", "unpacked", "usr", "bin", name)
    return unpacked if os.path.exists(unpacked) else shutil.which(name)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def series(text):
    """{(name, labels): value} of a scrape."""
    return {(m[1], m[2] or ""): float(m[3]) for m in map(SAMPLE.match, text.splitlines()) if m}


def dashboard():
    """Queries of the Grafana dashboard, (title, expression), with its variables filled in."""
    with open(os.path.join(ROOT, "monitoring", "grafana-dashboard.json"), encoding="utf-8") as file:
        board = json.load(file)
    queries = [(p["title"], t["expr"]) for p in board["panels"] for t in p["targets"]]
    queries += [(a["name"], a["expr"]) for a in board["annotations"]["list"]]
    return [(title, expr.replace("$twin", ".*").replace("$__rate_interval", "1m")) for title, expr in queries]


@unittest.skipUnless(program("promtool"), "promtool is not there")
class Rules(unittest.TestCase):
    def promtool(self, *arguments):
        done = subprocess.run([program("promtool"), *arguments], cwd=os.path.join(ROOT, "monitoring"), capture_output=True,
                              text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_alerts_are_rules(self):
        self.promtool("check", "config", "prometheus.yml")
        self.promtool("check", "rules", "alerts.yml")

    def test_alerts_fire_when_they_should(self):
        self.promtool("test", "rules", "alerts_test.yml")


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon()
        cls.daemon.start()
        cls.empty = cls.scrape()
        cls.daemon.create(toy.DEFINITION)
        cls.created = cls.scrape()
        cls.daemon.train("toy", toy.events(3000, seed=1), "?epochs=2")
        feed = Feed(cls.daemon.ingest, "toy")
        feed.push_all(toy.batches(toy.events(1000, seed=2), 500))
        cls.wait(lambda: (cls.daemon.get("/v1/twins/toy")["last_iteration"] or {}).get("iteration") == 1)
        cls.compared = cls.scrape()
        feed.push_all(toy.batches(toy.events(2000, seed=3, shift=2), 1000), first=2)
        feed.close()
        cls.wait(lambda: 'outcome="promoted"} 1' in cls.scrape())
        cls.retuned = cls.scrape()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    @classmethod
    def scrape(cls):
        return cls.daemon.request("GET", "/metrics", authorised=False).body.decode()

    @staticmethod
    def wait(condition, timeout_s=60):
        end = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("it did not come true")
            time.sleep(0.05)

    def test_every_series_is_there_from_the_start(self):
        """But for the names of feeds and versions, and trouble, which come and go."""
        changing = re.compile(r'feed="[^"]|twin_trouble|twin_model_version_info')
        before, after = ({k for k in series(text) if not changing.search("".join(k))}
                         for text in (self.created, self.retuned))
        self.assertEqual(before, after)
        families = lambda text: re.findall(r"^# TYPE (\S+) \S+$", text, re.M)
        self.assertEqual(families(self.empty), families(self.retuned))

    def test_values(self):
        found = series(self.compared)
        get = lambda name, labels="": found[name, '{twin="toy"' + labels + "}"]
        self.assertEqual(get("twin_ingest_events_total", ',feed="daq1"'), 1000)
        self.assertEqual(get("twin_ingest_events_total", ',feed=""'), 0)
        self.assertEqual(get("twin_verdict", ',verdict="true"'), 1)
        self.assertEqual(get("twin_model_version", ',alias="champion"'), 1)
        self.assertEqual(get("twin_model_version", ',alias="challenger"'), 0)
        self.assertEqual(get("twin_model_version_info", ',alias="reference",version="1"'), 1)
        self.assertEqual(get("twin_retune_duration_seconds_count"), 0)
        for entry in self.daemon.get("/v1/twins/toy/iterations")["items"][-1]["statistics"]:
            if entry["verdict"] == "drift" and entry["value"] is not None:
                labels = f',statistic="{entry["name"]}",feature="{entry["feature"] or ""}"'
                self.assertAlmostEqual(get("twin_drift_statistic", labels), entry["value"], places=9)
        found = series(self.retuned)
        self.assertGreaterEqual(get("twin_drift_alarms_total"), 1)
        self.assertEqual(get("twin_retune_duration_seconds_count"),
                         sum(v for (name, _), v in found.items() if name == "twin_retunes_total"))
        self.assertEqual(get("twin_retune_duration_seconds_bucket", ',le="+Inf"'), get("twin_retune_duration_seconds_count"))
        self.assertGreater(get("twin_retune_duration_seconds_sum"), 0)
        aliases = self.daemon.get("/v1/twins/toy")["aliases"]
        self.assertEqual(aliases["champion"], self.daemon.get("/v1/twins/toy/aliases/champion")["version"])

    @unittest.skipUnless(program("promtool"), "promtool is not there")
    def test_promtool_has_nothing_to_say(self):
        for text in (self.empty, self.created, self.retuned):
            done = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    @unittest.skipUnless(program("prometheus"), "prometheus is not there")
    def test_prometheus_scrapes_it_and_every_query_answers(self):
        port = free_port()
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(ROOT, "monitoring", "prometheus.yml"), encoding="utf-8") as file:
                config = file.read().replace("127.0.0.1:8470", f"127.0.0.1:{self.daemon.port}").replace("15s", "1s")
            with open(os.path.join(folder, "prometheus.yml"), "w", encoding="utf-8") as file:
                file.write(config)
            shutil.copy(os.path.join(ROOT, "monitoring", "alerts.yml"), folder)
            with open(os.path.join(folder, "log"), "w", encoding="utf-8") as log:
                server = subprocess.Popen(
                    [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                     f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], stdout=log, stderr=log)
            try:
                self.queries(port)
            finally:
                server.terminate()
                server.wait(30)

    def queries(self, port):
        def ask(path):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/{path}", timeout=20) as answer:
                return json.load(answer)["data"]

        def answers(expression):
            try:
                return ask("query?" + urllib.parse.urlencode({"query": expression}))["result"]
            except OSError:
                return []

        self.wait(lambda: len(answers('count_over_time(twin_ready[1m]) >= 3')) == 1)
        (target,) = ask("targets")["activeTargets"]
        self.assertEqual((target["health"], target["lastError"]), ("up", ""))
        quiet = {"promotions", "alarms"}  # annotations mark what happens now and then
        for title, expression in dashboard():
            with self.subTest(title):
                if title in quiet:
                    ask("query?" + urllib.parse.urlencode({"query": expression}))
                else:
                    self.assertTrue(answers(expression), expression)
        rules = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        self.assertEqual({rule["health"] for rule in rules}, {"ok"})


if __name__ == "__main__":
    unittest.main(verbosity=2)

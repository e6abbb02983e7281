"""HTTP under attack, in small: whoever behaves is served while hundreds of others only hold on to their connections."""
import http.client
import os
import threading
import time
import unittest

import toy
from daemon import Daemon
from overload_http import Crowd, GoodClient, metric

PATHS = ["/livez", "/v1/twins/toy", "/v1/twins/toy/iterations", "/v1/twins/toy/sample?n=2000&seed=1"]
ENDED = 'twin_http_connections_ended_total{reason="%s"}'


class Overload(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(arguments=["--http-connections", "200"])
        cls.daemon.start()
        cls.daemon.create(toy.DEFINITION)
        cls.daemon.train("toy", toy.events(2000, 1), "?epochs=1")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def served(self, client):
        self.assertEqual(client.failures, [])

    def test_newcomers_get_in(self):
        """Idle, dripping and half-finished clients in numbers far beyond the limit, who come back when thrown out."""
        client = GoodClient(self.daemon, PATHS)
        roles = {"idle": 600, "drip": 300, "keep-alive": 60, "body": 20, "reader": 10}
        with Crowd(self.daemon.port, roles, comeback=1) as crowd:
            for _ in range(6):
                client.ask(8)
                time.sleep(0.3)
            self.assertTrue(crowd.all_in.wait(60))
            client.ask(40)
        self.served(client)
        self.assertGreaterEqual(metric(self.daemon, ENDED % "crowded"), 500)
        self.assertLessEqual(metric(self.daemon, "twin_http_connections"), 220)

    def test_the_slow_are_ended(self):
        """Within the limit nobody is pushed out; those who make no progress go all the same, the idle ones stay."""
        slow = metric(self.daemon, ENDED % "slow")
        crowded = metric(self.daemon, ENDED % "crowded")
        client = GoodClient(self.daemon, PATHS)
        roles = {"idle": 5, "drip": 20, "body": 20, "reader": 5}
        with Crowd(self.daemon.port, roles) as crowd:
            end = time.monotonic() + 120
            while metric(self.daemon, ENDED % "slow") < slow + 45 and time.monotonic() < end:
                client.ask(4)
                time.sleep(0.3)
            self.assertEqual(metric(self.daemon, ENDED % "slow"), slow + 45, crowd.ended)
        self.assertEqual(metric(self.daemon, ENDED % "crowded"), crowded)
        self.served(client)

    def test_a_patient_client_keeps_its_connection(self):
        """Time that the daemon takes is not the client's: a long poll longer than any patience is answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=60)
        operation = self.daemon.request("POST", "/v1/twins", {**toy.DEFINITION, "name": "later"})
        self.assertEqual(operation.status, 201)
        rows = toy.events(20000, 2)
        started = self.daemon.request("POST", "/v1/twins/later/train?epochs=400", rows)
        self.assertEqual(started.status, 202)
        number = started.json()["id"]
        connection.request("GET", f"/v1/operations/{number}?wait=12", headers={"Host": "localhost"})
        answer = connection.getresponse()
        self.assertEqual(answer.status, 200)
        answer.read()
        connection.request("GET", "/livez", headers={"Host": "localhost"})
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()
        self.daemon.request("DELETE", f"/v1/operations/{number}")


class Memory(unittest.TestCase):
    """The ceiling holds while more is asked for at once than fits below it; what was refused can be sent again."""
    CEILING_MB = 128

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(arguments=["--memory-mb", str(cls.CEILING_MB), "--http-connections", "64"])
        cls.daemon.start()
        for i in range(4):
            cls.daemon.create({**toy.DEFINITION, "name": f"toy{i}"})

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def post(self, i, rows, answers):
        """Posts until it is taken."""
        while True:
            try:
                answer = self.daemon.request("POST", f"/v1/twins/toy{i}/train?epochs=1", rows)
                if answer.status != 503:
                    answers[i] = answer
                    return
                self.refused.append(answer.json()["error"])
            except OSError as error:  # refused while it was still sending
                self.refused.append(repr(error))
            time.sleep(0.1 + 0.1 * i)

    def test_bodies_and_trainings(self):
        self.refused = []
        answers = {}
        rows = toy.events(450000, 3)  # 7 MB; the share of bodies is some 20 MB, with the tables made of them
        threads = [threading.Thread(target=self.post, args=(i, rows, answers)) for i in range(4)]
        client = GoodClient(self.daemon, ["/livez", "/v1/twins/toy0", "/readyz"])
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            client.ask(3)
            time.sleep(0.05)
        self.assertEqual(client.failures, [])
        self.assertEqual([answers[i].status for i in range(4)], [202] * 4)
        self.assertTrue(all(why == "overloaded" for why in self.refused if not why.endswith(")")), self.refused)
        for i in range(4):
            row = self.daemon.wait(answers[i].json()["id"])
            self.assertEqual(row["state"], "succeeded", row)
            version = self.daemon.get(f"/v1/twins/toy{i}/versions/1")["metrics"]
            self.assertGreater(version["rows_left_out"], 0)
            self.assertEqual(version["rows"] + version["rows_left_out"], len(rows))
        for share in ("bodies", "answers", "compare", "training"):
            self.assertEqual(metric(self.daemon, f'twin_memory_held_bytes{{share="{share}"}}'), 0, share)
        if "TWIN_SANITIZED" not in os.environ:
            self.assertLess(self.daemon.peak_mb(), self.CEILING_MB)

    def test_too_large_for_ever(self):
        """A body that could never be held is refused by its head, with what would be possible."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=60)
        connection.putrequest("POST", "/v1/twins/toy0/train")
        connection.putheader("Authorization", "Bearer " + self.daemon.token())
        connection.putheader("Content-Length", str(200 << 20))
        connection.endheaders()
        answer = connection.getresponse()
        self.assertEqual(answer.status, 413)
        self.assertIn(b"memory-mb", answer.read())
        connection.close()


if __name__ == "__main__":
    unittest.main()

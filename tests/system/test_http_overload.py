"""HTTP under attack, in small: whoever behaves is served while hundreds of others only hold on to their connections."""
import http.client
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


if __name__ == "__main__":
    unittest.main()

"""What the loop may do by itself: modes, limits, and what stands on record where it may not."""
import unittest

import numpy as np

import toy
from daemon import Daemon
from feed import Feed
from test_loop import iterations, settled, wait_until


class PolicyTest(unittest.TestCase):
    def begin(self, **loop):
        self.daemon = Daemon()
        self.daemon.start()
        self.addCleanup(self.daemon.stop)
        self.daemon.create({**toy.DEFINITION, "loop": {**toy.DEFINITION["loop"], **loop}})
        self.assertEqual(self.daemon.train("toy", toy.events(6000, seed=1), "?seed=5")["state"], "succeeded")
        self.sent = 0

    def push(self, rows):
        """Compared and decided; the iterations that these rows made."""
        batches = toy.batches(rows, 500)
        feed = Feed(self.daemon.ingest, "toy")
        feed.push_all(batches, first=self.sent)
        feed.close()
        before = self.sent // 2
        self.sent += len(batches)
        wait_until(lambda: settled(self.daemon, self.sent), 120)
        return iterations(self.daemon)[before:]

    def versions(self):
        return sorted(self.daemon.get("/v1/twins/toy/versions")["items"], key=lambda v: v["version"])

    def champion(self):
        return self.daemon.get("/v1/twins/toy")["champion"]["version"]

    def promote(self, shift, seed):
        """Windows of shifted data until something of them is promoted."""
        for k in range(10):
            if self.push(toy.events(1000, seed=seed + k, shift=shift))[-1]["decision"] == "promoted":
                return self.champion()
        self.fail("nothing was promoted")

    def regret(self, version):
        return self.versions()[version - 1]["metrics"].get("regret")

    def learn(self, shift):
        """Shifted data until two retunes were promoted, and the last is on trial no more: it would be rolled back."""
        first = self.promote(shift, 10)
        for k in range(20):  # how many refinements come is a matter of bits
            champion = self.champion()
            if champion > first and (self.regret(champion) or {}).get("state") == "confirmed":
                return
            self.push(toy.events(1000, seed=50 + k, shift=shift))
        self.fail("nothing was learnt twice, or confirmed")

    def test_physics_that_returns(self):
        """At first among the other: who knew it is asked again as data come, which is one test at one level."""
        self.begin(recall=1)  # that is not spent on what came on the way to the champion
        self.learn(1.0)
        self.daemon.request("PATCH", "/v1/twins/toy", {"loop": {"cooldown": 100}})  # or it is learnt anew
        before = len(self.versions())
        mixed = np.concatenate([toy.events(550, seed=70, shift=1.0), toy.events(450, seed=71)])
        mixed = np.random.default_rng(72).permutation(mixed)
        rows = self.push(np.concatenate([mixed, toy.events(4000, seed=73)]))
        asked = [r["policy"]["recall"] for r in rows if "recall" in r["policy"]]
        last = len(asked) - 1
        self.assertGreater(last, 0)
        self.assertEqual([r["decision"] for r in rows], ["limited"] * last + ["recalled"] + ["none"] * (4 - last))
        self.assertEqual([(a["level"], len(a["candidates"])) for a in asked], [(asked[0]["level"], 1)] * len(asked))
        self.assertLess(asked[0]["level"], 0.01)
        tried = [a["candidates"][0] for a in asked]
        self.assertEqual([(c["version"], c["events"], c["pass"]) for c in tried],  # from the change on, all of them
                         [(1, 1000 * (k + 1), k == last) for k in range(len(asked))])
        self.assertGreater(tried[last]["bound"], 0)
        self.assertEqual((self.champion(), len(self.versions())), (1, before))
        self.assertEqual(rows[last]["policy"]["version"], 1)
        self.assertEqual(self.daemon.get("/v1/twins/toy")["verdict"], "true")
        moves = self.daemon.get("/v1/twins/toy/history?alias=champion")["items"]
        self.assertEqual((moves[0]["version"], moves[0]["actor"]), (1, "loop"))
        self.assertIn(f"version 1 gains", moves[0]["reason"])
        self.assertEqual(self.regret(1)["state"], "confirmed")  # a recall is on trial too
        # a restart finds the verdict on the version that was recalled
        self.assertEqual(self.daemon.restart(), 0)
        self.assertEqual(self.daemon.get("/v1/twins/toy")["verdict"], "true")

    def appeal(self, windows, seed=20):
        """One retune, which has too few events to pass, and further windows of the same: what they say of it."""
        self.begin(recall=0, growth=10)
        self.assertEqual(self.push(toy.events(1000, seed=seed, shift=0.5))[0]["decision"], "rejected")
        self.assertEqual(self.daemon.restart(), 0)
        rows = [r for k in range(windows) for r in self.push(toy.events(1000, seed=seed + 1 + k, shift=0.5))]
        return rows, self.versions()[1]

    def test_a_challenger_passes_with_later_data(self):
        rows, version = self.appeal(4)
        heard = [r["policy"]["appeal"] for r in rows if "appeal" in r["policy"]]
        last, gate = len(heard) - 1, version["metrics"]["gate"]
        self.assertEqual([h["pass"] for h in heard], [False] * last + [True])
        self.assertEqual([r["decision"] for r in rows[:last + 1]], ["drift"] * last + ["promoted"])
        self.assertEqual([h["events"] for h in heard], [gate["events"] + 1000 * (k + 1) for k in range(len(heard))])
        self.assertEqual({h["level"] for h in heard}, {gate["level"]})  # it is one bet
        self.assertEqual((gate["asked"], gate["pass"], heard[last]["version"]), (True, False, 2))
        self.assertEqual((version["status"], version["metrics"]["appeal"]), ("champion", heard[last]))
        self.assertIn("with later data version 2 gains", version["reason"])
        self.assertEqual((self.champion(), rows[last]["policy"]["version"], len(self.versions())), (2, 2, 2))
        moves = self.daemon.get("/v1/twins/toy/history?alias=champion")["items"]
        self.assertEqual((moves[0]["version"], moves[0]["actor"]), (2, "loop"))
        self.assertEqual(self.regret(2)["before"], 1)  # on trial as any other
        self.assertEqual(self.daemon.restart(), 0)  # a restart finds the verdict on the version that was promoted
        self.assertEqual(self.daemon.get("/v1/twins/toy")["verdict"], "true")

    def test_people_have_judged_what_is_on_appeal(self):
        self.begin(recall=0, growth=10)
        self.push(toy.events(1000, seed=20, shift=0.5))
        for version in (2, 1):  # between two windows, so that the champion is what it was
            etag = self.daemon.request("GET", "/v1/twins/toy/aliases/champion").headers["ETag"]
            answer = self.daemon.request("PUT", "/v1/twins/toy/aliases/champion",
                                         {"version": version, "reason": "a test"}, {"If-Match": etag})
            self.assertEqual(answer.status, 200)
        rows = [r for k in range(4) for r in self.push(toy.events(1000, seed=21 + k, shift=0.5))]
        self.assertEqual([r for r in rows if "appeal" in r["policy"]], [])
        self.assertEqual(self.champion(), 1)

    def test_an_appeal_under_hold(self):
        self.begin(recall=0, growth=10)
        self.push(toy.events(1000, seed=20, shift=0.5))
        self.daemon.request("PATCH", "/v1/twins/toy", {"hold": True})
        rows = [r for k in range(4) for r in self.push(toy.events(1000, seed=21 + k, shift=0.5))]
        last = max(i for i, r in enumerate(rows) if "appeal" in r["policy"])
        self.assertEqual((rows[last]["decision"], rows[last]["policy"]["appeal"]["pass"]), ("advised", True))
        self.assertIn("held", rows[last]["policy"]["reason"])
        self.assertEqual((self.champion(), self.versions()[1]["status"]), (1, "challenger"))
        self.assertEqual(self.daemon.get("/v1/twins/toy")["aliases"]["challenger"], 2)

    def test_regret(self):
        self.begin(recall=0)
        learnt = self.promote(1.0, 10)
        before = self.versions()[learnt - 1]["parent"]
        rows = self.push(toy.events(3000, seed=40))  # what came after was not like that
        self.assertEqual([r["decision"] for r in rows], ["rolled_back", "none", "none"] if before == 1 else
                         ["rolled_back"] + [r["decision"] for r in rows[1:]])
        self.assertEqual(self.champion(), before)
        self.assertEqual(self.regret(learnt)["state"], "rolled_back")
        self.assertLess(self.regret(learnt)["upper"], 0)
        moves = self.daemon.get("/v1/twins/toy/history?alias=champion")["items"]
        self.assertEqual((moves[0]["version"], moves[0]["actor"]), (before, "loop"))
        self.assertIn(f"version {learnt} lost", moves[0]["reason"])

    def test_regret_under_hold(self):
        self.begin(recall=0)
        learnt = self.promote(1.0, 10)
        self.daemon.request("PATCH", "/v1/twins/toy", {"hold": True})
        rows = self.push(toy.events(1000, seed=40))
        self.assertEqual(rows[0]["decision"], "advised")
        self.assertIn("held", rows[0]["policy"]["reason"])
        self.assertEqual((self.champion(), self.regret(learnt)["state"]), (learnt, "worse"))
        self.daemon.request("PATCH", "/v1/twins/toy", {"hold": False})
        rows = self.push(toy.events(1000, seed=41))
        self.assertEqual(rows[0]["decision"], "rolled_back")

    def test_a_dead_region_is_advised(self):
        self.begin(max_distance=1)
        rows = toy.events(8000, seed=2)
        alive = rows[(rows[:, 2] < 0.2) | (rows[:, 2] > 1.1)][:5000]
        rows = self.push(alive)
        self.assertIn("advised", [r["decision"] for r in rows])
        self.assertNotIn("promoted", [r["decision"] for r in rows])
        self.assertEqual(self.champion(), 1)
        challenger = self.versions()[self.daemon.get("/v1/twins/toy/aliases/challenger")["version"] - 1]
        self.assertIn("more than loop.max_distance 1: 0 events with phi from", challenger["reason"])
        for distance in (challenger["metrics"]["distance"], rows[-1]["policy"]["distance"]):
            self.assertEqual((distance["feature"], distance["found"], distance["reference"]), ("phi", 0, 1))
            self.assertGreater(distance["bound"], 1)
            self.assertGreater(distance["low"], 0.15)
            self.assertLess(distance["high"], 1.15)
        shown = [s for s in rows[-1]["statistics"] if s["name"] == "distance"][0]
        self.assertEqual((shown["value"], shown["threshold"]), (rows[-1]["policy"]["distance"]["bound"], 1))
        # without the limit it would have been learnt
        self.daemon.request("PATCH", "/v1/twins/toy", {"loop": {"max_distance": None}})
        rows = toy.events(8000, seed=3)
        self.push(rows[(rows[:, 2] < 0.2) | (rows[:, 2] > 1.1)][:4000])
        self.assertGreater(self.champion(), 1)

    def test_cooldown(self):
        self.begin(cooldown=2)
        rows = self.push(toy.events(5000, seed=20, shift=0.5))
        decisions = [r["decision"] for r in rows]
        # the first is on appeal, which the cool-down holds up as well
        self.assertEqual(decisions, ["rejected", "limited", "limited", "promoted", "limited"])
        self.assertIn("loop.cooldown: window 1 of 2", rows[1]["policy"]["reason"])
        self.assertEqual([i for i, r in enumerate(rows) if "appeal" in r["policy"]], [3])
        rows += self.push(toy.events(2000, seed=21, shift=0.5))
        # the retune that waited trains on everything since the change
        self.assertEqual(self.versions()[2]["ordinals"], {"first": rows[0]["ordinals"]["first"],
                                                          "last": rows[6]["ordinals"]["last"]})

    def test_so_many_in_so_many_hours(self):
        self.begin(max_retunes={"count": 1, "hours": 24})
        rows = self.push(toy.events(2000, seed=2, shift=1.0))
        self.assertEqual(rows[0]["decision"], "promoted")
        self.assertEqual(rows[1]["decision"], "limited")
        self.assertIn("loop.max_retunes: 1 began within 24 h", rows[1]["policy"]["reason"])
        self.assertEqual(self.daemon.restart(), 0)
        rows = self.push(toy.events(1000, seed=3, shift=1.0))
        self.assertEqual(rows[0]["decision"], "limited")
        # with the limit gone what is due begins with the next window
        self.daemon.request("PATCH", "/v1/twins/toy", {"loop": {"max_retunes": None}})
        rows = self.push(toy.events(1000, seed=4, shift=1.0))
        self.assertIn(rows[0]["decision"], ("promoted", "rejected"))

    def test_advise(self):
        self.begin(mode="advise", replay=0.3)
        rows = self.push(toy.events(4000, seed=2, shift=1.0))
        self.assertIn("advised", [r["decision"] for r in rows])
        self.assertNotIn("promoted", [r["decision"] for r in rows])
        self.assertEqual(self.champion(), 1)
        challenger = self.daemon.get("/v1/twins/toy/aliases/challenger")["version"]
        version = self.versions()[challenger - 1]
        self.assertEqual(version["status"], "challenger")
        self.assertTrue(version["metrics"]["gate"]["pass"])
        self.assertIn("loop.mode is advise", version["reason"])
        # a part of the weight were old rows, made to look like new ones; the gate saw none of them
        replay = version["metrics"]["replay"]
        self.assertEqual(replay["share"], 0.3)
        self.assertGreater(replay["rows"], replay["effective_rows"])
        self.assertLess(version["metrics"]["gate"]["events"], version["metrics"]["rows"])
        # people have the last word
        etag = self.daemon.request("GET", "/v1/twins/toy/aliases/champion").headers["ETag"]
        answer = self.daemon.request("PUT", "/v1/twins/toy/aliases/champion",
                                     {"version": challenger, "reason": "looks right", "hold": False},
                                     headers={"If-Match": etag})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.champion(), challenger)
        # and what had drifted is answered: there is nothing more to learn of it
        before = len(self.versions())
        rows = self.push(toy.events(2000, seed=9, shift=1.0))
        self.assertEqual([r["decision"] for r in rows], ["none", "none"])
        self.assertEqual(len(self.versions()), before)

    def test_replay_keeps_away_from_the_gate(self):
        """Rows that a version of this episode was accepted on are the gate's rows of the next retune."""
        self.begin(replay=0.5, recall=0)
        self.promote(1.0, 10)
        self.push(toy.events(3000, seed=30, shift=1.0))
        retunes = [v for v in self.versions() if v["parent"]]
        self.assertGreater(len(retunes), 2)
        self.assertEqual({v["parent"] for v in retunes}, {1})  # what the drift met, whatever serves meanwhile
        for version in retunes:
            replay, gate = version["metrics"]["replay"], version["metrics"]["gate"]
            self.assertEqual((replay["version"], replay["rows"]), (1, retunes[0]["metrics"]["replay"]["rows"]))
            self.assertTrue(gate["champion"] == 1 or gate["champion"] in [v["version"] for v in retunes])
            self.assertLessEqual(gate["level"], 0.01 / 4.47)
            self.assertEqual(gate["asked"], gate["hint"]["gain"] > gate["hint"]["error"])
            if gate["asked"]:  # a bound that is the largest over the events does not leave the mean far behind
                self.assertLess(gate["bound"], gate["gain"] + 3 * gate["error"])
            else:  # it costs none of the level
                self.assertEqual((gate["level"], gate["events"], gate["gain"], gate["pass"]), (0, 0, None, False))

    def test_manual(self):
        self.begin(mode="manual")
        rows = self.push(toy.events(2000, seed=2, shift=0.5))
        self.assertEqual([r["decision"] for r in rows], ["advised", "advised"])
        self.assertIn("loop.mode is manual", rows[0]["policy"]["reason"])
        self.assertEqual(len(self.versions()), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)

"""What every persister promises of who pings as a host, and of what is agreed on about it."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from dockerbroker.errors import NotFound
from dockerbroker.model.hosts import HostKey, HostReport, HostState
from dockerbroker.model.liveness import Life, Verdict
from dockerbroker.model.registrations import HostLimits
from dockerbroker.model.vitals import Vitals
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values
from tests.persisters.values import HERE, THERE
from tests.pinging import ping, pings


class LivenessContract(PersisterTestCase):
    """Sessions, engines, states and cordons of hosts whose interval is 5 seconds."""

    def setUp(self) -> None:
        """Begin at a time at which something may be long ago."""
        super().setUp()
        self.fixture.clock.advance(1000)

    def hear(self, key: HostKey = HERE, keep_alive: float = 5.0, **vitals: object) -> str | None:
        """Let a host ping, and return why that is refused."""
        host = evolve(values.host(key), keep_alive=keep_alive)
        refused = self.done(self.persister.record_pings([ping(host, **vitals)]))
        self.assertLessEqual(set(refused), {key})
        return refused.get(key)

    def session(self, session: str, sequence: int = 1, keep_alive: float = 5.0) -> str | None:
        """Let a session of an agent ping."""
        return self.hear(keep_alive=keep_alive, session=session, sequence=sequence)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.fixture.clock.advance(seconds)

    def report(self) -> HostReport:
        """Return the only host."""
        [report] = self.done(self.fixture.persister().hosts())
        return report

    def life(self) -> Life:
        """Return what the only host is judged by."""
        [life] = self.done(self.persister.fleet()).lives()
        return life

    def judge(self, life: Life, state: HostState) -> bool:
        """Let a host be judged; return whether that changed it."""
        changed = self.done(self.persister.judge([Verdict(life=life, state=state)]))
        self.assertLessEqual(changed, {life.key})
        return bool(changed)

    def test_new(self) -> None:
        """A host of which nothing else is known is alive; what an old agent does not tell is not known."""
        self.assertIsNone(self.hear())
        self.assertEqual(self.report(), HostReport(host=values.host(), age=0, silence=0))

    def test_vitals(self) -> None:
        """What an agent tells of its host is there until its next ping."""
        vitals = Vitals(
            session="s",
            sequence=3,
            engine_id="e",
            engine_version="27.0",
            api_version="1.46",
            trouble="Docker does not answer.",
            memory_total=2**40,
            memory_free=0,
            cpus=2.5,
            load=0.25,
            disk_total=2**50,
            containers=7,
        )
        self.done(self.persister.record_pings([evolve(ping(values.host()), vitals=vitals)]))
        self.assertEqual(self.report().vitals, vitals)
        self.assertFalse(self.report().is_usable)
        self.hear()
        self.assertIsNone(self.report().vitals)

    def test_session(self) -> None:
        """Pings of one session are heard in their order; an older one is refused, and is no ping."""
        self.assertIsNone(self.session("s", 5))
        self.wait(1)
        self.assertIsNone(self.session("s", 5))
        self.wait(1)
        self.assertEqual(self.session("s", 4), "session")
        self.assertEqual(self.report().age, 1)
        self.assertIsNone(self.session("s", 6))
        self.assertFalse(self.report().is_contended)

    def test_restart(self) -> None:
        """An agent that was started again, and counts anew, is heard."""
        self.session("s1", 100)
        self.assertIsNone(self.session("s2", 1))
        self.assertFalse(self.report().is_contended)

    def test_no_session(self) -> None:
        """An old agent's pings are always heard."""
        self.session("s1", 100)
        self.assertIsNone(self.hear())
        self.assertEqual(self.session("s1", 99), "session")

    def test_clones(self) -> None:
        """While two sessions ping the older is refused, and the host is not used for three intervals."""
        self.session("s1", 1)
        self.session("s2", 1)
        self.wait(4)
        self.assertEqual(self.session("s1", 2), "session")
        self.assertTrue(self.report().is_contended)
        self.assertFalse(self.report().is_usable)
        self.assertEqual(self.report().age, 4)
        self.assertIsNone(self.session("s2", 2))
        self.wait(15)
        self.assertTrue(self.report().is_contended)
        self.wait(1)
        self.assertFalse(self.report().is_contended)

    def test_clones_in_turn(self) -> None:
        """One that is refused, and pings at longer intervals, keeps the host from being used all the time."""
        self.session("s1", 1)
        self.session("s2", 1, keep_alive=0.5)
        for number in range(2, 5):
            self.wait(5)
            self.session("s2", number, keep_alive=0.5)
            self.assertEqual(self.report().is_contended, number > 2)
            self.assertEqual(self.session("s1", number), "session")

    def test_turns(self) -> None:
        """Agents that take the place of one another again and again are known by that, too."""
        self.session("s1")
        self.session("s2")
        self.wait(5)
        self.assertIsNone(self.session("s3"))
        self.assertTrue(self.report().is_contended)

    def test_clone_ends(self) -> None:
        """When the newer session has ended, the older one is heard again."""
        self.session("s1", 1)
        self.session("s2", 1)
        self.wait(16)
        self.assertIsNone(self.session("s1", 4))
        self.assertEqual(self.report().age, 0)
        self.assertFalse(self.report().is_contended)

    def test_many_sessions(self) -> None:
        """However often an agent was started, the host is heard."""
        for number in range(30):
            self.wait(100)
            self.assertIsNone(self.session(f"s{number}"))
        self.assertEqual(self.session("s28"), "session")

    def test_engine(self) -> None:
        """A host keeps its engine: a ping of another one is refused, also when an old agent pinged since."""
        self.assertIsNone(self.hear(engine_id="one"))
        self.assertIsNone(self.hear())
        self.wait(1)
        self.assertEqual(self.hear(engine_id="two"), "engine")
        self.assertEqual(self.report().age, 1)
        self.assertIsNone(self.hear(engine_id="one"))
        self.assertIsNone(self.hear(THERE, engine_id="two"))

    def test_forgotten_engine(self) -> None:
        """A host that was forgotten may have another engine."""
        self.hear(engine_id="one", session="s1", sequence=9)
        self.done(self.persister.forget_host(HERE))
        self.assertEqual(self.done(self.persister.hosts()), [])
        self.assertIsNone(self.done(self.persister.host(HERE)))
        self.assertIsNone(self.hear(engine_id="two", session="s1", sequence=1))

    def test_group(self) -> None:
        """Of pings that are stored together each is judged by itself."""
        keys = [HostKey(service_host=name, docker_host="d", docker_port=1) for name in "abc"]
        told = [ping(values.host(key), engine_id=f"e{key.service_host}") for key in keys]
        self.assertEqual(self.done(self.persister.record_pings(told)), {})
        self.wait(1)
        told[1] = ping(values.host(keys[1]), engine_id="other")
        self.assertEqual(self.done(self.persister.record_pings(told)), {keys[1]: "engine"})
        ages = {report.host.key: report.age for report in self.done(self.persister.hosts())}
        self.assertEqual(ages, {keys[0]: 0, keys[1]: 1, keys[2]: 0})

    def test_room(self) -> None:
        """S31: only so many hosts become known; known ones ping on, and a forgotten one makes room."""
        keys = [HostKey(service_host=name, docker_host="d", docker_port=1) for name in "abcd"]
        told, limits = [ping(values.host(key)) for key in keys], HostLimits(in_all=3)
        self.assertEqual(self.done(self.persister.record_pings(told[:2], limits)), {})
        self.assertEqual(self.done(self.persister.record_pings(told, limits)), {keys[3]: "room"})
        self.wait(1)
        self.assertEqual(self.done(self.persister.record_pings(told[3:], limits)), {keys[3]: "room"})
        self.assertEqual(self.done(self.persister.record_pings(told[:3], limits)), {})
        ages = {report.host.key: report.age for report in self.done(self.persister.hosts())}
        self.assertEqual(ages, dict.fromkeys(keys[:3], 0))
        self.done(self.persister.forget_host(keys[0]))
        self.assertEqual(self.done(self.persister.record_pings(told[3:], limits)), {})

    def test_room_of_one(self) -> None:
        """S31: an agent that speaks for one host makes only so many addresses of it known; others more."""
        keys = [HostKey(service_host='"a', docker_host="d", docker_port=port) for port in (1, 2, 3)]
        other = HostKey(service_host='"a,', docker_host="d", docker_port=1)
        told = [evolve(ping(values.host(key)), is_bound=True) for key in (*keys, other)]
        limits = HostLimits(of_one=2)
        self.assertEqual(self.done(self.persister.record_pings(told[:1], limits)), {})
        self.assertEqual(self.done(self.persister.record_pings(told, limits)), {keys[2]: "many"})
        self.assertEqual(self.done(self.persister.record_pings(told, limits)), {keys[2]: "many"})
        self.assertEqual(len(self.done(self.persister.audit(0, 99))), 3)
        self.assertEqual(self.done(self.persister.record_pings([ping(values.host(keys[2]))], limits)), {})
        self.assertEqual(self.done(self.persister.record_pings(told, limits)), {})

    def test_lives(self) -> None:
        """Hosts are judged by their silence and interval, each by its own."""
        self.done(self.persister.observe())
        self.hear()
        self.wait(1)
        self.done(self.persister.observe())
        self.done(self.persister.record_pings(pings([values.host(THERE, keep_alive=2)])))
        lives = self.done(self.persister.fleet()).lives()
        found = [(one.key, one.keep_alive, one.silence, one.age) for one in lives]
        self.assertEqual(sorted(found), sorted([(HERE, 5, 1, 1), (THERE, 2, 0, 0)]))
        self.assertEqual({one.state for one in lives}, {HostState.ALIVE})

    def test_dead(self) -> None:
        """A host that was declared dead is so for every broker, and is not used."""
        self.hear()
        self.assertTrue(self.judge(self.life(), HostState.DEAD))
        self.assertIs(self.report().state, HostState.DEAD)
        self.assertFalse(self.report().is_usable)
        self.assertEqual(self.done(self.persister.host(HERE)), values.host())

    def test_once(self) -> None:
        """Of brokers that judge alike at once one changes the state."""
        self.hear()
        verdict = Verdict(life=self.life(), state=HostState.DEAD)
        persisters = [self.fixture.persister() for _ in range(8)]
        outcomes = self.fixture.race([partial(persister.judge, [verdict]) for persister in persisters])
        self.assertEqual(sorted(map(len, outcomes)), [0] * 7 + [1])

    def test_late_verdict(self) -> None:
        """A verdict does not count for a host that has pinged since."""
        self.hear()
        life = self.life()
        self.wait(0.01)
        self.hear()
        self.assertFalse(self.judge(life, HostState.DEAD))
        self.assertIs(self.report().state, HostState.ALIVE)

    def test_unknown_verdict(self) -> None:
        """Of a host that was forgotten meanwhile nothing is recorded."""
        self.hear()
        life = self.life()
        self.done(self.persister.forget_host(HERE))
        self.assertFalse(self.judge(life, HostState.DEAD))
        self.assertEqual(self.done(self.persister.hosts()), [])

    def test_return(self) -> None:
        """A dead host that pings is about to return, and is not used until that is recorded."""
        self.hear()
        self.judge(self.life(), HostState.DEAD)
        self.wait(100)
        self.assertIsNone(self.hear())
        self.assertIs(self.report().state, HostState.RETURNING)
        self.assertFalse(self.report().is_usable)
        self.hear()
        self.assertTrue(self.judge(self.life(), HostState.ALIVE))
        self.assertTrue(self.report().is_usable)

    def test_died_again(self) -> None:
        """Who saw a host return before it died again does not make it alive."""
        self.hear()
        self.judge(self.life(), HostState.DEAD)
        self.hear()
        seen = self.life()
        self.judge(self.life(), HostState.DEAD)
        self.wait(1)
        self.hear()
        self.assertFalse(self.judge(seen, HostState.ALIVE))
        self.assertIs(self.report().state, HostState.RETURNING)

    def test_refused_return(self) -> None:
        """A ping that is refused brings no host back."""
        self.hear(engine_id="one")
        self.judge(self.life(), HostState.DEAD)
        self.hear(engine_id="two")
        self.assertIs(self.report().state, HostState.DEAD)

    def test_cordon(self) -> None:
        """A host with a cordon is not used, whoever pings, until the cordon is taken away."""
        self.hear()
        self.done(self.persister.cordon(HERE, is_cordoned=True))
        self.done(self.persister.cordon(HERE, is_cordoned=True))
        self.hear(session="s", sequence=1)
        self.assertTrue(self.report().is_cordoned)
        self.assertFalse(self.report().is_usable)
        self.done(self.fixture.persister().cordon(HERE, is_cordoned=False))
        self.assertTrue(self.report().is_usable)

    def test_complaint(self) -> None:
        """Why a host cannot be used outlives its pings and the brokers, until somebody could use it."""
        self.hear()
        self.assertEqual(self.report().complaint, "")
        self.done(self.persister.complain(HERE, "Its certificate has expired: 'é'."))
        self.hear(session="s", sequence=1)
        self.persister = self.fixture.restart()
        self.assertEqual(self.report().complaint, "Its certificate has expired: 'é'.")
        self.assertTrue(self.report().is_usable)
        self.done(self.persister.complain(HERE, ""))
        self.assertEqual(self.report().complaint, "")

    def test_complaint_of_none(self) -> None:
        """A host that is not known stays unknown, whatever is said of it."""
        self.done(self.persister.complain(HERE, "It does not answer."))
        self.assertEqual(self.done(self.persister.hosts()), [])

    def test_drain(self) -> None:
        """A host that is drained has a cordon, whoever pings; without one it is not drained any more."""
        self.hear()
        self.done(self.persister.drain(HERE, is_draining=True))
        self.hear(session="s", sequence=1)
        self.done(self.persister.cordon(HERE, is_cordoned=True))
        report = self.report()
        self.assertEqual((report.is_cordoned, report.is_draining, report.is_usable), (True, True, False))
        self.done(self.fixture.persister().drain(HERE, is_draining=False))
        self.assertEqual((self.report().is_cordoned, self.report().is_draining), (True, False))
        self.done(self.persister.drain(HERE, is_draining=True))
        self.persister = self.fixture.restart()
        self.assertTrue(self.report().is_draining)
        self.done(self.persister.cordon(HERE, is_cordoned=False))
        self.assertEqual((self.report().is_cordoned, self.report().is_draining), (False, False))

    def test_unknown(self) -> None:
        """A host that is not known can neither be cordoned nor drained nor forgotten."""
        self.hear(THERE)
        self.refused(NotFound, self.persister.cordon(HERE, is_cordoned=True))
        self.refused(NotFound, self.persister.drain(HERE, is_draining=True))
        self.refused(NotFound, self.persister.forget_host(HERE))
        self.assertEqual(len(self.done(self.persister.hosts())), 1)

    def test_kept(self) -> None:
        """What is known of a host outlives the brokers."""
        self.hear(session="s", sequence=3, engine_id="one")
        self.done(self.persister.cordon(HERE, is_cordoned=True))
        self.judge(self.life(), HostState.DEAD)
        self.persister = self.fixture.restart()
        report = self.report()
        self.assertEqual((report.state, report.is_cordoned), (HostState.DEAD, True))
        self.assertEqual(self.hear(engine_id="two"), "engine")
        self.assertEqual(self.session("s", 2), "session")

"""What every persister promises of the audit log."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from attrs import define, evolve

from dockerbroker.broker.audit_log import AuditLog
from dockerbroker.errors import Busy, Conflict, LostLease, NotFound
from dockerbroker.model.audit import AuditEntry, AuditHead, AuditRecord, Origin, Result, breaks, end_of
from dockerbroker.model.instances import Change, Phase
from dockerbroker.model.roles import Role
from tests.contracts.persister_case import PersisterTestCase
from tests.persisters import values
from tests.pinging import ping, pings

_WHO = Origin(
    role="platform", name="cf", platform="cloudfoundry", user="u-1 ä", request_id="r\n1", peer="10.0.0.1"
)
_ADMINISTRATOR = Origin(role="administrator", name="root")


@define
class _Forgetful:
    """A persister in which something happens when so many pages of the log were read."""

    persister: Any
    happen: Callable[[], Coroutine[Any, Any, Any]]
    calls: int = 1

    async def audit(self, after: int, limit: int) -> Any:
        """Return a page."""
        if self.calls == 0:
            await self.happen()
        self.calls -= 1
        return await self.persister.audit(after, limit)

    async def audit_head(self) -> Any:
        """Return the end."""
        return await self.persister.audit_head()


class AuditContract(PersisterTestCase):
    """Each change has its record, in one chain."""

    def log(self) -> list[AuditRecord]:
        """Return the whole log, which must be whole."""
        records = self.done(self.fixture.persister().audit(0, 1000))
        self.assertEqual(list(breaks(records, AuditHead())), [])
        self.assertEqual(
            self.done(self.persister.audit_head()), end_of(records[-1]) if records else AuditHead()
        )
        return records

    def told(self) -> list[tuple[str, ...]]:
        """Return what was done, to what, by whom, and what has come of it, of all records."""
        names = ("action", "subject", "result", "role")
        return [tuple(one.members[name] for name in names) for one in self.log()]

    def last(self) -> Mapping[str, Any]:
        """Return the content of the last record."""
        return self.log()[-1].members

    def provision(self, name: str) -> Change:
        """Return the change that begins to make an instance for a platform."""
        change = values.provision(f"o-{name}", values.instance(name))
        return evolve(change, operation=evolve(change.operation, origin=_WHO))

    def test_empty(self) -> None:
        """A new database has no record."""
        self.assertEqual(self.log(), [])

    def test_operation(self) -> None:
        """An operation has a record when it begins and one when it is over, and none of its progress."""
        begun = self.begin(self.provision("i"))
        self.assertEqual(self.told(), [("provision", "i", "begun", "platform")])
        self.done(self.persister.commit(Change(operation=begun)))
        told = "/bind of the service image failed with exit status 3: its new password is swordfish"
        failed = evolve(begun, description=told).over(Phase.FAILED, 1.0)
        self.done(self.persister.commit(Change(operation=failed, remove_instance=True)))
        self.assertEqual(self.told()[1:], [("provision", "i", "failed", "platform")])
        last = self.last()
        self.assertEqual((last["operation_id"], last["user"]), ("o-i", "u-1 ä"))
        self.assertEqual(last["detail"], "/bind of the service image failed with exit status 3.")
        self.assertEqual((last["request_id"], last["peer"], last["name"]), ("r?1", "10.0.0.1", "cf"))

    def test_over_at_once(self) -> None:
        """An operation that is over when it is written has both records."""
        self.succeed(self.begin(self.provision("i")))
        stored = self.done(self.persister.instance("i"))
        assert stored is not None
        change = values.update("o2", stored)
        over = evolve(change, operation=change.operation.over(Phase.SUCCEEDED, 2.0))
        self.begin(over)
        self.assertEqual([one[2] for one in self.told()[2:]], ["begun", "succeeded"])

    def test_superseded(self) -> None:
        """What a deletion ends has its record in the transaction of the deletion, by its own origin."""
        self.begin(self.provision("i"))
        change = evolve(values.deprovision("o2", "i"), supersedes="o-i")
        self.begin(change)
        self.assertEqual(
            self.told()[1:],
            [("provision", "i", "failed", "platform"), ("deprovision", "i", "begun", "broker")],
        )

    def test_refused(self) -> None:
        """What is refused has no record."""
        begun = self.begin(self.provision("i"))
        before = self.told()
        stored = self.done(self.persister.instance("i"))
        assert stored is not None
        change = values.update("o2", stored)
        self.refused(Busy, self.persister.begin(change, owner="two", ttl=15, within=60))
        late = evolve(begun, epoch=7).over(Phase.SUCCEEDED, 1.0)
        self.refused(LostLease, self.persister.commit(Change(operation=late)))
        self.refused(NotFound, self.persister.delete_image("none", origin=_ADMINISTRATOR))
        self.refused(NotFound, self.persister.delete_certificate("none", origin=_ADMINISTRATOR))
        self.refused(NotFound, self.persister.cordon(values.HERE, is_cordoned=True))
        self.refused(NotFound, self.persister.forget_host(values.HERE))
        self.refused(NotFound, self.persister.cancel("none", origin=_ADMINISTRATOR))
        self.refused(Conflict, self.persister.hasten("o-i", origin=_ADMINISTRATOR))
        self.assertEqual(self.told(), before)

    def test_administration(self) -> None:
        """What administrators change has a record each, and what is seeded one in all."""
        image, persister, who = values.instance("i").definition, self.persister, _ADMINISTRATOR
        self.assertTrue(self.done(persister.seed_images([image])))
        self.assertFalse(self.done(persister.seed_images([image])))
        self.done(persister.put_image(image, origin=who))
        self.done(persister.delete_image(image.name, origin=who))
        self.done(persister.put_certificate(values.certificate("h"), origin=who))
        self.done(persister.delete_certificate("h", origin=who))
        self.assertEqual(
            self.told(),
            [
                ("seed catalog", "catalog", "succeeded", "broker"),
                ("put image", image.name, "succeeded", "administrator"),
                ("delete image", image.name, "succeeded", "administrator"),
                ("put certificate", "h", "succeeded", "administrator"),
                ("delete certificate", "h", "succeeded", "administrator"),
            ],
        )

    def test_credentials(self) -> None:
        """Credentials that come and go have a record each, and those that are seeded one in all."""
        first, second = values.credential("a", Role.ADMINISTRATOR), values.credential("b")
        self.done(self.persister.seed_credentials([first]))
        self.done(self.persister.seed_credentials([second]))
        self.done(self.persister.put_credential(second, origin=_ADMINISTRATOR))
        self.done(self.persister.delete_credential("b", origin=_ADMINISTRATOR))
        self.refused(Conflict, self.persister.delete_credential("a", origin=_ADMINISTRATOR))
        self.assertEqual(
            [(action, subject, role) for action, subject, _, role in self.told()],
            [
                ("seed credentials", "credentials", "broker"),
                ("put credential", "b", "administrator"),
                ("delete credential", "b", "administrator"),
            ],
        )
        self.assertNotIn("scrypt", "".join(record.content for record in self.log()))

    def test_hosts(self) -> None:
        """A host has a record when it pings first, and whenever somebody wants something of it."""
        key, persister = values.HERE, self.persister
        agent = Origin(role="agent", name="agents")
        first, second = (evolve(one, origin=agent) for one in [*pings([values.host()])] * 2)
        self.done(persister.record_pings([first]))
        self.done(persister.record_pings([second]))
        for is_wanted in (True, False):
            self.done(persister.cordon(key, is_cordoned=is_wanted, origin=_ADMINISTRATOR))
            self.done(persister.drain(key, is_draining=is_wanted, origin=_ADMINISTRATOR))
        self.done(persister.forget_host(key, origin=_ADMINISTRATOR))
        self.assertEqual(
            [(action, role) for action, _, _, role in self.told()],
            [
                ("register host", "agent"),
                ("cordon host", "administrator"),
                ("drain host", "administrator"),
                ("uncordon host", "administrator"),
                ("undrain host", "administrator"),
                ("forget host", "administrator"),
            ],
        )
        self.assertEqual(len({one[1] for one in self.told()}), 1)

    def hear(self, **settings: Any) -> None:
        """Let the agent of a host tell how that is set."""
        agent = Origin(role="agent", name="agents", request_id="r1")
        [told] = pings([values.host(**settings)])
        self.done(self.persister.record_pings([evolve(told, origin=agent)]))

    def test_settings(self) -> None:
        """What an agent changes of a known host has a record each time, with the names of what it is."""
        self.hear()
        for settings, changed in (
            ({"keep_alive": 9.0}, None),
            ({"is_active": False, "perf_factor": 2.5}, "IsActive, PerfFactor"),
            ({"is_active": False, "perf_factor": 2.5, "keep_alive": 0.5}, None),
            ({"exec_command": "DockerCommandExec", "exec_arguments": ("sudo", "x")}, None),
            ({"portbind_min": 1, "portbind_max": 2, "labels": {"keep_alive": "secret"}}, None),
            ({"portbind_min": 1, "portbind_max": 2, "labels": {"keep_alive": "other"}}, "Labels"),
            ({}, "Portbind_min, Portbind_max, Labels"),
        ):
            before = len(self.told())
            for _ in range(2):
                self.hear(**settings)
            told = self.told()[before:]
            self.assertEqual(len(told), 0 if "keep_alive" in settings else 1, settings)
            if changed is not None:
                self.assertEqual((self.last()["action"], self.last()["detail"]), ("change host", changed))
        self.assertEqual(
            (self.last()["subject"], self.last()["role"], self.last()["request_id"]),
            (self.log()[0].members["subject"], "agent", "r1"),
        )
        self.assertNotIn("secret", "".join(record.content for record in self.log()))
        [report] = self.done(self.persister.hosts())
        self.assertEqual(report.host, values.host())

    def test_settings_refused(self) -> None:
        """A ping that is refused changes no settings and has no record."""
        for engine, is_active in (("one", True), ("two", False)):
            told = ping(values.host(is_active=is_active), engine_id=engine)
            refused = self.done(self.persister.record_pings([told]))
        self.assertEqual(list(refused), [values.HERE])
        self.assertEqual([one[0] for one in self.told()], ["register host"])
        [report] = self.done(self.persister.hosts())
        self.assertTrue(report.host.is_active)

    def test_settings_race(self) -> None:
        """Of brokers that hear at once how a host is set anew each change has its one record."""
        self.hear()
        brokers = [self.fixture.persister() for _ in range(3)]
        told = [values.host(perf_factor=factor) for factor in (2.0, 2.0, 3.0)]
        calls = [partial(broker.record_pings, [ping(one)]) for broker, one in zip(brokers, told, strict=True)]
        for outcome in self.fixture.race(calls):
            self.assertEqual(outcome, {})
        # Twice 2.0 has one record, unless 3.0 came between.
        self.assertIn([one[0] for one in self.told()[1:]], [["change host"] * 2, ["change host"] * 3])

    def test_requests(self) -> None:
        """Whoever cancels an operation, or lets it be tried at once, has a record."""
        begun = self.begin(self.provision("i"))
        self.done(self.persister.cancel("o-i", origin=_ADMINISTRATOR))
        self.done(self.persister.release(begun, delay=60))
        self.done(self.persister.hasten("o-i", origin=_ADMINISTRATOR))
        self.assertEqual(
            self.told()[1:],
            [("cancel", "o-i", "succeeded", "administrator"), ("retry", "o-i", "succeeded", "administrator")],
        )

    def test_alone(self) -> None:
        """Something that changes nothing in the database has a record, byte by byte as it was written."""
        entry = AuditEntry(
            action="reap", subject='i"\\', origin=_WHO, result=Result.REFUSED, detail="a\tb \u2028 ü"
        )
        self.done(self.persister.write_audit(entry))
        [record] = self.log()
        told = {name: record.members[name] for name in ("id", "subject", "result", "detail", "user")}
        self.assertEqual(
            told,
            {"id": entry.id, "subject": 'i"\\', "result": "refused", "detail": "a?b ? ü", "user": "u-1 ä"},
        )

    def test_pages(self) -> None:
        """Records are read in parts, in the order of their numbers."""
        for number in range(5):
            self.done(self.persister.write_audit(AuditEntry(action="reap", subject=str(number))))
        whole = self.log()
        self.assertEqual([one.number for one in whole], [1, 2, 3, 4, 5])
        self.assertEqual(self.done(self.persister.audit(1, 2)), whole[1:3])
        self.assertEqual(self.done(self.persister.audit(5, 2)), [])
        self.assertEqual(self.done(self.persister.audit(0, 0)), [])

    def test_forget(self) -> None:
        """The oldest records are deleted, as many as are wanted; the rest is a chain, and the last stays."""
        for number in range(6):
            self.done(self.persister.write_audit(AuditEntry(action="reap", subject=str(number))))
        whole = self.log()
        self.assertEqual(self.done(self.persister.forget_audit(whole[2].members["at"] - 1, 100)), 0)
        self.assertEqual(self.done(self.persister.forget_audit(4e9, 2)), 2)
        self.assertEqual(self.done(self.persister.audit(0, 100)), whole[2:])
        self.assertEqual(self.done(self.persister.forget_audit(4e9, 100)), 3)
        self.assertEqual(self.done(self.persister.forget_audit(4e9, 100)), 0)
        left = self.done(self.persister.audit(0, 100))
        self.assertEqual(left, whole[5:])
        self.done(self.persister.write_audit(AuditEntry(action="reap", subject="more")))
        later = self.done(self.fixture.restart().audit(0, 100))
        self.assertEqual(list(breaks(later, AuditHead(number=5, hash=whole[4].hash))), [])
        self.assertEqual([one.number for one in later], [6, 7])

    def test_forgotten_while_verified(self) -> None:
        """What retention deletes while the log is verified is no gap, be it all that there was."""
        entries = [AuditEntry(action="reap", subject=str(number)) for number in range(9)]
        for entry in entries[:8]:
            self.done(self.persister.write_audit(entry))

        async def forget_all() -> None:
            await self.persister.write_audit(entries[8])
            await self.persister.forget_audit(4e9, 100)

        for forget, count in ((lambda: self.persister.forget_audit(4e9, 4), 6), (forget_all, 3)):
            meanwhile: Any = _Forgetful(self.persister, forget)
            found = self.done(AuditLog(meanwhile, page=2).verify())
            self.assertEqual((found.count, found.breaks), (count, ()))
        self.assertEqual([one.number for one in self.done(self.persister.audit(0, 99))], [9])

    def test_first_while_verified(self) -> None:
        """The first record of all may come while the log is verified."""
        entry = AuditEntry(action="reap", subject="i")
        begun: Any = _Forgetful(self.persister, lambda: self.persister.write_audit(entry), calls=0)
        self.assertEqual(self.done(AuditLog(begun).verify()).breaks, ())

    def test_race(self) -> None:
        """Of changes that come at once each has its record, and they are one chain."""
        brokers = [self.fixture.persister() for _ in range(3)]
        calls = [
            partial(broker.begin, self.provision(f"i{number}"), owner="x", ttl=15, within=60)
            for number, broker in enumerate(brokers * 4)
        ]
        self.fixture.race(calls)
        self.assertEqual(sorted(one[1] for one in self.told()), sorted(f"i{number}" for number in range(12)))

    def test_race_with_refusals(self) -> None:
        """Of changes that come at once those that are refused have no record, and the others have theirs."""
        brokers = [self.fixture.persister() for _ in range(3)]
        calls = [
            partial(broker.begin, self.provision(f"i{number % 4}"), owner="x", ttl=15, within=60)
            for number, broker in enumerate(brokers * 4)
        ]
        outcomes = self.fixture.race(calls)
        self.assertEqual(sum(isinstance(one, Exception) for one in outcomes), 8)
        self.assertEqual(sorted(one[1] for one in self.told()), ["i0", "i1", "i2", "i3"])

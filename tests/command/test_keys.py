"""Keys are made, listed, checked, changed and removed, while brokers work and wherever that ends."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from copy import deepcopy
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.command import keys
from dockerbroker.command.deployment import Deployment
from dockerbroker.config.keys import KeySource, add_key, load_keys
from dockerbroker.errors import Unavailable
from dockerbroker.persisters.archive import Kind, Resealed
from dockerbroker.persisters.vault import label_of
from tests.command.case import LineCase
from tests.memory_archive import MemoryArchive
from tests.memory_engine import MemoryEngines
from tests.memory_persister import MemoryPersister, Tables
from tests.persisters import values
from tests.persisters.lives import Life
from tests.stack import instance_path
from tests.vaults import key_source


class KeyLineTests(LineCase):
    """The commands, on a broker that works."""

    def setUp(self) -> None:
        """Give the broker a file of keys, which nothing uses yet."""
        super().setUp()
        self.path = self.folder / "keys"
        self.generated = self.said("keys", "generate", str(self.path), "--label", "one")
        self.vault.source = KeySource(file=self.path)

    @property
    def vault(self) -> Any:
        """The broker's vault."""
        return self.stack.persister.vault

    def rotate(self, *words: str) -> Any:
        """Change the key."""
        return self.ask("keys", "rotate", *words)

    def labels(self) -> set[str]:
        """Return the keys with which the instances are sealed."""
        return {label_of(row["secret"]) for row in self.stack.persister.tables.instances.values()}

    def assert_works(self) -> None:
        """The broker is told nothing that keeps it from working, and reads its instance."""
        Deferred.fromCoroutine(self.stack.watch.look())
        self.assertEqual(self.stack.request("GET", instance_path("i-1")).status, 200)

    def test_generate(self) -> None:
        """A key is made with the label that is shown; the same label once more is refused."""
        self.assertEqual((self.generated.exit_code, self.generated.stdout), (0, "one\n"))
        again = self.said("keys", "generate", str(self.path), "--label", "one")
        self.assertIn("already", self.one_line(again, 1))
        other = self.said("keys", "generate", str(self.path)).stdout.strip()
        self.assertEqual(list(load_keys(self.path).keys), ["one", other])

    def test_first(self) -> None:
        """What was plain is sealed with the key that is there, and so is what the broker writes then."""
        self.assertEqual(self.labels(), {""})
        self.assert_said(self.rotate(), 0, "The key one seals", "All secrets are sealed with the key one.")
        self.assertEqual(self.labels(), {"one"})
        self.assert_works()
        self.stack.provision("i-2")
        self.assertEqual(self.labels(), {"one"})
        self.assertEqual(self.ask("keys", "check").exit_code, 0)

    def test_next(self) -> None:
        """A second change makes a new key; the former one can be removed when nothing needs it."""
        self.rotate()
        self.assert_works()
        self.assert_said(self.rotate(), 0, "The new key key-")
        new = str(load_keys(self.path).newest)
        self.assertEqual((self.labels(), new != "one"), ({new}, True))
        self.assert_works()
        listed = [line.split("\t") for line in self.ask("keys", "list").stdout.splitlines()]
        self.assertEqual([line[:3] for line in listed], [[new, "seals", "yes"], ["one", "unused", "yes"]])
        self.assertEqual(listed[1][3], "0")
        self.assertIn("seals what is written", self.one_line(self.ask("keys", "remove", new), 1))
        self.assert_said(self.ask("keys", "remove", "one"), 0, "The key one is not in")
        self.assertIn("has no key with the label one", self.one_line(self.ask("keys", "remove", "one"), 1))
        self.assertEqual(list(load_keys(self.path).keys), [new])
        self.assert_works()

    def test_late_write(self) -> None:
        """What a broker has sealed with the former key after the change keeps that from being removed."""
        self.rotate()
        [row] = self.stack.persister.tables.instances.values()
        late = dict(row)
        self.rotate()
        row.update(late)
        new = str(load_keys(self.path).newest)
        self.assertIn(f"rotate --to {new}", self.one_line(self.ask("keys", "remove", "one"), 1))
        self.assert_works()
        self.assertEqual(self.rotate("--to", new).exit_code, 0)
        self.assertEqual(self.ask("keys", "remove", "one").exit_code, 0)
        self.assertEqual(self.labels(), {new})

    def test_chosen(self) -> None:
        """A key that is there can be named; one that is not there is refused, and nothing changes."""
        self.assertIn("no key two", self.one_line(self.rotate("--to", "two"), 1))
        self.assertEqual(self.labels(), {""})
        add_key(self.path, "two")
        self.assertEqual(self.rotate("--to", "one").exit_code, 0)
        self.assertEqual(self.labels(), {"one"})

    def test_variable(self) -> None:
        """Keys of a variable are not added or removed, but those that are there can be chosen."""
        self.vault.source = key_source("one", "two")
        self.assertEqual(self.rotate().exit_code, 0)
        self.assertEqual(self.labels(), {"two"})
        self.assertIn("DOCKERBROKER_KEYS", self.one_line(self.rotate(), 1))
        self.assertIn("DOCKERBROKER_KEYS", self.one_line(self.ask("keys", "remove", "one"), 1))
        self.assertEqual(self.rotate("--to", "one").exit_code, 0)
        self.assertEqual(self.labels(), {"one"})

    def test_no_keys(self) -> None:
        """Without keys nothing can be changed, and the sentence says how to make them."""
        self.vault.source = KeySource()
        self.assertIn("keys generate", self.one_line(self.rotate(), 1))
        self.assertEqual(self.ask("keys", "list").stdout.split("\t")[:2], ["(none)", "not encrypted"])

    def test_unopened(self) -> None:
        """A secret that was exchanged is shown, and a change of keys seals all others but does not end."""
        self.stack.provision("i-2")
        self.rotate()
        tables = self.stack.persister.tables
        tables.instances["i-2"]["secret"] = tables.instances["i-1"]["secret"]
        checked = self.ask("keys", "check")
        self.assertEqual(checked.exit_code, 1)
        self.assertEqual(
            checked.stdout,
            "instances: the secret of i-2 does not open: it was changed, or belongs elsewhere.\n",
        )
        self.assert_said(self.rotate(), 1, "1 secrets do not open")
        self.assertEqual(len(self.labels()), 2)
        self.assert_works()


@define(eq=False)
class Interrupted:
    """An archive whose calls are counted, and of which one fails before or after it was done."""

    archive: Any
    fails_at: int | None = None
    after: bool = False
    calls: int = field(default=0, init=False)

    def __getattr__(self, name: str) -> Any:
        """Return the method, which fails when it is its turn."""
        method = getattr(self.archive, name)

        async def call(*arguments: Any) -> Any:
            self.calls += 1
            fails = self.calls == self.fails_at
            if fails and not self.after:
                raise Unavailable("gone.")
            outcome = await method(*arguments)
            if fails:
                raise Unavailable("gone.")
            return outcome

        return call


@define(eq=False)
class Busy:
    """An archive beside which a broker replaces and adds certificates while secrets are being sealed anew."""

    archive: Any
    broker: MemoryPersister
    written: dict[str, str] = field(factory=dict, init=False)
    times: int = field(default=0, init=False)

    def __getattr__(self, name: str) -> Any:
        """Return the archive's own method."""
        return getattr(self.archive, name)

    async def reseal(self, kind: Kind, changes: list[Resealed]) -> int:
        """Let the broker write one that was read and is not yet replaced, and one behind."""
        if kind is Kind.CERTIFICATE and self.times < 3:
            self.times += 1
            for name in (changes[0].row["host"], f"new {self.times}"):
                self.written[name] = f"late {self.times}"
                await self.broker.put_certificate(values.certificate(name, self.written[name]))
        return int(await self.archive.reseal(kind, changes))


class RotationTests(SynchronousTestCase):
    """A rotation that ends anywhere, and brokers that write meanwhile."""

    def setUp(self) -> None:
        """Fill a database in memory with something of everything, which is not sealed."""
        self.clock = Clock()
        self.clock.advance(1000)
        self.plain = MemoryPersister(self.clock.seconds)
        self.done(Life(self.plain, self.clock, text="s3cret").lead())

    def done(self, call: Any) -> Any:
        """Return what the call returns."""
        return self.successResultOf(Deferred.fromCoroutine(call))

    def broker(self, tables: Any, *labels: str) -> MemoryPersister:
        """Return the persister of a broker that has these keys."""
        persister = MemoryPersister(self.clock.seconds, tables)
        persister.vault.source = key_source(*labels)
        self.assertIsNone(self.done(persister.state()).locked)
        return persister

    def rotate(self, persister: MemoryPersister, archive: Any = None, label: str | None = None) -> Any:
        """Change the key; return what has ended that, None when nothing has."""
        deployment = Deployment(
            persister=persister,
            archive=archive or MemoryArchive.of(persister),
            engines=MemoryEngines(self.clock),
            clock=self.clock,
            vault=persister.vault,
        )
        outcome: list[Any] = []
        with redirect_stderr(io.StringIO()):
            Deferred.fromCoroutine(keys.rotate(deployment, label)).addBoth(outcome.append)
            self.clock.advance(1)
        [result] = outcome
        return getattr(result, "value", None)

    def seen(self, persister: MemoryPersister) -> list[Any]:
        """Return all values with secrets."""
        instances = self.done(persister.instances("", 999))
        found: list[Any] = [self.done(persister.images()), self.done(persister.certificates()), instances]
        return [*found, *(self.done(persister.bindings(one.id)) for one in instances)]

    def labels(self, tables: Tables) -> set[str]:
        """Return the keys with which anything is sealed."""
        rows = (tables.images, tables.certificates, tables.instances, tables.bindings)
        return {label_of(row["secret"]) for some in rows for row in some.values()}

    def test_interrupted_anywhere(self) -> None:
        """Wherever a change of keys ends, before or after a call, all is read, and the next one ends it."""
        wanted = self.seen(self.plain)
        sealed = self.broker(deepcopy(self.plain.tables), "one")
        self.assertIsNone(self.rotate(sealed))
        for tables in (self.plain.tables, sealed.tables):
            number = 0
            while self.interrupted(tables, number := number + 1, wanted):
                pass
            self.assertGreater(number, 20)

    def interrupted(self, before: Tables, number: int, wanted: list[Any]) -> bool:
        """Interrupt a change at that call, and go on; return whether there is such a call."""
        for after in (False, True):
            tables = deepcopy(before)
            first = self.broker(tables, "one", "two")
            if self.rotate(first, Interrupted(MemoryArchive.of(first), number, after)) is None:
                return False
            self.assertEqual(self.seen(first), wanted)
            again = self.broker(tables, "one", "two")
            self.assertEqual(self.seen(again), wanted)
            self.assertIsNone(self.rotate(again, label="two"))
            self.assertEqual((self.seen(self.broker(tables, "two")), self.labels(tables)), (wanted, {"two"}))
        return True

    def test_brokers_write(self) -> None:
        """What brokers write while it goes on stays, and is sealed with the new key at the end."""
        behind = self.broker(self.plain.tables, "one")
        self.assertIsNone(self.rotate(behind))
        ahead = self.broker(self.plain.tables, "one", "two")
        busy = Busy(MemoryArchive.of(ahead), behind)
        self.assertIsNone(self.rotate(ahead, busy))
        self.assertEqual(busy.times, 3)
        late = self.broker(self.plain.tables, "two")
        found = {one.host: one for one in self.done(late.certificates())}
        for name, text in busy.written.items():
            self.assertEqual(found[name], values.certificate(name, text))
        self.assertEqual(self.labels(self.plain.tables), {"two"})

    def test_another_after_interruption(self) -> None:
        """A change to another key, after one that was interrupted, ends both."""
        one = self.broker(self.plain.tables, "one")
        self.assertIsNone(self.rotate(one))
        first = self.broker(self.plain.tables, "one", "two", "three")
        other = self.broker(self.plain.tables, "one", "two", "three")
        interrupted = Interrupted(MemoryArchive.of(first), 6)
        self.assertIsNotNone(self.rotate(first, interrupted, "two"))
        self.assertIsNone(self.rotate(other, label="three"))
        self.assertEqual(self.labels(self.plain.tables), {"three"})
        self.assertIsNone(self.rotate(self.broker(self.plain.tables, "three", "two"), label="two"))
        self.assertEqual(self.labels(self.plain.tables), {"two"})

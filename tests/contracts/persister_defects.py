"""Two defects of the original: the 8th and the 12th of its list."""

from __future__ import annotations

from functools import partial

from dockerbroker.errors import PortLeased
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import Operation
from dockerbroker.model.secrets import Secret
from tests.contracts.persister_case import PersisterTestCase
from tests.model.values import renamed
from tests.persisters import values
from tests.pinging import pings

#: What means something to SQL, to drivers, to Redis or to Lua.
HOSTILE = (
    "'; DROP TABLE instances; --",
    '" OR ""="',
    "%s %(id)s :id ? {0}",
    "\\",
    "\\'",
    "a*?[b]",
    "{dockerbroker}:instances",
    "KEYS[1]",
    "]]..os.exit()..[[",
    "null",
    "_%",
)
#: The longest identifier, of characters that take four bytes in UTF-8.
LONGEST = "\U0001f40b" * 255


class DefectsContract(PersisterTestCase):
    """Columns that are too short, conditions joined from strings, brokers that nothing locks."""

    def test_lengths(self) -> None:
        """8: identifiers of 255 characters and documents of a megabyte are kept to the last character."""
        host = HostKey(service_host="s" * 255, docker_host="d" * 255, docker_port=65535)
        self.done(self.persister.record_pings(pings([values.host(host)])))
        secret = Secret({"certificate": "\u00fc\u20ac\U0001f40b" * 300_000})
        made = values.instance(
            LONGEST,
            20001,
            definition=renamed(values.REDIS, "r" * 255),
            host=host,
            dashboard_url="https://" + "u" * 100_000,
            provisioned=secret,
            context={"instance_name": "\u00fc" * 100_000},
        )
        self.provisioned(made)
        bound = values.binding(LONGEST, LONGEST, document=secret)
        self.bound(bound)
        self.done(self.persister.set_condition(LONGEST, "\u00fc" * 10_000))
        other = self.fixture.restart()
        self.assertEqual(self.done(other.instance(LONGEST)), made)
        self.assertEqual(self.done(other.binding(LONGEST, LONGEST)), bound)
        self.assertEqual(self.done(other.leased_ports(host)), {20001})
        self.assertEqual(self.done(other.conditions()), {LONGEST: "\u00fc" * 10_000})

    def test_hostile_ids(self) -> None:
        """8: whatever an identifier holds, it is nothing but an identifier."""
        for number, identifier in enumerate(HOSTILE):
            self.provisioned(values.instance(identifier, 20000 + number))
            self.bound(values.binding(identifier, identifier))
        found = [one.id for one in self.done(self.persister.instances("", 100))]
        self.assertEqual(found, sorted(HOSTILE, key=str.encode))
        for identifier in HOSTILE:
            self.assertEqual([one.id for one in self.done(self.persister.bindings(identifier))], [identifier])
            self.assertIsNone(self.done(self.persister.instance(identifier + " ")))

    def test_many_brokers(self) -> None:
        """12: of eight brokers that take the same ports for instances of their own each port goes to one."""
        persisters = [self.fixture.persister() for _ in range(8)]
        calls = []
        for number in range(24):
            change = values.provision(f"o{number}", values.instance(f"i{number}", 20000 + number % 5))
            calls.append(partial(persisters[number % 8].begin, change, owner="x", ttl=15, within=60))
        outcomes = self.fixture.race(calls)
        won = [outcome for outcome in outcomes if isinstance(outcome, Operation)]
        lost = [type(outcome) for outcome in outcomes if not isinstance(outcome, Operation)]
        self.assertEqual((len(won), lost), (5, [PortLeased] * 19))
        stored = self.done(self.persister.instances("", 100))
        self.assertEqual({one.operation_id for one in stored}, {one.id for one in won})
        self.assertEqual(len({port for one in stored for port in one.ports.values()}), 5)
        self.assertEqual(self.done(self.persister.leased_ports(values.HERE)), set(range(20000, 20005)))
        unfinished = self.done(self.persister.operations(unfinished=True, limit=100))
        self.assertEqual({one.id for one in unfinished}, {one.id for one in won})

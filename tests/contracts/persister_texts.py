"""What every persister promises of texts: whatever they say, they are stored as they are."""

from __future__ import annotations

from typing import Final

import hypothesis.strategies as st
from attrs import evolve
from hypothesis import given, settings

from dockerbroker.model.hosts import HostKey
from dockerbroker.model.instances import Change, Phase
from dockerbroker.model.secrets import Secret
from tests.contracts.persister_case import PersisterTestCase
from tests.model.values import renamed
from tests.persisters import values
from tests.pinging import pings

#: What means something to databases, drivers, templates, shells and terminals.
NASTY: Final = (
    "'; DROP TABLE instances; --",
    '" OR "1"="1',
    "` UNION SELECT secret FROM instances #",
    "%s %(id)s %d %%",
    ":id ? $1 @x {0} {id} ${x} #{x}",
    "\\'; \\\"; \\x27 \\0 \\",
    "_%*?[a-z]",
    "/* */ -- # ;",
    "0x27 1e1 NaN null true",
    "]] return redis.call('FLUSHALL') --[[",
    "*1\r\n$8\r\nFLUSHALL\r\n",
    "a:b:instance:1 *",
    '{"json": [1, "\\u0000"]}\n\t\r\x1b[31m\x7f',
    " leading and trailing ",
    "\u00e9 e\u0301 \u2028 \ufeff \U0001f600 \uffff",
)

#: No JSON holds NUL or halves of surrogate pairs, since neither is let in.
TEXTS: Final = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=60
) | st.sampled_from(NASTY)


class TextsContract(PersisterTestCase):
    """One text in every place where there is text."""

    def test_nasty(self) -> None:
        """What looks like a command is stored as it is, byte by byte, wherever it stands (S41)."""
        for text in NASTY:
            self.check(text)

    def test_any(self) -> None:
        """Any text is."""

        @settings(max_examples=15, deadline=None, database=None, derandomize=True)
        @given(TEXTS)
        def check(text: str) -> None:
            self.check(text)

        check()

    def check(self, text: str) -> None:
        """Store the text everywhere, read it, and remove it again."""
        done, persister = self.done, self.persister
        key = HostKey(service_host=text, docker_host=text, docker_port=1)
        image = evolve(renamed(values.REDIS, text), description=text, credentials=Secret({text: text}))
        made = values.instance(
            text,
            20001,
            host=key,
            definition=evolve(image, plans=(evolve(values.REDIS.plan, id=text),)),
            organization_guid=text,
            space_guid=text,
            parameters=Secret({text: text}),
            context={text: text},
        )
        bound = values.binding(text, text, app_guid=text, document=Secret({text: text}))
        certificate = values.certificate(text, text)
        done(persister.put_image(image))
        done(persister.put_certificate(certificate))
        done(persister.record_pings(pings([values.host(key)])))
        begun = self.begin(values.provision(f"{text} 1", made), owner=text)
        self.assertEqual(done(persister.renew(text, ttl=9)), frozenset())
        self.succeed(begun)
        over = evolve(self.begin(values.bind(f"{text} 2", bound)).over(Phase.FAILED, 1.0), description=text)
        done(persister.commit(Change(operation=over)))
        done(persister.set_condition(text, text))
        done(persister.entomb(text, text))
        self.assertIn(image, done(persister.images()))
        self.assertEqual(done(persister.certificate(text)), certificate)
        self.assertIn(key, {report.host.key for report in done(persister.hosts())})
        self.assertEqual(done(persister.instance(text)), made)
        self.assertIn(text, [one.id for one in done(persister.instances("", 100))])
        self.assertEqual(done(persister.binding(text, text)), bound)
        self.assertEqual(done(persister.bindings(text)), [bound])
        ended = evolve(over, owner=None)
        self.assertEqual(done(persister.operation(f"{text} 2")), ended)
        self.assertEqual(done(persister.last_operation(text, text)), ended)
        self.assertEqual(done(persister.conditions()), {text: text})
        self.assertEqual(done(persister.tombstone(text)), text)
        self.assertEqual(done(persister.port_leases(key, after=0, limit=9)), {20001: text})
        self.remove(text, key)

    def remove(self, text: str, key: HostKey) -> None:
        """Remove everything of the text; nothing else is gone."""
        done, persister = self.done, self.persister
        self.succeed(self.begin(values.deprovision(f"{text} 3", text)), remove_instance=True)
        done(persister.delete_image(text))
        done(persister.delete_certificate(text))
        done(persister.forget_host(key))
        self.assertGreater(done(persister.forget(2.0, 10)), 0)
        self.assertEqual((done(persister.images()), done(persister.instances("", 9))), ([], []))
        self.assertEqual((done(persister.hosts()), done(persister.conditions())), ([], {}))

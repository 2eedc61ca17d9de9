"""A broker that seals works as any other, and nothing secret stands in its database at any moment."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.secrets import Secret
from dockerbroker.persisters.vault import label_of
from tests.broker.ledger import printing
from tests.memory_persister import MemoryPersister, Tables
from tests.persisters.raw import raw
from tests.stack import HOST, REDIS, Stack, binding_path, instance_path
from tests.vaults import sealing_vault

_PARAMETER, _PRINTED, _DASHBOARD, _CREDENTIAL = (f"f0ul-s3cret-{number}-" for number in range(4))


class SealedTests(SynchronousTestCase):
    """The life of an instance, whose secrets turn up wherever they can."""

    def setUp(self) -> None:
        """Start a broker whose database is sealed, and whose executables print secrets."""
        clock, keys = Clock(), sealing_vault("one")
        tables = Tables(sealing=keys.first_sealing())
        self.stack = Stack(clock=clock, persister=MemoryPersister(clock.seconds, tables, keys))
        self.stack.add_host(HOST)
        client = Secret({"id": "c", "secret": _CREDENTIAL, "redirect_uri": "http://x"})
        self.stack.add_definition(evolve(REDIS, dashboard_client=client, plan_updateable=True))
        scripts = self.stack.image.scripts
        address = f'"dashboard_url": "http://admin:{_DASHBOARD}@h"'
        scripts["/provision"] = printing(f'{{"root": "{_PRINTED}", {address}}}'.encode())
        scripts["/bind"] = printing(f'{{"credentials": {{"password": "{_PRINTED}"}}}}'.encode())

    def assert_sealed(self) -> None:
        """Nothing secret can be found in the tables."""
        stolen = raw(self.stack.persister)
        for secret in (_PARAMETER, _PRINTED, _DASHBOARD, _CREDENTIAL):
            self.assertNotIn(secret, stolen)

    def fail(self, *names: str) -> None:  # type: ignore[override]
        """Let executables fail, which tell all that they know."""
        told = f"no: {_PARAMETER} {_PRINTED} http://admin:{_DASHBOARD}@h\n".encode()
        for name in names:
            self.stack.image.scripts[name] = printing(b"", told, exit_code=1)

    def test_life(self) -> None:
        """Whatever is asked, done and fails, secrets stand nowhere as they are, and are answered whole."""
        secret = {"parameters": {"password": _PARAMETER}}
        answer = self.stack.provision("i-1", **secret)
        self.assertEqual(answer.json["dashboard_url"], f"http://admin:{_DASHBOARD}@h")
        self.assert_sealed()
        bound = self.stack.bind("i-1", "b-1", **secret)
        self.assertEqual(bound.json["credentials"], {"password": _PRINTED})
        fetched = self.stack.request("GET", binding_path("i-1", "b-1")).json
        self.assertEqual(fetched["parameters"], secret["parameters"])
        self.assert_sealed()
        good = dict(self.stack.image.scripts)
        self.fail("/bind", "/unbind", "/update", "/deprovision")
        self.assertEqual(self.stack.bind("i-1", "b-2", **secret).status, 500)
        self.assertEqual(self.stack.unbind("i-1", "b-1").status, 500)
        self.assertEqual(self.update(REDIS, parameters={"more": _PARAMETER}).status, 500)
        self.assertEqual(self.stack.deprovision("i-1").status, 500)
        self.stack.advance(60)
        self.assert_sealed()
        self.stack.image.scripts.clear()
        self.stack.image.scripts.update(good)
        self.assertEqual(self.stack.deprovision("i-1").status, 200)
        # Of what it has not printed the broker knows nothing.
        self.stack.image.scripts["/provision"] = printing(b"", f"no: {_PARAMETER}\n".encode(), exit_code=1)
        self.assertEqual(self.stack.provision("i-2", **secret).status, 500)
        self.stack.advance(60)
        self.assert_sealed()
        sealed = {label_of(row["secret"]) for row in self.stack.persister.tables.images.values()}
        self.assertEqual(sealed, {"one"})

    def update(self, definition: ImageDefinition, **changes: Any) -> Any:
        """Change the instance."""
        asked = {"service_id": definition.service_id, **changes}
        return self.stack.request("PATCH", instance_path("i-1"), asked)

"""What no answer tells, on any route, and what is written nowhere while it is read."""

from __future__ import annotations

import tempfile
from typing import Final

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.certificates import HostCertificate
from dockerbroker.model.secrets import Secret
from tests.engine_transport import ThrowawayAuthority
from tests.stack import HOST, PASSWORD, REDIS, Stack, binding_path, instance_path

_KEY: Final = "canary-key-3f1b"
_PARAMETER: Final = "canary-parameter-7c"
_CREDENTIAL: Final = "canary-credential-9d"
_CLIENT: Final = "canary-client-51"

#: The routes whose business it is to tell secrets to those to whom they belong, and which ones.
_BELONG: Final = {
    "/v2/catalog": {_CLIENT},
    "/v2/service_instances/{instance_id}": {_PARAMETER},
    "/v2/service_instances/{instance_id}/service_bindings/{binding_id}": {_PARAMETER},
}


class ToldTests(SynchronousTestCase):
    """All that can be read by GET."""

    def setUp(self) -> None:
        """Start a broker with secrets of every kind."""
        self.stack = Stack()
        client = Secret({"id": "c", "secret": _CLIENT, "redirect_uri": "http://x"})
        self.stack.add_definition(evolve(REDIS, dashboard_client=client))
        static = evolve(
            REDIS, name="static", plans=REDIS.plans, credentials=Secret({"password": _CREDENTIAL})
        )
        self.stack.add_definition(evolve(static, plans=(evolve(REDIS.plan, id="static_100"),)))
        self.stack.provision("i-1", parameters={"password": _PARAMETER})
        self.stack.bind("i-1", "b-1", parameters={"password": _PARAMETER})
        pem = ThrowawayAuthority().client()
        kept = HostCertificate(
            host="docker1", certificate=pem.certificate.decode(), key=Secret(_KEY), ca=pem.ca.decode()
        )
        Deferred.fromCoroutine(self.stack.persister.put_certificate(kept))

    def test_nothing_secret(self) -> None:
        """No route tells a key, a password or a parameter but to whom it belongs (S56)."""
        values = {
            "instance_id": "i-1",
            "binding_id": "b-1",
            "catalog": "docker",
            "host": HOST.key.service_host,
            "name": "static",
        }
        seen = set()
        for route in self.stack.site.routes():
            if route.method != "GET":
                continue
            for given in (values, {**values, "host": "docker1", "name": "redis"}):
                answer = self.stack.request("GET", route.at(given))
                text = answer.body.decode()
                told = {one for one in (_KEY, _PARAMETER, _CREDENTIAL, _CLIENT, PASSWORD) if one in text}
                self.assertLessEqual(told, _BELONG.get(route.path, set()), route)
                seen |= {(route.path, answer.status)}
        self.assertIn(("/certificate/{host}", 200), seen)
        self.assertIn(("/{catalog}/image/{name}", 200), seen)
        self.assertIn(("/v2/service_instances/{instance_id}", 200), seen)
        for path in ("/admin/catalog", "/admin/instances/{instance_id}", "/admin/operations"):
            self.assertIn((path, 200), seen)

    def test_no_temporary_file(self) -> None:
        """A body of any size is in memory alone: where no file can be made, all is as usual (S60)."""
        self.addCleanup(setattr, tempfile, "tempdir", tempfile.tempdir)
        tempfile.tempdir = "/nonexistent"
        large = {"text": _PARAMETER * 20_000}
        self.stack.provision("i-2", parameters=large)
        answer = self.stack.request("GET", instance_path("i-2"))
        self.assertEqual(answer.json["parameters"], large)
        self.stack.bind("i-2", "b-2", parameters=large)
        self.assertEqual(self.stack.request("GET", binding_path("i-2", "b-2")).status, 200)

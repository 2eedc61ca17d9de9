"""A Docker host that is reached over mutual TLS, by programs as operators start them."""

from __future__ import annotations

import atexit
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.engine_transport import ThrowawayAuthority, TlsMaterial
from tests.engines.certificates import Authority
from tests.integration.case import BrokerCase
from tests.integration.test_life import SERVICE, make_images
from tests.running import Answer, RunningBroker

HOST = "127.0.0.1"


def body(material: TlsMaterial, **changes: Any) -> dict[str, Any]:
    """Return the body of a PUT of a certificate."""
    parts = {"ClientCert": material.certificate, "ClientKey": material.key, "CA": material.ca}
    return {"Host": HOST, **{name: pem.decode() for name, pem in parts.items()}, **changes}


class TlsTests(BrokerCase):
    """One broker, whose one Docker host wants mutual TLS."""

    def catalog(self) -> list[dict[str, Any]]:
        """Return one service."""
        return [SERVICE]

    def prepare(self) -> None:
        """Make its image."""
        make_images()

    def _started(self) -> RunningBroker:
        # Were this looked at, no host could be trusted.
        stranger = Path(tempfile.mkdtemp(prefix="dockerbroker-stranger-"), "ca.pem")
        stranger.write_bytes(ThrowawayAuthority().certificate())
        proxies = {"HTTPS_PROXY": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
        variables = {"REQUESTS_CA_BUNDLE": str(stranger), "SSL_CERT_FILE": str(stranger), **proxies}
        before = dict(os.environ)
        os.environ.update(variables)
        try:
            # The agent has no certificate of its own.
            broker = RunningBroker(
                self.catalog(),
                self.engine.tls_url,
                settings={"readywithin": 20},
                agent_settings={"watchdocker": False},
            )
            atexit.register(broker.stop)
            return broker.start()
        finally:
            for name in variables:
                del os.environ[name]
            os.environ.update(before)

    def put(self, material: TlsMaterial, **changes: Any) -> Answer:
        """Give the host that certificate."""
        return self.broker.request("PUT", f"/certificate/{HOST}", body(material, **changes))

    def assert_works(self, instance_id: str) -> None:
        """A service can be made, bound and removed."""
        made = self.broker.provision(instance_id, "echo")
        self.assertEqual(made.status, 201, made)
        self.assertEqual(self.broker.bind(instance_id, "b", "echo").status, 201)
        self.assertEqual(self.broker.deprovision(instance_id, "echo").status, 200)

    def assert_refused(self, instance_id: str) -> str:
        """No host can be used, and nothing is left; returns the sentence."""
        answer = self.broker.provision(instance_id, "echo")
        self.assertEqual(answer.status, 503, answer)
        self.assertEqual(self.broker.request("GET", f"/v2/service_instances/{instance_id}").status, 404)
        return answer.description

    def test_certificates(self) -> None:
        """What is trusted is what was PUT last, for the next request, without a restart."""
        good, other = self.engine.tls, ThrowawayAuthority().client()
        self.broker.request("DELETE", f"/certificate/{HOST}")
        self.assert_refused("without")
        strange = self.put(other)
        self.assertEqual(strange.status, 201, strange)
        [trial] = strange.document["Trials"]
        self.assertFalse(trial["Succeeded"])
        self.assertIn("its certificate is not trusted", trial["Description"])
        self.assert_refused("strange")

        mixed = self.put(other, CA=good.ca.decode())
        self.assertEqual([trial["Succeeded"] for trial in mixed.document["Trials"]], [False], mixed)
        self.assert_refused("mixed")

        right = self.put(good)
        self.assertEqual((right.status, right.document["Trials"][0]["Description"]), (200, ""))
        self.assert_works("right")

        self.assertEqual(self.put(other).document["Trials"][0]["Succeeded"], False)
        self.assert_refused("again")
        next_authority = Authority("another").pem()
        both = self.put(good, CA=(next_authority + good.ca).decode())
        self.assertTrue(both.document["Trials"][0]["Succeeded"], both)
        self.assert_works("both")

        self.assertEqual(self.broker.request("DELETE", f"/certificate/{HOST}").status, 200)
        self.assert_refused("removed")
        self.assertEqual(self.put(good).status, 201)
        self.assertEqual(self.broker.check_world(), "")

    def test_never_told(self) -> None:
        """The key is in no answer, no log and no file but the database."""
        self.put(self.engine.tls)
        told = [
            self.broker.request("GET", path).document for path in ("/certificates", f"/certificate/{HOST}")
        ]
        self.assertEqual([one["Host"] for one in told[0]], [HOST])
        secret = self.engine.tls.key.decode().splitlines()[1]
        self.assertNotIn(secret, json.dumps(told))
        for path in self.broker.folder.rglob("*"):
            if path.is_file() and not path.name.startswith("broker.db"):
                self.assertNotIn(secret.encode(), path.read_bytes(), path.name)

    def test_bad(self) -> None:
        """What can never work is refused, and what was there stays."""
        self.put(self.engine.tls)
        before = self.broker.request("GET", f"/certificate/{HOST}").document
        server = ThrowawayAuthority().issue("x", ExtendedKeyUsageOID.SERVER_AUTH)
        for wrong in (body(server), body(self.engine.tls, CA=self.engine.tls.certificate.decode()), {}):
            answer = self.broker.request("PUT", f"/certificate/{HOST}", wrong)
            self.assertEqual(answer.status, 400)
            self.assertNotIn("\n", answer.description)
        self.assertEqual(self.broker.request("GET", f"/certificate/{HOST}").document, before)

"""Secrets that a real broker is given are looked for wherever they must not be (S53)."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from docker.errors import NotFound

from dockerbroker.config.keys import add_key
from tests.integration.case import BrokerCase
from tests.real_engine import require_engine
from tests.running import PASSWORD, Answer

_SERVER: str = 'CMD ["sh", "-c", "trap exit TERM; httpd -f -p 8080 & wait"]'
#: Each occurs nowhere else.
_NAMES = (
    *("parameter", "told", "bound", "binding", "static", "malformed", "key", "added", "wrong", "again"),
    *("dashboard", "context"),
)
CANARIES = {name: f"canary-{name}-{secrets.token_hex(16)}" for name in _NAMES}
#: What an image has made itself, and tells as its failure; nobody else knows it.
_INVENTED = f"canary-invented-{secrets.token_hex(16)}"
_DASHBOARD = f"http://{CANARIES['dashboard']}.example.com/"
#: They hold what they are configured with.
_OWN_FILES = {"broker.config", "agent.config"}


def definition(name: str) -> dict[str, Any]:
    """Return the definition of a service that the broker makes."""
    return {"name": name, "plan": "100", "image": f"canaries/{name}", "numinstances": 1}


class CanaryTests(BrokerCase):
    """A broker that seals, to which all goes wrong that may."""

    settings: ClassVar[dict[str, Any]] = {}
    answers: list[Answer]

    def catalog(self) -> list[dict[str, Any]]:
        """Return a service, one that fails and tells what it was given, and one with a password."""
        static = {
            "name": "static",
            "plan": "100",
            "numinstances": 0,
            "containername": "canaries-static",
            "credentials": {"password": CANARIES["static"]},
        }
        return [definition("good"), definition("bad"), static]

    def prepare(self) -> None:
        """Make the images, and a key."""
        bind = f'#!/bin/sh\ncat >&2\necho \'{{"credentials": {{"password": "{CANARIES["bound"]}"}}}}\'\n'
        provision = f"#!/bin/sh\ncat >&2\necho '{json.dumps({'dashboard_url': _DASHBOARD})}'\n"
        engine = require_engine()
        scripts = {"/bind": bind, "/provision": provision}
        engine.image("canaries/good", scripts, changes=["EXPOSE 8080", _SERVER])
        # All that it was given is in its last line, which is told.
        fail = f"#!/bin/sh\nprintf {_INVENTED} >&2\ncat >&2\nexit 1\n"
        engine.image("canaries/bad", {"/provision": fail}, changes=["EXPOSE 8080", _SERVER])
        folder = Path(self.mktemp()).absolute()
        folder.mkdir(mode=0o700)
        path = folder / "keys"
        add_key(path, "one")
        type(self).settings = {"keys": str(path)}

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> int:
        """Send a request whose answer must tell no secret; return its status."""
        answer = self.broker.request(method, path, body, Content_Type="application/json", **options)
        self.answers.append(answer)
        return answer.status

    def test_nowhere(self) -> None:
        """No secret is in a log, a file, the database, what programs and Docker tell, or another answer.

        Nor in the audit log; also after the broker was killed.
        """
        self.answers = []
        began = int(time.time())
        self._live()
        self.broker.kill_broker()
        self.broker.restart_broker()
        self._fail()
        exported = self.broker.command("audit", "export").stdout
        self.assertIn('"action":"bind"', exported)
        self.assertIn("/provision of the service image failed with exit status 1.", exported)
        self.assertNotIn(_INVENTED, exported)
        found = [
            f"{name}: {where}"
            for where, text in self._places(began, exported)
            for name, secret in self._secrets()
            if secret in text
        ]
        self.assertEqual(found, [])
        # What is looked for is found where it is.
        own = (self.broker.folder / "broker.config").read_text("utf-8")
        self.assertTrue(CANARIES["static"] in own and PASSWORD in own)
        self.assertEqual(self.broker.unbind("good", "b", "good").status, 200)
        self.assertEqual(self.broker.deprovision("good", "good").status, 200)
        self.assert_nothing_left()

    def _secrets(self) -> Iterator[tuple[str, bytes]]:
        """Yield all that is looked for, each with its name."""
        for name, secret in {**CANARIES, "password": PASSWORD}.items():
            yield name, secret.encode()
        key = Path(self.settings["keys"]).read_bytes().split()[1]
        yield "a key of the ring", key
        yield "a key of the ring as it is", b64decode(key)

    def _live(self) -> None:
        """Make an instance and a binding, which is told its own password and nobody else."""
        broker, given = self.broker, CANARIES
        told = {"platform": "cloudfoundry", "instance_name": given["context"]}
        made = broker.provision("good", "good", parameters={"password": given["parameter"]}, context=told)
        bound = broker.bind("good", "b", "good", parameters={"password": given["binding"]})
        self.assertEqual((made.status, bound.status), (201, 201), (made, bound))
        self.assertEqual(bound.document["credentials"], {"password": given["bound"]})
        self.assertEqual(made.document, {"dashboard_url": _DASHBOARD})
        login = {"Role": "agent", "User": "another", "Password": given["added"]}
        self.assertEqual(self.send("POST", "/admin/credentials", login), 201)

    def _fail(self) -> None:
        """Let everything go wrong that is given a secret."""
        given = CANARIES
        told = self.broker.provision("bad", "bad", parameters={"password": given["told"]})
        self.assertEqual(told.status, 500, told)
        self.assertIn(_INVENTED, told.description)
        self.assertIn("[redacted]", told.description)
        self.answers.append(told)
        text = json.dumps({"parameters": {"password": given["malformed"]}})[:-1].encode()
        self.assertEqual(self.send("PUT", "/v2/service_instances/x", raw=text), 400)
        twice = json.dumps({"service_id": given["malformed"], "plan_id": {"x": given["malformed"]}}).encode()
        self.assertEqual(self.send("PUT", "/v2/service_instances/x", raw=twice), 400)
        key = f"-----BEGIN PRIVATE KEY-----\n{given['key']}\n-----END PRIVATE KEY-----\n"
        certificate = {"ClientCert": given["key"], "ClientKey": key, "CA": given["key"]}
        self.assertEqual(self.send("PUT", "/certificate/h", certificate), 400)
        wrong = {"Authorization": f"Basic {given['wrong']}"}
        self.assertEqual(self.send("GET", "/v2/catalog", **wrong), 401)
        weak = {"Role": "agent", "User": "x", "Password": [given["again"]]}
        self.assertEqual(self.send("POST", "/admin/credentials", weak), 400)
        for path in ("instances", "instances/good", "operations", "catalog", "audit", "credentials"):
            self.assertEqual(self.send("GET", f"/admin/{path}"), 200, path)

    def _places(self, began: int, exported: str) -> Iterator[tuple[str, bytes]]:
        """Yield all that is looked through, each with its name."""
        yield "the audit log", exported.encode()
        for answer in self.answers:
            yield "an answer", json.dumps(answer.document).encode() + repr(answer.headers).encode()
        for path in self.broker.folder.rglob("*"):
            if path.is_file() and path.name not in _OWN_FILES:
                yield str(path), path.read_bytes()
        for path in [*Path("/proc").glob("[0-9]*/cmdline"), *Path("/proc").glob("[0-9]*/environ")]:
            # It may have ended, or be not ours.
            with contextlib.suppress(OSError):
                yield str(path), path.read_bytes()
        for container in self.client.containers(all=True):
            # Another test may have removed its own.
            with contextlib.suppress(NotFound):
                yield "a container", json.dumps(self.client.inspect_container(container["Id"])).encode()
        events: Any = self.client.events(since=began, until=int(time.time()) + 1, decode=True)
        yield "the events of Docker", json.dumps(list(events)).encode()

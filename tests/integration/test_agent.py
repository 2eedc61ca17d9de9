"""The agent as a real program: what it tells of a Docker Engine that hangs, and its certificate."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.engine_transport import ThrowawayAuthority, TlsMaterial
from tests.polling import poll
from tests.real_engine import engine_of, require_dockerd, require_engine
from tests.running import RunningBroker

#: Seconds between pings: a host is alive for three of it, so long may the machine stand still.
_INTERVAL = 5
#: So many pings are seen to come while Docker hangs.
_PINGS = 2
SERVICE = {"name": "hanging", "plan": "small", "image": "agent/absent"}


class HangingEngineTests(SynchronousTestCase):
    """A Docker Engine of the test's own that is frozen."""

    def setUp(self) -> None:
        """Start an engine, a broker and an agent."""
        self.dockerd = require_dockerd()
        self.addCleanup(self.dockerd.stop)
        self.broker = RunningBroker(
            [SERVICE], engine_of(self.dockerd).unix_url, agent_settings={"keepalive": _INTERVAL}
        )
        self.addCleanup(self.broker.stop)
        self.broker.start()

    def host(self) -> dict[str, Any]:
        """Return what the broker knows of the host."""
        (host,) = self.broker.request("GET", "/admin/hosts").document
        return dict(host)

    def heard_at(self) -> float:
        """Return when the broker has heard the host last, by the clock of its database."""
        with closing(sqlite3.connect(self.broker.folder / "broker.db")) as connection:
            ((moment,),) = connection.execute("SELECT pinged_at FROM hosts").fetchall()
            return float(moment)

    def test_frozen(self) -> None:
        """While Docker hangs the pings go on and say so; when it answers again they say that."""
        known = self.host()["Vitals"]
        for figure in ("EngineID", "MemoryFree", "DiskFree", "CPUs"):
            self.assertTrue(known[figure], figure)
        self.dockerd.freeze()
        self.addCleanup(self.dockerd.thaw)
        poll(lambda: "did not answer" in self.host()["Hindrance"], lambda: str(self.host()))
        for _ in range(_PINGS):
            before = self.heard_at()
            poll(lambda: self.heard_at() > before, lambda: str(self.host()))  # noqa: B023
            self.assertEqual(self.host()["State"], "alive")
        self.assertIn("did not answer", self.host()["Hindrance"])
        self.assertEqual(self.broker.provision("i", "hanging").status, 503)
        self.dockerd.thaw()
        poll(lambda: self.host()["IsUsable"], lambda: str(self.host()))
        self.assertEqual(self.host()["Vitals"]["EngineID"], known["EngineID"])
        log = (self.broker.folder / "agent.log").read_text("utf-8", "replace")
        self.assertIn("Docker is not well: ", log)
        self.assertIn("Docker is well again", log)


class CertificateTests(SynchronousTestCase):
    """An agent whose Docker is reached over mutual TLS."""

    def setUp(self) -> None:
        """Start an agent with the files of a certificate."""
        engine = require_engine()
        folder = Path(tempfile.mkdtemp(prefix="dockerbroker-agent-"))
        self.addCleanup(shutil.rmtree, folder)
        self.files = {name: folder / name for name in ("clientcert", "clientkey", "cacert")}
        self.write(engine.tls)
        self.broker = RunningBroker(
            [SERVICE],
            engine.tls_url,
            agent_settings={"keepalive": _INTERVAL},
            agent_options=[word for name, path in self.files.items() for word in (f"--{name}", str(path))],
        )
        self.addCleanup(self.broker.stop)
        self.broker.start()

    def write(self, material: TlsMaterial) -> None:
        """Write the files, each of them at once."""
        for name, content in (
            ("clientcert", material.certificate),
            ("clientkey", material.key),
            ("cacert", material.ca),
        ):
            new = self.files[name].with_suffix(".new")
            new.touch(mode=0o600)
            new.write_bytes(content)
            new.replace(self.files[name])

    def certificates(self) -> list[dict[str, Any]]:
        """Return what the broker tells of its certificates."""
        return list(self.broker.request("GET", "/certificates").document)

    def log(self) -> str:
        """Return what the agent has logged."""
        return (self.broker.folder / "agent.log").read_text("utf-8", "replace")

    def test_uploaded(self) -> None:
        """Agent and broker reach Docker with the certificate, and another one follows the files."""
        poll(lambda: bool(self.certificates()), self.log)
        (first,) = self.certificates()
        self.assertEqual(first["Host"], "127.0.0.1")
        poll(lambda: self.broker.hosts()[0]["Hindrance"] == "", lambda: str(self.broker.hosts()))
        refusal = self.broker.provision("i", "hanging")
        self.assertEqual(refusal.status, 503)
        self.assertIn("agent/absent", refusal.description)
        self.write(ThrowawayAuthority().client())
        poll(lambda: self.certificates()[0]["Fingerprint"] != first["Fingerprint"], self.log)
        poll(lambda: "Docker is not well: " in self.log(), self.log)
        poll(lambda: "cannot use it: " in self.log(), self.log)
        self.write(require_engine().tls)
        poll(lambda: "Docker is well again" in self.log(), self.log)
        self.assertEqual(self.certificates(), [first])
        self.assertNotIn("PRIVATE KEY", self.log())

"""A Docker host that is frozen as a whole, with its agent and its Docker Engine, and goes on later."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.integration import leftovers
from tests.polling import poll
from tests.real_engine import engine_of, require_dockerd
from tests.running import RunningBroker

_SERVICE = {"name": "echo", "plan": "100", "image": "dead/echo"}
_SERVER = 'CMD ["sh", "-c", "trap exit TERM; httpd -f -p 8080 & wait"]'
_BIND = "#!/bin/sh\necho '{\"credentials\": {}}'\n"


class DeadHostTests(SynchronousTestCase):
    """A broker, an agent and an engine of the test's own."""

    def setUp(self) -> None:
        """Make two instances."""
        self.dockerd = require_dockerd()
        self.addCleanup(self.dockerd.stop)
        engine = engine_of(self.dockerd)
        engine.image("dead/echo", {"/bind": _BIND}, changes=["EXPOSE 8080", _SERVER])
        self.client = engine.client()
        self.addCleanup(self.client.close)
        self.broker = RunningBroker(
            [_SERVICE], engine.unix_url, {"waitforhost": 0}, agent_settings={"keepalive": 0.3}
        )
        self.addCleanup(self.broker.stop)
        self.broker.start()
        for name in ("i-1", "i-2"):
            self.provision(name)

    def host(self) -> dict[str, Any]:
        """Return what the broker knows of the host."""
        (host,) = self.broker.request("GET", "/admin/hosts").document
        return dict(host)

    def provision(self, name: str) -> None:
        """Make an instance, which is refused while the host is silent because the machine is busy."""
        poll(lambda: self.broker.provision(name, "echo").status in (200, 201), self.broker.log)

    def freeze(self) -> None:
        """Stop all of the host."""
        assert self.broker.agent is not None
        self.broker.agent.send_signal(signal.SIGSTOP)
        self.dockerd.freeze()
        self.addCleanup(self.thaw)

    def thaw(self) -> None:
        """Let the host go on."""
        assert self.broker.agent is not None
        self.dockerd.thaw()
        with contextlib.suppress(ProcessLookupError):
            self.broker.agent.send_signal(signal.SIGCONT)

    def test_deleted_meanwhile(self) -> None:
        """What is deleted while the host is dead is gone before the host is used again; the rest stays."""
        self.freeze()
        poll(lambda: self.host()["State"] == "dead", lambda: str(self.host()))
        self.assertEqual(self.broker.provision("i-3", "echo").status, 503)
        path = "/v2/service_instances/i-1"
        deletion = self.broker.request(
            "DELETE", f"{path}?service_id=echo&plan_id=echo_100&accepts_incomplete=true"
        )
        self.assertIn(deletion.status, (200, 202), deletion)
        poll(
            lambda: self.broker.request("GET", f"{path}/last_operation").document["state"] == "succeeded",
            self.broker.log,
        )
        self.thaw()
        poll(lambda: self.host()["IsUsable"], lambda: str(self.host()))
        self.assertEqual(len(leftovers.containers(self.client, self.broker.folder / "broker.db")), 1)
        self.assertEqual(self.host()["Instances"], 1)
        self.provision("i-3")
        self.assertEqual(self.broker.check_world("--settle", "5"), "")

"""The command `dockerbroker` on a running broker and a real Docker Engine."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from dockerbroker.model.containers import LABEL_INSTANCE
from tests.integration.case import BrokerCase
from tests.integration.test_life import SERVICE, make_images
from tests.polling import PATIENCE
from tests.programs import environment


class CommandTests(BrokerCase):
    """What an operator sees of one deployment."""

    def catalog(self) -> list[dict[str, Any]]:
        """Return one service."""
        return [SERVICE]

    def prepare(self) -> None:
        """Make its image."""
        make_images()

    def said(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command on the broker's configuration."""
        main = "from dockerbroker.command import main; main()"
        return subprocess.run(
            [sys.executable, "-c", main, *words, "-c", str(self.broker.folder / "broker.config")],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def container(self, instance_id: str) -> Any:
        """Return what Docker tells of the instance's container."""
        filters = {"label": f"{LABEL_INSTANCE}={instance_id}"}
        (found,) = self.client.containers(all=True, filters=filters)
        return self.client.inspect_container(found["Id"])

    def test_check(self) -> None:
        """All is well until somebody removes a container; then that is told."""
        self.assertEqual(self.broker.provision("command-1", "echo").status, 201)
        done = self.said("check-world")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done)
        self.assertEqual(done.stderr, "All is well: 1 service instances, 1 containers.\n")
        self.client.remove_container(self.container("command-1")["Id"], force=True)
        done = self.said("check-world")
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("I2: command-1: its container is missing", done.stdout)
        self.assertEqual(self.broker.deprovision("command-1", "echo").status, 200)
        self.assert_nothing_left()

    def test_left_over(self) -> None:
        """A container that nobody owns is shown, and a copy of one, which bears its labels, is not."""
        self.assertEqual(self.broker.provision("command-2", "echo").status, 201)
        made = self.container("command-2")
        labels, name = made["Config"]["Labels"], made["Name"].removeprefix("/")
        self.assertEqual(self.broker.deprovision("command-2", "echo").status, 200)
        left = self.client.create_container("life/echo", name=name, labels=labels)["Id"]
        self.addCleanup(self.client.remove_container, left, force=True)
        copy = self.client.create_container("life/echo", labels=labels)["Id"]
        self.addCleanup(self.client.remove_container, copy, force=True)
        done = self.said("reap", "--dry-run")
        self.assertEqual(done.returncode, 0, done)
        (line,) = done.stdout.splitlines()
        fields = line.split("\t")
        self.assertEqual(
            [fields[0], fields[1], *fields[3:]], ["container", left, "command-2", "may be removed"]
        )

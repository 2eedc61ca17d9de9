"""A real host is emptied: what its instances have moves to another one, over mutual TLS."""

from __future__ import annotations

import contextlib

from tests.fleet import services
from tests.fleet.case import FleetCase, binding_path
from tests.fleet.hosts import FleetHost
from tests.fleet.services import KEEPER
from tests.integration import leftovers

#: What a service may have in its volume: of whom, since when, how large, and under which names.
_MAKE = """
echo precious >/data/dump
head -c 20000000 /dev/urandom >/data/large
mkdir -p "/data/a folder/deep" && echo 1 >"/data/a folder/deep/file"
ln -s ../dump /data/link && ln /data/dump /data/again && mkfifo /data/pipe
chown -R 1234:77 "/data/a folder" && chmod 0640 /data/large && chmod 1750 /data && chown 99:99 /data
touch -t 200001020304.05 /data/dump /data
"""
_LOOK = (
    "cd /data && (ls -ldn --full-time . && ls -lnR --full-time) | grep -v ^total | sed 's/[.][0-9]* / /' "
    "&& md5sum dump large 'a folder/deep/file'"
)


class DrainingTests(FleetCase):
    """An instance with data, on a host that is to be emptied."""

    def setUp(self) -> None:
        """Let nothing be placed but where a test wants it."""
        super().setUp()
        for host in self.fleet.hosts:
            self.addCleanup(self.ask, "DELETE", host, "cordon")

    def ask(self, method: str, host: FleetHost, what: str) -> object:
        """Let an administrator ask something of a host; return the answer."""
        answer = self.broker.request(method, f"/admin/hosts/{host.address}/{what}")
        self.assertIn(answer.status, (200, 202), answer)
        return answer.document

    def look(self, host: FleetHost) -> str:
        """Return what is in the instance's volume, by whom and since when."""
        with contextlib.closing(host.client()) as client:
            return services.run(client, "i-1", _LOOK)

    def volumes(self, host: FleetHost) -> set[str]:
        """Return the volumes of a host's engine."""
        with contextlib.closing(host.client()) as client:
            return leftovers.volumes(client)

    def test_drained(self) -> None:
        """It is served from another host with all its data; then nothing of it is left on either."""
        here, there, small = self.fleet.hosts
        for host in (there, small):
            self.ask("PUT", host, "cordon")
        self.provision_all({"i-1": KEEPER})
        self.assertEqual(self.broker.bind("i-1", "b-1", KEEPER).status, 201)
        with contextlib.closing(here.client()) as client:
            services.run(client, "i-1", _MAKE)
        before, [volume] = self.look(here), self.volumes(here)
        self.assertIn("a folder/deep/file", before)
        self.ask("DELETE", there, "cordon")
        moved = self.broker.command("hosts", "drain", "--wait", here.address)
        self.assertEqual(moved.returncode, 0, moved)
        self.assertIn("b-1", moved.stdout)
        self.assertEqual(self.look(there), before)
        self.served_by(there, ["i-1"])
        self.assertEqual((self.containers(), self.volumes(here)), ({1: 0, 2: 1, 3: 0}, set()))
        self.assertEqual(self.volumes(there), {volume})
        binding = self.broker.request("GET", binding_path("i-1", "b-1")).document
        self.assertIn("expires_at", binding["metadata"])
        self.check_world()
        self.assertEqual(self.delete("i-1").status, 200)
        self.assertEqual((self.volumes(here), self.volumes(there)), (set(), set()))

"""Docker Engines that are killed, restarted, frozen, or have a full disk."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from attrs import define

from dockerbroker.model.placement import LEAST_DISK
from tests.fleet import services
from tests.fleet.case import FleetCase, binding_path, instance_path, wait
from tests.fleet.fleet import SMALL, SMALL_FILES
from tests.fleet.hosts import FleetHost
from tests.fleet.services import ANYWHERE, on


class EngineTests(FleetCase):
    """Engines that fail while their agents go on."""

    def check_running(self, host: FleetHost, ports: Mapping[str, int]) -> None:
        """Check that the containers of these instances run again, where they were."""
        self.wait_until_running(host, *ports)
        self.assertEqual(self.served_by(host, ports), ports)

    def test_killed(self) -> None:
        """After a kill -9 all that should run runs again, at the same ports; a bind meanwhile waits for it.

        What its plan does not let Docker restart stays as it is, and what was just being made is gone.
        """
        host = self.fleet.host(1)
        self.provision_all({"i-1": on(1), "i-2": on(1), "i-3": on(1, "once")})
        before = self.served_by(host, ("i-1", "i-2"))
        self.assertEqual(self.broker.bind("i-1", "b-1", on(1)).status, 201)
        self.begin_instance("i-5", on(1, "waiting"))
        wait(lambda: self.containers()[1] == 4 and services.runs(host, "i-5") != [], self.broker.log)
        host.dockerd.kill()
        binding = self.begin(lambda: self.broker.bind("i-1", "b-2", on(1)))
        self.wait_for(1, "Hindrance", "cannot be reached")
        self.assertEqual(self.provision("i-4", ANYWHERE).status, 201)
        host.dockerd.run()
        answer = binding.result()
        self.assertEqual(answer.status, 201, answer)
        self.check_running(host, before)
        with contextlib.closing(host.client()) as client:
            self.assertFalse(services.published(client, "i-3")[0])
        # Nobody can tell what the executable has done that ran then, so what it worked on is given up.
        self.assertEqual(self.outcome(instance_path("i-5")), "failed")
        self.assertEqual(self.broker.request("GET", instance_path("i-5")).status, 404)
        self.assertEqual(self.containers()[1], 3)
        self.wait_until_usable(1)
        self.assertEqual(self.broker.bind("i-3", "b-3", on(1, "once")).status, 201)
        self.check_world()

    def test_restarted(self) -> None:
        """After an engine was restarted as a supervisor does it all runs again, at the same ports."""
        host = self.fleet.host(2)
        self.provision_all({"i-1": on(2), "i-2": on(2)})
        before = self.served_by(host, ("i-1", "i-2"))
        host.restart_dockerd()
        host.dockerd.wait_until_it_answers()
        self.check_running(host, before)

    def test_frozen(self) -> None:
        """While an engine hangs the other hosts serve all requests, and what it was to do is done later."""
        host = self.fleet.host(1)
        self.provision_all({"i-1": on(1)})
        host.dockerd.freeze()
        self.provision_all({f"i-{number}": ANYWHERE for number in (2, 3, 4)})
        begun = self.incomplete("PUT", binding_path("i-1", "b-1"), on(1))
        self.assertEqual(begun.status, 202, begun)
        self.wait_for(1, "Hindrance", "did not answer")
        self.wait_for(1, "State", "alive")
        self.wait_until_refused(on(1), "1 has trouble with its Docker")
        host.dockerd.thaw()
        self.assertEqual(self.outcome(binding_path("i-1", "b-1")), "succeeded")
        self.wait_until_usable(1)
        self.assertEqual(services.runs(host, "i-1"), ["provision", "bind"])
        self.assertEqual(self.containers()[1], 1)

    def test_disk_full(self) -> None:
        """What fails for want of disk space says so and leaves nothing; a disk that is full is left alone."""
        host = self.fleet.host(SMALL)
        disk = host.dockerd.folder / "data"
        fill = Filling(disk / "fill")
        self.addCleanup(fill.remove)
        fill.take_all_files()
        failed = self.provision("i-1", on(SMALL))
        self.assertGreaterEqual(failed.status, 500)
        self.assertIn("no space left on device", failed.description)
        self.assertEqual(self.broker.request("GET", instance_path("i-1")).status, 404)
        fill.remove()
        self.assertEqual(self.containers()[SMALL], 0)
        self.provision_all({"i-2": on(SMALL)})
        fill.leave(LEAST_DISK // 2)
        wait(
            lambda: self.state(SMALL)["Vitals"]["DiskFree"] < LEAST_DISK,
            lambda: str(self.state(SMALL)),
        )
        self.wait_until_refused(on(SMALL), "1 has no disk space left")
        self.assertEqual(self.provision("i-4", ANYWHERE).status, 201)
        self.assertEqual(self.broker.bind("i-2", "b-1", on(SMALL)).status, 201)
        self.assertEqual(self.containers()[SMALL], 1)


@define(eq=False)
class Filling:
    """A folder that fills up the disk on which it is."""

    folder: Path

    def take_all_files(self) -> None:
        """Make files until the disk can have no more of them."""
        self.folder.mkdir()
        with contextlib.suppress(OSError):
            for number in range(SMALL_FILES):
                (self.folder / str(number)).touch()

    def leave(self, size: int) -> None:
        """Leave so many bytes free."""
        self.folder.mkdir()
        found = os.statvfs(self.folder)
        with (self.folder / "large").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - size)

    def remove(self) -> None:
        """Give everything back."""
        shutil.rmtree(self.folder, ignore_errors=True)

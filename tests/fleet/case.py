"""A test case with the fleet: each test breaks something, and leaves it mended and empty."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from dockerbroker.model.placement import LEAST_DISK
from tests import polling
from tests.fleet import services
from tests.fleet.fleet import Fleet, require_fleet
from tests.fleet.hosts import FleetHost
from tests.integration import leftovers
from tests.running import Answer, RunningBroker

_CROWD = 8
#: Seconds between two looks at what the programs do.
PAUSE: Final = 0.2
#: What a refusal says of hosts that stood still for a moment, as on a busy machine, and are used again soon.
_SOON_USABLE: Final = (
    "sent no ping lately",
    "trouble with",
    "being checked after",
    "no disk space left",
)


class FleetCase(SynchronousTestCase):
    """Has three real Docker hosts and two real brokers, all of them well when a test begins.

    The test is in the brokers' network, as if it were a platform or an administrator there.
    """

    fleet: Fleet
    broker: RunningBroker
    other: RunningBroker

    def setUp(self) -> None:
        """Start the fleet, unless it runs, and wait until all of it is well."""
        self.fleet = require_fleet()
        self.broker, self.other = self.fleet.brokers
        self.enterContext(self.fleet.hub.entered())
        self.pool = ThreadPoolExecutor(_CROWD)
        self.addCleanup(self.pool.shutdown)
        self.made: dict[str, str] = {}
        # A test that has failed may have left something undone.
        self.fleet.heal()
        self.wait_until_usable(1, 2, 3)
        self._before = [len(log) for log in self._logs()]
        self.addCleanup(self.clean)

    def clean(self) -> None:
        """Mend everything, delete the test's instances, and assert that nothing is left of them."""
        self.fleet.heal()
        self.wait_until_usable(1, 2, 3)
        for answer in self.pool.map(self.delete, self.made):
            self.assertIn(answer.status, (200, 410), answer)
        self.assertEqual(self.containers(), {1: 0, 2: 0, 3: 0})
        self.assertEqual(leftovers.rows(self.database), leftovers.nothing())
        self.assertEqual(leftovers.unfinished(self.database), 0)

    @property
    def database(self) -> Path:
        """The brokers' database."""
        return self.broker.folder / "broker.db"

    # What an administrator sees.

    def logged(self, words: str) -> list[str]:
        """Return the lines of all logs with these words, since the test began."""
        logs = [log[before:] for log, before in zip(self._logs(), self._before, strict=True)]
        return [line for log in logs for line in log.splitlines() if words in line]

    def _logs(self) -> list[str]:
        return [self.broker.log(), self.other.log(), *(host.log() for host in self.fleet.hosts)]

    def state(self, number: int) -> dict[str, Any]:
        """Return what the brokers know of a host."""
        return dict(self.broker.request("GET", f"/admin/hosts/{self.fleet.host(number).address}").document)

    def wait_until_usable(self, *numbers: int) -> None:
        """Wait until these hosts may be used."""
        for number in numbers:
            wait(
                lambda: self.is_usable(number),  # noqa: B023
                lambda: f"{self.state(number)}\n{self.fleet.host(number).log()}\n{self.broker.log()}",  # noqa: B023
            )

    def is_usable(self, number: int) -> bool:
        """Whether the host may be used, and has a certificate, so that it can be."""
        address = self.fleet.host(number).address
        is_trusted = self.broker.request("GET", f"/certificate/{address}").status == 200
        known = self.broker.request("GET", f"/admin/hosts/{address}")
        if not is_trusted or known.status != 200 or not known.document["IsUsable"]:
            return False
        # A test may have filled the disk before, and the brokers have what the agent saw last.
        free = (known.document["Vitals"] or {}).get("DiskFree")
        return free is None or bool(free >= LEAST_DISK)

    def wait_for(self, number: int, member: str, expected: str) -> None:
        """Wait until that member of a host's state holds these words."""
        wait(lambda: expected in str(self.state(number)[member]), lambda: str(self.state(number)))

    def wait_until_running(self, host: FleetHost, *instance_ids: str) -> None:
        """Wait until the containers of these instances run."""
        with contextlib.closing(host.client()) as client:
            for instance_id in instance_ids:
                wait(
                    lambda: services.published(client, instance_id)[0],  # noqa: B023
                    lambda: f"{instance_id} does not run: {self.broker.log()[-3000:]}",  # noqa: B023
                )

    def check_world(self) -> None:
        """Assert that rows, hosts and answers fit together."""
        self.assertEqual(self.broker.check_world("--settle", "20"), "")

    def containers(self) -> dict[int, int]:
        """Return how many containers of the deployment each host has, whether they run or not."""
        return {host.number: len(self.containers_of(host)) for host in self.fleet.hosts}

    def containers_of(self, host: FleetHost) -> list[str]:
        """Return the ids of a host's containers of the deployment."""
        with contextlib.closing(host.client()) as client:
            return leftovers.containers(client, self.database)

    # What a platform does.

    def begin(self, request: Callable[[], Answer]) -> Future[Answer]:
        """Make a request while the test goes on."""
        return self.pool.submit(request)

    def provision(self, instance_id: str, service: str, broker: RunningBroker | None = None) -> Answer:
        """Provision an instance, as soon as a host is well; the test's end deletes it."""
        return when_well(lambda: self.provision_now(instance_id, service, broker))

    def provision_now(self, instance_id: str, service: str, broker: RunningBroker | None = None) -> Answer:
        """Provision an instance, which the test's end deletes, and take whatever is answered."""
        self.made[instance_id] = service
        return (broker or self.broker).provision(instance_id, service)

    def provision_all(self, wanted: dict[str, str]) -> None:
        """Provision several instances at once, by both brokers in turn; all succeed."""
        brokers = [self.broker, self.other] * len(wanted)
        answers = self.pool.map(self.provision, wanted, wanted.values(), brokers)
        for answer in answers:
            self.assertEqual(answer.status, 201, answer)

    def wait_until_refused(self, service: str, words: str) -> None:
        """Wait until an instance of the service is refused with these words, and nothing of it is left."""

        def is_refused() -> bool:
            answer = self.provision_now("refused", service)
            if answer.status == 201:
                # A broker places by what it has seen a moment before.
                self.assertEqual(self.delete("refused").status, 200)
                return False
            self.assertEqual(answer.status, 503, answer)
            return words in answer.description

        wait(is_refused, lambda: f"{service} is not refused with: {words}")
        self.assertEqual(self.broker.request("GET", instance_path("refused")).status, 404)

    def incomplete(self, method: str, path: str, service: str) -> Answer:
        """Make a request that need not be done when it is answered."""
        ids = {"service_id": service, "plan_id": f"{service}_100"}
        query = f"{path}?accepts_incomplete=true"
        if method == "DELETE":
            return self.broker.request(method, f"{query}&service_id={service}&plan_id={service}_100")
        return self.broker.request(method, query, ids | {"organization_guid": "o", "space_guid": "s"})

    def begin_instance(self, instance_id: str, service: str) -> None:
        """Begin to provision an instance, which the test's end deletes."""
        self.made[instance_id] = service
        answer = when_well(lambda: self.incomplete("PUT", instance_path(instance_id), service))
        self.assertIn(answer.status, (201, 202), answer)

    def outcome(self, path: str) -> str:
        """Wait until the last operation on an instance or binding has ended; return its state."""
        wait(
            lambda: self.operation(path) != "in progress",
            lambda: f"{path} is in progress: {self.broker.log()[-3000:]}",
        )
        return self.operation(path)

    def operation(self, path: str) -> str:
        """Return the state of the last operation."""
        answer = self.broker.request("GET", f"{path}/last_operation")
        return str(answer.document["state"]) if answer.status == 200 else str(answer.status)

    def delete(self, instance_id: str) -> Answer:
        """Delete an instance."""
        return self.broker.deprovision(instance_id, self.made[instance_id])

    def served_by(self, host: FleetHost, instance_ids: Iterable[str]) -> dict[str, int]:
        """Return the ports of instances on the host, at all of which a service answers."""
        ports = {}
        with contextlib.closing(host.client()) as client:
            for instance_id in instance_ids:
                _, ports[instance_id] = services.published(client, instance_id)
        for port in ports.values():
            wait(lambda: answers(host, port), lambda: f"nobody answers at port {port}")  # noqa: B023
        return ports


def wait(condition: Callable[[], bool], complaint: Callable[[], str]) -> None:
    """Wait for what the programs do, which need the processors for it."""
    polling.poll(condition, complaint, pause=PAUSE)


def when_well(request: Callable[[], Answer]) -> Answer:
    """Make a request for an instance, again while it is refused for hosts that stood still."""
    answers: list[Answer] = []

    def is_final() -> bool:
        answers.append(request())
        refusal = answers[-1].description if answers[-1].status == 503 else ""
        return not any(words in refusal for words in _SOON_USABLE)

    wait(is_final, lambda: str(answers[-1]))
    return answers[-1]


def answers(host: FleetHost, port: int) -> bool:
    """Whether a web server answers at the host's port."""
    try:
        with urlopen(f"http://{host.address}:{port}/", timeout=2) as response:
            return bool(response.status)
    except OSError as error:
        # That there is no such page is an answer, too.
        return getattr(error, "code", 0) == 404


def instance_path(instance_id: str) -> str:
    """Return the path of an instance."""
    return f"/v2/service_instances/{instance_id}"


def binding_path(instance_id: str, binding_id: str) -> str:
    """Return the path of a binding."""
    return f"{instance_path(instance_id)}/service_bindings/{binding_id}"

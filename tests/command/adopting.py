"""A broker whose database was lost, and the command `adopt`."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from dockerbroker.model.containers import LABEL_INSTANCE
from dockerbroker.model.instances import ServiceInstance
from tests.broker.test_lost_database import replace
from tests.command.case import LineCase
from tests.memory_tables import Tables

LOST = "0123456789abcdef0123456789abcdef"
#: Long enough for the reaper to remove what nobody owns.
LONG = 600.0


class AdoptCase(LineCase):
    """A broker whose database was lost."""

    def empty(self, cluster_id: str = LOST) -> None:
        """Exchange the database for an empty one that brokers use already."""
        tables = self.stack.persister.tables
        replace(tables, Tables(cluster_id=cluster_id, seeded=True, hosts=tables.hosts, images=tables.images))

    def instance(self, instance_id: str = "i-1") -> ServiceInstance:
        """Return an instance that is on record."""
        found = self.value(self.stack.persister.instance(instance_id))
        assert isinstance(found, ServiceInstance)
        return found

    def value(self, call: Any) -> Any:
        """Return what the call returns."""
        return self.successResultOf(Deferred.fromCoroutine(call))

    def lines(self, *words: str, status: int = 0) -> list[list[str]]:
        """Adopt, and return the fields of the lines that are shown."""
        result = self.ask("adopt", *words)
        self.assert_said(result, status)
        return [line.split("\t") for line in result.stdout.splitlines()]

    def container(self, instance_id: str = "i-1") -> Any:
        """Return the instance's container."""
        (found,) = [
            one for one in self.stack.engine.world.values() if one.spec.labels[LABEL_INSTANCE] == instance_id
        ]
        return found

    def well(self) -> None:
        """Check that nothing is wrong with rows and hosts."""
        self.assert_said(self.ask("check-world"), 0, "All is well")

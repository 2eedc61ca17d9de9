"""What every `IEngine` does with volumes."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import ensureDeferred

from dockerbroker.errors import EngineError
from dockerbroker.model.containers import (
    LABEL_CLUSTER,
    LABEL_EPOCH,
    LABEL_INSTANCE,
    LABEL_OPERATION,
    LABEL_PLAN,
    LABEL_SERVICE,
    LABEL_SPEC,
    ContainerSpec,
    Volume,
)
from tests.contracts import engine
from tests.contracts.images import KEEPING, PLAIN, VOLUMES


class VolumeContract(engine.EngineTestCase):
    """What an engine does with volumes that have names."""

    def keeping(self, image: str = KEEPING, **members: Any) -> ContainerSpec:
        """Return a container with a volume of its own, which is removed after the test."""
        volume = engine.name()
        self.addCleanup(lambda: ensureDeferred(self.engine.remove_volume(volume)))
        return engine.spec(image, **{"volumes": {"/data": volume}, **members})

    async def test_made_with_container(self) -> None:
        """A container's volumes are made with it, and bear its labels but those of the operation."""
        cluster = engine.name()
        lasting = {
            LABEL_CLUSTER: cluster,
            LABEL_INSTANCE: "instance",
            LABEL_SERVICE: "service",
            LABEL_PLAN: "plan",
        }
        passing = {LABEL_OPERATION: "operation", LABEL_EPOCH: "1", LABEL_SPEC: "0a1b"}
        wanted = self.keeping(labels=lasting | passing)
        container_id = await self.created(wanted)
        volume = Volume(name=wanted.volumes["/data"], labels=lasting)
        self.assertEqual(await self.engine.volumes(cluster), [volume])
        self.assertEqual(await self.engine.volumes(engine.name()), [])
        container = await self.engine.inspect(container_id)
        assert container is not None
        self.assertEqual(container.labels, lasting | passing)

    async def test_where_they_are(self) -> None:
        """A container tells its volumes by path, also those that an image makes without a name."""
        wanted = self.keeping()
        container = await self.engine.inspect(await self.created(wanted))
        assert container is not None
        self.assertEqual(set(container.volumes), set(VOLUMES))
        self.assertEqual(container.volumes["/data"], wanted.volumes["/data"])
        listed = await self.engine.volumes(wanted.labels[LABEL_CLUSTER])
        self.assertEqual([volume.name for volume in listed], [wanted.volumes["/data"]])
        self.assertEqual(await self.engine.containers(wanted.labels[LABEL_CLUSTER]), [container])

    async def test_outlives_container(self) -> None:
        """A volume outlives its container, and keeps its labels when another container uses it."""
        first = self.keeping()
        cluster = first.labels[LABEL_CLUSTER]
        container_id = await self.engine.create(first)
        made = await self.engine.volumes(cluster)
        await self.engine.remove(container_id, grace=0)
        self.assertEqual(await self.engine.volumes(cluster), made)
        second = engine.spec(PLAIN, volumes={"/elsewhere": made[0].name})
        container = await self.engine.inspect(await self.created(second))
        assert container is not None
        self.assertEqual(container.volumes, second.volumes)
        self.assertEqual(await self.engine.volumes(cluster), made)
        self.assertEqual(await self.engine.volumes(second.labels[LABEL_CLUSTER]), [])

    async def test_removed(self) -> None:
        """A volume is removed once no container uses it, not even one that does not run."""
        wanted = self.keeping()
        name = wanted.volumes["/data"]
        container_id = await self.engine.create(wanted)
        sentence = await self.assert_raises(EngineError, self.engine.remove_volume(name))
        self.assertIn("in use", sentence)
        self.assertIn(name, sentence)
        await self.engine.remove(container_id, grace=0)
        await self.engine.remove_volume(name)
        self.assertEqual(await self.engine.volumes(wanted.labels[LABEL_CLUSTER]), [])
        await self.engine.remove_volume(name)

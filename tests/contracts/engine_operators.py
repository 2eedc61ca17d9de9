"""What operators do on a Docker host behind the broker's back, of every `IEngine`."""

from __future__ import annotations

from attrs import evolve

from dockerbroker.errors import EngineError, NotThere
from dockerbroker.model.containers import (
    LABEL_CLUSTER,
    LABEL_GENERATION,
    LABEL_INSTANCE,
    ContainerSpec,
    container_name,
)
from dockerbroker.model.orphans import bears_its_name
from dockerbroker.model.world import sight_of
from tests.contracts import engine


def named_spec() -> ContainerSpec:
    """Return a container with the name and the labels that the broker gives, in a cluster of its own."""
    cluster = engine.name()
    labels = {LABEL_CLUSTER: cluster, LABEL_INSTANCE: "instance", LABEL_GENERATION: "0"}
    return engine.spec(name=container_name(cluster, "instance", 0), labels=labels)


class OperatorContract(engine.EngineTestCase):
    """Containers that are renamed, copied and removed by somebody else."""

    async def test_renamed(self) -> None:
        """A renamed container is known by its id and its labels, and its former name is free (D15)."""
        wanted = named_spec()
        container_id = await self.started(wanted)
        self.world.rename(container_id, engine.name())
        found = await self.engine.inspect(container_id)
        assert found is not None
        self.assertIsNone(await self.engine.inspect(wanted.name))
        self.assertNotEqual(found.name, wanted.name)
        self.assertEqual(found.labels, wanted.labels)
        self.assertEqual(await self.engine.containers(wanted.labels[LABEL_CLUSTER]), [found])
        await self.engine.stop(container_id, grace=0)
        await self.engine.start(container_id)
        await self.created(wanted)

    async def test_copied(self) -> None:
        """An image made of a container is refused; what runs of it has the labels, but not the name (D16)."""
        wanted = named_spec()
        cluster = wanted.labels[LABEL_CLUSTER]
        original = await self.created(wanted)
        image = self.world.copy(original)
        await self.assert_raises(EngineError, self.engine.image(image))
        copy = await self.created(engine.spec(image, labels={}))
        listed = {one.id: sight_of(one) for one in await self.engine.containers(cluster)}
        self.assertEqual(set(listed), {original, copy})
        self.assertEqual(evolve(listed[copy], id="", name=""), evolve(listed[original], id="", name=""))
        owned = [one for one in listed if bears_its_name(listed[one], cluster)]
        self.assertEqual(owned, [original])

    async def test_removed(self) -> None:
        """Of a container that somebody removed nothing can be asked but its removal (D14)."""
        container_id = await self.engine.create(engine.spec())
        self.world.drop(container_id)
        self.assertIsNone(await self.engine.inspect(container_id))
        await self.assert_raises(NotThere, self.engine.start(container_id))
        await self.assert_raises(NotThere, self.engine.create_exec(container_id, ["/ok"], {}))
        await self.engine.remove(container_id, grace=0)

    async def test_two_deployments(self) -> None:
        """Of what several deployments have on one host each sees its own alone (D17)."""
        specs = [named_spec() for _ in range(2)]
        ids = [await self.created(one) for one in specs]
        for wanted, container_id in zip(specs, ids, strict=True):
            listed = await self.engine.containers(wanted.labels[LABEL_CLUSTER])
            self.assertEqual([one.id for one in listed], [container_id])
        await self.engine.remove(ids[0], grace=0)
        self.assertIsNotNone(await self.engine.inspect(ids[1]))

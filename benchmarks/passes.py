"""What it costs to compare all rows with Docker, against reading the rows alone.

`python -m benchmarks.passes CONFIG ROUNDS` prints the seconds as JSON, in a process of its own.
"""

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from benchmarks.filling import fill, provision_of
from benchmarks.memory_broker import open_filled, write_configuration
from benchmarks.sides import Sides
from dockerbroker.broker.comparing import Comparer, pages
from dockerbroker.config import load_broker
from dockerbroker.model.containers import container_spec
from dockerbroker.model.instances import ServiceInstance
from dockerbroker.persisters.interfaces import IPersister
from tests.asking import REDIS
from tests.memory_engine import MemoryEngine, MemoryEngines
from tests.memory_world import MemoryContainer
from tests.running import RunningBroker

#: The largest database.
INSTANCES = 100_000


def measure(rounds: int, instances: int = INSTANCES) -> Sides:
    """Measure passes over a database of so many instances, in seconds of the processor.

    The baseline reads the same rows by sqlite3 alone and decodes their JSON.
    """
    image = {"name": REDIS.name, "plan": REDIS.plan.name, "image": REDIS.image}
    running = RunningBroker([image], "")
    try:
        fill(running.folder / "broker.db", instances)
        config = write_configuration(running)
        command = [sys.executable, "-m", "benchmarks.passes", str(config), str(rounds)]
        figures = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    finally:
        running.stop()
    return Sides(figures["passes"], figures["reads"])


async def _measure(config: Path, rounds: int) -> dict[str, list[float]]:
    configuration = load_broker(config, {})
    persister, engines = await open_filled(configuration)
    await _make_containers(persister, engines)
    loop = cast("Any", reactor)
    comparer = Comparer(
        persister=persister,
        engines=engines,
        clock=loop,
        wall=time.time,
        spent=time.process_time,
        jitter=lambda _longest: 0.0,
    )
    passes, reads = [], []
    for _ in range(rounds):
        before = time.process_time()
        await comparer.compare()
        passes.append(time.process_time() - before)
        before = time.process_time()
        _read(Path(configuration.persister.database))
        reads.append(time.process_time() - before)
    return {"passes": passes, "reads": reads}


async def _make_containers(persister: IPersister, engines: MemoryEngines) -> None:
    """Let Docker have what the rows say, so that a pass finds nothing wrong and does nothing but compare."""
    cluster_id = await persister.cluster_id()
    found = {report.host.key: engines(report.host) for report in await persister.hosts()}
    async for page in pages(persister, set()):
        for instance in page:
            _make_container(found[instance.host], cluster_id, instance)


def _make_container(engine: MemoryEngine, cluster_id: str, instance: ServiceInstance) -> None:
    assert instance.container_id is not None, "every instance has a container"
    container = MemoryContainer(
        id=instance.container_id,
        spec=container_spec(cluster_id, instance, provision_of(instance)),
        image=engine.images[instance.definition.image],
        running=True,
        policy="unless-stopped",
    )
    engine.world[container.id] = container


def _read(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for document, secret in connection.execute("SELECT document, secret FROM instances ORDER BY id"):
            json.loads(document)
            json.loads(secret)


def main() -> None:
    """Measure in this process and print the figures."""
    loop = cast("Any", reactor)
    outcomes: list[Any] = []
    measuring = Deferred.fromCoroutine(_measure(Path(sys.argv[1]), int(sys.argv[2])))
    measuring.addBoth(outcomes.append).addCallback(lambda _: loop.callWhenRunning(loop.stop))
    if not outcomes:
        loop.run()
    assert isinstance(outcomes[0], dict), outcomes[0]
    print(json.dumps(outcomes[0]))


if __name__ == "__main__":
    main()

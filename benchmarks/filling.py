"""Databases as full as after years, by rows that are inserted in bulk: nothing was ever provisioned."""

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert, update

from dockerbroker.model.hosts import DockerHost, HostKey
from dockerbroker.model.instances import InstanceState, Operation, OperationKind, Phase, ServiceInstance, Step
from dockerbroker.model.reservations import Reserved
from dockerbroker.model.vitals import Ping
from dockerbroker.persisters import holding_records, records
from dockerbroker.persisters.databases import PATIENCE
from dockerbroker.persisters.host_records import new_row
from dockerbroker.persisters.sqlite import SqliteDatabase, boot_id, boot_time, sqlite_engine
from dockerbroker.persisters.sqlite_opening import check_file
from dockerbroker.persisters.tables import deployment, hosts, instances, operations, port_leases, reservations
from tests.asking import REDIS

#: How many Docker hosts each database has, however many instances: their number has a cost of its own.
HOSTS = 100
_ROWS_AT_ONCE = 10_000


def fill(path: Path, count: int, places: int = HOSTS) -> None:
    """Make a database with so many instances, each with its last operation and a port, on so many hosts."""
    check_file(path)
    database = SqliteDatabase(sqlite_engine(path, connections=1))
    with closing(database):
        database.write(lambda connection: _fill(connection, count, places), deadline=boot_time() + PATIENCE)


def docker_hosts(count: int = HOSTS) -> list[DockerHost]:
    """Return so many hosts, which need no second ping."""
    names = [f"10.1.{number // 100}.{number % 100}" for number in range(count)]
    keys = [HostKey(service_host=name, docker_host=name, docker_port=2375) for name in names]
    return [DockerHost(key=key, keep_alive=86400) for key in keys]


def _fill(connection: Connection, count: int, places: int) -> None:
    # Of another boot the pings would count for nothing.
    connection.execute(update(deployment).values(boot_id=boot_id()))
    pinged = [{**new_row(Ping(host=host)), "pinged_at": boot_time()} for host in docker_hosts(places)]
    connection.execute(insert(hosts), pinged)
    made = made_instances(count, places)
    for start in range(0, count, _ROWS_AT_ONCE):
        insert_instances(connection, [next(made) for _ in range(min(_ROWS_AT_ONCE, count - start))])
    if count:
        insert_sums(connection, count, places)


def insert_instances(connection: Connection, some: Sequence[ServiceInstance]) -> None:
    """Insert the rows of instances, of what they have, and of the operations that made them."""
    connection.execute(insert(instances), [_instance_row(one) for one in some])
    leases = [lease for one in some for lease in holding_records.leased_ports_of(one)]
    connection.execute(insert(port_leases), leases)
    connection.execute(insert(operations), [_operation_row(one) for one in some])


def insert_sums(connection: Connection, count: int, places: int) -> None:
    """Insert what so many instances reserve on so many hosts."""
    connection.execute(insert(reservations), _reservations(count, places))


def _reservations(count: int, places: int) -> list[dict[str, Any]]:
    """Return what the instances reserve on each host."""
    sums: Counter[HostKey] = Counter(one.host for one in made_instances(count, places))
    return [
        {
            **holding_records.host_columns(key),
            **holding_records.reserved_columns(Reserved(ports=instances, instances=instances)),
        }
        for key, instances in sums.items()
    ]


def made_instances(count: int, hosts: int = HOSTS) -> Iterator[ServiceInstance]:
    """Return so many instances, on so many hosts."""
    # Ids at random, as platforms have them, so that each finds its place anywhere in the indexes.
    random = Random(1)  # noqa: S311
    keys = [host.key for host in docker_hosts(hosts)]
    for number in range(count):
        instance_id = str(UUID(int=random.getrandbits(128), version=4))
        yield ServiceInstance(
            id=instance_id,
            definition=REDIS,
            organization_guid=str(UUID(int=random.getrandbits(128), version=4)),
            space_guid=str(UUID(int=random.getrandbits(128), version=4)),
            host=keys[number % hosts],
            context={"platform": "cloudfoundry", "instance_name": f"redis-{number}"},
            ports={"6379/tcp": 20000 + number // hosts},
            container_id=hashlib.sha256(instance_id.encode()).hexdigest(),
            state=InstanceState.READY,
            last_operation_id=hashlib.sha256(instance_id.encode()).hexdigest()[:32],
            created_at=time.time(),
        )


def provision_of(instance: ServiceInstance) -> Operation:
    """Return the operation that made the instance."""
    assert instance.last_operation_id is not None, "every instance was made by an operation"
    operation = Operation(
        id=instance.last_operation_id,
        kind=OperationKind.PROVISION,
        instance_id=instance.id,
        step=Step.KEEP,
        created_at=instance.created_at,
        step_at=instance.created_at,
    )
    return operation.over(Phase.SUCCEEDED, instance.created_at)


def _instance_row(instance: ServiceInstance) -> dict[str, Any]:
    return records.instance_row(instance) | {"last_operation_id": instance.last_operation_id}


def _operation_row(instance: ServiceInstance) -> dict[str, Any]:
    operation = provision_of(instance)
    return records.operation_row(operation) | {
        "epoch": operation.epoch,
        "deadline": operation.deadline,
        "is_cancelled": operation.is_cancelled,
        "kept_for": instance.id,
    }

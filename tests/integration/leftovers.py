"""Looks for what a deployment has left on its engine and in its database."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import docker

from dockerbroker.model.containers import LABEL_CLUSTER


def cluster_id(database: Path) -> str:
    """Return the cluster id that the database holds."""
    return str(_rows(database, "SELECT cluster_id FROM deployment")[0][0])


def rows(database: Path) -> dict[str, int]:
    """Return how many instances, bindings and port leases the database holds."""
    tables = ("instances", "bindings", "port_leases")
    return {table: int(_rows(database, f"SELECT count(*) FROM {table}")[0][0]) for table in tables}  # noqa: S608


def unfinished(database: Path) -> int:
    """Return how many operations are neither succeeded nor failed."""
    query = "SELECT count(*) FROM operations WHERE phase NOT IN ('succeeded', 'failed')"
    return int(_rows(database, query)[0][0])


def taken_over(database: Path) -> int:
    """Return how many operations were not only carried by the broker that began them."""
    return int(_rows(database, "SELECT count(*) FROM operations WHERE epoch > 1")[0][0])


def prolong_leases(database: Path, seconds: float) -> None:
    """Let the leases of all operations last longer than those who hold them have asked for."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE operations SET lease_until = lease_until + ?", (seconds,))


def containers(client: docker.APIClient, database: Path) -> list[str]:
    """Return the ids of the containers of the deployment, whether they run or not."""
    label = f"{LABEL_CLUSTER}={cluster_id(database)}"
    return [entry["Id"] for entry in client.containers(all=True, filters={"label": label})]


def volumes(client: docker.APIClient) -> set[str]:
    """Return the names of all volumes of the engine."""
    return {volume["Name"] for volume in client.volumes()["Volumes"] or []}


def nothing() -> dict[str, int]:
    """Return what `rows` returns when nothing is left."""
    return {"instances": 0, "bindings": 0, "port_leases": 0}


def _rows(database: Path, query: str) -> list[Any]:
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()

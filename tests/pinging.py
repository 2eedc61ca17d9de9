"""Pings as tests send them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dockerbroker.model.hosts import DockerHost
from dockerbroker.model.vitals import Ping, Vitals


def ping(host: DockerHost, **vitals: Any) -> Ping:
    """Return the ping of a host that is so."""
    return Ping(host=host, vitals=Vitals(**vitals))


def pings(hosts: Iterable[DockerHost]) -> list[Ping]:
    """Return pings of hosts whose agents tell nothing but their configuration."""
    return [ping(host) for host in hosts]

"""`IProbe` on Docker Engine: one look at a time, in a thread, with a deadline."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

from attrs import define, evolve, field
from zope.interface import implementer

from dockerbroker.engines import translation
from dockerbroker.engines.client import Client
from dockerbroker.engines.connections import Connections
from dockerbroker.engines.interfaces import IProbe
from dockerbroker.engines.machine import Machine, is_own
from dockerbroker.engines.pool import Lane
from dockerbroker.model.vitals import Vitals

#: An engine that has not answered after so many seconds hangs.
LOOK_WITHIN: Final = 5.0

#: No figure is larger, nor a text longer, than a ping may say.
_MOST: Final = 2**53 - 1
_MOST_CPUS: Final = 10**6
_LONGEST: Final = 255


#: Those over which an engine has answered.
Sockets = tuple[Any, Any]


@implementer(IProbe)
@define(eq=False, kw_only=True)
class EngineProbe:
    """Looks at one engine, and at the machine when it is the engine's own.

    `lane` has one place: while a look hangs there is no other one. An engine that was restarted has closed
    the connections of the look before; by that, and by nothing that it answers, it is known.
    """

    connections: Connections
    lane: Lane
    machine: Machine = field(factory=Machine)
    _sockets: Sockets = field(default=(None, None), init=False)
    _session: str | None = field(default=None, init=False)

    async def look(self) -> Vitals:
        """Return how the engine is; see `IProbe.look`."""
        await self.connections.renew()
        return await self.lane.run(LOOK_WITHIN, self._look)

    async def close(self) -> None:
        """Close the connections; a look that is under way keeps its own until it ends."""
        self.connections.close()

    def _look(self, remaining: float) -> Vitals:
        clients = self.connections.clients
        address = str(clients.address)
        info, version, sockets = clients.ask(_ask, remaining)
        if sockets != self._sockets:
            self._sockets, self._session = sockets, secrets.token_hex(8)
        try:
            known = vitals_of(info, version, self.machine if is_own(clients.address) else None)
            return evolve(known, engine_session=self._session)
        except (TypeError, ValueError, OverflowError) as error:
            raise translation.malformed(address, repr(error)) from error


def vitals_of(info: Mapping[str, Any], version: Mapping[str, Any], machine: Machine | None) -> Vitals:
    """Return what `/info` and `/version` say, and the machine if it is that of the engine.

    Raises `TypeError`, `ValueError` or `OverflowError` when they are not what Docker answers.
    """
    cpus = _size(info.get("NCPU"))
    known = Vitals(
        engine_id=_text(info.get("ID")),
        engine_version=_text(version.get("Version")),
        api_version=_text(version.get("ApiVersion")),
        runc_version=_runc(version),
        memory_total=_size(info.get("MemTotal")),
        cpus=None if cpus is None else float(min(cpus, _MOST_CPUS)),
        containers=_size(info.get("ContainersRunning")),
    )
    return known if machine is None else _with_figures(known, machine, str(info.get("DockerRootDir") or ""))


def _with_figures(known: Vitals, machine: Machine, folder: str) -> Vitals:
    share = machine.busy_share()
    disk_total, disk_free = machine.disk(folder)
    return evolve(
        known,
        memory_free=machine.memory_free(),
        load=None if share is None or known.cpus is None else round(share * known.cpus, 3),
        disk_total=disk_total,
        disk_free=disk_free,
    )


def _ask(client: Client) -> tuple[Mapping[str, Any], Mapping[str, Any], Sockets]:
    info, first = client.info(), client.used
    version, sockets = client.version(), (first, client.used)
    if not isinstance(info, dict) or not isinstance(version, dict):
        raise TypeError("no object")
    return info, version, sockets


def _runc(version: Mapping[str, Any]) -> str | None:
    """Return the version of what runs containers, where the engine tells it."""
    components = version.get("Components")
    for component in components if isinstance(components, list) else ():
        if isinstance(component, dict) and component.get("Name") == "runc":
            return _text(component.get("Version"))
    return None


def _text(value: Any) -> str | None:
    return value[:_LONGEST] if isinstance(value, str) and value and value.isprintable() else None


def _size(value: Any) -> int | None:
    return None if value is None else min(max(0, int(value)), _MOST)

"""What a container may do on its host: little, whatever its image and its plan want."""

from collections.abc import Mapping
from typing import Final

from attrs import field, frozen

from dockerbroker.model.members import Members, shown

#: What root in a container may do at most: the part of Docker's own list that services need to give their
#: files to a user of their own, become that user, end their processes, and listen on a port below 1024.
CAPABILITIES: Final = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETUID",
)
#: How many processes and threads a container has at most when its plan does not say.
DEFAULT_PIDS: Final = 1024

#: What could be asked of Docker, and is never done: with each of these a container is no boundary any more.
REFUSED_KEYS: Final = (
    *("apparmor", "binds", "capabilitiesadd", "capadd", "cap_add", "cgroupparent", "cgroupnsmode"),
    *("devicecgrouprules", "devicerequests", "devices", "hostconfig", "ipc", "ipcmode", "links", "mounts"),
    *("network", "networkmode", "pid", "pidmode", "privileged", "runtime", "seccomp", "securityopt"),
    *("security_opt", "sysctls", "userns", "usernsmode", "uts", "utsmode", "volumesfrom"),
)
_REFUSAL: Final = "is nothing that a container is given here"
_PREFIX: Final = "CAP_"


@frozen(kw_only=True)
class Confinement:
    """How a container is confined beyond what holds for all of them.

    `capabilities` are those of `CAPABILITIES` that it keeps. With `read_only` nothing can be written but to
    its volumes and to `tmpfs`, which maps paths in it to bytes of memory.
    """

    capabilities: tuple[str, ...] = CAPABILITIES
    read_only: bool = False
    tmpfs: Mapping[str, int] = field(factory=dict)


def refuse_privileges(members: Members) -> None:
    """Complain of every key by which a container would get what none gets."""
    for key in REFUSED_KEYS:
        if members.has(key):
            members.complain(key, _REFUSAL)


def read_capabilities(members: Members) -> tuple[str, ...]:
    """Read which capabilities are kept; complaints are left in the members."""
    if not members.has("capabilities"):
        return CAPABILITIES
    wanted = tuple(name.upper().removeprefix(_PREFIX) for name in members.texts("capabilities"))
    if unknown := [name for name in wanted if name not in CAPABILITIES]:
        sentence = f"knows {', '.join(CAPABILITIES)}, not {', '.join(map(shown, unknown))}"
        members.complain("capabilities", sentence)
    return tuple(name for name in CAPABILITIES if name in wanted)

"""Which addresses of Docker an agent may announce, and which of them need TLS."""

import ipaddress
import posixpath
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from attrs import frozen

from dockerbroker.errors import Forbidden
from dockerbroker.model.hosts import HostKey
from dockerbroker.model.members import shown

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNIX: Final = "unix://"
#: The word for what is allowed where nothing is configured.
AGENT: Final = "agent"

_LONGEST: Final = 253
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
#: A name's last label is no number: everything else that looks like one is another way to write an address.
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*(?![0-9]+\.?\Z|0[xX]){_LABEL}\.?\Z")
#: Where clouds answer the machines that they run with credentials, beside the link-local addresses.
_METADATA: Final = frozenset(
    map(
        ipaddress.ip_address,
        ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"),
    )
)
#: Of so many texts it is remembered which address they are.
_MANY_ADDRESSES: Final = 4096
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@frozen(kw_only=True)
class AllowedAddresses:
    """The addresses of Docker that agents may announce.

    `as_agent` allows the address that the agent's request comes from, and any socket to an agent on loopback.
    `names` are in lower case, and `*.` at the beginning of one stands for any labels; a path that ends with a
    slash stands for all below it.
    """

    as_agent: bool = True
    networks: tuple[_Network, ...] = ()
    names: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()

    def check(self, key: HostKey, peer: str) -> None:
        """Raise `Forbidden` when an agent whose request comes from `peer` must not announce that address."""
        if key.docker_host.startswith(UNIX):
            is_allowed = self._has_path(key.docker_host.removeprefix(UNIX), peer)
        else:
            is_allowed = self._has_host(folded_host(key.docker_host), peer)
        if not is_allowed:
            raise Forbidden(
                f"The Docker address {shown(key.docker_host)} of an agent at {shown(peer)} is not among the "
                "dockeraddresses of the broker's configuration."
            )

    def _has_path(self, path: str, peer: str) -> bool:
        if posixpath.normpath(path) != path:
            return False
        if self.as_agent and is_loopback(peer):
            return True
        return any(path == one or (one.endswith("/") and path.startswith(one)) for one in self.paths)

    def _has_host(self, host: str, peer: str) -> bool:
        address = address_of_text(host)
        if address is None:
            return (self.as_agent and is_loopback(host) and is_loopback(peer)) or self._has_name(host)
        if _is_forbidden(address):
            raise Forbidden(f"The Docker address {shown(host)} is one at which no Docker may be.")
        is_own = self.as_agent and (
            address == address_of_text(peer) or (address.is_loopback and is_loopback(peer))
        )
        return is_own or any(address in network for network in self.networks)

    def _has_name(self, name: str) -> bool:
        if not is_host(name):
            return False
        _, *above = name.split(".")
        wild = {f"*.{'.'.join(above[start:])}" for start in range(len(above))}
        return name in self.names or bool(wild & self.names)


def read_addresses(entries: Iterable[str]) -> AllowedAddresses:
    """Return what a configuration allows; raises `ValueError` with the entry that is none."""
    networks: list[_Network] = []
    names: set[str] = set()
    paths: list[str] = []
    for entry in entries:
        if entry.startswith(f"{UNIX}/"):
            paths.append(entry.removeprefix(UNIX))
        elif (network := _network(entry)) is not None:
            networks.append(network)
        elif is_host(entry.lower().removeprefix("*.")):
            names.add(folded_host(entry))
        else:
            raise ValueError(entry)
    as_agent = AGENT in names
    return AllowedAddresses(
        as_agent=as_agent, networks=tuple(networks), names=frozenset(names - {AGENT}), paths=tuple(paths)
    )


def folded_host(host: str) -> str:
    """Return the one way of writing a name or address that is Docker's; anything else stays as it is."""
    bare = host.strip().lower()
    bare = bare[1:-1] if bare.startswith("[") and bare.endswith("]") else bare
    address = address_of_text(bare)
    if address is not None:
        return str(address)
    # With a dot at its end an address is none any more, but is looked up as a name.
    name = bare.removesuffix(".")
    return name if address_of_text(name) is None else bare


def is_host(text: str) -> bool:
    """Whether the text is a name or an address."""
    return address_of_text(text) is not None or (len(text) <= _LONGEST and _NAME.match(text) is not None)


def is_loopback(host: str) -> bool:
    """Whether connections to the host stay on this machine; of names only `localhost` certainly does."""
    address = address_of_text(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


# Each ping asks for that of its Docker and that of its agent.
@lru_cache(_MANY_ADDRESSES)
def address_of_text(text: str) -> _Address | None:
    """Return the address that the text is, if it is one: of an IPv4 address inside IPv6 that one."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _is_forbidden(address: _Address) -> bool:
    inner = _inside(address)
    if inner is not None and _is_forbidden(inner):
        return True
    if isinstance(address, ipaddress.IPv4Address) and address.is_reserved:
        return True
    is_nowhere = address.is_unspecified or address.is_multicast
    return is_nowhere or address.is_link_local or address in _METADATA


def _inside(address: _Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 one leads to."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour


def _network(entry: str) -> _Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"))
    except ValueError:
        return None

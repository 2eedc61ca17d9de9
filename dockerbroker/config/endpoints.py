"""Where a program listens: endpoint strings, as Twisted has them, as values."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import frozen

from dockerbroker.model.members import shown

#: How many connections may wait for the program in the machine's queue.
BACKLOG: Final = 512

_LOWEST_PORT, _HIGHEST_PORT, _MOST_WAITING = 0, 65535, 65535
_EVERYWHERE: Final = {"tcp": "0.0.0.0", "tcp6": "::"}  # noqa: S104
_DOMAINS: Final = ("INET", "INET6", "UNIX")
#: A character behind a backslash, which has no meaning of its own; a colon between two parts; anything else.
_PIECE: Final = re.compile(r"\\.|:|[^:\\]+|\\", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_NAMED: Final = re.compile(r"([a-zA-Z]+)=(.*)\Z", re.DOTALL)
_KINDS: Final = "must begin with tcp:, tcp6:, unix: or systemd:"
_SSL: Final = (
    "must not begin with ssl:, since its certificate could not be exchanged while the broker runs; "
    "say tcp: here, and name the certificate in tls"
)


@frozen(kw_only=True)
class TcpEndpoint:
    """A port at an address of this machine, or at a name of it."""

    host: str
    port: int
    backlog: int = BACKLOG

    @property
    def name(self) -> str:
        """What it is called in sentences."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host.lower() == "localhost"


@frozen(kw_only=True)
class UnixEndpoint:
    """A socket in the file system with that mode, which other users of the machine may reach."""

    path: Path
    mode: int = 0o660
    backlog: int = BACKLOG

    @property
    def name(self) -> str:
        """What it is called in sentences."""
        return f"unix:{self.path}"

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine reach it."""
        return True


@frozen(kw_only=True)
class SystemdEndpoint:
    """A socket that systemd listens at: the one with that number, or with that name if it has one."""

    domain: str
    index: int = 0
    label: str = ""

    @property
    def name(self) -> str:
        """What it is called in sentences."""
        return f"systemd:domain={self.domain}:" + (
            f"name={self.label}" if self.label else f"index={self.index}"
        )

    @property
    def is_local(self) -> bool:
        """Whether only programs of this machine reach it; of a port only systemd knows."""
        return self.domain == "UNIX"


Endpoint = TcpEndpoint | UnixEndpoint | SystemdEndpoint


def read_endpoint(text: str, folder: Path) -> Endpoint:
    """Read an endpoint string; raises `ValueError` with what is wrong. Relative paths start at the folder."""
    (kind, *values), named = _split(text)
    if kind == "ssl":
        raise ValueError(_SSL)
    if kind in _EVERYWHERE:
        return _read_tcp(kind, _arguments(values, named, ("port", "interface", "backlog")))
    if kind == "unix":
        return _read_unix(_arguments(values, named, ("address", "mode", "backlog")), folder)
    if kind == "systemd":
        return _read_systemd(_arguments(values, named, ("domain", "index", "name")))
    raise ValueError(_KINDS)


def _split(text: str) -> tuple[list[str], dict[str, str]]:
    """Return the values without a name, and those with one."""
    values: list[str] = []
    named: dict[str, str] = {}
    for part in _parts(text):
        match = _NAMED.match(part)
        if match is not None and values:
            named[match[1].lower()] = _ESCAPED.sub(r"\1", match[2])
        else:
            values.append(_ESCAPED.sub(r"\1", part))
    return values, named


def _parts(text: str) -> list[str]:
    parts = [""]
    for piece in _PIECE.findall(text):
        if piece == "\\":
            raise ValueError("ends with a backslash")
        if piece == ":":
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def _arguments(values: list[str], named: dict[str, str], names: tuple[str, ...]) -> Mapping[str, str]:
    if len(values) > len(names):
        raise ValueError("has too many parts")
    if unknown := sorted(named.keys() - set(names)):
        raise ValueError(f"has an unknown part {shown(unknown[0])}")
    return dict(zip(names, values, strict=False)) | named


def _read_tcp(kind: str, given: Mapping[str, str]) -> TcpEndpoint:
    return TcpEndpoint(
        host=given.get("interface") or _EVERYWHERE[kind],
        port=_number(given, "port", None, _LOWEST_PORT, _HIGHEST_PORT),
        backlog=_number(given, "backlog", BACKLOG, 1, _MOST_WAITING),
    )


def _read_unix(given: Mapping[str, str], folder: Path) -> UnixEndpoint:
    path = given.get("address", "")
    if not path or "\0" in path:
        raise ValueError("needs the path of a socket")
    mode = given.get("mode", "660")
    if re.fullmatch(r"0?[0-7]{3}", mode) is None:
        raise ValueError("has a mode that is not three octal digits")
    return UnixEndpoint(
        path=folder / path,
        mode=int(mode, 8),
        backlog=_number(given, "backlog", BACKLOG, 1, _MOST_WAITING),
    )


def _read_systemd(given: Mapping[str, str]) -> SystemdEndpoint:
    domain = given.get("domain", "").upper().removeprefix("AF_")
    if domain not in _DOMAINS:
        raise ValueError(f"needs a domain: one of {', '.join(_DOMAINS)}")
    if ("index" in given) == bool(given.get("name")):
        raise ValueError("needs either an index or a name")
    return SystemdEndpoint(
        domain=domain, index=_number(given, "index", 0, 0, _MOST_WAITING), label=given.get("name", "")
    )


def _number(given: Mapping[str, str], name: str, default: int | None, least: int, most: int) -> int:
    text = given.get(name, "" if default is None else str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):  # noqa: PLR2004
        raise ValueError(f"needs a {name} from {least} to {most}")
    return int(text)

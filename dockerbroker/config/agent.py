"""The agent's configuration file."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

from attrs import frozen

from dockerbroker.config.document import HIGHEST_PORT, LOWEST_PORT, read_document, read_user
from dockerbroker.config.endpoints import TcpEndpoint
from dockerbroker.model.hosts import DockerHost, read_host
from dockerbroker.model.members import Members
from dockerbroker.model.secrets import Secret

#: Whom pings go to: each of the brokers, or any one of them.
_PING_EACH: Final = "each"
_PING_ANY: Final = "any"


@frozen(kw_only=True)
class BrokerTls:
    """How a broker proves who it is, and the agent to it.

    `ca` is a file of the authorities (PEM) that may sign the broker's certificate; without it those of the
    system are trusted. `certificate` and `private_key` are what the agent shows, both or none.
    """

    ca: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None


@frozen(kw_only=True)
class BrokerServer:
    """One broker that the agent tells of its Docker host; without `tls` its requests are not encrypted."""

    host: str
    port: int
    user: str
    password: Secret[str]
    tls: BrokerTls | None = None

    @property
    def name(self) -> str:
        """What the broker is called in the log."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The address to which pings are sent."""
        return f"{self._base}/ping"

    def certificate_url(self, docker_host: str) -> str:
        """Return the address to which the certificate for a Docker host is sent."""
        return f"{self._base}/certificate/{quote(docker_host, safe='')}"

    @property
    def _base(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'http' if self.tls is None else 'https'}://{host}:{self.port}"


@frozen(kw_only=True)
class AgentConfiguration:
    """The Docker host that the agent speaks for, and the brokers it tells; `warnings` are for the log.

    With `pings_any` the brokers are equals on one database, and each ping goes to any of them.
    `watches_docker` is whether the agent looks at Docker and tells how it is.
    """

    host: DockerHost
    brokers: tuple[BrokerServer, ...]
    pings_any: bool = False
    watches_docker: bool = True
    warnings: tuple[str, ...]


def load_agent(path: Path) -> AgentConfiguration:
    """Read the agent's file; raises `InvalidConfiguration` with every complaint, each with its key."""
    document = read_document(path)
    top = document.top()
    agent = document.section(top, "serviceagent")
    host = read_host(agent)
    mode = agent.text("pingbrokers") or _PING_EACH
    if mode not in (_PING_EACH, _PING_ANY):
        agent.complain("pingbrokers", f"must be {_PING_EACH} or {_PING_ANY}")
    watches_docker = agent.truth("watchdocker", default=True)
    brokers = document.each(top, "brokerservers", partial(_read_server, path.absolute().parent))
    document.warnings.extend(_plain(path, brokers))
    if not top.document.get("brokerservers"):
        top.complain("brokerservers", "must name at least one broker")
    return AgentConfiguration(
        host=host,
        brokers=brokers,
        pings_any=mode == _PING_ANY,
        watches_docker=watches_docker,
        warnings=document.finish(),
    )


def _plain(path: Path, brokers: tuple[BrokerServer, ...]) -> Iterator[str]:
    """Return a warning for each broker that gets the password over a network as it is."""
    for broker in brokers:
        where = TcpEndpoint(host=broker.host, port=broker.port)
        if broker.tls is None and not where.is_local:
            yield (
                f"{path}: brokerservers: the password goes to {broker.name} over plain HTTP: cacert, or tls, "
                "is missing"
            )


def _read_server(folder: Path, members: Members) -> BrokerServer:
    host = members.text("host", required=True)
    if any(not character.isprintable() or character in " /@?#[]" for character in host):
        members.complain("host", "must be a name or an address, without scheme and path")
    port = members.integer("port", 0, least=LOWEST_PORT, most=HIGHEST_PORT)
    if members.document.get("port") in (None, ""):
        members.complain("port", "is missing or empty")
    return BrokerServer(
        host=host,
        port=port,
        user=read_user(members),
        password=Secret(members.text("password", required=True)),
        tls=_read_tls(folder, members),
    )


def _read_tls(folder: Path, members: Members) -> BrokerTls | None:
    given = {key: members.text(key) for key in ("cacert", "certificate", "privatekey")}
    if bool(given["certificate"]) != bool(given["privatekey"]):
        members.complain("certificate", "belongs together with privatekey")
    is_encrypted = members.truth("tls", default=any(given.values()))
    if not is_encrypted and any(given.values()):
        members.complain("tls", "must not be false beside cacert, certificate or privatekey")
    if not is_encrypted:
        return None
    ca, certificate, key = (folder / file if file else None for file in given.values())
    return BrokerTls(ca=ca, certificate=certificate, private_key=key)

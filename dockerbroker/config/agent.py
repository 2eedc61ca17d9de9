"""The agent's configuration file."""

from pathlib import Path
from typing import Final
from urllib.parse import quote

from attrs import frozen

from dockerbroker.config.document import HIGHEST_PORT, LOWEST_PORT, read_document, read_user
from dockerbroker.model.hosts import DockerHost, read_host
from dockerbroker.model.members import Members
from dockerbroker.model.secrets import Secret

#: Whom pings go to: each of the brokers, or any one of them.
_PING_EACH: Final = "each"
_PING_ANY: Final = "any"


@frozen(kw_only=True)
class BrokerServer:
    """One broker that the agent tells of its Docker host."""

    host: str
    port: int
    user: str
    password: Secret[str]

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
        return f"http://{host}:{self.port}"


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
    brokers = document.each(top, "brokerservers", _read_server)
    if not top.document.get("brokerservers"):
        top.complain("brokerservers", "must name at least one broker")
    return AgentConfiguration(
        host=host,
        brokers=brokers,
        pings_any=mode == _PING_ANY,
        watches_docker=watches_docker,
        warnings=document.finish(),
    )


def _read_server(members: Members) -> BrokerServer:
    host = members.text("host", required=True)
    if any(character.isspace() or character in "/@?#[]" for character in host):
        members.complain("host", "must be a name or an address, without scheme and path")
    port = members.integer("port", 0, least=LOWEST_PORT, most=HIGHEST_PORT)
    if members.document.get("port") in (None, ""):
        members.complain("port", "is missing or empty")
    return BrokerServer(
        host=host,
        port=port,
        user=read_user(members),
        password=Secret(members.text("password", required=True)),
    )

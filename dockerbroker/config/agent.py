"""The agent's configuration file."""

from pathlib import Path

from attrs import frozen

from dockerbroker.config.document import HIGHEST_PORT, LOWEST_PORT, read_document, read_user
from dockerbroker.model.hosts import DockerHost, read_host
from dockerbroker.model.members import Members
from dockerbroker.model.secrets import Secret


@frozen(kw_only=True)
class BrokerServer:
    """One broker that the agent tells of its Docker host."""

    host: str
    port: int
    user: str
    password: Secret[str]

    @property
    def url(self) -> str:
        """The address to which pings are sent."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/ping"


@frozen(kw_only=True)
class AgentConfiguration:
    """The Docker host that the agent speaks for, and the brokers it tells; `warnings` are for the log."""

    host: DockerHost
    brokers: tuple[BrokerServer, ...]
    warnings: tuple[str, ...]


def load_agent(path: Path) -> AgentConfiguration:
    """Read the agent's file; raises `InvalidConfiguration` with every complaint, each with its key."""
    document = read_document(path)
    top = document.top()
    host = read_host(document.section(top, "serviceagent"))
    brokers = document.each(top, "brokerservers", _read_server)
    if not top.document.get("brokerservers"):
        top.complain("brokerservers", "must name at least one broker")
    return AgentConfiguration(host=host, brokers=brokers, warnings=document.finish())


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

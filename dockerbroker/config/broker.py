"""The broker's configuration file."""

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from dockerbroker.config.dispatchers import dispatcher_named
from dockerbroker.config.document import Document, read_document, read_user
from dockerbroker.config.images import read_images
from dockerbroker.config.keys import VARIABLE, KeySource
from dockerbroker.config.listening import ListeningConfiguration, read_listening
from dockerbroker.config.persister import PersisterConfiguration, SqliteConfiguration, read_persister
from dockerbroker.config.private import openness
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.agent_commands import AllowedCommands, read_commands
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.connections import DEFAULT_IN_ALL, DEFAULT_PER_PEER, ConnectionLimits
from dockerbroker.model.credentials import Login
from dockerbroker.model.dispatchers import Dispatcher
from dockerbroker.model.docker_addresses import AllowedAddresses, read_addresses
from dockerbroker.model.hosts import LEAST_ASKED, MOST_ASKED
from dockerbroker.model.members import Members, printable, shown
from dockerbroker.model.placement import Overcommit
from dockerbroker.model.registrations import HostLimits
from dockerbroker.model.roles import Role
from dockerbroker.model.secrets import Secret

#: Seconds that a new container gets to become ready, and that one run of an executable may take.
DEFAULT_READY_WITHIN = 30.0
DEFAULT_EXECUTE_WITHIN = 30.0
#: Seconds that a request waits for its operation before it is answered with 202.
DEFAULT_ANSWER_WITHIN = 10.0
#: Seconds that a deletion waits for a Docker host that is dead.
DEFAULT_WAIT_FOR_HOST = 600.0
#: Seconds that the move of an instance to another host may take.
DEFAULT_MOVE_WITHIN = 86400.0
#: Days for which records of the audit log are kept.
DEFAULT_AUDIT_DAYS = 400.0
_MOST_AUDIT_DAYS = 36500.0
#: How many Docker calls run at once on one host.
DEFAULT_PER_HOST = 4

#: The first segments of the paths of other APIs.
_OTHER_PATHS = {
    "v2": "the API for platforms",
    "admin": "the API for administrators of hosts",
    "certificate": "the API for certificates",
    "certificates": "the API for certificates",
}
#: An operation that nobody waits for gets so many seconds for each of the two.
_LONGEST_WAIT = 540.0
#: Cloud Controller gives up after 60 seconds.
_LONGEST_ANSWER = 45.0
_MOST_PER_HOST = 100
_LEAST_CONNECTIONS, _MOST_CONNECTIONS = 16, 100_000
_MOST_HOSTS = 1_000_000
_DEFAULT_DISPATCHER = "SimpleDispatcher"
#: Whether something is placed on hosts whose Docker is too old to hold containers.
_ALLOWED, _REFUSED = "allowed", "refused"
#: Where ports of services are published: on every address of their host, or on its `servicehost`.
_ANY_ADDRESS, _SERVICE_HOST = "any", "servicehost"
#: How many times what a host has may be reserved.
_LEAST_TIMES = 0.1
_MOST_TIMES = 1000.0
#: The records of operations are kept for 7 days.
_LONGEST_ABSENCE = 86400.0
_LEAST_MOVE, _LONGEST_MOVE = 60.0, 6 * 86400.0


@frozen(kw_only=True)
class ServicesConfiguration:
    """The catalog's name, and what seeds an empty database: its images, and who may talk to the broker.

    There is one login for each role.
    """

    logins: tuple[Login, ...]
    catalog: str
    images: tuple[ImageDefinition, ...]


@frozen(kw_only=True)
class BrokerConfiguration:
    """All that the broker is told by its file and its environment.

    `ready_within`, `execute_within` and `answer_within` are seconds; 0 for the last one is never waiting.
    `wait_for_host` is for how many seconds a deletion waits for a host that is dead, and `mass_guard` whether
    it is held back when most hosts fall silent at once. `move_within` are the seconds that the move of an
    instance to another host may take, and `audit_days` for how long the audit log is kept.
    `docker_addresses` are those that agents may announce, `commands` what they may
    have run here, and `plain_docker` is whether Docker may be reached
    without TLS over a network. With `narrow_ports` ports of services are published at the service addresses
    of their hosts alone, and with `refuses_outdated` nothing is placed where Docker is too old to hold
    containers. `agent_keep_alive` are the seconds between pings for which agents are asked,
    None for their own. `warnings` are sentences for the log.
    """

    dispatcher: Dispatcher
    overcommit: Overcommit
    listening: ListeningConfiguration
    persister: PersisterConfiguration
    services: ServicesConfiguration
    ready_within: float
    execute_within: float
    answer_within: float
    per_host: int
    docker_addresses: AllowedAddresses
    commands: AllowedCommands
    plain_docker: bool
    narrow_ports: bool
    refuses_outdated: bool
    wait_for_host: float
    move_within: float
    audit_days: float
    mass_guard: bool
    agent_keep_alive: float | None
    connections: ConnectionLimits
    host_limits: HostLimits
    warnings: tuple[str, ...]


def load_broker(path: Path, environment: Mapping[str, str]) -> BrokerConfiguration:
    """Read the broker's file; raises `InvalidConfiguration` with every complaint, each with its key.

    On Cloud Foundry the environment names the address: `PORT` beats `VCAP_APP_PORT` beats the file's
    `port`, and `VCAP_APP_HOST` beats its `listenIP`; `listen` beats them all. `DOCKERBROKER_KEYS` holds
    keys, and beats the file that `keys` names. Relative paths start from the file's folder.
    """
    document = read_document(path)
    top = document.top()
    return BrokerConfiguration(
        dispatcher=_read_dispatcher(top),
        overcommit=_read_overcommit(top),
        listening=read_listening(document, top, environment, path.absolute().parent),
        persister=_looked_at(
            document,
            read_persister(
                document.section(top, "persister"),
                path.absolute().parent,
                _read_keys(top, path.absolute().parent, environment),
            ),
        ),
        services=_read_services(document, top),
        ready_within=_read_wait(top, "readywithin", DEFAULT_READY_WITHIN),
        execute_within=_read_wait(top, "executewithin", DEFAULT_EXECUTE_WITHIN),
        answer_within=top.number("answerwithin", DEFAULT_ANSWER_WITHIN, least=0, most=_LONGEST_ANSWER),
        per_host=top.integer("perhost", DEFAULT_PER_HOST, least=1, most=_MOST_PER_HOST),
        wait_for_host=top.number("waitforhost", DEFAULT_WAIT_FOR_HOST, least=0, most=_LONGEST_ABSENCE),
        audit_days=top.number("auditdays", DEFAULT_AUDIT_DAYS, least=1, most=_MOST_AUDIT_DAYS),
        move_within=top.number("movewithin", DEFAULT_MOVE_WITHIN, least=_LEAST_MOVE, most=_LONGEST_MOVE),
        mass_guard=top.truth("massguard", default=True),
        agent_keep_alive=_read_agent_interval(top),
        docker_addresses=_read_addresses(top),
        commands=read_commands(top.texts("execcommands")),
        connections=_read_connections(top),
        host_limits=HostLimits(
            in_all=top.integer("mosthosts", HostLimits().in_all, least=1, most=_MOST_HOSTS)
        ),
        plain_docker=top.truth("plaindocker", default=False),
        narrow_ports=_read_word(top, "portaddress", _ANY_ADDRESS, _SERVICE_HOST) == _SERVICE_HOST,
        refuses_outdated=_read_word(top, "outdatedhosts", _ALLOWED, _REFUSED) == _REFUSED,
        warnings=document.finish(),  # the last one, since the others complain
    )


def _looked_at(document: Document, persister: PersisterConfiguration) -> PersisterConfiguration:
    if isinstance(persister, SqliteConfiguration):
        document.warnings.extend(openness(persister.database, "all records"))
    return persister


def _read_dispatcher(top: Members) -> Dispatcher:
    try:
        return dispatcher_named(top.text("dispatcher") or _DEFAULT_DISPATCHER)
    except InvalidConfiguration as error:
        top.complain("dispatcher", error.description)
    return dispatcher_named(_DEFAULT_DISPATCHER)


def _read_agent_interval(top: Members) -> float | None:
    if not top.has("agentkeepalive"):
        return None
    return top.number("agentkeepalive", 5.0, least=LEAST_ASKED, most=MOST_ASKED)


def _read_connections(top: Members) -> ConnectionLimits:
    limits = {"least": _LEAST_CONNECTIONS, "most": _MOST_CONNECTIONS}
    return ConnectionLimits(
        per_peer=top.integer("connectionsperpeer", DEFAULT_PER_PEER, **limits),
        in_all=top.integer("connections", DEFAULT_IN_ALL, **limits),
    )


def _read_overcommit(top: Members) -> Overcommit:
    usual = Overcommit()
    return Overcommit(
        memory=top.number("memoryovercommit", usual.memory, least=_LEAST_TIMES, most=_MOST_TIMES),
        cpus=top.number("cpuovercommit", usual.cpus, least=_LEAST_TIMES, most=_MOST_TIMES),
    )


def _read_addresses(top: Members) -> AllowedAddresses:
    entries = top.texts("dockeraddresses")
    if not top.has("dockeraddresses"):
        return AllowedAddresses()
    try:
        return read_addresses(entries)
    except ValueError as error:
        sentence = "is no network, name, unix:///path or the word agent"
        top.complain("dockeraddresses", f"{shown(str(error))} {sentence}")
        return AllowedAddresses()


def _read_word(top: Members, key: str, usual: str, other: str) -> str:
    word = top.text(key) or usual
    if word not in (usual, other):
        top.complain(key, f"must be {usual} or {other}")
    return word


def _read_keys(top: Members, folder: Path, environment: Mapping[str, str]) -> KeySource:
    named = top.text("keys")
    text = environment.get(VARIABLE)
    source = KeySource(file=folder / named if named else None, text=Secret(text) if text else None)
    try:
        source.load()
    except InvalidConfiguration as error:
        top.complain("keys", printable(error.description.removesuffix(".")))
    return source


def _read_wait(top: Members, key: str, default: float) -> float:
    return top.number(key, default, least=0.1, most=_LONGEST_WAIT)


def _read_services(document: Document, top: Members) -> ServicesConfiguration:
    members = document.section(top, "services")
    return ServicesConfiguration(
        logins=_read_logins(document, members),
        catalog=_read_catalog(members),
        images=read_images(document, members),
    )


def _read_logins(document: Document, services: Members) -> tuple[Login, ...]:
    """Read who is let in: `user` and `password` in every role, but where a role has its own."""
    usual = (read_user(services), Secret(services.text("password", required=True)))
    logins = []
    for role in Role:
        user, password = usual
        if services.has(role.value):
            own = document.section(services, role.value)
            user, password = read_user(own), Secret(own.text("password", required=True))
        logins.append(Login(role=role, user=user, password=password))
    return tuple(logins)


def _read_catalog(members: Members) -> str:
    catalog = members.text("catalog", required=True)
    if "/" in catalog or catalog in {".", ".."} or not catalog.isprintable():
        members.complain("catalog", "must be one segment of a path: no slash and no control character")
    elif catalog in _OTHER_PATHS:
        members.complain("catalog", f"must not be {catalog!r}, where {_OTHER_PATHS[catalog]} is")
    return catalog

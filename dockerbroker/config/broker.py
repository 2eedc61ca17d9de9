"""The broker's configuration file."""

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from dockerbroker.config.document import HIGHEST_PORT, LOWEST_PORT, Document, read_document, read_user
from dockerbroker.config.images import read_images
from dockerbroker.config.persister import PersisterConfiguration, read_persister
from dockerbroker.model.catalog import ImageDefinition
from dockerbroker.model.members import Members
from dockerbroker.model.placement import DISPATCHERS
from dockerbroker.model.secrets import Secret

DEFAULT_PORT = 9998
#: Seconds that a new container gets to become ready, and that one run of an executable may take.
DEFAULT_READY_WITHIN = 30.0
DEFAULT_EXECUTE_WITHIN = 30.0
#: Seconds that a request waits for its operation before it is answered with 202.
DEFAULT_ANSWER_WITHIN = 10.0
#: How many Docker calls run at once on one host.
DEFAULT_PER_HOST = 4

#: The first segment of the paths for platforms.
_PLATFORM_PATH = "v2"
#: An operation that nobody waits for gets so many seconds for each of the two.
_LONGEST_WAIT = 540.0
#: Cloud Controller gives up after 60 seconds.
_LONGEST_ANSWER = 45.0
_MOST_PER_HOST = 100


@frozen(kw_only=True)
class ServicesConfiguration:
    """Who may talk to the broker, the catalog's name, and the images that seed an empty database."""

    user: str
    password: Secret[str]
    catalog: str
    images: tuple[ImageDefinition, ...]


@frozen(kw_only=True)
class BrokerConfiguration:
    """All that the broker is told by its file and its environment.

    `ready_within`, `execute_within` and `answer_within` are seconds; 0 for the last one is never waiting.
    `warnings` are sentences for the log.
    """

    dispatcher: str
    listen_ip: str
    port: int
    persister: PersisterConfiguration
    services: ServicesConfiguration
    ready_within: float
    execute_within: float
    answer_within: float
    per_host: int
    warnings: tuple[str, ...]


def load_broker(path: Path, environment: Mapping[str, str]) -> BrokerConfiguration:
    """Read the broker's file; raises `InvalidConfiguration` with every complaint, each with its key.

    On Cloud Foundry the environment names the address: `PORT` beats `VCAP_APP_PORT` beats the file's
    `port`, and `VCAP_APP_HOST` beats its `listenIP`. Relative paths start from the file's folder.
    """
    document = read_document(path)
    top = document.top()
    return BrokerConfiguration(
        dispatcher=_read_dispatcher(top),
        listen_ip=_read_listen_ip(top, environment),
        port=_read_port(top, environment),
        persister=read_persister(document.section(top, "persister"), path.absolute().parent),
        services=_read_services(document, top),
        ready_within=_read_wait(top, "readywithin", DEFAULT_READY_WITHIN),
        execute_within=_read_wait(top, "executewithin", DEFAULT_EXECUTE_WITHIN),
        answer_within=top.number("answerwithin", DEFAULT_ANSWER_WITHIN, least=0, most=_LONGEST_ANSWER),
        per_host=top.integer("perhost", DEFAULT_PER_HOST, least=1, most=_MOST_PER_HOST),
        warnings=document.finish(),  # the last one, since the others complain
    )


def _read_dispatcher(top: Members) -> str:
    name = top.text("dispatcher") or "SimpleDispatcher"
    if name not in DISPATCHERS:
        top.complain("dispatcher", f"must be {' or '.join(sorted(DISPATCHERS))}")
    return name


def _read_listen_ip(top: Members, environment: Mapping[str, str]) -> str:
    configured = top.text("listenip")
    return environment.get("VCAP_APP_HOST") or configured or "0.0.0.0"  # noqa: S104


def _read_port(top: Members, environment: Mapping[str, str]) -> int:
    port = top.integer("port", DEFAULT_PORT, least=LOWEST_PORT, most=HIGHEST_PORT)
    variables = Members(document=environment, complaints=top.complaints)
    for name in ("PORT", "VCAP_APP_PORT"):
        if environment.get(name):
            return variables.integer(name, port, least=LOWEST_PORT, most=HIGHEST_PORT)
    return port


def _read_wait(top: Members, key: str, default: float) -> float:
    return top.number(key, default, least=0.1, most=_LONGEST_WAIT)


def _read_services(document: Document, top: Members) -> ServicesConfiguration:
    members = document.section(top, "services")
    return ServicesConfiguration(
        user=read_user(members),
        password=Secret(members.text("password", required=True)),
        catalog=_read_catalog(members),
        images=read_images(document, members),
    )


def _read_catalog(members: Members) -> str:
    catalog = members.text("catalog", required=True)
    if "/" in catalog or catalog in {".", ".."} or not catalog.isprintable():
        members.complain("catalog", "must be one segment of a path: no slash and no control character")
    elif catalog == _PLATFORM_PATH:
        members.complain("catalog", f"must not be {_PLATFORM_PATH!r}, where the API for platforms is")
    return catalog

"""The resource tree: which API a path belongs to, and what is checked before any route sees a request."""

import unicodedata
from collections.abc import Callable

from attrs import define, evolve, fields, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from dockerbroker.broker.administration import Administration
from dockerbroker.broker.certificates import Certificates
from dockerbroker.broker.host_administration import HostAdministration
from dockerbroker.broker.service import ServiceBroker
from dockerbroker.errors import BrokerError, InvalidRequest, Unavailable
from dockerbroker.model.connections import ConnectionLimits
from dockerbroker.model.roles import Principal, Role
from dockerbroker.web.administration import Administrators
from dockerbroker.web.agents import Agents
from dockerbroker.web.answers import answer_error, without_body
from dockerbroker.web.auth import Credentials, check_version
from dockerbroker.web.certificates import CERTIFICATE, CERTIFICATES, CertificateRoutes
from dockerbroker.web.guard import GuardedSite
from dockerbroker.web.health import READY, UP, Ask, Health
from dockerbroker.web.hosts import HostRoutes
from dockerbroker.web.identity import ORIGINATING_IDENTITY, REQUEST_IDENTITY, originating_identity
from dockerbroker.web.osb_requests import check_identifier
from dockerbroker.web.page import CatalogPage
from dockerbroker.web.platform import Platform
from dockerbroker.web.principals import let_in
from dockerbroker.web.routes import Route, routes_of
from dockerbroker.web.sections import Sections, is_section

_PROBES = ([UP], [READY])


def _no_shortcut(request: Request) -> None:
    del request


@frozen
class Gate:
    """One API: its routes, the role and the credentials that open it, if any, and whether it is versioned.

    `shortcut` returns the body of a 200 for requests that need no route, None for all others.
    """

    routes: IResource
    credentials: Credentials | None
    role: Role | None = None
    is_versioned: bool = False
    shortcut: Callable[[Request], bytes | None] = _no_shortcut

    def check(self, request: Request) -> None:
        """Raise what is wrong with the request: first its credentials, then its version."""
        headers = request.requestHeaders
        if self.credentials is not None and self.role is not None:
            self.credentials.authenticate(headers.getRawHeaders(b"authorization", []))
            let_in(request, Principal(role=self.role, name=self.credentials.user))
        if self.is_versioned:
            check_version(headers.getRawHeaders(b"x-broker-api-version", []))


@frozen(kw_only=True)
class Gates:
    """The gates of the APIs."""

    platform: Gate
    agents: Gate
    certificates: Gate
    sections: Gate
    administrators: Gate

    @classmethod
    def closed(cls, credentials: Credentials) -> "Gates":
        """Return gates behind which nobody answers yet."""
        administrators = Gate(_Closed(), credentials, Role.ADMINISTRATOR)
        return cls(
            platform=evolve(administrators, role=Role.PLATFORM, is_versioned=True),
            agents=evolve(administrators, role=Role.AGENT),
            certificates=administrators,
            sections=administrators,
            administrators=administrators,
        )


class _Closed(Resource):
    """Stands where the routes will be when the database is open."""

    isLeaf = True

    def render(self, request: Request) -> bytes:
        """Refuse the request."""
        error = Unavailable("The broker's database does not answer yet; try again later.")
        return without_body(request, answer_error(request, error))


@define(eq=False)
class Root(Resource):
    """Sends each request through the gate of its API; with a `refusal` only those of health are let in."""

    gates: Gates
    health: Gate
    refusal: str | None = None

    isLeaf = True

    def __attrs_pre_init__(self) -> None:
        """Initialize the resource."""
        Resource.__init__(self)

    def render(self, request: Request) -> bytes | int:
        """Answer the request, or let its route answer."""
        request.setHeader(b"server", b"dockerbroker")
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"content-type", b"application/json")
        if identity := request.requestHeaders.getRawHeaders(REQUEST_IDENTITY):
            request.setHeader(REQUEST_IDENTITY, identity[0])
        segments = request.postpath or [b""]
        try:
            gate = self._gate(segments)
            gate.check(request)
            if self.refusal is not None and gate is not self.health:
                raise Unavailable(self.refusal)
            _check_path(segments)
            originating_identity(request.requestHeaders.getRawHeaders(ORIGINATING_IDENTITY, []))
        except BrokerError as error:
            return without_body(request, answer_error(request, error))
        if (body := gate.shortcut(request)) is not None:
            return body
        rendered: bytes | int = gate.routes.render(request)
        return rendered

    def _gate(self, segments: list[bytes]) -> Gate:
        if segments[0] == b"v2":
            return self.gates.platform
        if segments in _PROBES:
            return self.health
        if segments[0] in {CERTIFICATE, CERTIFICATES}:
            return self.gates.certificates
        if is_section(segments):
            return self.gates.sections
        return self.gates.agents if segments == [b"ping"] else self.gates.administrators


def _check_path(segments: list[bytes]) -> None:
    """Raise `InvalidRequest` for what Klein would answer with plain text or take for another path."""
    try:
        texts = [segment.decode("utf-8") for segment in segments]
    except UnicodeDecodeError:
        raise InvalidRequest("The path is not valid UTF-8.") from None
    if texts[:2] == ["v2", "service_instances"]:
        for text in texts[2:3]:
            check_identifier("instance id", text)
        for text in texts[4:5] if texts[3:4] == ["service_bindings"] else []:
            check_identifier("binding id", text)
    path = "".join(texts)
    # Nearly every path is printable, which is quickly found out.
    if not path.isprintable() and any(unicodedata.category(character) == "Cc" for character in path):
        raise InvalidRequest("The path holds a control character.")


@frozen(kw_only=True)
class Apis:
    """What answers requests while the database is open; `ask` asks the database something."""

    platform: Platform
    agents: Agents
    certificates: CertificateRoutes
    sections: Sections
    administrators: Administrators
    ask: Ask


def make_apis(
    reactor: IReactorTime,
    broker: ServiceBroker,
    administration: Administration,
    certificates: Certificates,
    agents: Agents,
) -> Apis:
    """Return the APIs of a broker."""
    page = CatalogPage(broker, reactor)
    hosts = HostRoutes(HostAdministration(administration.persister)).resource()
    return Apis(
        platform=Platform(broker, page),
        agents=agents,
        certificates=CertificateRoutes(certificates),
        sections=Sections({b"hosts": hosts, b"conditions": hosts}),
        administrators=Administrators(administration, page),
        ask=administration.persister.cluster_id,
    )


class BrokerSite(GuardedSite):
    """The site of the APIs, which answer with 503 until it is opened, and of the broker's health."""

    def __init__(
        self, reactor: IReactorTime, credentials: Credentials, limits: ConnectionLimits | None = None
    ) -> None:
        self._credentials = credentials
        self._health = Health(reactor)
        self._root = Root(Gates.closed(credentials), Gate(self._health, credentials=None))
        super().__init__(self._root, reactor, limits)

    def open(self, apis: Apis) -> None:
        """Let requests in."""
        platform, credentials = apis.platform, self._credentials
        administrators = Gate(_Closed(), credentials, Role.ADMINISTRATOR)
        self._root.gates = Gates(
            platform=Gate(
                platform.resource(),
                credentials,
                Role.PLATFORM,
                is_versioned=True,
                shortcut=platform.shortcut,
            ),
            agents=Gate(apis.agents, credentials, Role.AGENT),
            certificates=evolve(administrators, routes=apis.certificates.resource()),
            sections=evolve(administrators, routes=apis.sections),
            administrators=evolve(administrators, routes=apis.administrators.resource()),
        )
        self._health.ask = apis.ask

    def routes(self) -> list[Route]:
        """Return all that is served, each once, in the order of the paths; little until it is opened."""
        gates = (getattr(self._root.gates, one.name) for one in fields(Gates))
        found = [route for gate in (*gates, self._root.health) for route in routes_of(gate.routes, gate.role)]
        return sorted(set(found), key=lambda route: (route.path, route.method))

    def refuse(self, refusal: str | None) -> None:
        """Refuse every request with that sentence, and be not ready, until it is None."""
        self._root.refusal = self._health.refusal = refusal

    def drain(self) -> Deferred[None]:
        """Be not ready any more, and drain."""
        self._health.is_ending = True
        return super().drain()

"""Where the broker listens, and how connections are encrypted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import frozen

from dockerbroker.config.document import HIGHEST_PORT, LOWEST_PORT, Document
from dockerbroker.config.endpoints import Endpoint, TcpEndpoint, read_endpoint
from dockerbroker.errors import InvalidConfiguration
from dockerbroker.model.members import Members, shown

DEFAULT_PORT: Final = 9998

_LOWEST_VERSION: Final = "1.2"
_VERSIONS: Final = (_LOWEST_VERSION, "1.3")
#: The files of a pair that the broker makes by itself, beside its configuration.
_OWN_CERTIFICATE: Final = "broker.crt"
_OWN_KEY: Final = "broker.key"


@frozen(kw_only=True)
class TlsConfiguration:
    """The files of the broker's certificate and its key, and what it asks of those who connect.

    `client_ca` is a file of the authorities by which they must prove who they are; None asks for nothing.
    `minimum` is the lowest version of TLS. With `is_self_signed` the broker makes the pair when both files
    are absent, for the names of its machine and for `names`. `refuses_expired` keeps it from starting with a
    certificate that has ended.
    """

    certificate: Path
    private_key: Path
    client_ca: Path | None = None
    minimum: str = _LOWEST_VERSION
    is_self_signed: bool = False
    names: tuple[str, ...] = ()
    refuses_expired: bool = False


@frozen(kw_only=True)
class ListeningConfiguration:
    """Where the broker listens: with TLS everywhere, or without where that is allowed."""

    endpoints: tuple[Endpoint, ...]
    tls: TlsConfiguration | None = None
    allows_plain: bool = False

    def check(self) -> None:
        """Raise `InvalidConfiguration` where passwords would go over a network as they are."""
        if self.tls is not None or self.allows_plain:
            return
        for endpoint in self.endpoints:
            if not endpoint.is_local:
                raise InvalidConfiguration(
                    f"The broker would take passwords at {endpoint.name} over plain HTTP; give it a "
                    'certificate with tls ({"selfsigned": true} makes one), or say "plainhttp": true if a '
                    "proxy in front of it has one."
                )


def read_listening(
    document: Document, top: Members, environment: Mapping[str, str], folder: Path
) -> ListeningConfiguration:
    """Read `listen`, or `listenIP` and `port` with what the environment says, `tls` and `plainhttp`."""
    tls = _read_tls(document.section(top, "tls"), folder) if top.has("tls") else None
    allows_plain = top.truth("plainhttp", default=False)
    if tls is not None and allows_plain:
        document.warnings.append(f"{document.path}: plainhttp: has no effect beside tls")
    old = TcpEndpoint(host=_read_listen_ip(top, environment), port=_read_port(top, environment))
    endpoints = _read_endpoints(top, folder)
    if endpoints:
        document.warnings.extend(
            f"{document.path}: {key}: has no effect beside listen"
            for key in ("listenIP", "port")
            if top.has(key.lower())
        )
    return ListeningConfiguration(endpoints=endpoints or (old,), tls=tls, allows_plain=allows_plain)


def _read_endpoints(top: Members, folder: Path) -> tuple[Endpoint, ...]:
    if not top.has("listen"):
        return ()
    given = top.document["listen"]
    texts = (given,) if isinstance(given, str) else top.texts("listen")
    found: list[Endpoint] = []
    for text in texts:
        try:
            found.append(read_endpoint(text, folder))
        except ValueError as error:
            top.complain("listen", f"{shown(text)} {error}")
    if not texts:
        top.complain("listen", "must be an endpoint string, or an array of them")
    return tuple(found)


def _read_tls(members: Members, folder: Path) -> TlsConfiguration:
    is_self_signed = members.truth("selfsigned", default=False)
    certificate = members.text("certificate", required=not is_self_signed) or _OWN_CERTIFICATE
    key = members.text("privatekey", required=not is_self_signed) or _OWN_KEY
    authority = members.text("clientca")
    minimum = members.text("minimum") or _LOWEST_VERSION
    if minimum not in _VERSIONS:
        members.complain("minimum", f'must be "{_VERSIONS[0]}" or "{_VERSIONS[1]}"')
    return TlsConfiguration(
        certificate=folder / certificate,
        private_key=folder / key,
        client_ca=folder / authority if authority else None,
        minimum=minimum,
        is_self_signed=is_self_signed,
        names=members.texts("names"),
        refuses_expired=members.truth("refuseexpired", default=False),
    )


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

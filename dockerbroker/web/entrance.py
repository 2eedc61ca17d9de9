"""Who may pass a gate: those whose credentials are of a role that the gate is for."""

from collections.abc import Mapping

from attrs import field, frozen
from twisted.web.server import Request

from dockerbroker.broker.authentication import Authenticator, Claim, Realm
from dockerbroker.model.roles import Principal, Role
from dockerbroker.web.auth import Basic, one_header

AUTHORIZATION = b"authorization"


@frozen
class Entrance:
    """Asks who somebody is; those of the `role` may do everything, `others` what their methods are."""

    authenticator: Authenticator
    role: Role
    others: Mapping[bytes, Role] = field(factory=dict)
    _alone: Realm = field(init=False)
    _shared: Mapping[bytes, Realm] = field(init=False)

    @_alone.default
    def _own(self) -> Realm:
        return Realm.of(self.role)

    @_shared.default
    def _with_others(self) -> Mapping[bytes, Realm]:
        # Whose password is that of both roles is not confined as an agent.
        return {method: Realm.of(self.role, other) for method, other in self.others.items()}

    def known(self, request: Request) -> Principal | None:
        """Return who asks if that is known at once."""
        header = one_header(request.requestHeaders.getRawHeaders(AUTHORIZATION, ()))
        return None if header is None else self.authenticator.known(self._realm(request), header)

    async def ask(self, request: Request) -> Principal:
        """Return who asks; raises `InvalidRequest` and what `Authenticator.authenticate` fails with."""
        basic = Basic.of(request.requestHeaders.getRawHeaders(AUTHORIZATION, []))
        claim = Claim(
            realm=self._realm(request),
            header=basic.header,
            user=basic.user,
            password=basic.password,
            peer=peer_of(request),
        )
        return await self.authenticator.authenticate(claim)

    def _realm(self, request: Request) -> Realm:
        return self._shared.get(request.method, self._alone)


def peer_of(request: Request) -> str:
    """Return the address that a request comes from, nothing for a socket of this machine."""
    return str(getattr(request.getClientAddress(), "host", ""))

"""Who asks for a change, for the audit log: made of a request behind its gate."""

import secrets

from twisted.web.server import Request

from dockerbroker.model.audit import Origin
from dockerbroker.web.entrance import peer_of
from dockerbroker.web.identity import ORIGINATING_IDENTITY, REQUEST_IDENTITY, originating_identity
from dockerbroker.web.principals import principal_of


def origin_of(request: Request) -> Origin:
    """Return who asks; a request that its client has not named gets a name here."""
    principal, headers = principal_of(request), request.requestHeaders
    identity = originating_identity(headers.getRawHeaders(ORIGINATING_IDENTITY, []))
    named = headers.getRawHeaders(REQUEST_IDENTITY)
    return Origin(
        role=principal.role.value,
        name=principal.name,
        platform=identity.platform if identity is not None else "",
        user=(identity.user or "") if identity is not None else "",
        request_id=named[0].decode("ascii", "replace") if named else secrets.token_hex(16),
        peer=peer_of(request),
    )
